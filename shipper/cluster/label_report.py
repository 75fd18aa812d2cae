"""What an owner is told about mistakes in an app's labels: a record in that app's own log.

Every shipper sees the mistake, and sees it again after a restart; all of them make the same record with the same id,
so it is stored once. Its time is the version's, when that is of today, else the beginning of today: then it is found
where people look, and is a new record at most once a day.
"""

from hashlib import blake2b
from typing import Any, Final

import orjson

from shipper.cluster.labels import Wishes
from shipper.record import Record, times
from shipper.record.fields import ECS_VERSION

#: Name that stands for a host in the ledger: these records were written on none.
HOST: Final = "marathon"
#: Last letter of a series that shippers number; each of these has one record.
_CLASS: Final = "s"
_DAY_NS: Final = 86_400 * 1_000_000_000
_LOGGER: Final = "shipper.labels"


def report(app_id: str, version: str, wishes: Wishes, now: int) -> bytes:
    """Return the record, for `take`, that tells what is wrong with an app's labels; `now`: nanoseconds since 1970."""
    app_id, version = _sound(app_id), _sound(version)
    at = _time(version, now)
    message = f"labels without effect: {'; '.join(wishes.problems)}"
    name = blake2b("\0".join((app_id, version, at, message)).encode(), digest_size=6).hexdigest()
    fields = {
        "@timestamp": at,
        "event.created": at,
        "message": message,
        "log.level": "warn",
        "log.logger": _LOGGER,
        "service.name": wishes.service or app_id.removeprefix("/").replace("/", "-"),
        "orchestrator.resource.name": app_id,
        "orchestrator.resource.type": "task",
        "marathon.app.version": version,
        "ecs.version": ECS_VERSION,
    }
    return orjson.dumps({"series": name + _CLASS, "fields": fields})


def take(record: Record) -> None:
    """Read what `report` made, as a parser reads what a host sent; never given what anybody else sent."""
    made: dict[str, Any] = orjson.loads(record.payload)
    record.fields = made["fields"]
    record.series, record.sequence, record.host = made["series"], 1, HOST
    record.host_time = record.fields["event.created"]
    record.day = times.day(record.host_time)
    record.fields["shipper.received_at"] = times.from_ns(record.received_at)
    record.fields["shipper.input"] = "labels"


def _time(version: str, now: int) -> str:
    """Return a version's time (Marathon names versions by it) when it is of today, else today's beginning."""
    today = times.from_ns(now - now % _DAY_NS)
    said = times.utc(version)
    return said if said is not None and times.day(said) == times.day(today) else today


def _sound(text: str) -> str:
    """Return a text without lone surrogates, which JSON allows and UTF-8 does not."""
    return text.encode(errors="replace").decode()
