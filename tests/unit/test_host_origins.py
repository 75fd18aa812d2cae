"""Who wrote a datagram, from a proc folder and cgroups made for the test: every layout, every way to be fooled."""

import json
import os
import time
from pathlib import Path

import orjson
import pytest

from shipper.host import tasks
from shipper.host.cgroups import Cgroups, Place, place
from shipper.host.origins import DOCKERD, HOST, UNKNOWN, Origin, Origins

ID, OTHER = "a1" * 32, "b2" * 32
RUN, NESTED = "5b9d8c2e-1111-2222-3333-0123456789ab", "00000000-1111-2222-3333-0123456789ab"
EXITING = 0x4


class World:
    """A proc folder, cgroups of version 1 and "unified", sandboxes and Docker's folder, all below one folder."""

    def __init__(self, root: Path) -> None:
        self.proc, self.cgroups = root / "proc", root / "cgroup"
        self.sandboxes, self.docker = root / "mesos", root / "docker"
        for folder in (self.proc, self.cgroups / "memory", self.cgroups / "unified"):
            folder.mkdir(parents=True)
        self.origins = self.new_origins()

    def new_origins(self) -> Origins:
        return Origins(str(self.proc), str(self.cgroups), f"{self.sandboxes}/", str(self.docker))

    def process(
        self,
        pid: int,
        path: str = "/",
        *,
        env: dict[str, str] | None = None,
        ids: list[int] | None = None,
        name: str = "app",
        start: int = 100,
        flags: int = 0,
    ) -> None:
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        fields = ["S", "1", "1", "1", "0", "-1", str(flags), *["0"] * 12, str(start), "0"]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
        (folder / "comm").write_text(f"{name}\n")
        (folder / "cgroup").write_text(f"4:memory:{path}\n1:name=systemd:{path}\n0::{path}\n")
        spelled = "\t".join(str(each) for each in (ids or [pid]))
        (folder / "status").write_text(f"Name:\t{name}\nNStgid:\t{spelled}\nNSpid:\t{spelled}\nThreads:\t1\n")
        (folder / "environ").write_bytes(b"".join(f"{key}={value}\0".encode() for key, value in (env or {}).items()))

    def cgroup(self, path: str, *pids: int) -> Path:
        for hierarchy in ("memory", "unified"):
            folder = self.cgroups / hierarchy / path.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return folder

    def configure(self, container: str, env: object) -> None:
        folder = self.docker / "containers" / container
        folder.mkdir(parents=True)
        (folder / "config.v2.json").write_text(json.dumps({"ID": container, "Config": {"Env": env}}))

    def members(self, pid: int) -> dict[str, str]:
        return members(self.origins.origin(pid, None))


def members(origin: Origin) -> dict[str, str]:
    assert origin.json[:1] in (b"", b",")
    parsed: dict[str, str] = orjson.loads(b'{"v":"1"' + origin.json + b"}")
    del parsed["v"]
    return parsed


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("path", "container"),
    [
        (f"/docker/{ID}", ID),
        (f"/system.slice/docker-{ID}.scope", ID),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", ID),
        (f"/kubepods/burstable/pod7/{ID}", ID),
        (f"/mesos/{RUN}/{ID}", ID),
        (f"/docker/{ID}/system.slice/app.service", ID),
        (f"/docker/{ID}/docker/{OTHER}", ID),
        (f"/docker/{ID}/mesos/{RUN}", ID),
        (f"/mesos/{RUN}", RUN),
        (f"/mesos/{RUN}/mesos/{NESTED}", RUN),
        (f"/system.slice/mesos/{RUN}", RUN),
        ("/", None),
        ("/system.slice/docker.service", None),
        (f"/docker/{ID[:-1]}", None),
        (f"/docker/{ID}0", None),
        (f"/docker/{ID.upper()}", None),
        (f"/{RUN}", None),
        ("/process_api/1ef0d61a2f49033dbe5159d543fcf799", None),
    ],
)
def test_a_path_says_the_container(world: World, path: str, container: str | None) -> None:
    found = place(path)
    assert (found.container if found else None) == container
    world.process(7, path)
    origin = world.origins.origin(7, None)
    assert origin.known
    assert members(origin) == ({"container": container} if container else {})


def test_a_removed_cgroup_still_says_its_container(world: World) -> None:
    world.process(7, f"/docker/{ID} (deleted)")
    assert world.members(7) == {"container": ID}


def test_different_containers_in_different_hierarchies_are_nobodys(world: World) -> None:
    world.process(7)
    (world.proc / "7" / "cgroup").write_text(f"4:memory:/docker/{ID}\n0::/docker/{OTHER}\n")
    assert world.origins.origin(7, None) is UNKNOWN


def test_a_container_seen_by_one_hierarchy_only(world: World) -> None:
    world.process(7)
    (world.proc / "7" / "cgroup").write_text(f"4:memory:/mesos/{RUN}\n1:name=systemd:/\n0::/\n")
    assert world.members(7) == {"container": RUN}


def test_the_host_and_the_docker_daemon(world: World) -> None:
    world.process(7, "/system.slice/cron.service")
    world.process(8, "/system.slice/docker.service", name="dockerd")
    world.process(9, f"/docker/{ID}", name="dockerd")
    assert world.origins.origin(7, None) is HOST
    origin = world.origins.origin(8, None)
    assert origin is (DOCKERD if os.geteuid() == 0 else HOST)
    assert not world.origins.origin(9, None).dockerd
    assert (world.origins.resolved, world.origins.unresolved) == (3, 0)


@pytest.mark.parametrize("pid", [0, -1, 99999])
def test_nobody(world: World, pid: int) -> None:
    assert world.origins.origin(pid, None) is UNKNOWN
    assert (world.origins.resolved, world.origins.unresolved) == (0, 1)


def test_a_process_that_ends_is_not_taken_for_the_hosts(world: World) -> None:
    world.process(7, "/", flags=EXITING)
    assert world.origins.origin(7, None) is UNKNOWN


@pytest.mark.parametrize("broken", ["", "7 (app)", "7 (app) S 1", "7 (a) b) " + "x " * 30])
def test_a_stat_that_cannot_be_read_is_nobody(world: World, broken: str) -> None:
    world.process(7, f"/docker/{ID}")
    (world.proc / "7" / "stat").write_text(broken)
    assert world.origins.origin(7, None) is UNKNOWN


def test_a_name_may_hold_anything(world: World) -> None:
    world.process(7, f"/docker/{ID}", name="a) S 1 (b\n")
    assert world.members(7) == {"container": ID}


def test_a_pid_used_again_is_another_process(world: World) -> None:
    world.process(7, f"/docker/{ID}", start=100)
    assert world.members(7) == {"container": ID}
    world.process(7, f"/docker/{OTHER}", start=101)
    assert world.members(7) == {"container": OTHER}
    world.process(7, "/", start=102)
    assert world.origins.origin(7, None) is HOST


def test_a_pidfd_of_a_process_that_ended_is_not_asked_of_the_next_with_its_pid(world: World) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    try:
        world.process(pid, f"/docker/{ID}")  # another one has its id now
        assert not world.origins.origin(pid, pidfd).json
        assert world.members(pid) == {"container": ID}
        assert not world.origins.origin(pid, pidfd).json
    finally:
        os.close(pidfd)


def test_a_moved_process_is_seen_within_seconds(world: World) -> None:
    world.process(7, "/")
    assert world.origins.origin(7, None) is HOST
    world.process(7, f"/docker/{ID}")
    for now in (0, 5, 11, 22):
        world.origins.tick(now)
    assert world.members(7) == {"container": ID}


TASK = {
    "SECRET": "hush",
    "MESOS_TASK_ID": "shop_api.1",
    "MARATHON_APP_ID": "/shop/api",
    "MARATHON_APP_VERSION": "2026-11-23T00:00:00.000Z",
}
TOLD = {
    "container": ID,
    "task": "shop_api.1",
    "app": "/shop/api",
    "app_version": "2026-11-23T00:00:00.000Z",
}


def test_the_task_is_that_of_the_first_process_and_not_of_the_writer(world: World) -> None:
    world.cgroup(f"/docker/{ID}", 30, 40, 50)
    world.process(30, f"/docker/{ID}", env={"MESOS_TASK_ID": "forged-by-exec"}, ids=[30, 57], start=1)
    world.process(40, f"/docker/{ID}", env=TASK, ids=[40, 1], start=50)
    world.process(50, f"/docker/{ID}", env={"MESOS_TASK_ID": "forged-by-namespace"}, ids=[50, 60, 1], start=60)
    for pid in (30, 50, 40):
        assert world.members(pid) == TOLD
    assert members(world.origins.container(ID)) == TOLD


def test_with_the_hosts_process_ids_the_oldest_is_the_first(world: World) -> None:
    world.cgroup(f"/docker/{ID}", 30, 40)
    world.process(30, f"/docker/{ID}", env={"MESOS_TASK_ID": "later"}, start=70)
    world.process(40, f"/docker/{ID}", env=TASK, start=50)
    assert world.members(30) == TOLD


def test_no_first_process_no_task(world: World) -> None:
    world.cgroup(f"/docker/{ID}", 30)
    world.process(30, f"/docker/{ID}", env={"MESOS_TASK_ID": "forged"}, ids=[30, 57])
    assert world.members(30) == {"container": ID}


def test_among_very_many_processes_the_oldest_is_not_guessed(world: World) -> None:
    pids = range(1000, 1100)
    world.cgroup(f"/docker/{ID}", *pids)
    for pid in pids:
        world.process(pid, f"/docker/{ID}", env={"MESOS_TASK_ID": "guess"}, start=pid)
    assert world.members(1000) == {"container": ID}


def test_dockers_own_file_is_believed_before_any_process(world: World) -> None:
    world.configure(ID, [f"{key}={value}" for key, value in TASK.items()])
    world.cgroup(f"/docker/{ID}", 30)
    world.process(30, f"/docker/{ID}", env={"MESOS_TASK_ID": "rewritten"}, ids=[30, 1])
    assert world.members(30) == TOLD
    assert members(world.origins.container(ID)) == TOLD


@pytest.mark.parametrize("env", [None, [], ["A=b"], [7, None, {}]])
def test_a_container_without_a_task(world: World, env: object) -> None:
    world.configure(ID, env)
    assert members(world.origins.container(ID)) == {"container": ID}


@pytest.mark.parametrize("env", [{}, "MESOS_TASK_ID=x", 7])
def test_a_file_that_says_nothing_leaves_it_to_the_first_process(world: World, env: object) -> None:
    world.configure(ID, env)
    world.cgroup(f"/docker/{ID}", 30)
    world.process(30, f"/docker/{ID}", env=TASK, ids=[30, 1])
    assert world.members(30) == TOLD


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Config": 5}', '{"Config": {}}', "\xff"])
def test_a_broken_file_is_no_file(world: World, text: str) -> None:
    world.configure(ID, None)
    (world.docker / "containers" / ID / "config.v2.json").write_text(text, encoding="latin-1")
    assert members(world.origins.container(ID)) == {"container": ID}


@pytest.mark.parametrize("container", ["", "../../etc", ID + "\n", ID[:-1], RUN, "A1" * 32])
def test_what_is_no_id_of_docker_is_looked_for_nowhere(world: World, container: str) -> None:
    assert world.origins.container(container) is UNKNOWN


@pytest.mark.parametrize(
    ("env", "values"),
    [
        (["mesos_task_id=ct:1:0:job:", "CHRONOS_JOB_NAME=nightly"], {"task": "ct:1:0:job:", "job": "nightly"}),
        (["MESOS_TASK_ID=a", "mesos_task_id=b"], {"task": "a"}),
        (["mesos_task_id=b", "MESOS_TASK_ID=a"], {"task": "a"}),
        (["MESOS_TASK_ID=a", "MESOS_TASK_ID=b"], {"task": "a"}),
        (["MESOS_TASK_ID=", "mesos_task_id=b"], {"task": "b"}),
        (["MESOS_TASK_ID=" + "x" * 255], {"task": "x" * 255}),
        (["MESOS_TASK_ID=" + "x" * 256], {}),
        (["MESOS_TASK_ID=a\nb"], {}),
        (["MESOS_TASK_ID=a\x1b[31m"], {}),
        (["MESOS_TASK_ID=\udcff"], {}),
        (["MESOS_TASK_ID"], {}),
        (["XMESOS_TASK_ID=a", "PASSWORD=hush"], {}),
        (["MARATHON_APP_ID=/a=b"], {"app": "/a=b"}),
    ],
)
def test_what_is_taken_of_an_environment(env: list[str], values: dict[str, str]) -> None:
    assert tasks.of_environment(env) == values


def test_an_environment_that_is_not_ready_is_looked_at_again(world: World) -> None:
    world.cgroup(f"/docker/{ID}", 30)
    world.process(30, f"/docker/{ID}", name="runc:[2:INIT]", env={"MESOS_TASK_ID": "of-runc"}, ids=[30, 1])
    assert world.members(30) == {"container": ID}
    world.process(30, f"/docker/{ID}", env=TASK, ids=[30, 1])
    assert world.members(30) == TOLD


def test_looking_again_has_an_end(world: World) -> None:
    world.cgroup(f"/docker/{ID}", 30)
    world.process(30, f"/docker/{ID}", ids=[30, 1])
    for second in range(20):
        for _ in range(5):
            assert world.members(30) == {"container": ID}
        world.origins.tick(second)
    world.process(30, f"/docker/{ID}", env=TASK, ids=[30, 1])
    assert world.members(30) == {"container": ID}


def test_a_container_is_kept_while_it_lives_and_for_minutes_after(world: World) -> None:
    folder = world.cgroup(f"/docker/{ID}", 30)
    world.process(30, f"/docker/{ID}", env=TASK, ids=[30, 1])
    assert world.members(30) == TOLD
    (world.proc / "30" / "environ").unlink()
    for now in range(0, 4000, 100):
        world.origins.tick(now)
    assert members(world.origins.container(ID)) == TOLD
    (folder / "cgroup.procs").unlink()
    for hierarchy in ("memory", "unified"):
        for file in (world.cgroups / hierarchy / "docker" / ID).iterdir():
            file.unlink()
        (world.cgroups / hierarchy / "docker" / ID).rmdir()
    world.origins.tick(4100)
    assert members(world.origins.container(ID)) == TOLD
    world.origins.tick(4300)
    assert members(world.origins.container(ID)) == {"container": ID}


def test_a_sandbox_says_the_task_of_a_mesos_container(world: World) -> None:
    task = "shop_web.7f4f3c9e-aaaa"
    (world.sandboxes / "slaves" / "S1" / "frameworks" / "F0" / "executors" / task / "runs" / RUN).mkdir(parents=True)
    (world.sandboxes / "slaves" / "S2" / "frameworks" / "F0" / "executors" / "x" / "runs" / NESTED).mkdir(parents=True)
    world.cgroup(f"/mesos/{RUN}", 30)
    world.process(30, f"/mesos/{RUN}", env={"MARATHON_APP_ID": "/shop/web", "MESOS_TASK_ID": "other"})
    world.process(31, f"/mesos/{RUN}/mesos/{NESTED}")
    for pid in (30, 31):
        assert world.members(pid) == {"container": RUN, "task": task, "app": "/shop/web"}


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("/slaves/S1/frameworks/F0/executors/shop_web.7/runs/{run}", "shop_web.7"),
        ("/slaves/S1/frameworks/F0/executors/shop_web.7/runs/{run}/data", None),
        ("/slaves/S1/frameworks/F0/executors/shop_web.7/runs/" + NESTED, None),
        ("/slaves/S1/frameworks/F0/executors/a/runs/x/slaves/S1/frameworks/F0/executors/forged/runs/{run}", None),
        ("/slaves/S1/frameworks/F0/executors/a\x1b/runs/{run}", None),
        ("/slaves/S1/frameworks/F0/executors/" + "a" * 256 + "/runs/{run}", None),
        ("", None),
    ],
)
def test_the_folder_of_the_first_process_says_the_task_at_once(world: World, path: str, task: str | None) -> None:
    folder = str(world.sandboxes) + path.format(run=RUN)
    assert tasks.executor(str(world.sandboxes), RUN, folder) == task
    assert tasks.executor(str(world.sandboxes), RUN, "/elsewhere" + path.format(run=RUN)) is None
    world.cgroup(f"/mesos/{RUN}", 30)
    world.process(30, f"/mesos/{RUN}")
    (world.proc / "30" / "cwd").symlink_to(folder)
    assert world.members(30) == {"container": RUN, **({"task": task} if task else {})}


def test_without_a_sandbox_the_first_process_says_the_task(world: World) -> None:
    world.cgroup(f"/mesos/{RUN}", 30)
    world.process(30, f"/mesos/{RUN}", env=TASK)
    assert world.members(30) == {**TOLD, "container": RUN}


def test_sandboxes_without_number_are_not_all_looked_at(world: World) -> None:
    executors = world.sandboxes / "slaves" / "S1" / "frameworks" / "F0" / "executors"
    for number in range(2100):
        (executors / f"task.{number}").mkdir(parents=True)
    began = time.perf_counter()
    assert tasks.executor(str(world.sandboxes), RUN, "") is None
    print(f"2,048 sandboxes looked through in {(time.perf_counter() - began) * 1000:.1f} ms")


def test_a_version_2_cgroup_id_says_the_container(tmp_path: Path) -> None:
    for hybrid, mount in ((True, tmp_path / "hybrid" / "unified"), (False, tmp_path / "alone")):
        new = mount / "docker" / ID
        new.mkdir(parents=True)
        service = mount / "system.slice" / "cron.service"
        service.mkdir(parents=True)
        if not hybrid:
            (mount / "cgroup.controllers").touch()
        cgroups = Cgroups(str(tmp_path / "hybrid") if hybrid else str(mount))
        assert cgroups.owner(new.stat().st_ino) == ID
        assert cgroups.owner(service.stat().st_ino) == (None if hybrid else "")
        later = mount / "kubepods" / f"docker-{OTHER}.scope"
        later.mkdir(parents=True)
        cgroups.tick()
        assert cgroups.owner(later.stat().st_ino) is None
        cgroups.learn(Place(ID, f"/kubepods/docker-{ID}.scope"))
        assert cgroups.owner(later.stat().st_ino) == OTHER
        number = new.stat().st_ino
        new.rmdir()
        cgroups.tick()
        assert cgroups.owner(number) == ID, "its last records may be on their way"


def test_unknown_cgroup_ids_cost_a_few_looks_a_second(tmp_path: Path) -> None:
    (tmp_path / "unified" / "docker").mkdir(parents=True)
    cgroups = Cgroups(str(tmp_path))
    for unknown in range(20):
        assert cgroups.owner(unknown) is None
    new = tmp_path / "unified" / "docker" / ID
    new.mkdir()
    assert cgroups.owner(new.stat().st_ino) is None
    cgroups.tick()
    assert cgroups.owner(new.stat().st_ino) == ID


def test_learnt_folders_have_a_limit_and_the_usual_ones_stay(tmp_path: Path) -> None:
    for path in (f"docker/{ID}", f"new/cri-containerd-{OTHER}.scope"):
        (tmp_path / "unified" / path).mkdir(parents=True)
    cgroups = Cgroups(str(tmp_path))
    for number in range(200):
        cgroups.learn(Place(ID, f"/pods/{number}/{ID}"))
    cgroups.learn(Place(ID, f"/new/cri-containerd-{ID}.scope"))
    assert cgroups.folder(ID) == str(tmp_path / "unified" / "docker" / ID)
    assert cgroups.folder(OTHER) == str(tmp_path / "unified" / "new" / f"cri-containerd-{OTHER}.scope")
    assert len(cgroups._homes) == 64


def test_memory_has_limits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipper.host.origins._MOST_PROCESSES", 20)
    monkeypatch.setattr("shipper.host.containers._MOST_CONTAINERS", 10)
    for start in range(200):
        world.process(7, f"/docker/{start:064x}", start=start)
        assert world.members(7) == {"container": f"{start:064x}"}
    assert len(world.origins._young) + len(world.origins._old) <= 40
    assert len(world.origins._containers._table) == 10


def test_a_machine_without_cgroups_or_proc(tmp_path: Path) -> None:
    origins = Origins(str(tmp_path / "no"), str(tmp_path / "nothing"), "", "")
    origins.tick(0)
    assert origins.origin(1, None) is UNKNOWN
    assert members(origins.container(ID)) == {"container": ID}
