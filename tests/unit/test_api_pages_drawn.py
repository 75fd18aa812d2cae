"""What pages draw, as values: bars over time, lanes of a story, links that change a parameter, marks in a question."""

import pytest

from shipper.api.counting import Histogram
from shipper.api.pages.asked import Trouble, Typed, link, marked
from shipper.api.pages.histogram import HEIGHT, chart
from shipper.api.pages.lanes import LANE, MOST_HOPS, MOST_LANES, WIDTH, Mark, picture
from shipper.api.question import Question, question
from shipper.api.story_services import Service
from shipper.errors import QueryError, StoreBusy
from shipper.search.holes import Hole
from shipper.search.query import Buckets
from shipper.search.story_calls import Hop

MS = 1_000_000


def service(name: str, offset: int, duration: int, host: str = "h") -> Service:
    return Service(name, "", "", 0, offset * MS, duration * MS, hosts=[host])


def histogram(*buckets: dict[str, int]) -> Histogram:
    step = 60 * 10**9
    counts = {number * step: values for number, values in enumerate(buckets)}
    return Histogram(Buckets(0, len(buckets) * step, step), "log.level", counts, ())


def test_bars_are_links_that_narrow_the_time() -> None:
    asked = question({"app": "a", "start": "1h"})
    drawn = chart(histogram({"info": 10}, {}, {"error": 5, "info": 5}), Typed("/", {}), asked)
    assert [(bar.x, bar.count) for bar in drawn.bars] == [(0, 10), (20, 10)]
    assert drawn.bars[1].parts == [("error", 50, 50), ("info", 0, 50)]
    assert drawn.bars[1].told == "5 error, 5 info"
    assert drawn.bars[1].url == "/?app=a&start=1970-01-01T00%3A02%3A00.000000Z&end=1970-01-01T00%3A03%3A00.000000Z"
    assert (drawn.step, drawn.highest, drawn.total, drawn.levels) == ("1 min", 10, 20, {"error": 5, "info": 15})


def test_one_error_among_a_million_is_seen_and_nothing_leaves_the_drawing() -> None:
    (bar,) = chart(histogram({"error": 1, "emergency": 1, "info": 1_000_000, "": 7}), Typed("/", {}), Question()).bars
    assert [kind for kind, _, _ in bar.parts] == ["fatal", "error", "info", "none"][: len(bar.parts)]
    assert all(y >= 0 and height >= 0 and y + height <= HEIGHT for _, y, height in bar.parts)
    assert {kind: height for kind, _, height in bar.parts}["error"] >= 3


def test_lanes_have_bars_ticks_arrows_and_hatches() -> None:
    services = [service("web", 0, 1000), service("pay", 500, 500, "pay-1")]
    marks = [Mark(0, "web", "info"), Mark(500 * MS, "pay", "error"), Mark(500 * MS, "pay", "info")]
    hops = [Hop("web", "pay", "http", 500 * MS, 500 * MS, 502), Hop("web", "away", "http", 0, 0, None)]
    holes = [Hole("pay-1", "s", 4, 5, 250 * MS, 750 * MS), Hole("other", "t", 1, 1, None, 900 * MS)]
    drawn = picture(services, marks, hops, holes, 0, 1000 * MS)
    pay = drawn.lanes["pay"]
    assert (drawn.height, pay.y, pay.x, pay.x + pay.width) == (2 * LANE, LANE, 498, 997)
    assert pay.ticks == [(498, ""), (498, "error")]  # the error is drawn last
    (arrow,) = drawn.arrows
    assert (arrow.x, arrow.y, arrow.to_y, arrow.failed) == (499, LANE // 2, LANE + LANE // 2, True)
    (hatch,) = drawn.hatches
    assert (hatch.x, hatch.x + hatch.width, hatch.y) == (249, 747, LANE)


def test_thousands_of_records_are_a_bounded_drawing() -> None:
    services = [service(f"s{number}", number, 1) for number in range(200)]
    marks = [Mark(number * 997, f"s{number % 200}", "info") for number in range(20_000)]
    hops = [Hop("s0", "s1", "time", number, 1, None) for number in range(5_000)]
    drawn = picture(services, marks, hops, [], 0, 200 * MS)
    assert (len(drawn.lanes), len(drawn.arrows)) == (MOST_LANES, MOST_HOPS)
    assert all(len(lane.ticks) <= WIDTH for lane in drawn.lanes.values())


def test_a_story_of_one_moment_is_drawn() -> None:
    drawn = picture([service("web", 0, 0)], [Mark(0, "web", "")], [], [], 5, 0)
    assert drawn.lanes["web"].ticks == [(0, "")]


def test_links_keep_what_was_asked() -> None:
    asked = question({"query": 'app:a and "b c"', "level": ["warn", "error"], "limit": 5})
    assert link("/tail", asked, limit=None) == "/tail?query=app%3Aa+and+%22b+c%22&level=warn&level=error"
    typed = Typed("/", {})
    assert typed.chips(asked) == [
        ("level", "warn", "/?query=app%3Aa+and+%22b+c%22&level=error&limit=5"),
        ("level", "error", "/?query=app%3Aa+and+%22b+c%22&level=warn&limit=5"),
    ]
    assert marked(asked.query(0)) == (("b", "c"),)


@pytest.mark.parametrize(
    ("error", "typed", "parts"),
    [
        (QueryError("query: what is this?", 3), {"query": "ab <c"}, ("ab ", "<", "c")),
        (QueryError("query: there is no end", 2), {"query": "(a"}, ("(a", " ", "")),
        (QueryError("text: no end of the phrase", 0), {"query": "x", "text": '"a'}, ("", '"', "a")),
        (QueryError("start: not a time"), {"query": "x"}, ("", "", "")),
        (QueryError("query: beyond", 99), {"query": "x"}, ("", "", "")),
        (StoreBusy("down"), {"query": "x"}, ("", "", "")),
    ],
)
def test_what_is_wrong_is_marked(
    error: QueryError | StoreBusy, typed: dict[str, str], parts: tuple[str, str, str]
) -> None:
    found = Trouble.of(error, typed)
    assert (found.before, found.at, found.after) == parts
    assert found.busy is isinstance(error, StoreBusy)
