"""The pure parts of a request's story: what a record says, order, clocks, who is missed, and the verdict."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.record.times import from_ns, to_ns
from shipper.search.holes import Hole, Kind
from shipper.search.story_clocks import MOST_SHIFT_NS, Within, by_calls, by_delays, delays_of, doubtful
from shipper.search.story_lines import Exchange, Line, line_of
from shipper.search.story_order import order
from shipper.search.story_told import put_together
from shipper.search.story_usual import Earlier, Silent, masked, outcome, silent_services, unheard_services
from shipper.search.story_verdict import Findings, judge

NOW = to_ns("2026-11-22T14:30:00Z")
MS = 1_000_000
SECOND = 1000 * MS


#: How long a value takes to make says something of the machine only.
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def line(number: int, at: int = 0, *, service: str = "a", series: str = "s", **fields: Any) -> Line:
    """One record, written `at` milliseconds after NOW on the host of its service and read a millisecond later."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    written = NOW + at * MS
    record = {
        "@timestamp": from_ns(written), "event.created": from_ns(written + MS), "event.sequence": number,
        "shipper.series": series, "shipper.received_at": from_ns(written + 20 * MS), "host.name": f"host-{service}",
        "message": "x", **named,
    }  # fmt: skip
    return line_of(record, service)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=5,
)
times = st.integers(NOW - 10 * SECOND, NOW + 10 * SECOND).map(from_ns)
records = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "@timestamp": times | anything,
            "event.created": times | anything,
            "shipper.received_at": times | anything,
            "event.sequence": st.integers(0, 50) | anything,
            "shipper.series": st.sampled_from(["an", "bn"]) | anything,
            "host.name": st.sampled_from(["web-1", "web-2"]) | anything,
            "http.response.status_code": st.sampled_from([200, 503]) | anything,
            "http.request.method": st.just("GET") | anything,
            "url.path": st.sampled_from(["/a", "/b/7"]) | anything,
            "event.duration": st.integers(0, SECOND) | anything,
            "span.id": st.sampled_from(["1", "2", "3"]) | anything,
            "labels": st.dictionaries(
                st.sampled_from(["parent_id", "peer_service", "upstream", "url", "parent", "traceparent"]),
                st.sampled_from(["1", "2", "a", "b"]) | anything,
            )
            | anything,
            "message": st.sampled_from(["started 1", "started 2", "GET /a HTTP/1.1 200"]) | anything,
        },
    ),
    max_size=25,
)


@SLOW
@given(records, st.lists(st.sampled_from("abcd"), min_size=25, max_size=25))
def test_any_records_make_a_story(found: list[dict[str, Any]], services: list[str]) -> None:
    lines = [line_of(record, service) for record, service in zip(found, services, strict=False)]
    told = put_together(lines, delays_of(lines))
    assert sorted(map(id, told.lines)) == sorted(map(id, lines))  # none lost, none twice
    assert [one.shown for one in told.lines] == sorted(one.shown for one in told.lines)
    last: dict[str, int] = {}
    for one in told.lines:
        if one.sequence >= 0:
            assert last.get(one.series, -1) <= one.sequence
            last[one.series] = one.sequence
    assert all(abs(shift) <= MOST_SHIFT_NS for shift in told.shifts.values())
    assert all(hop.caller != hop.to and hop.offset_ns >= 0 and hop.duration_ns >= 0 for hop in told.hops)


shifts = st.dictionaries(st.sampled_from("abcd"), st.integers(-400 * SECOND, 400 * SECOND), max_size=4)
spans = st.tuples(st.integers(0, 20 * SECOND), st.integers(0, 20 * SECOND)).map(lambda pair: (min(pair), max(pair)))


@SLOW
@given(
    shifts,
    st.lists(
        st.builds(Within, st.sampled_from("abcd"), spans, st.sampled_from("abcd"), spans, st.booleans(), st.booleans()),
        max_size=12,
    ),
)
def test_no_clock_is_moved_beyond_the_bound(known: dict[str, int], calls: list[Within]) -> None:
    bounded = {host: max(-MOST_SHIFT_NS, min(MOST_SHIFT_NS, shift)) for host, shift in known.items()}
    assert all(abs(shift) <= MOST_SHIFT_NS for shift in by_calls(bounded, calls).values())


@SLOW
@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(-(10**12), 10**12), min_size=1).map(sorted)))
def test_no_delay_moves_a_clock_beyond_the_bound(delays: dict[str, list[int]]) -> None:
    assert all(abs(shift) <= MOST_SHIFT_NS for shift in by_delays(delays).values())


def test_numbers_are_the_order_within_a_series() -> None:
    lines = [line(1, 50), line(2, 10), line(3, 60), line(1, 20, service="b", series="t")]
    assert [(one.series, one.sequence) for one in order(lines, {})] == [("t", 1), ("s", 1), ("s", 2), ("s", 3)]
    assert lines[1].shown == lines[0].shown


@pytest.mark.parametrize(
    ("said", "created", "at"),
    [
        ("2026-11-22T14:30:00Z", "2026-11-22T14:30:00.700000Z", "2026-11-22T14:30:00.700000Z"),  # no fraction was said
        ("2026-11-22T14:30:00Z", "2026-11-22T14:30:09.000000Z", "2026-11-22T14:30:00.000000Z"),  # read much later
        ("2026-11-22T14:30:00.2Z", "2026-11-22T14:30:00.700000Z", "2026-11-22T14:30:00.200000Z"),
        ("2099-01-01T00:00:00.5Z", "2026-11-22T14:30:00.700000Z", "2026-11-22T14:30:00.700000Z"),  # not yet
        ("yesterday", "2026-11-22T14:30:00.700000Z", "2026-11-22T14:30:00.700000Z"),
        ("2026-11-22T14:30:00.2Z", 5, "2026-11-22T14:30:00.200000Z"),
    ],
)
def test_when_a_record_was_written(said: object, created: object, at: str) -> None:
    assert from_ns(line_of({"@timestamp": said, "event.created": created}, "a").at) == at


@pytest.mark.parametrize(
    ("fields", "exchange"),
    [
        ({}, None),
        ({"url.path": "/cart", "http.request.method": "GET"}, Exchange("GET", "/cart", None, 0, "")),
        ({"http.response.status_code": True, "url.path": ["/x"]}, None),
        ({"http.response.status_code": 200, "event.duration": 5}, Exchange(None, None, 200, 5, "")),
        (
            {"http.response.status_code": 200, "labels": {"peer_service": "bank"}},
            Exchange(None, None, 200, 0, "bank", sure=True),
        ),
        (
            {"http.response.status_code": 200, "labels": {"url": "https://bank.svc:8443/charge?x=1"}},
            Exchange(None, "/charge", 200, 0, "bank.svc"),
        ),
        ({"http.response.status_code": 200, "labels": {"upstream": "10.0.0.7:80"}}, Exchange(None, None, 200, 0, "")),
        (
            {"message": '10.0.3.7:51422 http-in~ shop/web-3 0/0/1/184/185 200 1532 - - ---- 1/1 "GET /cart HTTP/1.1"'},
            Exchange("GET", "/cart", 200, 185 * MS, ""),
        ),
        ({"message": '10.0.0.1 - - "POST /orders?a=1 HTTP/2.0" 201 5'}, Exchange("POST", "/orders", 201, 0, "")),
        ({"message": "speaks HTTP/1.1 now"}, None),
    ],
)  # fmt: skip
def test_the_exchange_that_a_record_tells_of(fields: dict[str, Any], exchange: Exchange | None) -> None:
    assert line_of(fields, "a").exchange == exchange


def ways(least: int, count: int = 5, step: int = 10) -> list[int]:
    """Delays in nanoseconds of milliseconds."""
    return [(least + number * step) * MS for number in range(count)]


def test_what_delays_say_of_clocks() -> None:
    delays = {
        "fine": ways(20), "ahead": ways(-3000), "behind": ways(4000), "waited": ways(8000, 5, 900),
        "once": ways(2000, 1), "outage": ways(60_000),
    }  # fmt: skip
    assert doubtful(delays)[0] == "outage"
    assert by_delays(delays) == {"ahead": -3020 * MS, "behind": 3980 * MS}


def test_a_way_that_is_slow_for_all_says_nothing_of_clocks() -> None:
    assert by_delays({"a": ways(500), "b": ways(700), "c": ways(650)}) == {}
    assert by_delays({"a": ways(500), "b": ways(700), "c": ways(4500)}) == {"c": 4000 * MS}
    assert by_delays({"a": ways(-10), "b": ways(20)}) == {}  # as near as clocks are kept


def within(caller: str, began: int, ended: int, host: str, called: tuple[int, int], stated: bool = True) -> Within:
    """Times in milliseconds."""
    return Within(caller, (began * MS, ended * MS), host, (called[0] * MS, called[1] * MS), stated, stated)


def test_what_calls_say_of_clocks() -> None:
    assert by_calls({}, [within("a", 0, 100, "b", (10, 90))]) == {}
    assert by_calls({}, [within("a", 0, 100, "b", (-3, 90))]) == {}  # rounded
    assert by_calls({}, [within("a", 0, 100, "b", (1010, 1090))]) == {"b": -1000 * MS}
    # b, not a, is known to be wrong: it moves to where it agrees with its caller and with what it calls itself
    calls = [within("a", 0, 100, "b", (3010, 3090)), within("b", 3020, 3080, "c", (30, 70))]
    assert by_calls({"b": -2900 * MS}, calls) == {"b": -3000 * MS}
    # what no log states moves a clock that is known to be wrong, and not far, and no other
    calls = [within("a", 0, 100, "b", (3010, 3090), False), within("a", 0, 100, "c", (3010, 3090), False)]
    assert by_calls({"b": -2900 * MS}, calls) == {"b": -3000 * MS}
    assert by_calls({"b": -1900 * MS}, calls) == {"b": -1900 * MS}
    # what goes on after its caller's end says only that it began within it
    assert by_calls({}, [within("a", 0, 10, "b", (-500, 900))]) == {"b": 500 * MS}


@pytest.mark.parametrize(
    ("path", "mask"),
    [
        ("/orders", "/orders"), ("/orders/4711/items", "/orders/*/items"), ("/", "/"), ("", ""),
        ("/u/123e4567-e89b-12d3-a456-426614174000", "/u/*"), ("/v1/cart", "/v1/cart"), ("/x/deadbeef", "/x/*"),
        ("/s/abcdefghijkl1234mnop", "/s/*"), ("/checkout/confirmation", "/checkout/confirmation"),
    ],
)  # fmt: skip
def test_ids_in_paths(path: str, mask: str) -> None:
    assert masked(path) == mask


def earlier(count: int, ended: str, *services: str) -> dict[str, Earlier]:
    """Earlier requests that were alike."""
    return {f"{ended}-{number}": Earlier(ended, services) for number in range(count)}


def test_who_is_missed() -> None:
    good = earlier(9, "good", "edge", "orders", "mail") | {"rare": Earlier("good", ("edge", "rare"))}
    (mail,) = silent_services(good, "good", {"edge", "orders"}, [])
    assert (mail.service, mail.share, mail.of, mail.explained) == ("mail", 0.9, 10, False)
    assert mail.why == "mail took part in 9 of 10 earlier requests like this one and has no record here"
    assert silent_services(earlier(4, "good", "edge", "mail"), "good", {"edge"}, []) == []  # too few to know
    assert silent_services(good | earlier(2, "good", "edge"), "good", {"edge"}, []) == []  # not usual


def test_an_error_explains_a_silence() -> None:
    good = earlier(9, "good", "edge", "orders", "bank", "mail")
    found = silent_services(good, "failed", {"edge", "orders", "bank"}, ["bank", "edge"])
    assert [(one.service, one.explained) for one in found] == [("mail", True)]
    assert found[0].why.endswith("; bank failed before it, which may be why")
    # other requests that failed got as far as the mail: then an error of this one explains nothing
    both = good | earlier(6, "failed", "edge", "mail")
    assert [one.explained for one in silent_services(both, "failed", {"edge"}, [])] == [False]


def test_who_was_called_and_not_heard() -> None:
    good = earlier(3, "good", "edge", "mail")
    found = unheard_services(good, {"mail": "edge", "stripe": "edge"})
    assert [one.service for one in found] == ["mail"]  # nobody knows a stripe that logs here
    assert [outcome(status) for status in (None, 200, 302, 404, 502)] == ["", "good", "good", "refused", "failed"]


def hole(first: int, last: int, series: str = "s", host: str = "host-a", at: int = NOW) -> Hole:
    """A hole whose neighbours were settled at one time."""
    return Hole(host, series, first, last, at, at, kinds={Kind.LATE: last - first + 1}, reason="it may come")


MAIL = Silent("mail", 1.0, 9, explained=False, why="mail is silent")


@pytest.mark.parametrize(
    ("holes", "silent", "notes", "state", "words"),
    [
        ([], [], [], "complete", ""),
        ([hole(5, 7)], [], [], "incomplete", 
         "3 records of host host-a missing (numbers 5 to 7 of series s): it may come, between records of this request"),
        ([hole(10, 12)], [], [], "possibly incomplete", "missing"),
        ([hole(5, 7, "t")], [], [], "possibly incomplete", "missing"),
        ([], [MAIL], [], "possibly incomplete", "mail is silent"),
        ([hole(5, 7, "t", "host-m")], [MAIL], [], "incomplete", "where mail runs, which is silent here"),
        ([hole(5, 7, "t", "host-m", NOW - 40_000 * SECOND)], [MAIL], [], "possibly incomplete", "missing"),
        ([], [Silent("mail", 1.0, 9, explained=True, why="x")], [], "complete", ""),
        ([], [], ["day lost"], "incomplete", "day lost"),
    ],
)  # fmt: skip
def test_the_verdict(holes: list[Hole], silent: list[Silent], notes: list[str], state: str, words: str) -> None:
    lines = order([line(4, 0), line(9, 5)], {})
    found = judge(lines, Findings(notes, [], holes, silent, {"mail": ["host-m"]}))
    assert found.state == state
    assert words in "; ".join(found.reasons)
    assert bool(found.reasons) is (state != "complete")
