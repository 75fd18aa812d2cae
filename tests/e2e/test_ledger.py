"""The ledger of a real host whose parts are killed: every number is settled or missing, and what happened is told."""

from pathlib import Path
from typing import Any

from tests.integration.host import Host
from tests.servers.process import wait_until
from tests.shipper_process import ShipperProcess


def ledger(shipper: ShipperProcess) -> dict[str, Any]:
    """The host, and its series by name; the sums always agree."""
    told = shipper.get("/api/v1/ledger?host=web-3")
    for line in told["series"]:
        assert sum(line["kinds"].values()) == line["missing"] == sum(hole["missing"] for hole in line["holes"])
        assert sum(line["settled"].values()) + line["missing"] == line["last"]
    host = told["hosts"][0] if told["hosts"] else {"state": "unknown", "events": []}
    return {**host, "lines": {line["series"]: line for line in told["series"]}}


def events(host: dict[str, Any]) -> list[tuple[str, str]]:
    """What happened on the host, as it is told."""
    return [(event["event"], event["detail"]) for event in host["events"]]


def wait_told(shipper: ShipperProcess, series: str, last: int, **expected: Any) -> dict[str, Any]:
    """Wait until a series is known up to a number, and the rest of it is as expected; return the ledger."""
    found: dict[str, Any] = {}

    def reached() -> bool:
        found.update(ledger(shipper))
        line = found["lines"].get(series, {"last": 0})
        return line["last"] == last and all(line[name] == value for name, value in expected.items())

    wait_until(reached, 60, f"{series} is known up to {last}, {expected}")
    return found


def test_a_host_whose_parts_are_killed(rsyslogd: str, run_dir: Path) -> None:
    store = {"type": "sqlite", "path": str(run_dir / "data")}
    settings = {"host_name": "web-3", "heartbeat_seconds": 1}
    shipper = ShipperProcess(run_dir / "shipper", store)
    shipper.start()
    try:
        with Host(rsyslogd, run_dir / "host", shipper.port, **settings) as host:
            first = host.series
            host.write(*(b"<14>record %d" % number for number in range(300)))
            wait_told(shipper, f"{first}n", 300, missing=0, end="open")

            host.kill9_reader()
            wait_told(shipper, f"{first}n", 300, missing=0, end="killed")
            second = f"{host.series}n"

            shipper.process.kill9()  # what comes now waits on the host, a part of it in rsyslogd's memory
            host.write(*(b"<14>record %d" % number for number in range(600)))
            killed = host.rsyslogd()
            host.kill9_rsyslogd()
            wait_until(lambda: host.rsyslogd() not in (0, killed), what="rsyslogd runs again")
            shipper = ShipperProcess(run_dir / "shipper", store, port=shipper.port)
            shipper.start()
            host.write(b"<14>one more")
            # The end of the series is known although its last record may be the one that is missing.
            wait_until(lambda: ("rsyslogd ended", "signal 9") in events(ledger(shipper)), 60, "a report tells the kill")
            found = wait_told(shipper, second, 601, end="open")
            assert found["state"] == "reporting"
            assert (found["reader_starts"], found["clean_ends"]) == (2, 0)
            assert ("reader ended", "signal 9") in events(found)
            line = found["lines"][second]
            assert line["kinds"]["unexplained"] == 0
            assert all(hole["reason"] for hole in line["holes"])
            host.stop()
            found = wait_told(shipper, second, 601, end="clean")
            assert (found["state"], found["clean_ends"], found["kinds"]["unexplained"]) == ("stopped", 1, 0)
    finally:
        shipper.process.stop(60)
