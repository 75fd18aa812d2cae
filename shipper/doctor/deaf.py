"""Which containers are deaf: they write to a socket that is no longer read. Named, as each must be restarted."""

from collections.abc import Iterator
from typing import Final

from shipper.doctor import docker
from shipper.doctor.containers import Container, Scan, scan
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, many, ok, skipped, some, warning
from shipper.doctor.hearing import Hearing

_NAME: Final = "containers"


def check(examination: Examination) -> Iterator[Finding]:
    """Compare the socket that each container has with the one that is read."""
    found = examination.containers = scan(examination.settings.socket)
    if found.hidden:
        yield skipped(_NAME, f"{found.hidden:,} processes of containers may not be looked at; run as root")
    deaf, others = found.of(Hearing.DEAF), found.of(Hearing.OTHER)
    names = docker.names() if deaf or others else {}
    if deaf:
        yield failed(
            _NAME,
            f"{len(deaf)} of {many(len(found.containers), 'container')} deaf, as their socket is gone: "
            f"{_listed(deaf, names)}",
            "restart each of them (in Marathon: kill the task); never remove or remake the socket, mount its directory "
            "where that must be possible",
        )
    if others:
        yield warning(
            _NAME,
            f"{many(len(others), 'container')} with a /dev/log that is not ours: {_listed(others, names)}",
            f"if their records are wanted, mount {examination.settings.socket} as /dev/log",
        )
    if not deaf and not others and (found.containers or not found.hidden):
        yield ok(_NAME, _healthy(found))


def _listed(containers: list[Container], names: dict[str, str]) -> str:
    return some([container.described(names) for container in containers])


def _healthy(found: Scan) -> str:
    if not found.containers:
        return "no containers run"
    live = found.of(Hearing.LIVE)
    by_file = sum(container.way.by_file for container in live)
    without = len(found.of(Hearing.NONE))
    how = f" ({by_file} by the socket itself, {len(live) - by_file} by its directory)" if live else ""
    rest = f"; {without} without /dev/log" if without else ""
    return f"none deaf: {many(len(live), 'container')} with the live socket{how}{rest}"
