"""An HTTP server that answers what a test says, and remembers what it was asked."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import DATA

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reply = web.StreamResponse | Handler | Mapping[str, Any] | list[Any] | str | tuple[int, Any]


@dataclass
class Asked:
    """One question that came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Server:
    """Replies by "METHOD /path": JSON, (status, JSON or text) or a handler; everything else is 404."""

    url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        body = json.loads(content) if content else None
        path = request.raw_path.partition("?")[0]
        self.asked.append(Asked(request.method, path, list(request.query.items()), dict(request.headers), body))
        reply = self.replies.get(f"{request.method} {path}", (404, {"message": f"nothing at {path}"}))
        if callable(reply):
            return await reply(request)
        status, document = reply if isinstance(reply, tuple) else (200, reply)
        if isinstance(document, str):
            return web.Response(status=status, text=document)
        return web.json_response(document, status=status)

    @property
    def paths(self) -> list[str]:
        """What was asked, as keys of `replies`."""
        return [f"{one.method} {one.path}" for one in self.asked]


@asynccontextmanager
async def serving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Server]:
    """A running server with no replies yet."""
    server = Server()
    # Whoever still waits for an answer when the test ends waits in vain.
    application = web.Application()
    application.router.add_route("*", "/{any:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    await site.start()
    server.url = f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking(data: bytes, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The address of a server that says these bytes to everybody who sent a request, and closes."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()

    listening = await asyncio.start_server(speak, host, 0)
    async with listening:
        yield f"http://{host}:{listening.sockets[0].getsockname()[1]}"


def free_url() -> str:
    """An address at which nobody listens."""
    return "http://127.0.0.1:1"


def data_of(*path: str) -> Any:
    """A JSON file of real answers; the test is skipped where it is absent."""
    return json.loads(text_of(*path))


def text_of(*path: str) -> str:
    """A file of real answers; the test is skipped where it is absent."""
    file = Path(DATA, "marathon", *path)
    if not file.exists():
        pytest.skip("the shared data of Marathon and Mesos is not on this machine")
    return file.read_text()
