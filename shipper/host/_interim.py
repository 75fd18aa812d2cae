"""Stands in for origins and docker_lines until they are there: nobody is known, nobody is the Docker daemon."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a record."""

    json: bytes = b""
    known: bool = False
    dockerd: bool = False


class Origins:
    """Knows nobody."""

    def __init__(self, proc: str = "/proc", cgroup_root: str = "/sys/fs/cgroup", sandboxes: str = "") -> None:
        self.unresolved = 0

    def origin(self, pid: int, pidfd: int | None) -> Origin:
        """Return who has this pid."""
        return Origin()

    def container(self, container_id: str) -> Origin:
        """Return what is known of a container."""
        return Origin()

    def tick(self, now: float) -> None:
        """Forget what is gone."""


@dataclass(frozen=True, slots=True)
class DockerLine:
    """One line of a container's output."""

    origin: Origin
    pri: int
    stream: str
    message: bytes
    truncated: bool


class DockerLines:
    """Has no lines."""

    def __init__(self, container: Callable[[str], Origin], limit: int) -> None:
        pass

    def feed(self, data: bytes, now: float) -> list[DockerLine]:
        """Take one datagram."""
        return []

    def due(self, now: float) -> list[DockerLine]:
        """Return what waited too long for its continuation."""
        return []
