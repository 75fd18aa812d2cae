"""The live tail through real processes: a second at most, through proxies, through restarts, from other shippers."""

import json
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import peers
from tests.e2e.peers import SERIES, RelpSession
from tests.e2e.tailing import PlainTail, TailCommand
from tests.integration.haproxy import HAProxy
from tests.servers.process import Process, accepts, free_port
from tests.shipper_process import ShipperProcess
from tests.unit.marathon_apps import apps


@cache
def stamped(number: int, message: str) -> bytes:
    """A record that was just written; the same bytes when it is sent again."""
    return peers.stamped(number, message, host_time=peers.at(int(time.time())))


@pytest.fixture(autouse=True)
def _written_anew() -> None:
    """No test has records that were written in another, perhaps long ago."""
    stamped.cache_clear()


def sqlite(folder: Path) -> dict[str, Any]:
    return {"type": "sqlite", "path": str(folder)}


def delays(shipper: ShipperProcess, url: str, numbers: range = range(1, 6)) -> list[float]:
    """Seconds from sending a record to reading it in a tail, sorted."""
    found = []
    with RelpSession(shipper.port) as session, PlainTail(url, "?text=probe&min_level=info") as tail:
        records = tail.records()
        for number in numbers:
            began = time.monotonic()
            session.send(stamped(2 * number, "something else"), stamped(2 * number + 1, f"probe {number}"))
            record = next(records)
            found.append(time.monotonic() - began)
            assert (record["message"], record["id"]) == (f"probe {number}", f"{SERIES}-{2 * number + 1:010d}")
            session.wait()
    return sorted(found)


@pytest.mark.alone
def test_a_record_is_shown_within_a_second(run_dir: Path) -> None:
    with ShipperProcess(run_dir, sqlite(run_dir / "data")) as shipper:
        assert delays(shipper, shipper.url)[-1] < 1


@pytest.mark.alone
def test_a_record_is_shown_within_a_second_with_elasticsearch(run_dir: Path, elasticsearch_9: str) -> None:
    store = {"type": "elasticsearch", "urls": [elasticsearch_9]}
    with ShipperProcess(run_dir, store, cluster="tailed") as shipper:
        delays(shipper, shipper.url, range(100, 101))  # makes the index
        assert delays(shipper, shipper.url)[2] < 1


@pytest.mark.alone
def test_through_nginx_and_haproxy_nothing_waits(run_dir: Path, haproxy: str, nginx: str) -> None:
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir / "data"), api={"port": (api := free_port())}) as shipper:
        with HAProxy(haproxy, run_dir / "haproxy", free_port(), [api]) as front:
            app = apps(api_port=front.port)["marathon-apps/nginx.json"]
            port = free_port()
            mesos = {"PORT0": str(port), "MESOS_SANDBOX": str(run_dir), "PATH": f"{Path(nginx).parent}:/usr/bin:/bin"}
            with Process(["/bin/sh", "-c", app["cmd"]], log=run_dir / "log", env={**app["env"], **mesos}) as process:
                process.wait_until(lambda: accepts(port), 60)
                assert delays(shipper, f"http://127.0.0.1:{port}")[-1] < 1


def deliver(port: int, first: int, last: int) -> None:
    """Send records one by one until each is acknowledged, as rsyslog does: over a new connection when one is lost."""
    number = first
    deadline = time.monotonic() + 120
    while number <= last:
        assert time.monotonic() < deadline
        try:
            with RelpSession(port) as session:
                while number <= last:
                    session.deliver(stamped(number, f"record {number}"))
                    number += 1
        except (OSError, AssertionError):
            time.sleep(0.05)


def test_a_shipper_that_is_killed_leaves_no_hole_and_nothing_double(run_dir: Path, haproxy: str) -> None:
    ports: dict[str, Any] = {"port": free_port(), "api": {"port": (api := free_port())}}
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir / "data"), **ports) as shipper:
        with HAProxy(haproxy, run_dir / "haproxy", free_port(), [api]) as front:
            deliver(shipper.port, 1, 1)
            with TailCommand(run_dir, f"http://127.0.0.1:{front.port}", "record", "--back", "1") as tail:
                tail.until(1)
                sending = threading.Thread(target=deliver, args=(shipper.port, 2, 300))
                sending.start()
                for wanted in (50, 150):
                    tail.until(wanted)
                    shipper.process.kill9()
                    shipper.start()
                sending.join()
                tail.until(300, 30)
                deliver(shipper.port, 301, 301)
                assert sorted(tail.until(301).numbers) == list(range(1, 302))
                assert set(tail.said) == {"connection lost, reconnecting"}


def test_a_shipper_that_stops_tells_and_is_found_again(run_dir: Path) -> None:
    with ShipperProcess(run_dir / "shipper", sqlite(run_dir / "data"), api={"port": free_port()}) as shipper:
        deliver(shipper.port, 1, 1)
        with TailCommand(run_dir, shipper.url, "--back", "1") as tail:
            tail.until(1)
            assert shipper.process.stop(30) == 0
            shipper.start()
            deliver(shipper.port, 2, 2)
            assert tail.until(2).numbers == [1, 2]
            assert tail.said == ["note: shipper is stopping", "connection lost, reconnecting"]
        log = [json.loads(line) for line in shipper.log.read_bytes().splitlines()]
        assert [line["message"] for line in log if line["log.level"] in ("error", "critical")] == []


def test_one_api_shows_the_records_of_all_shippers(run_dir: Path) -> None:
    with (
        ShipperProcess(run_dir / "one", sqlite(run_dir / "data-1")) as one,
        ShipperProcess(run_dir / "two", sqlite(run_dir / "data-2")) as two,
    ):
        more: dict[str, Any] = {"sources": [], "api": {"port": 0, "feed": {"peers": [one.url, f"{two.url}/"]}}}
        with ShipperProcess(run_dir / "api", sqlite(run_dir / "data-3"), **more) as api:
            with PlainTail(api.url, "?text=record") as tail:
                records = tail.records()
                for number, shipper in enumerate((one, two, one), 1):
                    again = threading.Event()
                    repeat = threading.Thread(target=until_shown, args=(shipper, number, again))
                    repeat.start()  # the first ones come before the feeds are read
                    while next(records)["labels"]["round"] != str(number):
                        pass
                    again.set()
                    repeat.join()
                assert api.get("/api/v1/records")["records"] == []


def until_shown(shipper: ShipperProcess, number: int, shown: threading.Event) -> None:
    """Write records again and again until one was seen."""
    with RelpSession(shipper.port) as session:
        for sequence in range(1, 1000):
            message = json.dumps({"message": "a record", "round": str(number)})
            session.deliver(stamped(1000 * number + sequence, message))
            if shown.wait(0.1):
                return


def test_a_reader_that_stands_still_costs_bounded_memory(run_dir: Path) -> None:
    message = "x" * 2000
    with ShipperProcess(run_dir, sqlite(run_dir / "data")) as shipper, RelpSession(shipper.port) as session:
        session.deliver(*(stamped(number, message) for number in range(2000)))
        before = shipper.memory_mb()
        address = ("127.0.0.1", int(shipper.url.rpartition(":")[2]))
        stalled = [socket.create_connection(address) for _ in range(20)]
        try:
            for peer in stalled:
                peer.sendall(b"GET /api/v1/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert peer.recv(12) == b"HTTP/1.1 200"
            with PlainTail(shipper.url, "?text=last") as fast:
                for first in range(2000, 8000, 1000):
                    session.deliver(*(stamped(number, message) for number in range(first, first + 1000)))
                session.deliver(stamped(8000, "last"))
                assert next(fast.records())["event.sequence"] == 8000
            assert shipper.memory_mb() - before < 100
        finally:
            for peer in stalled:
                peer.close()


def tail(shipper: ShipperProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "shipper", "tail", "--url", shipper.url, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_in_scripts(run_dir: Path) -> None:
    with ShipperProcess(run_dir, sqlite(run_dir / "data")) as shipper:
        deliver(shipper.port, 1, 3)
        said = tail(shipper, "record", "--back", "3", "--count", "2", "--raw")
        assert (said.returncode, said.stdout, said.stderr) == (0, "record 1\nrecord 2\n", "")
        said = tail(shipper, "nothing such", "--for", "0.2")
        assert (said.returncode, said.stdout, said.stderr) == (1, "", "no record matched\n")
        said = tail(shipper, "--back", "1", "--for", "0.5")
        assert (said.returncode, "record 3" in said.stdout) == (0, True)
        said = tail(shipper, "(((", "--for", "5")
        assert (said.returncode, said.stdout, said.stderr[:7]) == (2, "", "error: ")
        said = tail(shipper, "--since", "1h")
        assert (said.returncode, "a tail begins now" in said.stderr) == (2, True)


def test_the_command_when_nobody_answers() -> None:
    argv = [sys.executable, "-m", "shipper", "tail", "--url", f"http://127.0.0.1:{free_port()}"]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("error: cannot ")
    assert said.stderr.count("\n") == 1
