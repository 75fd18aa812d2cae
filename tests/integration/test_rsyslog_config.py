"""The generated configuration on a real rsyslogd: what is written comes out once, whole, and numbered without a gap."""

import asyncio
import re
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest

from shipper.generate import rsyslog as generated
from tests.integration.rsyslog import RelpReceiver, Rsyslogd

#: What a program writes and what must arrive as `message` (invalid UTF-8 replaced, as the shipper does).
ODD: list[tuple[bytes, str]] = [
    (b'<14>say "yes" \\ no', 'say "yes" \\ no'),
    (rb'<14>{"a":"b\"c\n","d":[1,{}]}', r'{"a":"b\"c\n","d":[1,{}]}'),
    (b"<14>tab\there", "tab\there"),
    (b"<14>carriage\rreturn", "carriage\rreturn"),
    (b"<14>two\nlines\n  and a third", "two\nlines\n  and a third"),
    (b"<14>one newline at the end is cut\n", "one newline at the end is cut"),
    (b"<14>\x1b[31mred\x1b[0m \x01\x07", "\x1b[31mred\x1b[0m \x01\x07"),
    (b"<14>nul \x00 inside", "nul #000 inside"),
    (b"<14>bad \xff\xfe\xc3( bytes", "bad \ufffd\ufffd\ufffd( bytes"),
    (b"<14>half an emoji \xf0\x9f\x98", "half an emoji \ufffd"),
    ("<14>emoji \N{PILE OF POO} \u2028 \u0085 Ä".encode(), "emoji \N{PILE OF POO} \u2028 \u0085 Ä"),
    (b"<14>#011 is text, 100% %msg% $!all", "#011 is text, 100% %msg% $!all"),
    (b"<14>", ""),
    (b"no pri at all", "no pri at all"),
    (b"<14>Nov 22 23:48:34 shop[7]: 3164", "Nov 22 23:48:34 shop[7]: 3164"),
    (b"<14>1 2026-11-22T23:48:34+11:00 h shop 7 - - 5424", "1 2026-11-22T23:48:34+11:00 h shop 7 - - 5424"),
    (b"<14>2026-11-22T23:48:34+11:00 shop[7]: iso", "2026-11-22T23:48:34+11:00 shop[7]: iso"),
    (b"<14>" + b"x" * 60_000, "x" * 60_000),
]

KEYS = ["v", "series", "sequence", "host_time", "host", "input", "pri", "container", "message"]


def test_rsyslogd_accepts_it(rsyslogd: str) -> None:
    assert generated.check(generated.Settings(), rsyslogd) is None


def test_a_missing_relp_module_is_said(rsyslogd: str, run_dir: Path) -> None:
    modules = run_dir / "modules"
    modules.mkdir()
    without = run_dir / "rsyslogd"
    without.write_text(f'#!/bin/sh\nexec {rsyslogd} -M {modules} "$@"\n')
    without.chmod(0o755)
    refusal = generated.check(generated.Settings(), str(without))
    assert refusal is not None
    assert "\n" not in refusal


async def test_odd_messages_arrive_exactly(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        async with Rsyslogd(rsyslogd, run_dir, receiver.port, host_name="web-3") as host:
            before = datetime.now().astimezone()
            host.write(*(sent for sent, _ in ODD))
            await receiver.wait_count(len(ODD))
            records = receiver.records()
            assert [record["message"] for record in records] == [expected for _, expected in ODD]
            for number, record in enumerate(records, 1):
                assert list(record) == KEYS
                assert (record["v"], record["series"], record["sequence"]) == ("1", f"{host.series}n", str(number))
                assert (record["host"], record["input"], record["container"]) == ("web-3", "imuxsock", "")
                taken = datetime.fromisoformat(record["host_time"])
                assert before <= taken <= datetime.now().astimezone()
                assert taken.utcoffset() == before.utcoffset()


async def test_priorities_are_strings_and_split_into_two_series(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        async with Rsyslogd(rsyslogd, run_dir, receiver.port) as host:
            priorities = [*range(192), 999]
            host.write(*(b"<%d>%d" % (number, number) for number in priorities))
            await receiver.wait_count(len(priorities))
            by_text = {int(record["message"]): record for record in receiver.records()}
            assert by_text.pop(999)["pri"] == "invld"
            for number, record in by_text.items():
                assert record["pri"] == str(number)
                assert record["series"] == host.series + ("w" if number % 8 <= 4 else "n")


async def test_numbers_have_no_gap_and_no_double(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        async with Rsyslogd(rsyslogd, run_dir, receiver.port) as host:

            def write(writer: int) -> None:
                with host.writer() as connected:
                    for number in range(2500):
                        connected.send(b"<%d>app[%d]: %d" % (number % 8 + 8, writer, number))

            await asyncio.gather(asyncio.to_thread(write, 1), asyncio.to_thread(write, 2))
            await receiver.wait_count(5000)
            numbers = _numbers(receiver)
            assert numbers.keys() == {f"{host.series}w", f"{host.series}n"}
            for found in numbers.values():
                assert sorted(found) == list(range(1, len(found) + 1))
            expected = {f"app[{writer}]: {number}" for writer in (1, 2) for number in range(2500)}
            assert {record["message"] for record in receiver.records()} == expected


async def test_what_waits_keeps_its_stamp_over_a_stop(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        port = receiver.port
    host = Rsyslogd(rsyslogd, run_dir, port)
    async with host:
        first = host.series
        host.write(*(b"<14>%d" % number for number in range(1000)))
        await asyncio.to_thread(host.restart)
        assert host.series > first or host.series[:8] == first[:8]
        assert host.series != first
        host.write(b"<14>after")
        async with RelpReceiver(port) as receiver:
            await receiver.wait_for(lambda: len(set(_numbers(receiver).get(f"{first}n", []))) >= 1000)
            await receiver.wait_for(lambda: f"{host.series}n" in _numbers(receiver))
            numbers = _numbers(receiver)
            assert set(numbers[f"{first}n"]) == set(range(1, 1001))  # some may come twice, with the same stamp
            assert set(numbers[f"{host.series}n"]) == {1}


@pytest.mark.parametrize("ended_by", ["stop", "kill9"])
async def test_nobody_waits_and_the_socket_comes_back(rsyslogd: str, run_dir: Path, ended_by: str) -> None:
    async with RelpReceiver() as receiver:
        async with Rsyslogd(rsyslogd, run_dir, receiver.port) as host:
            await asyncio.to_thread(getattr(host, ended_by))
            with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                host.write(b"<14>nobody")
            await asyncio.to_thread(host.start)
            host.write(b"<14>somebody")
            await receiver.wait_count(1)
            assert [record["message"] for record in receiver.records()] == ["somebody"]


async def test_its_own_messages_are_records_but_not_its_grumbling(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        port = receiver.port
    async with Rsyslogd(rsyslogd, run_dir, port, own_messages=True) as host:
        host.running.wait_until(lambda: "could not connect" in host.log.read_text(), what="it has tried")
        async with RelpReceiver(port) as receiver:
            await receiver.wait_for(lambda: any("start" in record["message"] for record in receiver.records()))
            await asyncio.to_thread(host.stop)
            await receiver.wait_for(lambda: any("exiting" in record["message"] for record in receiver.records()))
            records = receiver.records()
            assert {record["input"] for record in records} == {"rsyslogd"}
            grumbling = re.compile("could not connect|opening connection|high water mark")
            assert not [record for record in records if grumbling.search(record["message"])]


def _numbers(receiver: RelpReceiver) -> dict[str, list[int]]:
    found = defaultdict(list)
    for record in receiver.records():
        found[record["series"]].append(int(record["sequence"]))
    return dict(found)
