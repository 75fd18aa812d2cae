"""What is done with Marathon's answers, one after the other: health that is remembered, apps that are refused."""

import math
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from shipper.deploy.haproxy import Discovery, offenders
from shipper.deploy.haproxy_program import Program, is_free, is_taken
from shipper.errors import ConfigError
from shipper.generate.localhost import Settings
from tests.servers.process import free_port
from tests.unit.localhost_world import app, servers, task


def discovery(directory: Path) -> Discovery:
    """It takes every file; that HAProxy is told fails, as there is none."""
    program = Program(directory / "apps.cfg", check_command="true {}", reload_command="false")
    return Discovery(program, Settings(host_name="web-3", http_port=0, relp_port=free_port()))


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_a_new_leader_who_knows_no_health_takes_nobody_out(tmp_path: Path) -> None:
    port, follower = free_port(), discovery(tmp_path)

    async def serving(*known: bool | None) -> list[int]:
        tasks = [task("/a", number, healthy=each) for number, each in enumerate(known, 1)]
        await follower.take([app("/a", (port,), tasks=tasks)])
        return [int(name[7]) for name in servers((tmp_path / "apps.cfg").read_text(), f"backend a_{port}")]

    assert await serving(True, True, None) == [1, 2], "the third is starting"
    assert await serving(None, None, None) == [1, 2, 3], "a new leader"
    assert await serving(True, None, None) == [1, 2], "it has checked the first; the second was good"
    assert await serving(True, False, None) == [1]
    assert await serving(True, None, None) == [1], "bad was the last word about the second"


async def test_a_problem_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    follower = discovery(tmp_path)
    wrong = app("/a", (free_port(),), {"HAPROXY_0_MODE": "x"})
    for _ in range(3):
        status = await follower.take([wrong])
    assert len(status.problems) == 1
    assert [each.message for each in caplog.records].count("an app is not served as it asks") == 1
    assert [each.message for each in caplog.records].count("HAProxy stays as it is") == 1


@pytest.mark.parametrize("wrong", [(), ("app7",), ("app0", "app499"), tuple(f"app{number}" for number in range(8))])
async def test_refused_apps_are_found_by_halves(wrong: tuple[str, ...]) -> None:
    apps = [f"app{number}" for number in range(500)]
    checks = 0

    async def refuses(app_ids: Collection[str]) -> str:
        nonlocal checks
        checks += 1
        return next((f"{each} is wrong" for each in app_ids if each in wrong), "")

    assert await offenders(apps, refuses) == {each: f"{each} is wrong" for each in wrong}
    assert checks <= 1 + 2 * len(wrong) * math.ceil(math.log2(500))


async def test_looking_for_refused_apps_has_an_end() -> None:
    async def refuses(_: Collection[str]) -> str:
        return "no"

    assert await offenders([f"app{number}" for number in range(500)], refuses) is None


async def test_a_pid_file_that_names_another_program_signals_nobody(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = Program(tmp_path / "a.cfg", check_command="true {}", reload_command="true", pid_file=pid_file)
    for text in ("", "x", "-1", "0", "1", "99999999999", "2147483647"):
        pid_file.write_text(text)
        assert "names no running HAProxy" in await program.reload()


async def test_a_file_that_cannot_be_written_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").mkdir()
    program = Program(tmp_path / "a.cfg", check_command="true {}", reload_command="true")
    assert "cannot write" in await program.install("x")
    with pytest.raises(ConfigError, match="cannot read it"):
        program.current()
    assert names_in(tmp_path) == ["a.cfg"], "nothing is left behind"


async def test_what_a_command_says_is_one_clean_line(tmp_path: Path) -> None:
    code = r"print('[ALERT]    (12) : config : bad \x1b[31m thing' + 'x' * 1000 + '\nmore'); raise SystemExit(1)"
    program = Program(tmp_path / "a", check_command=f'{sys.executable} -c "{code}" {{}}', reload_command="true")
    reason = await program.refusal("x")
    assert reason.startswith("config : bad \\x1b[31m thingxxx")
    assert len(reason) == 300


def test_ports_that_are_taken() -> None:
    port = free_port()
    assert (is_free("127.0.0.1", port), is_taken("127.0.0.1", port)) == (True, False)
