"""An answer without an end: sent as fast as its reader takes it, ended when the reader stands still or goes away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: A reader that takes nothing for so long has gone without a word.
STALL_SECONDS = 60.0
#: Proxies must pass on what comes at once, and nobody may keep it.
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Live(Response):
    """Sends chunks as they come; the server takes the next one only when its write buffer has room."""

    def __init__(self, chunks: AsyncIterator[bytes], media_type: str, close: Callable[[], None]) -> None:
        """`close` is called once, when the answer has ended for whatever reason."""
        self._chunks = chunks
        self._close = close
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.wait((sending, gone))
            self._close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for chunk in self._chunks:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            return  # the server closes the connection of an answer that is not finished
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
