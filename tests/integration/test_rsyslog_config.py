"""The generated configuration on a real rsyslogd: what it accepts, keeps over a stop, drops when full, and says."""

import asyncio
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from shipper.generate import rsyslog as generated
from tests.integration.host import Host
from tests.integration.rsyslog import RelpReceiver


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"tls": "openssl"},
        {"tls": "gnutls"},
        {"journal": True},
        {"hold": "8 MB", "host_name": "web-3.example", "shipper_host": "fe80::1"},
        {"work_directory": "/var/spool/ä b", "relay_socket": "/run/a b/relay"},
    ],
    ids=str,
)
def test_rsyslogd_accepts_it(rsyslogd: str, values: dict[str, object]) -> None:
    assert generated.check(generated.read(values), rsyslogd) is None


def test_a_missing_relp_module_is_said(rsyslogd: str, run_dir: Path) -> None:
    modules = run_dir / "modules"
    modules.mkdir()
    without = run_dir / "rsyslogd"
    without.write_text(f'#!/bin/sh\nexec {rsyslogd} -M {modules} "$@"\n')
    without.chmod(0o755)
    refusal = generated.check(generated.Settings(), str(without))
    assert refusal is not None
    assert "\n" not in refusal


async def test_what_waits_keeps_its_stamp_over_a_stop(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        port = receiver.port
    async with Host(rsyslogd, run_dir, port) as host:
        first = host.series
        host.write(*(b"<14>%d" % number for number in range(1000)))
        await asyncio.to_thread(host.stop)
        await asyncio.to_thread(host.start)
        assert host.series > first
        host.write(b"<14>after")
        async with RelpReceiver(port) as receiver:
            await receiver.wait_for(lambda: len(set(_numbers(receiver).get(f"{first}n", []))) >= 1000)
            await receiver.wait_for(lambda: f"{host.series}n" in _numbers(receiver))
            numbers = _numbers(receiver)
            assert set(numbers[f"{first}n"]) == set(range(1, 1001))  # some may come twice, with the same stamp
            assert set(numbers[f"{host.series}n"]) == {1}


async def test_it_reports_its_figures_and_messages_but_does_not_grumble(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        port = receiver.port
    async with Host(rsyslogd, run_dir, port) as host:
        host.write(b"<14>something to send")
        host.running.wait_until(lambda: "could not connect" in host.log.read_text(), what="it has tried")
        async with RelpReceiver(port) as receiver:
            await receiver.wait_for(lambda: "normal queue[DA]" in _figures(receiver))
            await receiver.wait_for(lambda: any("start" in message for message in _own(receiver)))
            await asyncio.to_thread(host.stop)
            await receiver.wait_for(lambda: any("exiting" in message for message in _own(receiver)))
            own = [record for record in receiver.records() if record["input"] in ("rsyslogd", "impstats")]
            (series,) = {record["series"] for record in own}
            assert re.fullmatch("[0-9a-f]{16}h", series)
            numbers = {int(record["sequence"]) for record in own}  # one may come twice
            assert numbers == set(range(1, max(numbers) + 1))
            grumbling = re.compile("could not connect|opening connection|high water mark")
            assert not [message for message in _own(receiver) if grumbling.search(message)]


async def test_a_full_queue_drops_what_it_counts_and_no_warning(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        port = receiver.port
    count, padding = 40_000, b"x" * 400
    async with Host(rsyslogd, run_dir, port, hold="8 MB") as host:
        series = host.series

        def write() -> None:
            with host.writer() as writer:
                for number in range(count):
                    writer.send(b"<%d>%d %b" % (12 if number % 50 == 0 else 14, number, padding))

        await asyncio.to_thread(write)
        await asyncio.to_thread(host.running.wait_until, lambda: _read(host) >= count, 60, "all is with rsyslogd")
        by_reader = {letter: one["dropped"] for letter, one in host.status()["series"].items()}
        async with RelpReceiver(port) as receiver:
            kept = count - sum(by_reader.values())
            await receiver.wait_for(lambda: _settled(receiver, series) >= kept, 120)
            numbers = {name: set(found) for name, found in _numbers(receiver).items() if name.startswith(series)}
            assert numbers[f"{series}w"] == set(range(1, count // 50 + 1))
            missing = count - count // 50 - len(numbers[f"{series}n"])
            assert missing > 0
            # A record in a worker's hand when the connection broke is queued again. One of the two may be dropped,
            # and counted, while the other arrives: one for each of the two workers.
            counted = by_reader["n"] + _dropped(_figures(receiver), "normal")
            assert missing <= counted <= missing + 2
            assert by_reader["w"] + _dropped(_figures(receiver), "warning") == 0


def _read(host: Host) -> int:
    """Records that the reader is done with: a rsyslogd that is slow makes it drop some."""
    state = host.status()
    return int(state["forwarded"] + state["dropped"])


def _settled(receiver: RelpReceiver, series: str) -> int:
    """How many records of the reader have come, or were dropped as newer figures say."""
    numbers, figures = _numbers(receiver), _figures(receiver)
    came = sum(len(set(found)) for name, found in numbers.items() if name.startswith(series) and name[-1] in "wn")
    return came + _dropped(figures, "normal") + _dropped(figures, "warning")


def _dropped(figures: dict[str, dict[str, Any]], queue: str) -> int:
    found = [figures[name] for name in (f"{queue} queue", f"{queue} queue[DA]") if name in figures]
    return sum(one["discarded.full"] + one["discarded.nf"] for one in found)


def _own(receiver: RelpReceiver) -> list[str]:
    return [record["message"] for record in receiver.records() if record["input"] == "rsyslogd"]


def _figures(receiver: RelpReceiver) -> dict[str, dict[str, Any]]:
    """The newest figures of each of rsyslogd's statistics objects."""
    found = {}
    for record in receiver.records():
        if record["input"] == "impstats":
            figures = json.loads(record["message"][record["message"].index("{") :])
            found[figures["name"]] = figures
    return found


def _numbers(receiver: RelpReceiver) -> dict[str, list[int]]:
    """What came, by series."""
    numbers = defaultdict(list)
    for record in receiver.records():
        numbers[record["series"]].append(int(record["sequence"]))
    return numbers
