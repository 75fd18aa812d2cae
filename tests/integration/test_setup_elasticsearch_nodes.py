"""Several nodes, one of them dead: nothing fails for it, and it is not waited for again and again."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from shipper.record import STORED
from shipper.stores import _elasticsearch_nodes as nodes
from shipper.stores.elasticsearch import Config
from tests.contract.store_world import http
from tests.contract.test_stores import record
from tests.servers.process import free_port


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes no connection and refuses none, as a host that is gone: its queue is full."""
    with contextlib.ExitStack() as open_sockets:
        listening = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listening.getsockname()[1]
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@pytest.mark.parametrize("kind", ["refusing", "silent"])
async def test_one_of_two_is_dead(
    elasticsearch_url: str, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nodes, "CONNECT_SECONDS", 2.0)
    with silent_port() if kind == "silent" else contextlib.nullcontext(free_port()) as port:
        urls = [f"http://127.0.0.1:{port}", elasticsearch_url]
        config = Config.model_validate({"type": "elasticsearch", "urls": urls, "replicas": 0})
        began = time.monotonic()
        async with config.build("deadnode") as store:
            for number in range(1, 101):
                assert await store.put([record(number)]) == [STORED]
            failures = store._server._client.transport.node_pool._dead_consecutive_failures
            tries = sum(count for node, count in failures.items() if node.port == port)
        took = time.monotonic() - began
    http("DELETE", f"{elasticsearch_url}/logs-mesos.deadnode-{record(1).day}")
    # 2 s of rest after the first try, 4 s after the second, and so on: what is due in that time, and no more. But when
    # the other one failed, too, for a moment, each is tried.
    both = sum(f"{elasticsearch_url})> has failed" in text for text in caplog.messages)
    assert tries <= 1 + both + sum(took > seconds for seconds in (2, 6, 14, 30, 62, 122))
    assert both < 10
