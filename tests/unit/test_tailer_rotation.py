"""Any order of writing, rotating, killing and waiting: every line comes, under one id."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.tailer_world import World, sandbox

_ACTIONS = ["write", "write", "write", "much", "rename", "copytruncate", "look", "second", "rest", "kill", "stop"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from(_ACTIONS), max_size=40))
def test_every_line_has_one_id(tmp_path_factory: pytest.TempPathFactory, actions: list[str]) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    log = sandbox(world.root) / "stdout"
    log.touch()
    world.seconds(1)
    written: list[str] = []
    for number, action in enumerate(actions):
        match action:
            case "write" | "much":
                new = [f"{number}-{line}" for line in range(300 if action == "much" else 2)]
                with log.open("a") as file:
                    file.writelines(f"{line}\n" for line in new)
                written += new
            case "rename":
                log.rename(log.with_name(f"stdout.{1000 - number}"))
                log.touch()
            case "copytruncate":
                # A copy is known by what was read of the file before: something must have been.
                for when in ("seen", "unseen"):
                    written.append(f"{number} {when}")
                    with log.open("a") as file:
                        file.write(f"{number} {when}\n")
                    world.seconds(1.25 if when == "seen" else 0)
                copy = shutil.copyfile(log, log.with_name(f"stdout.{1000 - number}"))
                # Here both steps are one tick of the file system's clock, and the file may be renamed later.
                os.utime(copy, ns=(0, copy.stat().st_mtime_ns - 10**7))
                os.truncate(log, 0)
            case "kill":
                world.start()
            case "stop":
                world.stop()
                world.start()
            case _:
                world.seconds({"look": 0.25, "second": 1, "rest": 7}[action])
    world.seconds(3)
    found = [message for messages in world.stored().values() for message in messages]
    assert sorted(found) == sorted(written)
