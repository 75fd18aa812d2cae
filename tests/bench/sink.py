"""A stand-in for Elasticsearch that keeps nothing: answers `_bulk` with one result per item, the rest with `{}`."""

import asyncio
import re
import sys
from typing import cast

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ITEM = b'{"create":{"status":201}}'


class Sink(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and Content-Length bodies, which is what a bulk client sends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parts: list[bytes] = []
        self.size = 0
        self.needed = 0

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)
        if self.size < self.needed:
            return
        request = b"".join(self.parts)
        head, found, body = request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = (int(length[1]) if length else 0) - len(body)
        if not found or missing > 0:
            self.parts, self.needed = [request], (self.size + missing if found else 0)
            return
        self.parts, self.size, self.needed = [], 0, 0
        self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        line = head.split(b"\r\n", 1)[0]
        answer = b"{}"
        if b"_bulk" in line:
            answer = b'{"errors":false,"items":[' + b",".join([_ITEM] * (body.count(b"\n") // 2)) + b"]}"
        elif b"_search" in line:
            answer = b'{"hits":{"hits":[]},"timed_out":false,"_shards":{"failed":0}}'
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\n"
            b"Content-Type: application/vnd.elasticsearch+json;compatible-with=8\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer)
        )


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the parent closes it


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
