"""Who called whom, told by spans, by HTTP logs and by times: small stories, each with its own kind of trace."""

from typing import Any

import pytest

from shipper.search.story_lines import Line
from shipper.search.story_told import Told, put_together
from tests.unit.test_search_story import MS, line


class Script:
    """Records of a story, numbered within the series of their service."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(self, service: str, at: int, message: str = "x", **fields: Any) -> "Script":
        """Add a record of a service, `at` in milliseconds."""
        self.lines.append(line(len(self.lines) + 1, at, service=service, series=service, message=message, **fields))
        return self

    def answer(self, service: str, at: int, took: int, path: str = "/x", status: int = 200, **labels: str) -> "Script":
        """Add what an HTTP log says of a request that is over."""
        return self.add(
            service, at, f"GET {path}", http__request__method="GET", url__path=path, event__duration=took * MS,
            http__response__status_code=status, labels=labels,
        )  # fmt: skip

    def told(self) -> Told:
        """Put together."""
        return put_together(self.lines, {})


def hops(told: Told) -> list[tuple[str, str, str]]:
    """Caller, called, how."""
    return [(hop.caller, hop.to, hop.how) for hop in told.hops]


def test_by_spans() -> None:
    made = Script().add("web", 0, span__id="1").add("api", 10, span__id="2", labels={"parent_id": "1"})
    made.add("api", 11, span__id="3", labels={"parent": {"id": "2"}}).add(
        "bank", 12, span__id="4", labels={"parent.id": "3"}
    )
    made.add("bank", 30, span__id="5", labels={"parent_span_id": "2"}).add("web", 60, span__id="1")
    assert hops(made.told()) == [("web", "api", "span"), ("api", "bank", "span"), ("api", "bank", "span")]


def test_a_span_that_two_services_log() -> None:
    made = Script().add("web", 0, span__id="1").add("api", 5, span__id="1").add("web", 60, span__id="1")
    assert hops(made.told()) == [("web", "api", "span")]


def test_spans_in_a_circle() -> None:
    made = Script().add("web", 0, span__id="1", labels={"parent_id": "2"})
    made.add("api", 10, span__id="2", labels={"parent_id": "1"})
    assert hops(made.told()) == [("web", "api", "span")] or hops(made.told()) == [("api", "web", "span")]


def test_a_caller_that_logs_its_calls() -> None:
    made = (
        Script()
        .add("web", 0)
        .answer("bank", 30, 20, "/charge", 503)
        .answer("web", 31, 22, "/charge", 503, peer_service="bank")
    )
    made.answer("bank", 60, 20, "/charge").answer("web", 61, 22, "/charge", peer_service="bank").answer("web", 70, 70)
    told = made.told()
    assert hops(told) == [("web", "bank", "http")] * 2
    assert [hop.status for hop in told.hops] == [503, 200]
    assert told.statuses == {"bank": 200, "web": 200}
    assert told.entry is not None
    assert (told.entry.service, told.entry.path, told.entry.status) == ("web", "/x", 200)


def test_calls_are_known_by_their_paths_and_longer_names() -> None:
    made = Script().answer("web", 40, 30, "/charge").answer("shop-bank", 35, 20, "/charge").answer("web", 70, 70)
    assert hops(made.told()) == [("web", "shop-bank", "http")]
    made = (
        Script().answer("web", 40, 30, "/", url="http://bank.local/charge").add("shop-bank", 20).answer("web", 70, 70)
    )
    assert hops(made.told()) == [("web", "shop-bank", "http")]


def test_a_call_that_nobody_heard_of() -> None:
    told = Script().add("web", 0).answer("web", 31, 22, "/send", 504, peer_service="mail").answer("web", 70, 70).told()
    assert hops(told) == [("web", "mail", "http")]
    assert (told.hops[0].status, told.hops[0].offset_ns) == (504, 9 * MS)
    assert told.unheard == {"mail": "web"}


def test_proxies_that_log_the_same_exchange() -> None:
    text = '10.0.3.7:51422 in~ shop/web-3 0/0/1/90/90 200 1532 - - ---- 1/1 "GET /cart/7 HTTP/1.1"'
    made = (
        Script()
        .answer("web", 95, 60, "/cart/7")
        .answer("nginx", 97, 75, "/cart/7", upstream="10.0.0.1:80")
        .add("haproxy", 100, text)
    )
    told = made.told()
    assert hops(told) == [("haproxy", "nginx", "http"), ("nginx", "web", "http")]
    assert told.entry is not None
    assert (told.entry.service, told.asked) == ("haproxy", "haproxy")


def test_by_times() -> None:
    made = Script().add("web", 0).add("api", 10).add("bank", 20, "try 1").add("bank", 30, "no").add("api", 35, "again")
    made.add("bank", 40, "try 2").add("bank", 50, "yes").add("api", 60).add("web", 70).add("mail", 90)
    told = made.told()
    assert hops(told) == [("web", "api", "time"), *[("api", "bank", "time")] * 2, ("web", "mail", "time")]
    assert [hop.duration_ns for hop in told.hops][1:3] == [10 * MS, 10 * MS]


def test_what_runs_at_the_same_time_is_not_cut() -> None:
    made = (
        Script()
        .add("web", 0)
        .add("a", 10, "began")
        .add("b", 12, "began")
        .add("web", 20, "waiting")
        .add("a", 30, "done")
    )
    made.add("b", 31, "done").add("web", 40)
    assert [(caller, to) for caller, to, _ in hops(made.told())] == [("web", "a"), ("web", "b")]


@pytest.mark.alone
def test_thousands_of_records_take_no_time() -> None:
    import time

    made = Script()
    for number in range(5000):
        service = f"s{number % 12}"
        if number % 50 < 12:
            made.answer(
                service, number, 5, f"/p{number % 12}", peer_service=f"s{(number + 1) % 12}" if number % 2 else ""
            )
        else:
            made.add(service, number, f"step {number}")
    began = time.process_time()
    assert len(made.told().hops) > 100
    assert time.process_time() - began < 1.0  # about 0.1 s on a machine with nothing else to do
