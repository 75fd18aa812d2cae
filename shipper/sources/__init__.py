"""Where records come from. One file per source; each reads only while there is room, and answers only what is settled.

A file here has `Config` (its settings, with `build()`), `EXAMPLE` (those settings as a dict) and the class, with
`address` (host, port or path actually bound, known once `run` has started listening).
"""

import asyncio
from typing import Protocol

from shipper.record import Received


class Waiting(Protocol):
    """A reader that stopped because there was no room."""

    #: Bytes of an unfinished frame that it holds.
    partial: int

    def resume(self) -> None:
        """There is room again: read on."""

    def abort(self, reason: str) -> None:
        """Close: unfinished frames alone fill the memory, and this one is the largest."""


class Intake(Protocol):
    """The pipeline's side of a source. All calls are from the event loop's thread and return at once."""

    @property
    def full(self) -> bool:
        """True when no source should read: the byte limit over all connections is reached."""

    def submit(self, received: Received) -> None:
        """Take the payloads of one read; its receipt is settled when each has a final fate. Never raises."""

    def hold(self, size: int) -> None:
        """Count `size` more bytes of unfinished frames against the limit; negative gives them back."""

    def wait(self, reader: Waiting) -> None:
        """Call `reader.resume()` once when there is room."""

    def forget(self, reader: Waiting) -> None:
        """The reader is gone: do not call it."""


class Source(Protocol):
    """Receives until told to stop, then answers what it took and closes."""

    @property
    def address(self) -> str:
        """Where it listens ("127.0.0.1:5140", a path), with the port really bound; "" before it does."""

    async def run(self, intake: Intake, stopping: asyncio.Event, ready: asyncio.Event) -> None:
        """Listen (then set `ready`), submit what comes, until `stopping` is set; then stop accepting and reading, wait
        for the receipts of everything submitted, answer the peers and return. ConfigError when it cannot listen.
        """
