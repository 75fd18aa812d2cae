"""What waits between the sources and the store: bounded by the intake's byte limit, handed out in batches."""

import asyncio
from collections import deque

from shipper.record import Record


class Buffer:
    """First in, first out. `put` never waits; the intake stops the sources when there is too much."""

    def __init__(self) -> None:
        self._runs: deque[list[Record]] = deque()
        self._arrived = asyncio.Event()
        self.count = 0
        self.closed = False

    def put(self, records: list[Record]) -> None:
        """Add the records of one read."""
        self._runs.append(records)
        self.count += len(records)
        self._arrived.set()

    def close(self) -> None:
        """Say that nothing more will come: `wait` returns at once from now on."""
        self.closed = True
        self._arrived.set()

    async def wait(self) -> None:
        """Wait until there is something to take, or it is closed."""
        while not self.count and not self.closed:
            self._arrived.clear()
            await self._arrived.wait()

    def take(self, most_records: int, most_bytes: int) -> list[Record]:
        """Take the oldest records: at least one, until either limit is reached."""
        batch: list[Record] = []
        size = 0
        while self._runs and len(batch) < most_records and size < most_bytes:
            run = self._runs.popleft()
            room = most_records - len(batch)
            if len(run) > room:
                self._runs.appendleft(run[room:])
                run = run[:room]
            taken = 0
            for record in run:
                if size >= most_bytes:
                    self._runs.appendleft(run[taken:])
                    break
                size += len(record.payload)
                taken += 1
            batch += run if taken == len(run) else run[:taken]
        self.count -= len(batch)
        return batch
