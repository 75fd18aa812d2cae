"""Our own logs and counters. Counters are counted per batch, never per record, and no record's text is ever logged."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

RECORDS_RECEIVED = Counter("shipper_records_received", "Records read, by source", ["source"], registry=REGISTRY)
RECORDS_SETTLED = Counter(
    "shipper_records_settled",
    "Records with a final fate: received = the sum of these + in flight",
    ["fate"],
    registry=REGISTRY,
)
RECORDS_IN_FLIGHT = Gauge("shipper_records_in_flight", "Records read and not yet settled", registry=REGISTRY)
BYTES_HELD = Gauge(
    "shipper_held_bytes", "Memory counted for records in flight and unfinished frames", registry=REGISTRY
)
READING_PAUSED = Counter("shipper_reading_paused", "Times that reading stopped: byte limit reached", registry=REGISTRY)
DEAD_LETTERS = Counter("shipper_dead_letters", "Records kept as dead letters, by reason", ["reason"], registry=REGISTRY)
PARSER_BUGS = Counter(
    "shipper_parser_bugs", "Records that a parser or enricher raised on (kept as plain)", ["part"], registry=REGISTRY
)
BATCHES_SENT = Counter("shipper_batches_sent", "Batches given to the store, retries included", registry=REGISTRY)
BATCH_SECONDS = Histogram(
    "shipper_batch_seconds", "Time that the store took for a batch", registry=REGISTRY,
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)  # fmt: skip
STORE_RETRIES = Counter(
    "shipper_store_retries", "Batches or records tried again, by reason", ["reason"], registry=REGISTRY
)
CONNECTIONS = Gauge("shipper_connections", "Open connections, by source", ["source"], registry=REGISTRY)
CONNECTIONS_CLOSED = Counter(
    "shipper_connections_closed",
    "Connections closed by us, by source and reason",
    ["source", "reason"],
    registry=REGISTRY,
)
RECORDS_TRUNCATED = Counter(
    "shipper_records_truncated", "Records cut at the size limit, by source", ["source"], registry=REGISTRY
)
REGISTRY_TASKS = Gauge("shipper_registry_tasks", "Tasks known, alive and ended", ["state"], registry=REGISTRY)
REGISTRY_FORGOTTEN = Gauge(
    "shipper_registry_forgotten_tasks",
    "Tasks forgotten since the start, or never kept: limit reached",
    registry=REGISTRY,
)
REGISTRY_READ_AT = Gauge(
    "shipper_registry_read_timestamp_seconds", "Unix time of the last full read of Marathon's apps", registry=REGISTRY
)
RECORDS_JOINED = Counter(
    "shipper_records_joined", "Records of tasks, by who told of the task: registry, task_id, host", ["by"],
    registry=REGISTRY,
)  # fmt: skip
TASKS_UNKNOWN = Gauge("shipper_unknown_tasks", "Tasks that wrote records and that nobody knows", registry=REGISTRY)
REPAIRS = Counter(
    "shipper_repairs",
    "Records stored before their task was known: repaired, or given_up",
    ["result"],
    registry=REGISTRY,
)
QUESTIONS_REFUSED = Counter(
    "shipper_questions_refused",
    "Questions not answered: caller (nobody we know), questions, store_seconds, at_once, tails (limits of one caller)",
    ["reason"],
    registry=REGISTRY,
)
AUDIT_LINES_LOST = Counter("shipper_audit_lines_lost", "Lines that the audit file did not get", registry=REGISTRY)
RECENT_BYTES = Gauge("shipper_recent_bytes", "Size of the recent copy on disk", registry=REGISTRY)
RECENT_DROPPED = Counter(
    "shipper_recent_dropped",
    "Records received and not kept in the recent copy, as its disk was slow, or refused (disk); delivery went on",
    ["reason"],
    registry=REGISTRY,
)
ANSWERED_FROM_RECENT = Counter(
    "shipper_recent_answers", "Questions answered from recent copies, as the store did not answer", registry=REGISTRY
)


def metrics() -> bytes:
    """Return all counters in Prometheus' text format."""
    return generate_latest(REGISTRY)


class _Pretty(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        values = " ".join(f"{name}={value}" for name, value in _values(record).items())
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()} {values}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _EcsJson(logging.Formatter):
    """One JSON object in ECS names for machines."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "log.logger": record.name,
            "service.name": "shipper",
            "labels": {name: str(value) for name, value in _values(record).items()},
        }
        if record.exc_info:
            document["error.stack_trace"] = self.formatException(record.exc_info)
        return orjson.dumps(document).decode()


_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _values(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def set_up_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send our own logs to `stream` (stderr): pretty on a terminal, JSON otherwise."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Pretty() if stream.isatty() else _EcsJson())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("elastic_transport", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
