"""HTTP connections that are not left open by a peer that never finishes what it began to say."""

import asyncio
import resource
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

#: From the connection, or the first byte of the next request, to the end of its head.
HEAD_SECONDS: Final = 10.0
_MOST: Final = 2000


def most_connections() -> int:
    """Return how many are served at a time: half of the files we may open, 2,000 at most."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if files == resource.RLIM_INFINITY else min(_MOST, max(16, files // 2))


class Guarded(H11Protocol):
    """uvicorn's own protocol closes an idle connection after an answer, but never one that is slow with its head."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; refuse a connection too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.close()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; bytes that make no request yet do not win time."""
        super().data_received(data)
        if self._answering():
            self._rest()
        else:
            self._wait()

    def on_response_complete(self) -> None:
        """Leave the time until the next request to uvicorn, which closes what is idle."""
        self._rest()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._rest()
        super().connection_lost(exc)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _rest(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if not self._answering() and not self.transport.is_closing():
            self.transport.close()
