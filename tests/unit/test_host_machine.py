"""What waits on disk: rsyslogd's files, but for what it keeps of a queue that is empty."""

from pathlib import Path

from shipper.host.machine import queue_bytes


def _note(folder: Path, queue: str, records: int) -> None:
    size = str(records)
    note = f"<OPB:1:qqueue:1:\n+iQueueSize:2:{len(size)}:{size}:\n+sizeOnDisk:2:1:0:\n>End\n"
    (folder / f"{queue}.qi").write_text(note)


def test_what_waits_on_disk_is_counted(run_dir: Path) -> None:
    assert queue_bytes(str(run_dir / "none")) == 0
    (run_dir / "tailer.json").write_text("{}")
    for name in ("normal.00000001", "normal.00000002", "warning.00000009"):
        (run_dir / name).write_bytes(b"x" * 1000)
    assert queue_bytes(str(run_dir)) == 3000  # no note: left by a kill
    _note(run_dir, "normal", 12)
    _note(run_dir, "warning", 0)
    assert queue_bytes(str(run_dir)) == 2000
    _note(run_dir, "normal", 0)
    assert queue_bytes(str(run_dir)) == 0
