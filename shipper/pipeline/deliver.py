"""From the buffer to the store: batches, retries, dead letters, and only then the receipts.

A batch is sent as soon as the store is free: an idle system stores within milliseconds, a busy one in big batches.
What the store does not take at first waits outside the batch slots, so it never delays the others.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from shipper import telemetry
from shipper.config import PipelineSettings
from shipper.errors import StoreBusy, StoreRejected
from shipper.pipeline.buffer import Buffer
from shipper.pipeline.feed import Batch, Feed
from shipper.pipeline.intake import Intake
from shipper.pipeline.ledger import Ledger
from shipper.record import STORED, DeadLetter, Fate, Outcome, Record
from shipper.search.ledger import Entry, Report
from shipper.stores import Store

_log = logging.getLogger(__name__)

#: While other batches are on their way a small one waits this long for more records: fewer, bigger requests.
GATHER_SECONDS = 0.02
#: Backoff between two tries, in seconds, before jitter.
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0
_LOG_SECONDS = 10.0


class Backoff:
    """Growing pauses with jitter (half to one and a half of the nominal), so that shippers do not return together."""

    def __init__(self) -> None:
        self._seconds = FIRST_BACKOFF

    async def pause(self) -> None:
        """Wait; the next pause is twice as long, up to the limit."""
        await asyncio.sleep(self._seconds * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
        self._seconds = min(self._seconds * 2, LONGEST_BACKOFF)


class Delivery:
    """Takes records out of the buffer until it is closed and empty, and settles each."""

    def __init__(self, store: Store, buffer: Buffer, intake: Intake, settings: PipelineSettings, instance: str) -> None:
        self._store = store
        self._buffer = buffer
        self._intake = intake
        self._settings = settings
        self._ledger = Ledger(self._write_ledger, instance)
        #: What the store has taken, for those who follow it live.
        self.feed = Feed()
        self._sending = 0
        self._slot_freed = asyncio.Event()
        self._accepted_at = 0.0
        self._logged_at = 0.0
        #: Why the store does not take anything now; None when the last batch went through.
        self.trouble: str | None = None
        #: Why some records have to wait while others go through; None when none do.
        self.waiting: str | None = None
        self._insisting = 0

    async def run(self) -> None:
        """Deliver until the buffer is closed and everything in it is settled."""
        async with asyncio.TaskGroup() as deliveries:
            while True:
                await self._buffer.wait()
                if not self._buffer.count:
                    return
                await self._wait_for_slot()
                batch = self._buffer.take(self._settings.batch_records, self._settings.batch_bytes)
                self._sending += 1
                deliveries.create_task(self._deliver(batch, deliveries))

    async def _wait_for_slot(self) -> None:
        """Wait until a batch may be sent: at once when none is on its way, else when it is worth it."""
        gathered = False
        while self._sending:
            if self._sending < self._settings.batches_in_flight:
                enough = self._settings.batch_records // 2
                if gathered or self._buffer.count >= enough or self._buffer.closed:
                    return
            self._slot_freed.clear()
            try:
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._slot_freed.wait()
            except TimeoutError:
                gathered = True

    async def _deliver(self, batch: list[Record], deliveries: asyncio.TaskGroup) -> None:
        """Try a batch once (more often only while the whole store is busy); what is left over is tried on its own."""
        left = batch
        try:
            left = await self._attempt(batch, deadline=None)
        finally:
            self._sending -= 1
            self._slot_freed.set()
        if left:
            deliveries.create_task(self._insist(left))

    async def _insist(self, records: list[Record]) -> None:
        """Try again what the store did not take: busy ones without end, refused ones until the limit."""
        backoff = Backoff()
        since = time.monotonic()
        deadline: float | None = None
        self._insisting += 1
        while records:
            await backoff.pause()
            # A refused record has a limit only from when others are accepted: while the whole store refuses, waiting is
            # right, and when it accepts again, one day may take a little longer than another.
            if deadline is None and self._accepted_at > since:
                deadline = time.monotonic() + self._settings.refusal_seconds
                backoff = Backoff()
            records = await self._attempt(records, deadline)
        self._insisting -= 1
        if not self._insisting:
            self.waiting = None

    async def _attempt(self, records: list[Record], deadline: float | None) -> list[Record]:
        """Give records to the store and settle what has a final fate; return the rest."""
        outcomes = await self._put(records)
        if outcomes.count(STORED) == len(outcomes):
            await self._settle(records, outcomes)
            return []
        if deadline is not None and time.monotonic() > deadline:
            outcomes = [_given_up(outcome) for outcome in outcomes]
        left = [r for r, o in zip(records, outcomes, strict=True) if o.fate in _NOT_YET]
        if left:
            telemetry.STORE_RETRIES.labels("item").inc(len(left))
            self.waiting = next(outcome.reason for outcome in outcomes if outcome.fate in _NOT_YET)
        final = [(r, o) for r, o in zip(records, outcomes, strict=True) if o.fate not in _NOT_YET]
        if final:
            await self._settle([r for r, _ in final], [o for _, o in final])
        return left

    async def _put(self, records: list[Record]) -> list[Outcome]:
        """Outcomes of a batch, whatever it takes: busy stores are tried again, rejected requests are split."""
        if [record for record in records if record.rejection or record.discarded or record.report is not None]:
            return await self._put_around(records)
        batch = self.feed.begin()
        try:
            return await self._put_batch(records, batch)
        finally:
            self.feed.end(batch)

    async def _put_batch(self, records: list[Record], batch: Batch) -> list[Outcome]:
        backoff = Backoff()
        while True:
            started = time.perf_counter()
            telemetry.BATCHES_SENT.inc()
            try:
                outcomes = await self._store.put(records)
            except StoreBusy as busy:
                batch.again = True
                await self._pause(backoff, busy)
                continue
            except StoreRejected as rejected:
                telemetry.STORE_RETRIES.labels("split").inc()
                if len(records) == 1:
                    return [Outcome(Fate.REJECTED, f"rejected: {rejected}")]
                half = len(records) // 2
                return await self._put(records[:half]) + await self._put(records[half:])
            telemetry.BATCH_SECONDS.observe(time.perf_counter() - started)
            self.trouble = None
            self.feed.taken(batch, records, outcomes)
            return outcomes

    async def _put_around(self, records: list[Record]) -> list[Outcome]:
        """Put a batch of which some must not become documents: their outcome was known before."""
        known = [_known_outcome(record) for record in records]
        clean = [record for record, outcome in zip(records, known, strict=True) if outcome is None]
        stored = iter(await self._put(clean) if clean else ())
        return [outcome or next(stored) for outcome in known]

    async def _settle(self, records: list[Record], outcomes: list[Outcome]) -> None:
        """Keep what was rejected as dead letters, write the ledger, and then settle the receipts."""
        stored = outcomes.count(STORED)
        if stored < len(outcomes):
            letters = [_letter(r, o) for r, o in zip(records, outcomes, strict=True) if o.fate is Fate.REJECTED]
            if letters:
                await self._keep_dead_letters(letters)
        self._ledger.add(records, outcomes)
        if stored < len(outcomes):
            for record, outcome in zip(records, outcomes, strict=True):
                if outcome is HEARTBEAT and record.report:
                    self._ledger.add_report(record, record.report)
        for record in [record for record in records if record.twins]:
            self._ledger.add_duplicates(record, len(record.twins or ()))
        await self._ledger.written()
        if stored:
            self._accepted_at = time.monotonic()
        twins = self._intake.settled(records)
        fates = Counter({Fate.STORED: stored, Fate.DUPLICATE: twins})
        if stored < len(outcomes):
            fates.update(outcome.fate for outcome in outcomes if outcome is not STORED)
        for fate, count in fates.items():
            telemetry.RECORDS_SETTLED.labels(fate.value).inc(count)

    async def _keep_dead_letters(self, letters: list[DeadLetter]) -> None:
        for letter in letters:
            telemetry.DEAD_LETTERS.labels(letter.reason).inc()
        collisions = sum(letter.reason == "id collision" for letter in letters)
        log = _log.error if collisions else _log.warning
        log(
            "records kept as dead letters",
            extra={
                "count": len(letters),
                "first": letters[0].id,
                "reason": letters[0].reason,
                "collisions": collisions,
            },
        )
        await self._persist(lambda: self._store.put_dead_letters(letters))

    async def _write_ledger(self, entries: Sequence[Entry], reports: Sequence[Report]) -> None:
        if reports:
            await self._persist(lambda: self._store.put_reports(reports))
        if entries:
            await self._persist(lambda: self._store.put_ledger(entries))

    async def _persist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write something of our own, again and again until it is written: nothing is acknowledged before."""
        backoff = Backoff()
        while True:
            try:
                return await write()
            except (StoreBusy, StoreRejected) as error:
                await self._pause(backoff, error)

    async def _pause(self, backoff: Backoff, error: StoreBusy | StoreRejected) -> None:
        self.trouble = str(error)
        telemetry.STORE_RETRIES.labels("busy").inc()
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._logged_at = time.monotonic()
            _log.warning("the store is busy; records wait and nothing is acknowledged", extra={"reason": str(error)})
        await backoff.pause()


_NOT_YET = (Fate.BUSY, Fate.REFUSED)
#: What becomes of the number of figures: they are kept as a report, or nobody needs them.
HEARTBEAT = Outcome(Fate.DISCARDED, "heartbeat")


def _known_outcome(record: Record) -> Outcome | None:
    """Return the fate of a record that is not for the store to decide."""
    if record.rejection is not None:
        return Outcome(Fate.REJECTED, record.rejection[0])
    if record.discarded:
        return Outcome(Fate.DISCARDED, record.discarded)
    return None if record.report is None else HEARTBEAT


def _given_up(outcome: Outcome) -> Outcome:
    return Outcome(Fate.REJECTED, f"refused: {outcome.reason}") if outcome.fate is Fate.REFUSED else outcome


#: The reasons that a dead letter can have; what the outcome says beyond it is its detail.
_REASONS = ("id collision", "host time", "refused", "bug")


def _letter(record: Record, outcome: Outcome) -> DeadLetter:
    reason = next((known for known in _REASONS if outcome.reason.startswith(known)), "rejected")
    detail = record.rejection[1] if record.rejection else outcome.reason
    # The same record is the same letter, however often it comes; another record under its id is another letter.
    digest = hashlib.blake2b(record.payload, digest_size=6).hexdigest()
    return DeadLetter(
        id=f"{record.id}-{digest}",
        day=record.day,
        series=record.series,
        sequence=record.sequence,
        host=record.host,
        reason=reason,
        detail=detail,
        payload=record.payload,
        received_at=record.received_at,
    )
