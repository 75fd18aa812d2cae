"""Which container and task wrote a datagram: from the writer's process id, at once, never a guess."""

from typing import Final

from shipper.host import processes as kernel
from shipper.host.cgroups import Cgroups, is_id, places
from shipper.host.containers import Containers, Origin
from shipper.host.processes import Processes, Stat

__all__ = ["DOCKERD", "HOST", "UNKNOWN", "Origin", "Origins"]

#: A process on the host itself; the Docker daemon, which is one too; one that nothing is known of.
HOST: Final = Origin(b"", known=True, dockerd=False)
DOCKERD: Final = Origin(b"", known=True, dockerd=True)
UNKNOWN: Final = Origin(b"", known=False, dockerd=False)

#: A process is looked at again after one to two of these: it may have been moved, or have become another program.
_FORGET_SECONDS: Final = 10.0
#: Processes in each of the two halves of the memory.
_MOST_PROCESSES: Final = 8192

#: What one process has and no other until the next boot: its pidfd's number, or its id and start.
_Key = int | tuple[int, int]


class Origins:
    """Names the writer of each datagram. Nothing is raised, and nobody is waited for."""

    def __init__(
        self,
        proc: str = "/proc",
        cgroup_root: str = "/sys/fs/cgroup",
        sandboxes: str = "",
        docker_data: str = "/var/lib/docker",
    ) -> None:
        """`sandboxes` is the Mesos agent's work_dir ("": none), `docker_data` Docker's data-root."""
        self.resolved = 0
        self.unresolved = 0
        self._processes = Processes(proc)
        self._cgroups = Cgroups(cgroup_root)
        self._containers = Containers(self._processes, self._cgroups, sandboxes, docker_data)
        self._shared_device = kernel.shared_device()
        # Two halves: the older one is dropped as a whole, so that memory and age have a limit at no cost.
        self._young: dict[_Key, Origin | str] = {}
        self._old: dict[_Key, Origin | str] = {}
        self._forget_at = 0.0

    def origin(self, pid: int, pidfd: int | None) -> Origin:
        """Say who has this pid; a pidfd makes it certain, and holds for a process that has ended (Linux 6.15)."""
        try:
            found = self._find(pid, pidfd)
        except (OSError, ValueError):
            found = UNKNOWN
        origin = self._containers.origin(found) if isinstance(found, str) else found
        if origin.known:
            self.resolved += 1
        else:
            self.unresolved += 1
        return origin

    def container(self, container_id: str) -> Origin:
        """Say who a Docker container is, also one whose processes never wrote themselves."""
        return self._containers.origin(container_id) if is_id(container_id) else UNKNOWN

    def tick(self, now: float) -> None:
        """Look for new containers and forget old ones; once a second, `now` in seconds of a clock that only grows."""
        self._cgroups.tick()
        self._containers.tick(now)
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_SECONDS
            self._forget()

    def _find(self, pid: int, pidfd: int | None) -> Origin | str:
        """The container's id, or what else it is."""
        key: _Key | None = None if pidfd is None else kernel.unique_number(pidfd, self._shared_device)
        stat = None
        if key is None:
            stat = self._processes.stat(pid)
            key = (pid, stat.start)
        found = self._young.get(key) or self._old.get(key)
        if found is None:
            found = self._look(pid, pidfd, stat)
            if found is not UNKNOWN:
                self._remember(key, found)
        return found

    def _look(self, pid: int, pidfd: int | None, stat: Stat | None) -> Origin | str:
        found = self._living(pid, pidfd, stat)
        if found is not UNKNOWN or pidfd is None:
            return found
        cgroup_id = kernel.last_cgroup_id(pidfd)
        owner = None if cgroup_id is None else self._cgroups.owner(cgroup_id)
        return UNKNOWN if owner is None else owner or HOST

    def _living(self, pid: int, pidfd: int | None, before: Stat | None) -> Origin | str:
        """What /proc says, if it says it of the process that wrote: its id may be another's by now."""
        try:
            found = places(self._processes.cgroup(pid))
            on_host = UNKNOWN if found else self._on_host(pid)
            after = self._processes.stat(pid)
        except OSError:
            return UNKNOWN
        is_same = before is not None and before.start == after.start if pidfd is None else kernel.has_its_id(pidfd)
        if not is_same:
            return UNKNOWN
        if not found:
            # A process that ends is moved to "/" before anybody is told: that is not the host.
            return UNKNOWN if after.exiting else on_host
        for each in found:
            self._cgroups.learn(each)
        containers = {each.container for each in found}
        return containers.pop() if len(containers) == 1 else UNKNOWN  # one in each hierarchy: nobody knows

    def _on_host(self, pid: int) -> Origin:
        is_daemon = self._processes.name(pid) == "dockerd" and self._processes.owner(pid) == 0
        return DOCKERD if is_daemon else HOST

    def _remember(self, key: _Key, found: Origin | str) -> None:
        if len(self._young) >= _MOST_PROCESSES:
            self._forget()
        self._young[key] = found

    def _forget(self) -> None:
        self._old, self._young = self._young, {}
