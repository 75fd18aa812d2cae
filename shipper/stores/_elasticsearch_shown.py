"""What Kibana shows of the ledger and of reports, beside the documents themselves: a time, and figures as numbers.

Kibana draws over a date, and adds up only what is indexed. Nothing of ours reads these fields.
"""

from typing import Any

from shipper.record.times import from_ns
from shipper.search.ledger import Entry, Report
from shipper.search.reports import hosts_of

#: Largest number of a `long`.
_MOST = 2**63 - 1


def shown_of_entry(entry: Entry) -> dict[str, Any]:
    """Return when an entry of the ledger was written last."""
    return {"@timestamp": from_ns(entry.updated_at)}


def shown_of_report(report: Report) -> dict[str, Any]:
    """Return the time of a report, and what it says of records dropped, records waiting and bytes in queues."""
    said = hosts_of([report])[report.host]
    figures: dict[str, int] = {}
    for reader in said.readers:
        figures["dropped"] = sum(one.dropped for one in reader.series.values())
        figures["waiting"] = reader.figures.get("backlog_records", 0)
        figures["queue_bytes"] = reader.figures.get("queue_bytes", 0)
    for queue in said.queues:
        figures["dropped"], figures["waiting"] = queue.dropped, queue.size
    return {"@timestamp": from_ns(report.updated_at), **{name: min(value, _MOST) for name, value in figures.items()}}
