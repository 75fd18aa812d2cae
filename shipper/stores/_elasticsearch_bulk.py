"""A batch as the body of a bulk request, and what each item of the answer says about its record."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from shipper.record import STORED, DeadLetter, Fate, Outcome, Record, Repair
from shipper.record.times import from_ns
from shipper.search.ledger import Entry, Report
from shipper.stores._agreement import bug, original
from shipper.stores._elasticsearch_blocks import waited_for
from shipper.stores._elasticsearch_server import reason
from shipper.stores._elasticsearch_shown import shown_of_entry, shown_of_report

#: Errors of an index as a whole: another record of the same day would fare no better, one of another day may.
_INDEX_ERRORS: Final = frozenset(
    {"cluster_block_exception", "index_closed_exception", "index_not_found_exception", "validation_exception"}
)
_TIME: Final = b'"@timestamp":"'


class Batch:
    """The body of a bulk request for records; those that cannot be written are left out and have their outcome."""

    def __init__(self, cluster: str, records: Sequence[Record], ingested: str) -> None:
        self.outcomes: list[Outcome] = [STORED] * len(records)
        #: Which records the items of the answer are about.
        self.sent: Sequence[int] = range(len(records))
        try:
            self.body = b"".join(_lines(cluster, records, ingested))
        except Exception:  # noqa: BLE001  one of them cannot be written: find out which
            self._fence(cluster, records, ingested)

    def _fence(self, cluster: str, records: Sequence[Record], ingested: str) -> None:
        parts: list[bytes] = []
        self.sent = []
        for index, record in enumerate(records):
            try:
                lines = b"".join(_lines(cluster, [record], ingested))
            except Exception as error:  # noqa: BLE001  one bad record must not stop the others
                self.outcomes[index] = bug(error)
                continue
            parts.append(lines)
            self.sent.append(index)
        self.body = b"".join(parts)

    def read(self, answer: dict[str, Any]) -> list[int]:
        """Set the outcomes that an answer gives; return the records whose ids are taken, to be compared."""
        if not answer["errors"]:
            return []
        taken = []
        for index, item in zip(self.sent, answer["items"], strict=True):
            result = item["create"]
            if result["status"] == 409:
                taken.append(index)
            elif result["status"] not in (200, 201):
                self.outcomes[index] = item_outcome(result)
        return taken


def _lines(cluster: str, records: Sequence[Record], ingested: str) -> list[bytes]:
    """Action and document of each record."""
    end = b',"event.ingested":"%b"}\n' % ingested.encode()
    day = series = None
    create = b""
    lines: list[bytes] = []
    for record in records:
        if record.day != day or record.series != series:
            day, series = record.day, record.series
            create = _create(f"logs-mesos.{cluster}-{day}", series)
        if not record.document:
            record.seal()
        if _TIME not in record.document:
            raise ValueError("no @timestamp: it would be stored, and found by no question")
        lines += (create, b'%010d"}}\n' % record.sequence, record.document[:-1], end)
    return lines


@lru_cache(maxsize=1024)
def _create(index: str, series: str) -> bytes:
    """Beginning of an action, up to the sequence in the id."""
    return orjson.dumps({"create": {"_index": index, "_id": f"{series}-"}})[:-3]


def item_outcome(result: dict[str, Any]) -> Outcome:
    """Say what an item that was not stored means for its record."""
    status, error = result["status"], result.get("error", {})
    kind = error.get("type") if isinstance(error, dict) else None
    said = reason(error)
    if waits := waited_for(said):
        return Outcome(Fate.BUSY, waits)
    if status == 429 or status >= 500 or kind == "security_exception":
        return Outcome(Fate.BUSY, said)
    if status in (403, 404) or kind in _INDEX_ERRORS:
        return Outcome(Fate.REFUSED, said)
    return Outcome(Fate.REJECTED, said)


def repair_lines(cluster: str, repairs: Sequence[Repair]) -> bytes:
    """Bulk body that gives stored records more fields; two shippers may repair the same one."""
    lines: list[bytes] = []
    for repair in repairs:
        place = {"_index": f"logs-mesos.{cluster}-{repair.day}", "_id": repair.id, "retry_on_conflict": 3}
        lines += (orjson.dumps({"update": place}), orjson.dumps({"doc": repair.fields}))
    return b"\n".join([*lines, b""])


def letter_lines(cluster: str, letters: Sequence[DeadLetter]) -> bytes:
    """Bulk body that keeps dead letters; one that is there already stays."""
    lines: list[bytes] = []
    for letter in letters:
        day = letter.day or from_ns(letter.received_at)[:10].replace("-", ".")
        document = {
            "id": letter.id,
            "day": letter.day,
            "series": letter.series,
            "sequence": letter.sequence,
            "host": letter.host,
            "reason": letter.reason,
            "detail": letter.detail,
            **original(letter.payload),
            "received_at": from_ns(letter.received_at),
        }
        action = {"create": {"_index": f"shipper-dead-letters.{cluster}-{day}", "_id": letter.id}}
        lines += (orjson.dumps(action), orjson.dumps(document))
    return b"\n".join([*lines, b""])


def entry_lines(cluster: str, entries: Sequence[Entry]) -> bytes:
    """Bulk body that writes ledger entries over those of the same id."""
    lines: list[bytes] = []
    for entry in entries:
        lines.append(orjson.dumps({"index": {"_index": f"shipper-ledger.{cluster}", "_id": entry.id}}))
        document = {name: getattr(entry, name) for name in Entry.__slots__}
        lines.append(orjson.dumps(document | shown_of_entry(entry)))
    return b"\n".join([*lines, b""])


def report_lines(cluster: str, reports: Sequence[Report]) -> bytes:
    """Bulk body that writes reports over older ones of the same id; a newer one answers 409 and stays."""
    lines: list[bytes] = []
    for report in reports:
        place = {"_index": f"shipper-reports.{cluster}", "_id": report.id}
        lines.append(orjson.dumps({"index": place | {"version": report.updated_at, "version_type": "external_gte"}}))
        document = {name: getattr(report, name) for name in Report.__slots__}
        # As one text: whatever a report says, it breaks no mapping.
        figures = {"figures": orjson.dumps(report.figures).decode()}
        lines.append(orjson.dumps(document | figures | shown_of_report(report)))
    return b"\n".join([*lines, b""])


def report_of(source: dict[str, Any]) -> Report:
    """Return the report that a document of ours holds."""
    document = {name: source[name] for name in Report.__slots__}
    return Report(**document | {"figures": orjson.loads(source["figures"])})
