"""Commands that get a person into a task: exact, and nothing in them that a stranger wrote acts."""

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.cluster.enter import Target, hints, ways
from shipper.cluster.model import App, Task
from shipper.errors import ClusterRefused

DOCKER = Target("shop_api.uuid", "10.0.0.7", "mesos-c0ffee", "/var/lib/mesos/x")
PLAIN = Target("shop_api.uuid", "10.0.0.7", "", "/var/lib/mesos/slaves/S1/runs/it's me")


def test_a_docker_container() -> None:
    assert [(way.name, way.line) for way in ways(DOCKER)] == [
        ("exec", "ssh -t 10.0.0.7 'docker exec -it mesos-c0ffee sh'"),
        (
            "nsenter",
            "ssh -t 10.0.0.7 'nsenter --target \"$(docker inspect --format '\"'\"'{{.State.Pid}}'\"'\"' "
            "mesos-c0ffee)\" --mount --uts --ipc --net --pid sh'",
        ),
        (
            "debug",
            "ssh -t 10.0.0.7 'docker run --rm -it --pid container:mesos-c0ffee --network container:mesos-c0ffee "
            "--cap-add SYS_PTRACE busybox sh'",
        ),
    ]
    assert ways(DOCKER, "root", "tools:1")[2].command[:5] == ("ssh", "-t", "-l", "root", "10.0.0.7")
    assert ways(DOCKER, "root", "tools:1")[2].command[5].endswith(" tools:1 sh")


def test_a_task_without_docker() -> None:
    exec_way, nsenter = ways(PLAIN)
    assert exec_way.command[-1] == "cd '/var/lib/mesos/slaves/S1/runs/it'\"'\"'s me' && exec sh"
    assert "MESOS_TASK_ID=shop_api.uuid" in nsenter.command[-1]


@pytest.fixture
def shells(tmp_path: Path) -> dict[str, str]:
    """An environment in which ssh runs what it is told here, and docker and nsenter say what they were told."""
    says = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@"\n'
    for name, text in {"ssh": '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n', "nsenter": says}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "docker").write_text('#!/bin/sh\n[ "$1" = inspect ] && echo 4711 && exit\n' + says.partition("\n")[2])
    for file in tmp_path.iterdir():
        file.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def _run(line: str, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_two_shells_read_it_as_it_was_meant(shells: dict[str, str]) -> None:
    exec_way, nsenter, debug = ways(DOCKER)
    assert _run(exec_way.line, shells) == ["docker", "exec", "-it", "mesos-c0ffee", "sh"]
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
    assert _run(nsenter.line, shells) == ["nsenter", "--target", "4711", *namespaces, "sh"]
    assert _run(debug.line, shells)[-4:] == ["--cap-add", "SYS_PTRACE", "busybox", "sh"]


def test_the_process_of_a_task_is_found(shells: dict[str, str]) -> None:
    if shutil.which("grep", path="/usr/bin:/bin") is None or not Path("/proc/self/environ").exists():
        pytest.skip("no grep or no /proc on this machine")
    task_id = 'ct:1:0:it\'s "a" $(job):x'
    for name in ("MESOS_TASK_ID", "mesos_task_id"):
        with subprocess.Popen(["sleep", "60"], env={name: task_id}) as process:
            try:
                assert _run(f"echo {Target(task_id, 'h', '', '/x').pid}", shells) == [str(process.pid)]
            finally:
                process.kill()


HOSTILE = st.text(alphabet="ab-$`'\"\\;&|<>(){}*?~# \n\r\x1b\x00\u202e/.:", min_size=1, max_size=20)


@settings(max_examples=200)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_name_becomes_a_command(host: str, container: str, task_id: str, folder: str) -> None:
    for target in ((host, container, task_id, ""), (host, "", task_id, f"/{folder}")):
        try:
            made = ways(Target(target[2], target[0], target[1], target[3]))
        except ClusterRefused:
            continue
        for way in made:
            assert way.line.isprintable()
            assert tuple(shlex.split(way.line)) == way.command
            assert way.command[:2] == ("ssh", "-t")
            assert not way.command[2].startswith("-")


@pytest.mark.parametrize(
    "target",
    [
        {"host": "-oProxyCommand=reboot"}, {"host": ""}, {"host": "a b"}, {"host": "a\x1b"}, {"container": "-v"},
        {"container": "a;b"}, {"container": "a\n"}, {"container": "", "sandbox": "relative"},
        {"container": "", "sandbox": "/a\x1b"}, {"container": "", "task_id": "a\nb"},
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(target: dict[str, Any]) -> None:
    good = {"task_id": "t", "host": "h", "container": "c", "sandbox": "/s"}
    with pytest.raises(ClusterRefused, match="no command is made of it") as caught:
        Target(**{**good, **target})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "options", [{"user": "-oX"}, {"user": "a b"}, {"image": "-v"}, {"image": "a b"}, {"image": ""}]
)
def test_options_are_names_too(options: dict[str, str]) -> None:
    with pytest.raises(ClusterRefused):
        ways(DOCKER, **options)


def _app(definition: dict[str, Any], service_ports: tuple[int, ...]) -> App:
    return App("/a", "v", {}, 1, service_ports, (), (), definition)


@pytest.mark.parametrize(
    ("definition", "service_ports", "port"),
    [
        ({}, (), 6060),  # the host's own port
        ({"container": {"portMappings": [{"containerPort": 80}, {"containerPort": 6060}]}}, (10000, 10001), 31001),
        ({"container": {"docker": {"portMappings": [{"containerPort": 6060}]}}}, (10000,), 31000),
        ({}, (10000, 6060), 31001),
    ],
)
def test_tools_find_the_port(definition: dict[str, Any], service_ports: tuple[int, ...], port: int) -> None:
    task = Task("t", "/a", "10.0.0.7", (31000, 31001))
    made = hints(DOCKER, _app(definition, service_ports), task, ["pprof:6060", "jconsole:6060"])
    assert [way.line for way in made] == [
        f"go tool pprof http://10.0.0.7:{port}/debug/pprof/profile",
        f"jconsole 10.0.0.7:{port}",
    ]


def test_tools_that_take_a_process() -> None:
    task = Task("t", "/a", "h")
    made = hints(DOCKER, _app({}, ()), task, ["gdb", "strace", "pprof", "jconsole:x", "unheard-of:1"])
    pid = "\"$(docker inspect --format '{{.State.Pid}}' mesos-c0ffee)\""
    assert [way.command[-1] for way in made] == [f"gdb -p {pid}", f"strace -f -p {pid}"]
    six = Target("t", "fe80::1", "c")
    assert hints(six, _app({}, ()), task, ["jconsole:9010"])[0].line == "jconsole '[fe80::1]:9010'"
