"""The reader's numbers outlive it, and nothing else is taken for them."""

from pathlib import Path

from shipper.host import shared
from shipper.host.shared import Cell

START = "0t8k2l4abcde"


def test_a_killed_readers_numbers_are_left(tmp_path: Path) -> None:
    memory = shared.create(tmp_path / "state")
    memory.begin(START)
    memory.cells[Cell.W_LAST] = 2**31
    memory.cells[Cell.N_DROPPED] += 3
    left = shared.left(tmp_path / "state")
    assert left == memory.snapshot()
    assert left is not None
    assert (left.start, left[Cell.W_LAST], left.dropped) == (START, 2**31, 3)


def test_an_ordered_end_leaves_nothing_to_report(tmp_path: Path) -> None:
    memory = shared.create(tmp_path / "state")
    memory.begin(START)
    memory.cells[Cell.ENDED] = 1
    assert shared.left(tmp_path / "state") is None


def test_a_new_file_does_not_touch_what_an_older_reader_still_writes(tmp_path: Path) -> None:
    old = shared.create(tmp_path / "state")
    old.begin(START)
    new = shared.create(tmp_path / "state")
    new.begin("0t8k2l4fghij")
    old.cells[Cell.N_LAST] = 7
    assert new.snapshot()[Cell.N_LAST] == 0
    assert old.snapshot().start == START


def test_what_is_no_such_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert shared.left(path) is None
    path.write_bytes(b"")
    assert shared.left(path) is None
    shared.create(path).begin(START)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert shared.left(path) is None
    path.write_bytes(path.read_bytes() + b"x")
    assert shared.left(path) is None
