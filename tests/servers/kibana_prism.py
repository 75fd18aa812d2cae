"""Prism before the fake Kibana: questions and answers must be as the contract says, else the answer is an error.

What the contract does not know goes past Prism: alert rules, and deleting a saved object.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.servers.kibana import FakeKibana
from tests.servers.process import START_SECONDS, Process, accepts, free_port

_NOT_IN_CONTRACT = re.compile(r"(/s/[^/]+)?/api/(alerting/.*|saved_objects/[^_].*)")
_HOP_HEADERS = {"host", "transfer-encoding", "content-length", "connection", "content-encoding"}


@contextlib.contextmanager
def running(prism: str, contract: Path, fake: FakeKibana, folder: Path) -> Iterator[str]:
    """An address that answers as the fake does, held to the contract."""
    port = free_port()
    copy = folder / "contract.yaml"
    # Both say that nobody need log in for the status; Prism refuses the first.
    copy.write_text(contract.read_text().replace("security:\n      - {}\n", "security: []\n"))
    argv = [prism, "proxy", copy, fake.url, "--errors", "-h", "127.0.0.1", "-p", str(port)]
    with Process([str(one) for one in argv], log=folder / "prism.log") as process:
        process.wait_until(lambda: accepts(port), START_SECONDS, "Prism listens")
        front = _Front(f"http://127.0.0.1:{port}", fake)
        front.start()
        try:
            yield front.url
        finally:
            front.stop()


class _Front:
    """Sends each request to Prism, or past it; in a thread of its own."""

    def __init__(self, prism: str, fake: FakeKibana) -> None:
        self._prism, self._fake = prism, fake
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> str:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=30 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> web.Response:
        base = self._fake.url if _NOT_IN_CONTRACT.fullmatch(request.path) else self._prism
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_HEADERS}
        sending = self._session.request(
            request.method,
            f"{base}{request.rel_url}",
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        )
        async with sending as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP_HEADERS}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())
