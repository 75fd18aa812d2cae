"""Where sources hand in what they read: parse, enrich, give an identity, meet the twin in flight, count the memory.

Parsing and enriching one record is fenced: an exception makes it a plain record, counted, and its neighbours never
notice. Records in flight are known by id: one that is sent again waits for the first instead of filling memory.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shipper import telemetry
from shipper.enrichers import Enricher
from shipper.pipeline.buffer import Buffer
from shipper.record import NOTHING_SHARED, RECORD_OVERHEAD, Receipt, Received, Record, times
from shipper.sources import Waiting

_log = logging.getLogger(__name__)

#: Host times this far from ours still name an index; beyond it a record is a dead letter, else a host with a broken
#: clock (or somebody hostile) could make any number of indices.
DAYS_AHEAD, DAYS_BACK = 2, 366
#: In place of the fields of a sealed record.
_SEALED: dict[str, Any] = {}
_DAY_NS = 86_400 * 1_000_000_000


class Intake:
    """Implements `sources.Intake`: takes what sources read, puts records into the buffer."""

    def __init__(
        self,
        read: Mapping[str, Callable[[Record], None]],
        enrichers: Sequence[Enricher],
        buffer: Buffer,
        *,
        memory_bytes: int,
        series: str,
        host: str,
        keep: Callable[[Record], None] | None = None,
    ) -> None:
        """`keep` is called with each fresh record that is sealed, before its fields go; it must never fail."""
        #: By source: only some may bring what a host says.
        self._read = read
        self._enrich = [enricher.enrich for enricher in enrichers]
        self._buffer = buffer
        self._memory_bytes = memory_bytes
        #: Our own series, for records that no host stamped.
        self._series = series
        self._sequence = 0
        self._host = host
        self._keep = keep
        self._in_flight: dict[tuple[str, int], Record] = {}
        #: Records taken and not yet settled.
        self.in_flight = 0
        self._held = 0
        self._partial = 0
        self._waiting: dict[int, Waiting] = {}
        self._today = -1
        self._days: frozenset[str] = frozenset()

    @property
    def full(self) -> bool:
        """True when no source should read: the byte limit over all connections is reached."""
        return self._held + self._partial >= self._memory_bytes

    def submit(self, received: Received) -> None:
        """Take the payloads of one read; the receipt is settled when each has a final fate."""
        self._refresh_days(received.received_at)
        in_flight, receipt, days = self._in_flight, received.receipt, self._days
        fresh: list[Record] = []
        for record in self._parse(received, days):
            key = (record.series, record.sequence)
            first = in_flight.setdefault(key, record)
            if first is not record:
                if self._meet_twin(first, record, receipt):
                    continue
                record.rejection = ("id collision", f"another record has the id {first.id} and is in flight")
            record.receipt = receipt
            fresh.append(record)
        telemetry.RECORDS_RECEIVED.labels(received.source).inc(len(received.payloads))
        if fresh:
            self._held += _memory(fresh)
            self.in_flight += len(fresh)
            self._buffer.put(fresh)
        self._publish()

    def is_in_flight(self, series: str, sequence: int) -> bool:
        """Say whether a record is taken and not settled yet."""
        return (series, sequence) in self._in_flight

    def names_index(self, day: str) -> bool:
        """Say whether records of a day are taken: one of another day is a dead letter."""
        return day in self._days

    def settled(self, records: Sequence[Record]) -> int:
        """Free records with a final fate, settle their receipts and return how many twins they had."""
        in_flight = self._in_flight
        receipt, count, twins = None, 0, 0
        for record in records:
            key = (record.series, record.sequence)
            first = in_flight.pop(key, record)
            if first is not record:
                in_flight[key] = first  # this one was the other record under the same id
            if record.twins:
                twins += len(record.twins)
                for twin in record.twins:
                    twin.settle()
            # Records of one read follow each other: their receipt is settled once for all of them.
            if record.receipt is receipt:
                count += 1
            else:
                if receipt is not None:
                    receipt.settle(count)
                receipt, count = record.receipt, 1
        if receipt is not None:
            receipt.settle(count)
        self._held -= _memory(records)
        self.in_flight -= len(records)
        self._publish()
        self._wake()
        return twins

    def hold(self, size: int) -> None:
        """Count bytes of unfinished frames; negative gives them back."""
        self._partial += size
        if size < 0:
            self._wake()

    def wait(self, reader: Waiting) -> None:
        """Call `reader.resume()` once when there is room."""
        self._waiting[id(reader)] = reader
        telemetry.READING_PAUSED.inc()
        if self.full and not self.in_flight:
            # Unfinished frames alone fill the memory, so nothing will ever free it: the largest has to go.
            worst = max(self._waiting.values(), key=lambda waiting: waiting.partial)
            self.forget(worst)
            worst.abort("memory")
        self._wake()

    def forget(self, reader: Waiting) -> None:
        """The reader is gone: do not call it."""
        self._waiting.pop(id(reader), None)

    def _wake(self) -> None:
        while self._waiting and not self.full:
            self._waiting.pop(next(iter(self._waiting))).resume()

    def _publish(self) -> None:
        telemetry.RECORDS_IN_FLIGHT.set(self.in_flight)
        telemetry.BYTES_HELD.set(self._held + self._partial)

    def _parse(self, received: Received, days: frozenset[str]) -> list[Record]:
        """Parse, enrich, stamp and serialise, each record within its fence."""
        read, enrich, keep = self._read[received.source], self._enrich, self._keep
        received_at = received.received_at
        records = []
        for payload in received.payloads:
            record = Record(payload, received_at)
            try:
                read(record)
                for add in enrich:
                    add(record)
                if record.day not in days:
                    self._place(record, received)
                record.seal()
            except Exception as bug:  # noqa: BLE001  the fence: one poison record must not stop every shipper it reaches
                _make_plain(record, bug)
                if record.day not in days:
                    self._place(record, received)
                record.seal()
            if keep is not None and (record.series, record.sequence) not in self._in_flight:
                keep(record)
            record.fields, record.body = _SEALED, ""
            records.append(record)
        return records

    def _place(self, record: Record, received: Received) -> None:
        """Give a day to a record whose host stamped none that we take, and an identity if it has none."""
        read_at = times.from_ns(record.received_at)
        record.day = times.day(read_at)
        if record.series:
            record.rejection = ("host time", f"the host's clock says {record.host_time}, ours {read_at}")
            return
        self._sequence += 1
        record.series, record.sequence, record.host = self._series, self._sequence, self._host
        fields = record.fields
        fields["shipper.input"] = received.source
        if received.peer:
            fields["shipper.peer"] = received.peer
        if received.source == "unix":
            fields["host.name"] = self._host

    def _meet_twin(self, first: Record, record: Record, receipt: Receipt) -> bool:
        """Let a record wait for its twin in flight; False when that is another record under the same id."""
        if record.payload == first.payload or record.is_twin(first):
            if first.twins is None:
                first.twins = []
            first.twins.append(receipt)
            return True
        return False

    def _refresh_days(self, now: int) -> None:
        today = now // _DAY_NS
        if today != self._today:
            self._today = today
            noon = today * _DAY_NS + _DAY_NS // 2
            self._days = frozenset(
                times.day(times.from_ns(noon + day * _DAY_NS)) for day in range(-DAYS_BACK, DAYS_AHEAD + 1)
            )


def _memory(records: Sequence[Record]) -> int:
    """Bytes that records in flight are counted with."""
    sizes = [len(record.payload) + len(record.document) for record in records]
    return sum(sizes) + RECORD_OVERHEAD * len(records)


#: What only the host says of a record: kept when parsing the rest of it failed.
_HOST_FIELDS = (
    "event.created", "host.name", "container.id", "shipper.series", "shipper.input", "shipper.stream",
    "log.syslog.facility.code", "log.syslog.severity.code", "log.file.path", "log.offset", "marathon.app.version",
    "orchestrator.resource.id", "orchestrator.resource.name", "orchestrator.resource.type", "shipper.original_base64",
)  # fmt: skip


def _make_plain(record: Record, bug: Exception) -> None:
    """Keep a record that a parser or enricher raised on: what the host stamped, and the rest as plain text."""
    telemetry.PARSER_BUGS.labels(type(bug).__name__).inc()
    _log.error("a parser or enricher failed on a record, which is kept as plain text", exc_info=bug)
    read_at = times.from_ns(record.received_at)
    known = record.content()
    stamped = {name: known[name] for name in _HOST_FIELDS if name in known}
    record.shared, record.report, record.discarded = NOTHING_SHARED, None, ""
    record.fields = {
        **stamped,
        "@timestamp": stamped.get("event.created", read_at),
        "message": record.body or record.payload.decode("utf-8", "replace"),
        "shipper.received_at": read_at,
        "tags": ["parser_bug"],
    }
