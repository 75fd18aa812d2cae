"""Questions asked in bad faith: answered or refused with a reason, in time, by a shipper that lives on."""

import http.client
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.e2e.hostile_questions import questions
from tests.e2e.peers import RelpSession, stamped
from tests.servers.process import wait_until
from tests.shipper_process import ShipperProcess

RECORDS = 300
#: Forty times what it takes; the one over Elasticsearch shares a server, and so a process, with other tests.
P99_SECONDS = 2.0
#: One answer may take so long; the machine may be busy with something else.
MOST_SECONDS = 20.0


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.alone), "elasticsearch_9"])
def shipper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShipperProcess]:
    """A shipper with some records, over each store."""
    if request.param == "sqlite":
        store: dict[str, Any] = {"type": "sqlite", "path": str(tmp_path / "data")}
        cluster = "test"
    else:
        store = {"type": "elasticsearch", "urls": [request.getfixturevalue(request.param)], "replicas": 0}
        cluster = f"hostile.{uuid.uuid4().hex[:12]}"
    with ShipperProcess(tmp_path, store, cluster=cluster) as running:
        with RelpSession(running.port) as session:
            session.deliver(*(stamped(number, f"request {number} timed out") for number in range(1, RECORDS + 1)))
        wait_until(lambda: len(running.get("/api/v1/records?limit=1000")["records"]) == RECORDS, 30, "it is searchable")
        yield running


class Browser:
    """One connection that sends links as they are, and opens again when it is closed."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=MOST_SECONDS)

    def get(self, link: str) -> tuple[int, bytes]:
        """Status and body."""
        try:
            self._connection.request("GET", link)
            with self._connection.getresponse() as answer:
                return answer.status, b"" if answer.getheader("content-type") == "text/event-stream" else answer.read()
        except (http.client.HTTPException, OSError) as error:
            raise AssertionError(f"{error!r} after {link:.200}") from error

    def close(self) -> None:
        self._connection.close()


def test_hostile_questions(shipper: ShipperProcess) -> None:
    browser = Browser(shipper.url)
    times: list[float] = []
    wrong: list[str] = []
    for link, refused in questions():
        began = time.monotonic()
        status, body = browser.get(link)
        times.append(time.monotonic() - began)
        why = _wrong(link, status, body, refused)
        if why is not None:
            wrong.append(f"{why}: {link:.150}")
        if len(times) % 20 == 0:
            assert browser.get("/health")[0] == 200
    browser.close()
    assert wrong == []
    assert len(times) >= 200
    assert sorted(times)[int(len(times) * 0.99)] <= P99_SECONDS
    assert len(shipper.get("/api/v1/records?limit=1000")["records"]) == RECORDS
    assert shipper.process.running


def _wrong(link: str, status: int, body: bytes, refused: bool | None) -> str | None:
    """Say what is wrong with an answer; None when nothing is."""
    if not (status in (200, 303) or 400 <= status < 500):
        return f"status {status}"
    if refused and status == 200 and link.startswith("/api/"):
        return "not refused"
    if status == 400 and link.startswith("/api/"):
        error = orjson.loads(body)["error"]
        if not error["message"] or "\n" in error["message"]:
            return f"not one line: {error}"
        if "query=" in link and not isinstance(error["position"], int):
            return f"no position: {error}"
    return None
