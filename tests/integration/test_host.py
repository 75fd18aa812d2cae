"""The host's part on a real rsyslogd: whatever is killed, what was written comes out, or its number is known."""

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from shipper.errors import ConfigError
from tests.integration.host import Host
from tests.integration.rsyslog import RelpReceiver
from tests.servers.process import Process, wait_until

#: What a program writes and what must arrive: PRI and message; and whether its exact bytes come beside it.
ODD: list[tuple[bytes, str, str, bool]] = [
    (b'<14>say "yes" \\ no', "14", 'say "yes" \\ no', False),
    (rb'<14>{"a":"b\"c\n","d":[1,{}]}', "14", r'{"a":"b\"c\n","d":[1,{}]}', False),
    (b"<14>tab\there", "14", "tab\there", False),
    (b"<14>carriage\rreturn", "14", "carriage\rreturn", False),
    (b"<14>two\nlines\n  and a third", "14", "two\nlines\n  and a third", False),
    (b"<14>one newline at the end is cut\n", "14", "one newline at the end is cut", False),
    (b"<14>of two, one\n\n", "14", "of two, one\n", False),
    (b"<14>\x1b[31mred\x1b[0m \x01\x07", "14", "\x1b[31mred\x1b[0m \x01\x07", False),
    (b"<14>nul \x00 inside", "14", "nul \x00 inside", False),
    (b"<14>nul at the end\x00", "14", "nul at the end\x00", False),
    (b"<14>bad \xff\xfe\xc3( bytes", "14", "bad \ufffd\ufffd\ufffd( bytes", True),
    (b"<14>half an emoji \xf0\x9f\x98", "14", "half an emoji \ufffd", True),
    (b"<14>a surrogate \xed\xa0\x80", "14", "a surrogate \ufffd\ufffd\ufffd", True),
    ("<14>emoji \N{PILE OF POO} \u2028 \u0085 Ä".encode(), "14", "emoji \N{PILE OF POO} \u2028 \u0085 Ä", False),
    (b"<14>#011 is text, 100% %msg% $!all", "14", "#011 is text, 100% %msg% $!all", False),
    (b"<14>", "14", "", False),
    (b"\n", "13", "", False),
    (b"no pri at all", "13", "no pri at all", False),
    (b"<999>too much", "13", "<999>too much", False),
    (b"<abc>no number", "13", "<abc>no number", False),
    (b"<abc", "13", "<abc", False),
    (b"<192>one more than there is", "13", "<192>one more than there is", False),
    (b"<191>the last one", "191", "the last one", False),
    (b"<0>the first one", "0", "the first one", False),
    (b"<14>Nov 22 23:48:34 shop[7]: 3164", "14", "Nov 22 23:48:34 shop[7]: 3164", False),
    (b"<14>1 2026-11-22T23:48:34+11:00 h shop 7 - - x", "14", "1 2026-11-22T23:48:34+11:00 h shop 7 - - x", False),
    (b'<14>","series":"forged","x":"', "14", '","series":"forged","x":"', False),
    (b"<14>" + b"x" * 100_000, "14", "x" * 100_000, False),
]


def records(receiver: RelpReceiver) -> list[dict[str, str]]:
    """What containers wrote, without what the host says of itself."""
    return [orjson.loads(payload) for payload in receiver.payloads if b'"input":"socket"' in payload[:400]]


def reports(receiver: RelpReceiver) -> list[dict[str, Any]]:
    """What the reader said of itself, oldest first."""
    found = [orjson.loads(payload) for payload in receiver.payloads if b'"input":"report"' in payload[:400]]
    assert all(report["series"][-1] == "h" for report in found)
    found.sort(key=lambda report: (report["series"], int(report["sequence"])))
    return [orjson.loads(report["message"]) for report in found]


def numbers(receiver: RelpReceiver) -> dict[str, set[int]]:
    """The numbers that came, by series."""
    found = defaultdict(set)
    for record in records(receiver):
        found[record["series"]].add(int(record["sequence"]))
    return dict(found)


def lasts(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Last number and drops of each series of a report."""
    return {series["series"]: (series["last"], series["dropped"]) for series in report["series"]}


@pytest.fixture
async def receiver() -> AsyncIterator[RelpReceiver]:
    async with RelpReceiver() as receiver:
        yield receiver


async def test_odd_messages_arrive_exactly(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    async with Host(rsyslogd, run_dir, receiver.port, host_name="web-3") as host:
        host.write(*(sent for sent, _, _, _ in ODD))
        await receiver.wait_for(lambda: len(records(receiver)) == len(ODD))
        found = {(record["series"][-1], int(record["sequence"])): record for record in records(receiver)}
        counts = {"w": 0, "n": 0}
        for sent, pri, message, exact in ODD:
            letter = "w" if int(pri) % 8 <= 4 else "n"
            counts[letter] += 1
            record = found[letter, counts[letter]]
            assert (record["pri"], record["message"]) == (pri, message)
            assert ("message_base64" in record) is exact
            if exact:
                assert base64.b64decode(record["message_base64"]) == sent[4:]
            assert record["series"] == host.series + letter
            assert (record["v"], record["host"], record["pid"]) == ("1", "web-3", str(os.getpid()))
            assert list(record)[:7] == ["v", "series", "sequence", "host_time", "host", "input", "pri"]
            assert list(record)[-1] == "message"


async def test_what_is_too_long_is_cut_and_marked(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        with host.writer() as writer:
            writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            writer.send(b"")  # no record
            writer.send(b"<14>" + "ä".encode() * 70_000)
            writer.send(b"<14>\x01" + b"\x02" * 140_000)
            writer.send(b"<14>" + b"\xff" * 140_000)
        await receiver.wait_for(lambda: len(records(receiver)) == 3)
        found = sorted(records(receiver), key=lambda record: int(record["sequence"]))
        assert [record["truncated"] for record in found] == ["1"] * 3
        assert found[0]["message"] == "ä" * 65_536
        assert set(found[1]["message"][1:]) == {"\x02"}
        assert len(found[1]["message"]) > 40_000
        assert set(base64.b64decode(found[2]["message_base64"])) == {0xFF}
        state = host.status()
        assert (state["truncated"], state["empty"], state["dropped"]) == (3, 1, 0)


@pytest.mark.parametrize("ended_by", ["stop_rsyslogd", "kill9_rsyslogd", "kill9_reader"])
async def test_all_lines_arrive_whatever_ends(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver, ended_by: str
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:

        def write() -> None:
            with host.writer() as writer:
                for number in range(100):
                    if number == 40:
                        getattr(host, ended_by)()
                    writer.send(b"<14>line %d" % number)
                    time.sleep(0.05)  # as a service writes: one line now and then

        await asyncio.to_thread(write)
        await receiver.wait_for(lambda: len({record["message"] for record in records(receiver)}) == 100)
        assert len(records(receiver)) == 100
        part = "reader" if "reader" in ended_by else "rsyslogd"
        assert host.status()[part]["restarts"] == 1
        assert host.status()["dropped"] == 0


async def test_a_killed_reader_is_reported_with_its_last_numbers(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        first = host.series

        def write() -> None:
            with host.writer() as writer:
                for number in range(4000):
                    if number in (1000, 2500):
                        host.kill9_reader()
                    writer.send(b"<%d>line %d" % (11 if number % 5 == 0 else 14, number))
                writer.send(b"<14>the end")

        await asyncio.to_thread(write)
        await receiver.wait_for(lambda: any(record["message"] == "the end" for record in records(receiver)))
        state = host.status()
        await receiver.wait_for(lambda: sum(report["clean"] is False for report in reports(receiver)) == 2)
        killed = [report for report in reports(receiver) if not report["clean"]]
        assert all(report["ended"] for report in killed)
        assert first in {report["start"] for report in killed}
        known = {name: last for report in killed for name, (last, _) in lasts(report).items()}
        known |= {series["name"]: series["last"] for series in state["series"].values()}
        assert sum(known.values()) >= 4001 - 2  # a datagram that was read and not numbered yet is in no series

        def lost() -> dict[str, set[int]]:
            came = numbers(receiver)
            return {name: set(range(1, last + 1)) - came.get(name, set()) for name, last in known.items()}

        await receiver.wait_for(lambda: not any(lost()[series["name"]] for series in state["series"].values()))
        came = {record["message"] for record in records(receiver)}
        holes = sum(map(len, lost().values()))
        print(f"{holes} records lost with the reader's memory, all of them known; {4001 - sum(known.values())} not")
        assert len(came) == len(records(receiver)) >= 4001 - 2 - holes


async def test_nobody_waits_and_no_warning_is_dropped_for_a_lesser_record(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port, backlog_bytes=4 * 2**20) as host:
        host.write(b"<14>before")
        await receiver.wait_for(lambda: len(records(receiver)) == 1)
        host.suspend_rsyslogd()
        try:
            longest, seconds = await asyncio.to_thread(_flood, host, 50_000)
            wait_until(lambda: host.status()["received"] == 50_001, what="all is read")
        finally:
            host.resume_rsyslogd()
        state = host.status()
        print(f"50,000 sends in {seconds:.1f} s, the longest {longest * 1000:.1f} ms; dropped {state['dropped']}")
        assert longest < 0.5  # 10 to 60 ms seen; more is the scheduler of a busy machine
        warnings, rest = state["series"]["w"], state["series"]["n"]
        assert warnings["last"] + rest["last"] == 50_001
        assert warnings["dropped"] == 0
        assert rest["dropped"] > 10_000
        await receiver.wait_for(lambda: len(records(receiver)) == 50_001 - state["dropped"])
        for series in (warnings, rest):
            assert series["last"] - len(numbers(receiver)[series["name"]]) == series["dropped"]
        await receiver.wait_for(lambda: any(rest["dropped"] in lasts(r)[rest["name"]] for r in reports(receiver)))


_FLOOD = """
import socket, sys, time
longest, began = 0.0, time.perf_counter()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer:
    writer.connect(sys.argv[1])
    for number in range(int(sys.argv[2])):
        pri = 12 if number % 10 == 0 else 14
        before = time.perf_counter()
        writer.send(b"<%d>Nov 22 23:48:34 shop[7]: line %d of a flood" % (pri, number))
        longest = max(longest, time.perf_counter() - before)
print(longest, time.perf_counter() - began)
"""


def _flood(host: Host, count: int) -> tuple[float, float]:
    """Write records as fast as one process can, a tenth of them warnings; the longest send and all, in seconds."""
    argv = [sys.executable, "-c", _FLOOD, str(host.socket), str(count)]
    longest, seconds = subprocess.run(argv, check=True, capture_output=True, timeout=120).stdout.split()
    return float(longest), float(seconds)


async def test_an_ordered_stop_loses_nothing_and_closes_its_series(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        series = host.series
        with host.writer() as writer:
            for number in range(2000):
                writer.send(b"<14>line %d" % number)
            code = await asyncio.to_thread(host.stop)
        assert code == 0, host.log.read_text()
        await receiver.wait_for(lambda: len(records(receiver)) == 2000)
        last = reports(receiver)[-1]
        assert (last["start"], last["ended"], last["clean"]) == (series, True, True)
        assert lasts(last)[f"{series}n"] == (2000, 0)
        assert not any(path.exists() for path in (host.socket, run_dir / "relay", run_dir / "status"))


async def test_a_killed_holder_is_followed_by_one_that_knows_the_last_numbers(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        series = host.series
        host.write(*(b"<14>%d" % number for number in range(10)))
        host.kill9()
        await asyncio.to_thread(host.start)
        await receiver.wait_for(lambda: any(not report["clean"] for report in reports(receiver)))
        killed = next(report for report in reports(receiver) if not report["clean"])
        assert (killed["start"], killed["ended"]) == (series, True)
        assert lasts(killed)[f"{series}n"] == (10, 0)


async def test_what_a_killed_holder_leaves_ends_before_the_next_begins(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as gone:
        port = gone.port
    async with Host(rsyslogd, run_dir, port) as host:
        host.write(b"<14>before")
        wait_until(lambda: (host.status()["queue_records"] or {}).get("memory"), 30, "it is in rsyslogd's queue")
        old = psutil.Process(host.rsyslogd())
        host.running.signal(signal.SIGKILL)
        host.running.wait()
        host.process = Process(host.argv, log=host.log)
        await asyncio.to_thread(host.process.wait_until, lambda: _answers(host), 30, "the next one answers")
        await asyncio.to_thread(wait_until, host.rsyslogd, 60, "rsyslogd is started")
        assert not old.is_running() or old.status() == psutil.STATUS_ZOMBIE, "two would spoil each other's queues"
        async with RelpReceiver(port) as receiver:
            host.write(b"<14>after")
            await receiver.wait_for(
                lambda: {"before", "after"} <= {record["message"] for record in records(receiver)}, 60
            )


def _answers(host: Host) -> bool:
    try:
        return bool(host.status())
    except ConfigError:
        return False


async def test_a_reader_that_hangs_is_replaced(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        os.kill(host.reader(), signal.SIGSTOP)
        with host.writer() as writer:
            writer.send(b"<14>still here")
            await receiver.wait_for(lambda: len(records(receiver)) == 1)
        assert "reader hangs" in [event["event"] for event in host.status()["events"]]


async def test_a_second_holder_is_refused(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        second = await asyncio.to_thread(subprocess.run, host.argv, capture_output=True, text=True, timeout=30)
        assert second.returncode == 2
        assert second.stderr == f"error: {host.socket} is held by another `shipper host run`, which goes on\n"
        host.write(b"<14>not disturbed")
        await receiver.wait_for(lambda: len(records(receiver)) == 1)


_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


async def test_the_socket_is_taken_over_from_systemd(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    host = Host(rsyslogd, run_dir, receiver.port)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system,
    ):
        system.bind(str(run_dir / "notify"))
        system.settimeout(20)
        held.bind(str(host.socket))
        inode = host.socket.stat().st_ino
        with host.writer() as writer:
            writer.send(b"<14>before it ran")
            # As systemd does: the descriptor is 3, and LISTEN_PID the pid of the program after exec.
            argv = [sys.executable, "-c", _HAND_OVER, str(held.fileno()), *host.argv]
            env = {"NOTIFY_SOCKET": str(run_dir / "notify")}
            host.process = Process(argv, log=host.log, env=env, pass_fds=[held.fileno()])
            host.process.wait_until(host.ready, 60, "the host is ready")
            assert system.recv(100) == b"READY=1"
            await asyncio.to_thread(_hear, system, b"WATCHDOG=1", 20)  # all that has come, and some that comes
            assert host.status()["held_by"] == "systemd"
            writer.send(b"<14>while it runs")
            code, _ = await asyncio.gather(
                asyncio.to_thread(host.stop), asyncio.to_thread(_hear, system, b"STOPPING=1", 1)
            )
            assert code == 0
            assert host.socket.stat().st_ino == inode
            writer.send(b"<14>after it ran")  # kept by the kernel for the next one
        await receiver.wait_for(lambda: len(records(receiver)) == 2)


def _hear(system: socket.socket, state: bytes, times: int) -> None:
    """Read what a service tells systemd until it has said this so many times."""
    while times:
        times -= system.recv(100) == state


async def test_a_new_program_takes_its_place_and_nobody_notices(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        inode, first, pid = host.socket.stat().st_ino, host.series, host.running.pid

        def write() -> None:
            with host.writer() as writer:
                for number in range(1000):
                    if number == 300:
                        host.running.signal(signal.SIGUSR2)
                    writer.send(b"<14>line %d" % number)
                    time.sleep(0.003)  # as a busy service writes

        await asyncio.to_thread(write)
        await asyncio.to_thread(wait_until, lambda: host.ready() and host.series != first, 30, "the new program")
        host.write(b"<14>after")
        await receiver.wait_for(lambda: len({record["message"] for record in records(receiver)}) == 1001)
        assert len(records(receiver)) == 1001
        assert host.socket.stat().st_ino == inode
        state = host.status()
        assert (state["pid"], state["held_by"]) == (pid, "holder")


async def test_a_refused_configuration_changes_nothing(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        right, pid = host.rsyslog_config.read_text(), host.rsyslogd()
        host.rsyslog_config.write_text(right.replace("imuxsock", "imnothing", 1))
        refused = await asyncio.to_thread(_ask, host, "reload")
        assert refused.returncode == 2
        assert "imnothing" in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert host.rsyslogd() == pid
        host.rsyslog_config.write_text(right)
        accepted = await asyncio.to_thread(_ask, host, "reload")
        assert accepted.returncode == 0, accepted.stderr
        assert host.rsyslogd() != pid
        host.write(b"<14>after")
        await receiver.wait_for(lambda: len(records(receiver)) == 1)


def _ask(host: Host, *action: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "shipper", "host", *action, "--socket", str(host.directory / "status")]
    return subprocess.run(argv, timeout=60, capture_output=True, text=True)


async def test_a_wrong_configuration_at_the_start_is_said_once_and_tried_again(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    host = Host(rsyslogd, run_dir, receiver.port)
    right = host.rsyslog_config.read_text()
    host.rsyslog_config.write_text(right.replace("imuxsock", "imnothing", 1))
    host.process = Process(host.argv, log=host.log)
    async with host.stopping():
        host.process.wait_until(lambda: b"rsyslogd refused" in host.log.read_bytes(), 30, "it is refused")
        host.write(b"<14>kept meanwhile")
        await asyncio.to_thread(wait_until, lambda: host.status()["rsyslogd"]["restarts"] >= 3, 30, "tried again")
        assert host.log.read_text().count("rsyslogd refused") == 1
        host.rsyslog_config.write_text(right)
        await receiver.wait_for(lambda: len(records(receiver)) == 1)


async def test_a_new_program_with_another_socket_is_refused(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        values = orjson.loads(host.config.read_bytes())
        host.config.write_bytes(orjson.dumps({**values, "socket": str(run_dir / "other")}))
        refused = await asyncio.to_thread(_ask, host, "restart")
        assert refused.returncode == 2
        assert f"{run_dir}/other is not {host.socket}, which is held now" in refused.stderr
        host.write(b"<14>goes on")
        await receiver.wait_for(lambda: len(records(receiver)) == 1)
        host.config.write_bytes(orjson.dumps(values))
        accepted = await asyncio.to_thread(_ask, host, "restart")
        assert (accepted.returncode, accepted.stderr) == (0, "")
        shown = await asyncio.to_thread(_ask, host, "status")
        assert f"{host.socket}, held by holder" in shown.stdout


async def test_files_are_read_and_their_reader_is_started_again(
    rsyslogd: str, run_dir: Path, receiver: RelpReceiver
) -> None:
    log = run_dir / "app.log"
    log.write_text("before\n")
    async with Host(rsyslogd, run_dir, receiver.port, files=[str(run_dir / "*.log")]) as host:
        await receiver.wait_for(lambda: "before" in _lines(receiver))
        os.kill(host.status()["tailer"]["pid"], signal.SIGKILL)
        with log.open("a") as writing:
            writing.write("after\n")
        await receiver.wait_for(lambda: "after" in _lines(receiver))
        assert host.status()["tailer"]["restarts"] == 1
        memory = host.memory_mb()
        print({name: round(size, 1) for name, size in memory.items()})
        assert sum(size for name, size in memory.items() if name != "rsyslogd") < 60


def _lines(receiver: RelpReceiver) -> list[str]:
    return [orjson.loads(payload)["message"] for payload in receiver.payloads if b'"input":"file"' in payload[:400]]


async def test_rate_and_memory(rsyslogd: str, run_dir: Path, receiver: RelpReceiver) -> None:
    async with Host(rsyslogd, run_dir, receiver.port) as host:
        reader = psutil.Process(host.reader())
        before = sum(reader.cpu_times()[:2])
        longest, seconds = await asyncio.to_thread(_flood, host, 100_000)
        wait_until(lambda: host.status()["received"] == 100_000, what="all is read")
        state, memory = host.status(), host.memory_mb()
        cost = (sum(reader.cpu_times()[:2]) - before) * 10
        print(
            f"{100_000 / seconds:,.0f} records/s, {cost:.0f} us of the reader each; "
            f"the longest send {longest * 1000:.1f} ms; dropped {state['dropped']}"
        )
        print({name: round(size, 1) for name, size in memory.items()})
        assert sum(size for name, size in memory.items() if name != "rsyslogd") < 60
