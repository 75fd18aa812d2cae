"""What the store has just taken, handed to whoever listens in this process; it costs nothing while nobody does.

A mark goes with it: everything that the store takes later says an `event.ingested` at or after the mark, so who has
heard everything up to a mark finds the rest in the store by that field alone.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from shipper.record import Fate, Outcome, Record
from shipper.record.times import from_ns


class Listener(Protocol):
    """Called with documents (JSON objects) and the mark, in the event loop; it must be quick and never fail."""

    def __call__(self, documents: list[bytes], mark: int) -> None:
        """Take what was stored."""


class Batch:
    """Records on their way to the store; `began` is when they were first given to it (nanoseconds since 1970)."""

    __slots__ = ("again", "began")

    def __init__(self, began: int) -> None:
        self.began = began
        #: Whether it had to be given to the store again, so that a duplicate may be what the lost answer stored.
        self.again = False


class Feed:
    """The records of one process, as soon as its store has them."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._listeners: list[Listener] = []
        self._under_way: list[Batch] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hand over what is stored from now on; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def mark(self) -> int:
        """Return the mark: nothing that is not handed over yet was given to the store before it."""
        return min((batch.began for batch in self._under_way), default=self._clock())

    def begin(self) -> Batch:
        """Note that records are given to the store, before they are; `end` follows whatever becomes of them."""
        batch = Batch(self._clock())
        self._under_way.append(batch)
        return batch

    def end(self, batch: Batch) -> None:
        """Note that the fate of the records is known."""
        self._under_way.remove(batch)

    def taken(self, batch: Batch, records: Sequence[Record], outcomes: Sequence[Outcome]) -> None:
        """Hand over those of the records that the store has taken."""
        if not self._listeners:
            return
        fates = (Fate.STORED, Fate.DUPLICATE) if batch.again else (Fate.STORED,)
        end = b',"event.ingested":"%b"}' % from_ns(batch.began).encode()
        documents = [
            record.document[:-1] + end
            for record, outcome in zip(records, outcomes, strict=True)
            if outcome.fate in fates
        ]
        mark = self.mark()
        for listener in list(self._listeners):
            listener(documents, mark)
