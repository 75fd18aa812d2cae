"""One full day of records of a cluster, made from a seed: requests over several apps, and what runs between them.

Nothing is kept in memory: which request ids, apps and rare words there are follows from the number of records.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from shipper.record import Record
from shipper.record.times import day, from_ns
from shipper.search.ledger import Entry

DAY_NS = 86_400 * 10**9
HOSTS = tuple(f"node-{number}.example" for number in range(1, 21))
APPS = tuple(
    f"{group}-{name}"
    for group in ("shop", "billing", "media", "search", "ops")
    for name in ("api", "web", "worker", "cache", "mail", "stock", "gateway", "report")
)
#: A few apps write most of the records.
_SHARES = tuple(accumulate(1 / (rank + 1) for rank in range(len(APPS))))
LEVELS = ("info",) * 13 + ("debug",) * 3 + ("notice", "warn", "warn", "error")
_TEXTS = (
    "accepted order for delivery on the next working day, customer notified",
    "connection to upstream timed out after 3 attempts, will try the next host",
    "cache entry refreshed from primary store, replica lag within bounds now",
    "payment authorised by provider, settlement expected with the daily batch",
    "GET /v1/items answered from cache",
    "session closed by peer",
)
#: Nine records in ten belong to a request of so many.
_REQUEST = 10
_OUTSIDE = 1
_GROUP = _REQUEST + _OUTSIDE
#: The first record of so many requests has a rare word in it: about one record in a thousand.
_RARE_EVERY = 91
#: How many of them its first app writes.
_FIRST_APP = 3
_PATHS = ("items", "orders", "users", "carts", "offers", "payments", "sessions", "search")
_SPREAD_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class Day:
    """`count` records, evenly over the UTC day that begins at `start` (nanoseconds since 1970)."""

    start: int
    count: int

    @property
    def end(self) -> int:
        """Where the day ends."""
        return self.start + DAY_NS

    @property
    def requests(self) -> int:
        """How many requests the day has."""
        return max(1, self.count // _GROUP)

    @property
    def rare_words(self) -> int:
        """How many different rare words the day has: in a large one, each is written about ten times."""
        return max(1, min(self.count // 1500, 200), self.count // 10_000)

    def series(self, host: int) -> str:
        """Name of the series of a host's ordinary records."""
        return f"{self.start // 10**9:08x}{host:04x}n"

    def batches(self, size: int) -> Iterator[list[Record]]:
        """Yield all records, in order of time, in batches of about `size`."""
        chance = random.Random(self.count)
        sequences = [0] * len(HOSTS)
        batch: list[Record] = []
        made = request = 0
        while made < self.count:
            group = min(_GROUP, self.count - made)
            batch += self._group(chance, sequences, request, group)
            made, request = made + group, request + 1
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    def ledger(self) -> list[Entry]:
        """Return what a ledger of this day says: every series settled from its first number to its last."""
        last = self.count // len(HOSTS)
        return [
            Entry(f"bench-{host}", name, self.series(host), "stored", 1, last, last, self.start, self.end)
            for host, name in enumerate(HOSTS)
        ]

    def _group(self, chance: random.Random, sequences: list[int], request: int, size: int) -> list[Record]:
        """Return the records of one request and one that belongs to none."""
        begin = self.start + request * (DAY_NS - _SPREAD_NS) // self.requests
        apps = chance.choices(APPS, cum_weights=_SHARES, k=4)
        found = []
        for number in range(size):
            app = apps[number * len(apps) // _GROUP]
            host = (request + number // 3) % len(HOSTS)
            sequences[host] += 1
            made = _record(chance, app, host, begin + number * _SPREAD_NS // _GROUP + chance.randrange(1000))
            made.series, made.sequence = self.series(host), sequences[host]
            if number == 0 and request % _RARE_EVERY == 0:
                made.fields["message"] += f" code {rare_word(request // _RARE_EVERY % self.rare_words)}"
            if number < _REQUEST:
                made.fields |= _of_request(request, number)
            made.seal()
            found.append(made)
        return found


def request_id(number: int) -> str:
    """Return the id of a request of the day, by its number."""
    return f"{(number + 1) * 0x9E3779B97F4A7C15 & (2**64 - 1):016x}"


def rare_word(number: int) -> str:
    """Return a rare word, by its number."""
    return f"e{number * 7919 + 100_003:x}x"


def _of_request(request: int, number: int) -> dict[str, object]:
    """Return what says that a record is the one of this number in a request; the first app is asked and answers."""
    found: dict[str, object] = {"http.request.id": request_id(request), "trace.id": request_id(request) * 2}
    if number in (0, _FIRST_APP - 1):
        found |= {"http.request.method": "GET", "url.path": f"/v1/{_PATHS[request % len(_PATHS)]}/{request}"}
    if number == _FIRST_APP - 1:
        found |= {"http.response.status_code": 500 if request % 50 == 0 else 200}
    return found


def _record(chance: random.Random, app: str, host: int, at: int) -> Record:
    bits = chance.getrandbits(64)
    text = f"{_TEXTS[bits % 6]} item={bits >> 44} took {bits >> 32 & 4095} ms"
    time = from_ns(at)
    made = Record(b"", at)
    made.host, made.host_time, made.day = HOSTS[host], time, day(time)
    made.fields = {
        "@timestamp": time,
        "message": text,
        "event.created": from_ns(at + 90_000),
        "log.level": LEVELS[(bits >> 8) % len(LEVELS)],
        "host.name": HOSTS[host],
        "service.name": app,
        "log.logger": "http" if bits & 1024 else "worker",
        "orchestrator.resource.id": f"{app}.{host:08x}-0000-11ee-8000-00000000{bits >> 62:04x}",
        "orchestrator.resource.name": f"/{app.replace('-', '/')}",
        "orchestrator.resource.type": "task",
        "process.pid": 100 + (bits >> 16 & 255),
        "shipper.input": "docker",
        "shipper.stream": "stdout",
        "shipper.received_at": from_ns(at + 10_000_000 + bits % 30_000_000),
        "labels": {"item": str(bits >> 44)},
    }
    return made
