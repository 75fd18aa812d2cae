"""A task as a process: `python task_process.py SANDBOXES TASK FOLDER`.

It runs twice, each time in a new sandbox, writes to stdout and stderr, rotates both in turn by rename and by copy and
truncate, waits for the file FOLDER/go, writes its last words and removes its sandboxes. Each line is in the manifest
FOLDER/TASK before it is in the log. The other side touches FOLDER/seen/LINE for each line of the form "… begins".
"""

import os
import random
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import TextIO


def main() -> None:
    root, task, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    chance = random.Random(task)
    runs = root / f"slaves/S0/frameworks/F0/executors/{task}/runs"
    with (folder / task).open("w") as manifest:
        for number in range(2):
            run = runs / str(uuid.uuid4())
            run.mkdir(parents=True)
            link = runs / f"link{number}"
            link.symlink_to(run)
            link.rename(runs / "latest")
            work(run, f"{task} run {number}", manifest, chance, folder / "seen")
        wait_for(folder / "go")
        write(run / "stdout", [f"{task} last words {run.name}"], manifest)
    shutil.rmtree(runs.parent)


def work(run: Path, name: str, manifest: TextIO, chance: random.Random, seen: Path) -> None:
    for stream in ("stdout", "stderr"):
        write(run / stream, [f"{name} {stream} begins"], manifest)
    for stream in ("stdout", "stderr"):  # a file that is rotated before it was ever seen is not known to be this one
        wait_for(seen / f"{name} {stream} begins")
    for part in range(6):
        for stream in ("stdout", "stderr"):
            log = run / stream
            write(log, [f'{name} {stream} {part} {line} "é\\' for line in range(chance.randrange(40))], manifest)
            time.sleep(chance.random() / 5)
            if part % 2 == 1:
                if part == 3:  # a copy is known by what was read of the file: that must be something
                    wait_for(seen / f"{name} {stream} {part - 2} begins")
                rotate(log, part, by_copy=part == 3)
                write(log, [f"{name} {stream} {part} begins"], manifest)
        time.sleep(1.5 if part % 2 else 0.1)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.05)


def write(log: Path, lines: list[str], manifest: TextIO) -> None:
    manifest.writelines(f"{line}\n" for line in lines)
    manifest.flush()
    with log.open("a") as file:
        for line in lines:
            file.write(line)
            file.flush()
            file.write("\n")


def rotate(log: Path, number: int, *, by_copy: bool) -> None:
    if by_copy:
        shutil.copyfile(log, log.with_name(f"{log.name}.{9 - number}"))
        os.truncate(log, 0)
    else:
        log.rename(log.with_name(f"{log.name}.{9 - number}"))


if __name__ == "__main__":
    main()
