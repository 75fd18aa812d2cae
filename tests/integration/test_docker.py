"""The Docker daemon of tests: it runs containers, starts again, and leaves nothing behind, however it ends."""

from pathlib import Path

import psutil

from tests.servers import docker as docker_daemon
from tests.servers.docker import Docker


def test_a_container_runs_and_is_removed(docker: Docker) -> None:
    with docker.run("sh", "-c", "echo hello; exec sleep 60", name="hello", env={"WHO": "it"}) as container:
        assert len(container.id) == 64
        assert container.exec("sh", "-c", "echo $WHO$MORE", env={"MORE": "self"}) == "itself\n"
        assert container.logs() == "hello\n"
        assert Path(f"/proc/{container.init_pid}/comm").read_text() == "sleep\n"
        assert container.id in Path(f"/proc/{container.init_pid}/cgroup").read_text()
    assert container.id not in docker.command("ps", "--all", "--quiet", "--no-trunc")


def test_a_daemon_that_is_killed_starts_again_and_leaves_nothing() -> None:
    with docker_daemon.running() as docker:
        folder = docker.directory
        before = docker.run("sleep", "60").init_pid
        docker.kill9()
        assert psutil.pid_exists(before)
        docker.start()
        after = docker.run("sleep", "60").init_pid
        docker.restart()
        docker.run("sleep", "60")
        docker.kill9()
    assert not any(psutil.pid_exists(pid) for pid in (before, after))
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    assert not folder.exists()
