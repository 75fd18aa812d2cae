"""The tailer on real files, with a clock that the test moves."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.tailer_world import World, sandbox


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_record_says_where_it_comes_from(world: World) -> None:
    run = sandbox(world.root, "shop.7f-1")
    write(run / "stdout", "one\ntwo\n")
    write(run / "stderr", "bad\n")
    world.seconds()
    out, _, err = sorted(world.records, key=lambda record: (record["stream"] == "stderr", record["sequence"]))
    assert list(out) == ["v", "series", "sequence", "host_time", "host", "input", "pri", "task", "stream", "file",
                         "offset", "message"]  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{16}f", out.pop("series"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", out.pop("host_time"))
    assert out == {
        "v": "1", "sequence": "1", "host": "web-3", "input": "file", "pri": "14", "task": "shop.7f-1",
        "stream": "stdout", "file": str(run / "stdout"), "offset": "0", "message": "one",
    }  # fmt: skip
    assert (err["stream"], err["message"]) == ("stderr", "bad")


def test_a_run_is_read_once_and_not_through_latest(world: World) -> None:
    first = sandbox(world.root)
    write(first / "stdout", "first\n")
    world.seconds()
    second = sandbox(world.root, run=1)
    write(second / "stdout", "second\n")
    write(first / "stdout", "last words of the first\n")
    world.seconds()
    assert sorted(world.messages) == ["first", "last words of the first", "second"]
    assert len(world.stored()) == 2


def test_other_files_of_a_sandbox_are_left_alone(world: World) -> None:
    run = sandbox(world.root)
    nested = run / "containers" / run.name
    nested.mkdir(parents=True)
    for path in (run / "stdout.1", run / "app.log", nested / "stdout"):
        write(path, "no\n")
    world.seconds()
    assert world.messages == []


def test_rename_reads_the_old_file_to_its_end(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "1\n2\n")
    world.seconds()
    write(log, "3\n")
    with log.open("a") as still_open:
        log.rename(log.with_name("stdout.1"))
        write(log, "new 1\n")
        world.seconds()
        still_open.write("4\n")
    world.seconds()
    assert list(world.stored().values()) == [["1", "2", "3", "4"], ["new 1"]] or list(world.stored().values()) == [
        ["new 1"],
        ["1", "2", "3", "4"],
    ]
    world.seconds(10)
    assert world.tailer.figures().open == 1, "the rotated file is closed"


@pytest.mark.parametrize("grown", [False, True])
def test_truncation_is_seen_even_when_the_file_has_grown_again(world: World, grown: bool) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "a1\na2\n")
    world.seconds()
    with log.open("r+") as file:
        file.truncate(0)
    new = [f"b{number}" for number in range(10 if grown else 1)]
    write(log, "".join(f"{line}\n" for line in new))
    world.seconds()
    assert sorted(world.stored().values()) == [["a1", "a2"], new]


def test_copytruncate_loses_nothing_that_the_copy_has(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "a1\na2\n")
    world.seconds()
    write(log, "a3\n")
    shutil.copyfile(log, log.with_name("stdout.1"))
    os.truncate(log, 0)
    write(log, "b1\n")
    world.seconds()
    assert sorted(world.stored().values()) == [["a1", "a2", "a3"], ["b1"]]


@pytest.mark.parametrize("killed", [False, True])
def test_files_that_came_and_went_between_two_looks(world: World, killed: bool) -> None:
    log = sandbox(world.root) / "stdout"
    write(log.with_name("stdout.4"), "from before there was a tailer\n")
    os.utime(log.with_name("stdout.4"), (1, 1))
    write(log.with_name("stdout.5x"), "something else\n")
    write(log, "a1\n")
    world.seconds()
    write(log, "a2\n")
    for number, text in enumerate(["b1\nb2\n", "c1\n", "d1\n"]):
        log.rename(log.with_name(f"stdout-2026112{number}"))
        write(log, text)
    if killed:
        world.start()
    world.seconds(2)
    world.start()
    world.seconds(2)
    assert sorted(world.stored().values()) == [["a1", "a2"], ["b1", "b2"], ["c1"], ["d1"]]


@pytest.fixture
def world_on_disk() -> Iterator[World]:
    """On the disk: a file system in memory uses no inode again."""
    with tempfile.TemporaryDirectory(prefix="shipper-", dir="/tmp") as folder:
        yield World(Path(folder))


def test_an_inode_that_is_used_again_gives_other_ids(world_on_disk: World) -> None:
    world = world_on_disk
    log = sandbox(world.root) / "stdout"
    inodes = set()
    for number in range(20):
        write(log, f"{number}\n")
        inodes.add(log.stat().st_ino)
        world.seconds(7)
        log.unlink()
        world.seconds(7)
    assert len(inodes) < 20, "this file system never uses an inode again"
    assert sorted(world.stored().values()) == sorted([str(number)] for number in range(20))


def test_a_removed_sandbox_is_read_to_its_end_and_forgotten(world: World) -> None:
    run = sandbox(world.root)
    write(run / "stdout", "1\n")
    world.seconds()
    write(run / "stdout", "2\nlast words")
    shutil.rmtree(run.parents[1])
    world.seconds(12)
    assert world.messages == ["1", "2", "last words"]
    assert (world.tailer.figures().files, world.tailer.figures().open) == (0, 0)
    world.seconds(4)
    assert b"stdout" not in (world.work / "tailer.json").read_bytes()


def test_an_unfinished_line_is_a_record_when_it_has_stood_for_five_seconds(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "Segmentation")
    world.seconds(3)
    write(log, " fault")
    world.seconds(4.5)
    assert world.messages == []
    world.seconds(1)
    assert world.messages == ["Segmentation fault"]
    write(log, " and more\n\nend\n")
    world.seconds()
    assert world.messages == ["Segmentation fault", " and more", "end"]
    world.start()
    world.seconds(2)
    assert len(world.datagrams) == 6, "the killed tailer's last two seconds come again"
    assert list(world.stored().values()) == [["Segmentation fault", " and more", "end"]]


def test_after_a_kill_lines_come_again_with_the_same_ids_and_times(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    for number in range(40):
        write(log, f"{number}\n")
        world.seconds(0.5)
        if number % 7 == 0:
            world.start()
    assert list(world.stored().values()) == [[str(number) for number in range(40)]]
    assert 40 < len(world.datagrams) < 100


def test_after_a_stop_nothing_comes_again(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "1\n2\n")
    world.seconds(0.5)
    world.stop()
    write(log, "3\n")
    world.start()
    world.seconds()
    assert world.messages == ["1", "2", "3"]


@pytest.mark.parametrize("way", ["rename", "copytruncate", "remove"])
@pytest.mark.parametrize("settled", [0.5, 6])
def test_rotation_while_killed(world: World, way: str, settled: float) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "a1\na2\n")
    world.seconds(settled)
    write(log, "a3\n")
    if way == "rename":
        log.rename(log.with_name("stdout.1"))
    elif way == "copytruncate":
        shutil.copyfile(log, log.with_name("stdout.1"))
        os.truncate(log, 0)
    else:
        log.unlink()
    write(log, "b1\n")
    world.start()
    world.seconds()
    old = ["a1", "a2"] if way == "remove" else ["a1", "a2", "a3"]
    assert sorted(world.stored().values()) == [old, ["b1"]]


def test_two_truncations_since_the_checkpoint(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    for generation in "abc":
        write(log, f"{generation}1\n{generation}2\n")
        world.seconds(0.5)
        os.truncate(log, 0)
    write(log, "d1\n")
    world.start()
    world.seconds()
    assert sorted(world.stored().values()) == [["a1", "a2"], ["b1", "b2"], ["c1", "c2"], ["d1"]]


def test_a_link_a_fifo_and_a_folder_are_refused_once_each(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    secret = world.folder / "shadow"
    secret.write_text("root:secret\n")
    run = sandbox(world.root)
    (run / "stdout").symlink_to(secret)
    os.mkfifo(run / "stderr")
    other = sandbox(world.root, "shop.2")
    (other / "stdout").mkdir()
    world.seconds(5)
    assert world.messages == []
    said = capsys.readouterr().err
    assert said.count("is a symbolic link") == 1
    assert said.count("is no regular file") == 2
    assert world.tailer.figures().errors >= 9
    (run / "stdout").unlink()
    write(run / "stdout", "a file at last\n")
    world.seconds()
    assert world.messages == ["a file at last"]


def test_a_file_replaced_by_a_link_is_left(world: World) -> None:
    secret = world.folder / "shadow"
    secret.write_text("root:secret\n" * 100)
    log = sandbox(world.root) / "stdout"
    write(log, "1\n")
    world.seconds()
    log.unlink()
    log.symlink_to(secret)
    world.seconds(8)
    assert world.messages == ["1"]


def test_reading_pauses_while_the_queue_is_half_full(world: World) -> None:
    queue = world.work / "rest.00000001"
    queue.write_bytes(b"x" * (2**29 // 2**10))
    world.queue_limit_bytes = 2**20
    world.start()
    log = sandbox(world.root) / "stdout"
    write(log, "1\n")
    queue.write_bytes(b"x" * (2**19 + 1))
    world.seconds(3)
    assert (world.messages, world.tailer.figures().waiting) == ([], 1)
    log.rename(log.with_name("stdout.1"))
    write(log, "2\n")
    world.seconds(2)
    shutil.rmtree(log.parent)
    world.seconds(8)
    queue.write_bytes(b"")
    world.seconds(3)
    assert (world.messages, world.tailer.figures().waiting) == (["1", "2"], 0)


def test_a_socket_that_does_not_take_a_record_is_tried_again(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "1\n2\n")
    refusals = iter([errno.ECONNREFUSED, errno.ENOENT, 0, errno.EAGAIN, 0])

    def take(datagram: bytes) -> None:
        if refusal := next(refusals):
            raise OSError(refusal, "no")
        world.datagrams.append(datagram)

    world.take = take
    world.seconds()
    assert world.messages == ["1", "2"]


def test_a_stop_while_the_socket_takes_nothing_loses_nothing(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "1\n2\n")

    def refuse(datagram: bytes) -> None:
        world.stopping.set()
        raise ConnectionRefusedError

    world.take = refuse
    world.tailer.run()
    world.stopping.clear()
    world.take = world.datagrams.append
    world.start()
    world.seconds()
    assert world.messages == ["1", "2"]


def test_a_record_that_the_socket_finds_too_large_is_halved(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "x" * 100_000 + "\nnext\n")

    def take(datagram: bytes) -> None:
        if len(datagram) > 40_000:
            raise OSError(errno.EMSGSIZE, "too long")
        world.datagrams.append(datagram)

    world.take = take
    world.seconds()
    assert [(record["message"], record.get("truncated")) for record in world.records] == [
        ("x" * 25_000, "1"),
        ("next", None),
    ]


def test_no_file_starves_the_others(world: World) -> None:
    write(sandbox(world.root, "loud") / "stdout", ("x" * 99 + "\n") * 200_000)
    write(sandbox(world.root, "quiet") / "stdout", "here\n")
    while "here" not in world.messages[-4000:]:
        assert world.tailer.turn(world.now)
    assert len(world.datagrams) < 8_000


def test_more_files_than_may_be_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipper.host.tailer._MOST_OPEN", 8)
    world.start()
    logs = [sandbox(world.root, f"shop.{number}") / "stdout" for number in range(40)]
    for number, log in enumerate(logs):
        write(log, f"{number} a\n")
    world.seconds()
    assert world.tailer.figures().open <= 8
    for number, log in enumerate(logs):
        write(log, f"{number} b\n")
        log.rename(log.with_name("stdout.1"))
        write(log, f"{number} c\n")
    world.seconds()
    expected = [[f"{number} a", f"{number} b"] for number in range(40)] + [[f"{number} c"] for number in range(40)]
    assert sorted(world.stored().values()) == sorted(expected)


def test_patterns_read_a_rotated_file_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    world = World(tmp_path, files=(f"{logs}/*.log*",))
    log = logs / "app.log"
    for number in range(4):
        write(log, f"{number}\n")
        world.seconds(2)
        for old in range(number, -1, -1):
            name = logs / f"app.log{'.' + str(old) if old else ''}"
            if name.exists():
                name.rename(logs / f"app.log.{old + 1}")
        if number == 2:
            world.start()
    world.seconds(10)
    assert sorted(world.stored().values()) == [["0"], ["1"], ["2"], ["3"]]
    assert {record["file"] for record in world.records} == {str(log)}
    assert "task" not in world.records[0]


def test_paths_of_any_bytes(world: World) -> None:
    odd = os.fsdecode(b'a"b\n\xff\xc3\xa9 c')
    write(sandbox(world.root, odd) / "stdout", "1\n")
    world.seconds(0.5)
    world.start()
    world.seconds()
    assert {record["task"] for record in world.records} == {'a"b\n\ufffdé c'}
    assert list(world.stored().values()) == [["1"]]


def test_a_damaged_checkpoint_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.stop()
    (world.work / "tailer.json").write_text('{"version": 1, "positions": [{"series"')
    world.start()
    assert "tailer.json: damaged" in capsys.readouterr().err


def test_a_torn_line_in_the_journal_is_the_last(world: World) -> None:
    log = sandbox(world.root) / "stdout"
    write(log, "1\n")
    world.seconds(0.5)
    with (world.work / "tailer.journal").open("ab") as journal:
        journal.write(b'{"series":"00')
    world.start()
    world.seconds()
    assert list(world.stored().values()) == [["1"]]


def test_a_read_error_is_counted_and_the_others_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = sandbox(world.root, "bad") / "stdout", sandbox(world.root, "good") / "stdout"
    write(bad, "bad\n")
    inode = bad.stat().st_ino
    pread = os.pread

    def broken(descriptor: int, size: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == inode and size > 100:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", broken)
    write(good, "good\n")
    world.seconds()
    assert world.messages == ["good"]
    assert world.tailer.figures().errors >= 1
    monkeypatch.setattr(os, "pread", pread)
    world.seconds()
    assert sorted(world.messages) == ["bad", "good"]
