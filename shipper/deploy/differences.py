"""What a deploy would change in an app: the definition that is wanted against the one that Marathon has.

What Marathon fills in by itself is no difference, nor is a port that was left to its choice.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shipper.deploy.forms import one_form

#: A key that is not there, in `Change`.
ABSENT: Final = object()
#: Deeper than any definition is; what is below is compared as a whole.
_DEEPEST: Final = 12
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
#: Names below these are the operator's own: an empty value there is a value.
_FREE_NAMES: Final = ("env.", "labels.", "secrets.", "portDefinitions[].labels.", "container.portMappings[].labels.")
#: Ports for which 0 means that Marathon chooses.
_CHOSEN: Final = frozenset({"portDefinitions[].port", "container.portMappings[].servicePort"})
#: What Marathon's versions fill in for a key that is not given (RAML of 1.11, source of older tags).
_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "instances": (1,),
    "cpus": (1,),
    "mem": (128,),
    "disk": (0,),
    "gpus": (0,),
    "backoffSeconds": (1,),
    "backoffFactor": (1.15,),
    "maxLaunchDelaySeconds": (300, 3600),
    "requirePorts": (False,),
    "tty": (False,),
    "killSelection": ("YOUNGEST_FIRST",),
    "acceptedResourceRoles": (["*"],),
    "upgradeStrategy.minimumHealthCapacity": (1, 0.5),
    "upgradeStrategy.maximumOverCapacity": (1, 0),
    "unreachableStrategy": ("disabled",),
    "unreachableStrategy.inactiveAfterSeconds": (0, 300, 900),
    "unreachableStrategy.expungeAfterSeconds": (0, 600, 604800),
    "residency.relaunchEscalationTimeoutSeconds": (3600, 10),
    "residency.taskLostBehavior": ("WAIT_FOREVER",),
    "container.type": ("DOCKER", "MESOS"),
    "container.docker.privileged": (False,),
    "container.docker.forcePullImage": (False,),
    "container.portMappings[].containerPort": (0,),
    "container.portMappings[].hostPort": (0,),
    "container.portMappings[].protocol": ("tcp",),
    "container.volumes[].persistent.type": ("root",),
    "portDefinitions[].protocol": ("tcp",),
    "fetch[].extract": (True, False),  # by the name of the file, when it was given in `uris`
    "fetch[].executable": (False,),
    "fetch[].cache": (False,),
    "healthChecks[].protocol": ("HTTP",),
    "healthChecks[].path": ("/",),
    "healthChecks[].portIndex": (0,),
    "healthChecks[].gracePeriodSeconds": (300,),
    "healthChecks[].intervalSeconds": (60,),
    "healthChecks[].timeoutSeconds": (20,),
    "healthChecks[].maxConsecutiveFailures": (3,),
    "healthChecks[].delaySeconds": (15,),
    "healthChecks[].ignoreHttp1xx": (False,),
    "healthChecks[].ipProtocol": ("IPv4",),
    "readinessChecks[].name": ("readinessCheck",),
    "readinessChecks[].protocol": ("HTTP",),
    "readinessChecks[].path": ("/",),
    "readinessChecks[].portName": ("http-api",),
    "readinessChecks[].intervalSeconds": (30,),
    "readinessChecks[].timeoutSeconds": (10,),
    "readinessChecks[].httpStatusCodesForReady": ([200],),
    "readinessChecks[].preserveLastResponse": (False,),
}
#: Chosen by Marathon, so any value stands for "not given".
_ANY_DEFAULT: Final = _CHOSEN | {"role"}
_INDEX: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Change:
    """One key of a definition that is not as wanted; `old` or `new` may be ABSENT."""

    #: Its place: `env.LEVEL`, `healthChecks[0].path`.
    key: str
    old: Any
    new: Any


def changes(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what would change if `current`, an answer of Marathon's, became `wanted`; sorted by key."""
    return tuple(sorted(_of_maps("", one_form(wanted), one_form(current), 0), key=lambda change: change.key))


def _of_maps(place: str, wanted: Mapping[str, Any], current: Mapping[str, Any], depth: int) -> Iterator[Change]:
    for key in {*wanted, *current}:
        inner = f"{place}.{key}" if place else str(key)
        yield from _of(inner, wanted.get(key, ABSENT), current.get(key, ABSENT), depth + 1)


def _of(place: str, wanted: Any, current: Any, depth: int) -> Iterator[Change]:
    kind = _INDEX.sub("[]", place)
    if _same(kind, wanted, current):
        return
    maps = all(value is ABSENT or value is None or isinstance(value, Mapping) for value in (wanted, current))
    lists = all(value is ABSENT or value is None or _is_list_of_maps(value) for value in (wanted, current))
    if maps and depth < _DEEPEST:
        yield from _of_maps(place, _or_empty(wanted, {}), _or_empty(current, {}), depth)
    elif lists and depth < _DEEPEST:
        yield from _of_lists(place, _or_empty(wanted, []), _or_empty(current, []), depth)
    else:
        yield Change(place, current, wanted)


def _of_lists(place: str, wanted: list[Any], current: list[Any], depth: int) -> Iterator[Change]:
    for index in range(max(len(wanted), len(current))):
        inner = f"{place}[{index}]"
        if index >= len(wanted):
            yield Change(inner, current[index], ABSENT)
        elif index >= len(current):
            yield Change(inner, ABSENT, wanted[index])
        else:
            yield from _of_maps(inner, wanted[index], current[index], depth + 1)


def _same(kind: str, wanted: Any, current: Any) -> bool:
    if wanted is not ABSENT and current is not ABSENT:
        return bool(wanted == current) or (kind in _CHOSEN and wanted == 0)
    if kind.startswith(_FREE_NAMES):
        return False
    if wanted is ABSENT and kind in _ANY_DEFAULT:
        return True
    present = current if wanted is ABSENT else wanted
    return present in _EMPTY or present in _DEFAULTS.get(kind, ())


def _is_list_of_maps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def _or_empty(value: Any, empty: Any) -> Any:
    return empty if value is ABSENT or value is None else value
