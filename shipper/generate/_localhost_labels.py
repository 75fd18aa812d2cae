"""What an app asks of HAProxy by its labels, read strictly: what does not fit a pattern has no effect and is named."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shipper.cluster.model import App

#: Limits of what one app may ask for; what is beyond is left out and named.
MOST_PORTS, MOST_NAMES, MOST_PROBLEMS = 64, 64, 10
#: Characters of a name or a value that are shown.
_MOST_SHOWN: Final = 40
_LONGEST_VALUE: Final = 10_000
#: Marathon's own rule is narrower today (no capitals, no "_"); old versions had apps of both.
_APP_ID: Final = re.compile(r"/?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*", re.ASCII)
#: With the port behind it, it is a section's name; HAProxy reads lines of 2,048 bytes.
_LONGEST_ID: Final = 255
#: RFC 1035's length; underscores are in use although RFC 1123 has none.
HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.|\Z))+(?<!\.)", re.ASCII
)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_OURS: Final = re.compile(r"HAPROXY_([0-9]{1,5})_(?:VHOST|MODE|PORT)", re.ASCII)
_HTTP: Final = frozenset({"HTTP", "MESOS_HTTP"})

Mode = Literal["http", "tcp"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something an app asked for and does not get; one clean line. `app_id` is empty when it is no app's fault."""

    app_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Entrance:
    """One port of an app, as it is to be served on this host."""

    app: App
    #: Place in the app's ports, and so in those of its tasks.
    index: int
    #: Port of 127.0.0.1 that it is served on.
    port: int
    mode: Mode
    #: Host names, in lower case, that the shared HTTP port sends here.
    names: tuple[str, ...]

    @property
    def section(self) -> str:
        """Name of its sections in the file."""
        return f"{self.app.id.strip('/').replace('/', '_')}_{self.port}"


def shown(text: str) -> str:
    """Return a stranger's text as one clean word, cut."""
    return ascii(text[:_MOST_SHOWN]) + ("…" if len(text) > _MOST_SHOWN else "")


def usable_id(app_id: str) -> bool:
    """Whether an app's id is one that Marathon can have, so that it may name a section."""
    return len(app_id) <= _LONGEST_ID and _APP_ID.fullmatch(app_id) is not None


def in_groups(app: App, groups: tuple[str, ...]) -> bool:
    """Whether one of the groups in label HAPROXY_GROUP is served here; no groups, or `*`: every app is."""
    asked = {part.strip() for part in app.labels.get("HAPROXY_GROUP", "")[:_LONGEST_VALUE].split(",")}
    return not groups or "*" in groups or not asked.isdisjoint(groups)


def read(app: App) -> tuple[list[Entrance], list[Problem]]:
    """Return the ports of an app as its labels want them, and what is wrong with those labels."""
    problems = list(_strays(app))
    entrances = []
    for index, service_port in enumerate(app.service_ports[:MOST_PORTS]):
        port = _port(app, index, service_port, problems)
        if port is None:
            continue
        asked, names = _mode(app, index, problems), _names(app, index, problems)
        if names and asked == "tcp":
            problems.append(
                Problem(app.id, f"HAPROXY_{index}_VHOST needs HAPROXY_{index}_MODE http: not routed by name")
            )
            names = ()
        mode: Mode = asked or ("http" if names or _http_check(app, index) else "tcp")
        entrances.append(Entrance(app, index, port, mode, names))
    if len(app.service_ports) > MOST_PORTS:
        problems.append(Problem(app.id, f"has {len(app.service_ports)} ports: the first {MOST_PORTS} are served"))
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [Problem(app.id, f"and {len(problems) - MOST_PROBLEMS} more problems")]
    return entrances, problems


def check_of(app: App, index: int) -> Mapping[str, Any] | None:
    """Return the first health check of a port, as Marathon tells of it; None when it has none."""
    checks = app.definition.get("healthChecks")
    for check in checks if isinstance(checks, list) else []:
        if isinstance(check, Mapping) and not check.get("port") and (check.get("portIndex") or 0) == index:
            return check
    return None


def _http_check(app: App, index: int) -> bool:
    check = check_of(app, index)
    return check is not None and check.get("protocol", "HTTP") in _HTTP


def _strays(app: App) -> Iterator[Problem]:
    for name in sorted(app.labels):
        found = _OURS.fullmatch(name)
        if found and not (found[1] == str(int(found[1])) and int(found[1]) < len(app.service_ports)):
            yield Problem(app.id, f"{name}: the app has no port {found[1]}; ports are counted from 0")


def _port(app: App, index: int, service_port: int, problems: list[Problem]) -> int | None:
    label = f"HAPROXY_{index}_PORT"
    value = app.labels.get(label)
    if value is not None:
        if _PORT.fullmatch(value) and int(value) <= 65535:
            return int(value)
        problems.append(Problem(app.id, f"{label}: {shown(value)} is no port (1 to 65535): it has no effect"))
    if 1 <= service_port <= 65535:
        return service_port
    problems.append(Problem(app.id, f"port {index} has no service port: not served"))
    return None


def _mode(app: App, index: int, problems: list[Problem]) -> Mode | None:
    label = f"HAPROXY_{index}_MODE"
    match app.labels.get(label):
        case None:
            return None
        case "http" | "tcp" as mode:
            return mode
        case value:
            problems.append(Problem(app.id, f"{label}: {shown(value)} is neither http nor tcp: it has no effect"))
            return None


def _names(app: App, index: int, problems: list[Problem]) -> tuple[str, ...]:
    label = f"HAPROXY_{index}_VHOST"
    value = app.labels.get(label, "")
    if len(value) > _LONGEST_VALUE:
        problems.append(Problem(app.id, f"{label}: longer than {_LONGEST_VALUE} characters: it has no effect"))
        return ()
    # Spaces beside commas are a habit; any other white space is not taken off, and so refused.
    parts = [part.strip(" ") for part in value.split(",")] if value else []
    wrong = [part for part in parts if not HOST.fullmatch(part)]
    problems.extend(Problem(app.id, f"{label}: {shown(part)} is no host name: not routed") for part in wrong)
    names = sorted({part.lower() for part in parts if HOST.fullmatch(part)})
    if len(names) > MOST_NAMES:
        problems.append(Problem(app.id, f"{label}: {len(names)} host names: the first {MOST_NAMES} are routed"))
    return tuple(names[:MOST_NAMES])
