"""The records that `make bench-index` stores: the benchmark's messages, stamped, parsed and enriched by the product.

Twenty hosts number their records, which come by turns in short rows; every app has a task on each of them, with the
labels, owner and version that the enricher `marathon` adds.
"""

import itertools
import random
import time
from collections.abc import Iterator

import orjson

from shipper.cluster.model import App, Task
from shipper.config import component
from shipper.enrichers.marathon import Config as Marathon
from shipper.parsers import chain
from shipper.record import Record
from shipper.record.ids import new_start
from shipper.record.times import from_ns
from tests.bench.corpus import SERVICES, messages

#: Each runs one task of every app.
HOSTS = 20
#: Records of one host that come in a row.
IN_A_ROW = 50
#: Records of a second, of all hosts together.
RATE = 1000
JSON_SHARE = 0.4
_VERSION = "2026-11-20T09:12:44.318Z"
_PARSERS = ("host_json", "rfc5424", "rfc3164", "json_body", "plain")
#: From a host to the shipper, in nanoseconds.
_WAY_NS = 40_000_000


def records(count: int) -> Iterator[Record]:
    """Yield sealed records of today, the oldest first; the same count gives the same text, but for the day."""
    read = chain([component("parsers", name).parse for name in _PARSERS])
    request_id = component("enrichers", "request_id").Config().build()
    static = component("enrichers", "static").Config(
        fields={"orchestrator.cluster.name": "prod", "service.environment": "prod"}
    )
    marathon = Marathon(registry_file=None).build()
    marathon.registry.read(_apps())
    enrichers = (request_id, static.build(), marathon)
    for payload, received_at in _received(count):
        record = Record(payload, received_at)
        read(record)
        for enricher in enrichers:
            enricher.enrich(record)
        record.seal()
        yield record


def _received(count: int) -> Iterator[tuple[bytes, int]]:
    """Yield what the hosts send, and when the shipper reads it: a row of records in one read."""
    midnight = int(time.time()) // 86_400 * 86_400
    chance = random.Random(7)
    hosts = [_Sender(number, midnight) for number in range(HOSTS)]
    said = messages(count, 1, JSON_SHARE)
    now = midnight * 10**9
    for host in itertools.cycle(hosts):
        row = list(itertools.islice(said, IN_A_ROW))
        if not row:
            return
        times = []
        for _ in row:
            now += chance.randrange(2 * 10**9 // RATE)
            times.append(now // 1000 * 1000)
        for (service, message), at in zip(row, times, strict=True):
            yield host.send(service, message, at), now + _WAY_NS


class _Sender:
    """A host: its name and its two series, of warnings and of the rest."""

    def __init__(self, number: int, midnight: int) -> None:
        self.name = _name(number)
        self.number = number
        self._start = new_start(midnight)
        self._sequences = {"w": itertools.count(1), "n": itertools.count(1)}

    def send(self, service: str, message: str, at: int) -> bytes:
        """Return the object that a host sends for a message."""
        urgent = '"error"' in message or '"warn"' in message or message.startswith(("ERROR", "WARN"))
        kind = "w" if urgent else "n"
        place = self.number
        app = SERVICES.index(service)
        host_time = from_ns(at)
        return orjson.dumps(
            {
                "v": "1",
                "series": self._start + kind,
                "sequence": str(next(self._sequences[kind])),
                "host_time": f"{host_time[:19]}.{at // 1000 % 10**6:06d}+00:00",
                "host": self.name,
                "input": "socket",
                "pri": "12" if urgent else "14",
                "container": f"{random.Random(f'{app} {place}').getrandbits(256):064x}",
                "task": task_id(app, place),
                "app": f"/shop/{service}",
                "app_version": _VERSION,
                "pid": str(4000 + app * HOSTS + place),
                "message": f"{_stamp(at)} {service}[{7 + place}]: {message}",
            }
        )


def _name(host: int) -> str:
    return f"web-{host}.prod.example"


def _ports(app: int, place: int) -> tuple[int, ...]:
    return (31_000 + HOSTS * app + place,)


def _stamp(at: int) -> str:
    """The time of a syslog header, which has whole seconds."""
    return time.strftime("%b %d %H:%M:%S", time.gmtime(at // 10**9))


def task_id(app: int, place: int) -> str:
    """Return the Mesos task id of an app's task, as Marathon 1.x forms it."""
    return f"shop_{SERVICES[app]}.instance-b6ff5fa5-7714-11e7-a55c-{app * HOSTS + place:012x}._app.1"


def _apps() -> list[App]:
    """The apps as Marathon tells them."""
    found = []
    for number, service in enumerate(SERVICES):
        tasks = tuple(
            Task(
                task_id(number, place),
                f"/shop/{service}",
                _name(place),
                _ports(number, place),
                "TASK_RUNNING",
                _VERSION,
            )
            for place in range(HOSTS)
        )
        labels = {"SHIPPER_OWNER": f"team-{service}@shop.example", "tier": "backend", "cost_centre": str(4200 + number)}
        found.append(App(f"/shop/{service}", _VERSION, labels, HOSTS, (10_000 + number,), tasks, (), {}))
    return found
