"""HAProxy on a host, from Marathon's apps: each app on its service port of 127.0.0.1, and by host name on one port.

Pure: the same apps in any order give the same bytes. Nothing of an app stands in the file but what a strict pattern
allows (`_localhost_labels.py`), so no label changes its structure.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from pydantic import Field, model_validator

from shipper import config
from shipper.cluster.model import App
from shipper.generate import _localhost_sections as sections
from shipper.generate._localhost_labels import Entrance, in_groups, read, shown, usable_id
from shipper.generate._localhost_labels import Problem as Problem

#: First words of the file: what does not begin so is not ours to replace.
HEADER: Final = "# Written by `shipper haproxy`"
#: An app with this label set to this value is shipper itself.
ROLE_LABEL, ROLE = "SHIPPER_ROLE", "shipper"
_BIND: Final = re.compile(r"^  bind 127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}:([0-9]{1,5})$", re.MULTILINE)


class Settings(config.Settings):
    """What may differ between hosts."""

    host_name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$", description="name of this host, which chooses its shipper"
    )
    address: str = Field(
        default="127.0.0.1",
        pattern=r"^127(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}$",
        description="loopback address that it listens on",
    )
    http_port: int = Field(default=80, ge=0, le=65535, description="port that goes by host name; 0: none")
    relp_port: int = Field(default=5140, ge=1, le=65535, description="service port of shipper's RELP source")
    groups: tuple[str, ...] = Field(
        default=(), max_length=64, description="serve apps with one of these in HAPROXY_GROUP; none: every app"
    )
    log_socket: str = Field(
        default="/run/shipper/log",
        pattern=r"^/[A-Za-z0-9._/-]{1,96}$",
        description="socket that HAProxy's own log goes to",
    )
    hard_stop_seconds: int = Field(
        default=300,
        ge=30,
        le=86_400,
        description="how long connections outlive a reload; above shipper's drain_seconds",
    )

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.http_port == self.relp_port:
            raise ValueError("http_port and relp_port are the same")
        return self


@dataclass(frozen=True, slots=True)
class Localhost:
    """The file, and what is in it."""

    text: str
    #: Ports of its loopback address that it listens on, sorted.
    ports: tuple[int, ...]
    #: Ids of the apps that have a port in it, sorted.
    apps: tuple[str, ...]
    servers: int
    problems: tuple[Problem, ...]


def generate(
    apps: Iterable[App],
    settings: Settings,
    *,
    healthy: Collection[str] = (),
    left_out: Collection[str] = (),
    occupied: Collection[int] = (),
) -> Localhost:
    """Return HAProxy's configuration for apps.

    `healthy`: ids of tasks whose last known check was good. `left_out`: ids of apps that are not to be in it.
    `occupied`: ports that other programs of this host have.
    """
    problems: list[Problem] = []
    wanted = _wanted(apps, settings, left_out, problems)
    entrances = _without_conflicts(wanted, settings, occupied, problems)
    shippers = [entrance for entrance in entrances if _is_shipper(entrance, settings)]
    others = [entrance for entrance in entrances if not _is_shipper(entrance, settings)]
    names = _names(others, settings, occupied, problems)
    parts = [
        sections.top(HEADER, settings.log_socket, settings.hard_stop_seconds),
        sections.by_name(names, settings.address, settings.http_port),
        sections.relp(shippers, settings.address, settings.relp_port, settings.host_name, healthy, problems),
        *(sections.port(entrance, settings.address, healthy, problems) for entrance in others),
    ]
    ports = {entrance.port for entrance in entrances} | ({settings.http_port} if names else set())
    if not ports:
        parts.append(sections.nothing(f"shipper-{settings.address}-{settings.http_port}-{settings.relp_port}"))
    return Localhost(
        text="".join(part.text for part in parts),
        ports=tuple(sorted(ports)),
        apps=tuple(sorted({entrance.app.id for entrance in entrances})),
        servers=sum(part.servers for part in parts),
        problems=tuple(sorted(set(problems))),
    )


def ports_of(text: str) -> set[int]:
    """Return the ports that a generated file listens on."""
    return {int(port) for port in _BIND.findall(text)}


def _wanted(
    apps: Iterable[App], settings: Settings, left_out: Collection[str], problems: list[Problem]
) -> list[Entrance]:
    """Return all ports that apps want, shipper's first and then by id; the file does not depend on Marathon's order."""
    wanted: list[Entrance] = []
    for app in sorted(apps, key=lambda app: app.id):
        if app.id in left_out or not in_groups(app, settings.groups):
            continue
        if not usable_id(app.id):
            problems.append(Problem("", f"{shown(app.id)} is no id of an app: not served"))
            continue
        entrances, found = read(app)
        wanted += entrances
        problems += found
    return sorted(wanted, key=lambda one: (not _is_shipper(one, settings), one.app.id, one.index))


def _is_shipper(entrance: Entrance, settings: Settings) -> bool:
    return entrance.app.labels.get(ROLE_LABEL) == ROLE and entrance.port == settings.relp_port


def _without_conflicts(
    wanted: Sequence[Entrance], settings: Settings, occupied: Collection[int], problems: list[Problem]
) -> list[Entrance]:
    """Return those that get their port: the first that wants it, but all of shipper's apps share theirs."""
    owners = {settings.http_port: "the port for host names", settings.relp_port: "shipper's port"}
    kept = []
    for entrance in wanted:
        if entrance.port in occupied:
            reason = "another program of this host has it"
        elif entrance.port not in owners or _is_shipper(entrance, settings):
            owners.setdefault(entrance.port, f"{entrance.app.id}'s")
            kept.append(entrance)
            continue
        else:
            reason = f"it is {owners[entrance.port]}"
        problems.append(Problem(entrance.app.id, f"port {entrance.port} is not served: {reason}"))
    return kept


def _names(
    entrances: Sequence[Entrance], settings: Settings, occupied: Collection[int], problems: list[Problem]
) -> dict[str, Entrance]:
    """Return who gets which host name: the first that wants it."""
    routed: dict[str, Entrance] = {}
    for entrance in entrances:
        for name in entrance.names:
            owner = routed.setdefault(name, entrance)
            if owner is not entrance:
                problems.append(Problem(entrance.app.id, f"host name {name} is not routed: it is {owner.app.id}'s"))
    if routed and settings.http_port in occupied:
        text = f"another program of this host has port {settings.http_port}: host names are not routed"
        problems.append(Problem("", text))
        return {}
    return routed if settings.http_port else {}
