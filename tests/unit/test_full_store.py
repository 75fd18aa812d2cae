"""A store that takes some records later: the shipper says so, and the doctor passes it on."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shipper.doctor import api
from shipper.errors import StoreBusy
from shipper.pipeline import deliver
from shipper.record import STORED, Fate, Outcome, Record
from shipper.stores._elasticsearch_blocks import waited_for
from tests.fake_store import FakeStore
from tests.unit.test_pipeline import _until, payload, running

FLOOD = (
    "cluster_block_exception: index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, "
    "index has read-only-allow-delete block];"
)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (FLOOD, "the disk of Elasticsearch is full: delete old days with `shipper retention`"),
        ("cluster_block_exception: blocked by: [FORBIDDEN/6/cluster read-only (api)];", "(cluster.blocks.read_only)"),
        (
            "cluster_block_exception: blocked by: [FORBIDDEN/13/cluster read-only / allow delete (api)];",
            "(cluster.blocks.read_only_allow_delete)",
        ),
        ("cluster_block_exception: index [a] blocked by: [FORBIDDEN/5/index read-only (api)];", None),
        ("cluster_block_exception: index [a] blocked by: [FORBIDDEN/8/index write (api)];", None),
        ("mapper_parsing_exception: [TOO_MANY_REQUESTS/12/a record's own text]", None),
    ],
)
def test_what_is_waited_for_is_told_from_a_day_that_is_closed(reason: str, said: str | None) -> None:
    found = waited_for(reason)
    assert found is None if said is None else said in str(found)


async def test_some_records_that_wait_are_said_while_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(deliver, "LONGEST_BACKOFF", 0.01)
    full = True

    def script(records: Sequence[Record]) -> list[Outcome]:
        busy = Outcome(Fate.BUSY, "the disk is full")
        return [busy if full and record.sequence == 2 else STORED for record in records]

    async with running(FakeStore(script), refusal_seconds=0.001) as rig:
        settled = rig.submit(payload(1), payload(2), payload(3))
        await _until(lambda: rig.delivery.waiting)
        assert (rig.delivery.waiting, rig.delivery.trouble) == ("the disk is full", None)
        assert not settled.is_set()
        full = False
        await settled.wait()
        await _until(lambda: rig.delivery.waiting is None)
    assert rig.store.letters == {}


@pytest.fixture
def not_ready() -> Iterator[str]:
    """A shipper that is not ready, by its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = "the store is busy:\nthe disk is full" if "/ready" in self.path else "\x1b[2J"
            self.send_response(503)
            self.end_headers()
            self.wfile.write(json.dumps({"ready": False, "reason": said}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_doctor_says_why_a_shipper_is_not_ready(not_ready: str) -> None:
    with pytest.raises(StoreBusy, match=r"answers HTTP 503: the store is busy: the disk is full$"):
        api.ask(not_ready, "/ready", {}, 20)
    with pytest.raises(StoreBusy, match=r"answers HTTP 503$"):
        api.ask(not_ready, "/elsewhere", {}, 20)
