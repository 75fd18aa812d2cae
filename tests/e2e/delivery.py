"""What the delivery tests share: a burst of numbered records, and the count of what became of them."""

import contextlib
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.peers import metric
from tests.integration.host import Host
from tests.servers.process import POLL_SECONDS, ServerFailed
from tests.shipper_process import ShipperProcess

#: Without any progress for so long nothing more will come: resumeInterval is 1 s, a lost answer is noticed at once, and
#: a queue of rsyslogd that sleeps is woken after 60 s, which takes up to 10 s.
QUIET_SECONDS = 80.0
#: The same where hosts report every second, and report that nothing waits in their queues.
IDLE_SECONDS = 20.0


def burst(host: Host, first: int, last: int) -> None:
    """Write records first..last as fast as the socket takes them; every 33rd is a warning."""
    stamp = time.strftime("%b %e %H:%M:%S")
    with host.writer() as writer:
        for number in range(first, last + 1):
            priority = 12 if number % 33 == 0 else 14
            writer.send(b"<%d>%s burst[1]: record %d of the burst" % (priority, stamp.encode(), number))


@dataclass(frozen=True)
class Tally:
    """Numbers of the ledger over all series of what containers wrote; heartbeats and the like are not among them."""

    stored: int
    missing: int
    duplicates: int
    rejected: int


def tally(shipper: ShipperProcess, letters: str = "wns") -> Tally:
    """Ask the ledger for the series that end in one of these letters."""
    try:
        lines = [line for line in shipper.get("/api/v1/ledger")["series"] if line["series"][-1] in letters]
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 503:  # an index that is being made cannot be searched for a moment
                raise
        return Tally(0, 0, 0, 0)
    return Tally(
        stored=sum(line["settled"].get("stored", 0) for line in lines),
        missing=sum(line["missing"] for line in lines),
        duplicates=sum(line["duplicates"] for line in lines),
        rejected=sum(line["settled"].get("rejected", 0) for line in lines),
    )


def wait_settled(shipper: ShipperProcess, total: int, seconds: float = 180, letters: str = "wns") -> Tally:
    """Wait until `total` records are stored, or until nothing has changed for a while; return the ledger's numbers."""
    deadline = time.monotonic() + seconds
    latest, changed = tally(shipper, letters), time.monotonic()
    while time.monotonic() < deadline:
        quiet = time.monotonic() - changed
        if latest.stored >= total or quiet > QUIET_SECONDS or (quiet > IDLE_SECONDS and _nothing_waits(shipper)):
            return latest
        time.sleep(POLL_SECONDS * 5)
        now = tally(shipper, letters)
        if now != latest:
            latest, changed = now, time.monotonic()
    raise ServerFailed(f"not settled in {seconds:g} s: {latest}")


def _nothing_waits(shipper: ShipperProcess) -> bool:
    """Whether hosts report, all have just said that they hold nothing, and this shipper holds nothing either."""
    hosts = shipper.get("/api/v1/ledger")["hosts"]
    quiet = bool(hosts) and all(_holds_nothing(host) for host in hosts)
    return quiet and metric(shipper, "shipper_records_in_flight") == 0


def _holds_nothing(host: dict[str, Any]) -> bool:
    # The heartbeats' own queue is never empty for long.
    waiting = [queue["records"] for queue in host["queues"] if queue["queue"] != "heartbeat"]
    age = host["last_report_age_seconds"]
    return age is not None and age < IDLE_SECONDS / 2 and host["backlog_records"] == 0 and not any(waiting)


def messages_in_sqlite(folder: Path) -> list[str]:
    """Every stored message but rsyslogd's own."""
    return [one["message"] for one in documents_in_sqlite(folder) if one["shipper.input"] != "rsyslogd"]


def documents_in_sqlite(folder: Path) -> list[dict[str, Any]]:
    """Every stored document, read from the files themselves."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("records-*.db")):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            # A file is there a moment before its tables.
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone():
                found += [orjson.loads(row[0]) for row in database.execute("SELECT document FROM records")]
    return found


def messages_in_elasticsearch(url: str, cluster: str) -> list[str]:
    """Every stored message, by asking the server itself, 10,000 at a time."""
    found: list[str] = []
    after: Any = None
    index = f"{url}/logs-mesos.{cluster}-*"
    _post(f"{index}/_refresh", None)
    while True:
        body: dict[str, Any] = {
            "size": 10_000,
            "sort": [{"shipper.series": "asc"}, {"event.sequence": "asc"}],
            "_source": ["message"],
        }
        hits = _post(f"{index}/_search", body | ({"search_after": after} if after else {}))["hits"]["hits"]
        if not hits:
            return found
        found += [hit["_source"]["message"] for hit in hits]
        after = hits[-1]["sort"]


def _post(url: str, body: dict[str, Any] | None) -> Any:
    request = urllib.request.Request(
        url, orjson.dumps(body) if body is not None else b"", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return orjson.loads(answer.read())


def numbers(messages: list[str]) -> list[int]:
    """The numbers that `burst` wrote, sorted."""
    return sorted(int(message.split()[1]) for message in messages if message.startswith("record "))


Stored = Callable[[], list[str]]
