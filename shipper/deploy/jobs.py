"""Chronos jobs: what would change in one, and putting it there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from shipper.cluster.chronos import Chronos
from shipper.deploy.asking import Limits, Patience
from shipper.deploy.differences import ABSENT, Change
from shipper.deploy.files import WantedJob
from shipper.deploy.outcome import Outcome, State
from shipper.deploy.progress import Progress
from shipper.errors import ClusterBusy, ClusterError

_SCHEDULE: Final = re.compile(r"R(\d*)/([^/]*)/(P.*)")
_PERIOD: Final = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_PERIOD_SECONDS: Final = (604_800, 86_400, 3600, 60, 1)
#: By these Chronos says whose a job is.
_OWNERS: Final = ("ownerName", "owner")


@dataclass(frozen=True, slots=True)
class JobStep:
    """What becomes of one job."""

    wanted: WantedJob
    #: The job as Chronos has it; None when it has none.
    current: Mapping[str, Any] | None
    changes: tuple[Change, ...]
    #: An address of Chronos is known.
    reachable: bool = True

    @property
    def kind(self) -> Literal["create", "change", "unchanged"]:
        """What must be done; nothing can be without an address."""
        if not self.reachable:
            return "unchanged"
        if self.current is None:
            return "create"
        return "change" if self.changes else "unchanged"

    @property
    def stranger(self) -> str:
        """Why this would change a job that somebody else made; "" when it would not."""
        if self.kind != "change" or self.current is None:
            return ""
        mine = [key for key in _OWNERS if self.wanted.definition.get(key)]
        if any(self.current.get(key) == self.wanted.definition[key] for key in mine):
            return ""
        return f"{' and '.join(_OWNERS)} do not say that it is the file's"


def plan(wanted: Iterable[WantedJob], existing: Iterable[Mapping[str, Any]]) -> list[JobStep]:
    """Return the steps: those after no other job first, then those that run after others, by name."""
    jobs = {job.get("name"): job for job in existing}
    steps = []
    for job in sorted(wanted, key=lambda one: (bool(one.definition.get("parents")), one.name)):
        current = jobs.get(job.name)
        found = () if current is None else tuple(_changes("", job.definition, current))
        steps.append(JobStep(job, current, found))
    return steps


def _changes(place: str, wanted: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Change]:
    """Only what the file says is compared: Chronos adds its defaults and statistics."""
    for key in sorted(wanted):
        inner, old = f"{place}{key}", current.get(key, ABSENT)
        if isinstance(wanted[key], Mapping) and isinstance(old, Mapping):
            yield from _changes(f"{inner}.", wanted[key], old)
        elif not _same(inner, wanted[key], old):
            yield Change(inner, old, wanted[key])


def _same(key: str, wanted: Any, current: Any) -> bool:
    if key == "schedule" and isinstance(wanted, str) and isinstance(current, str):
        return _same_schedule(wanted, current)
    if current is ABSENT:
        return wanted in (None, "", [], {}, False)
    if isinstance(wanted, list) and isinstance(current, list):
        return len(wanted) == len(current) and all(map(_covers, wanted, current))
    return bool(wanted == current) or _number(wanted) == _number(current) is not None


def _covers(wanted: Any, current: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(current, Mapping):
        return not any(_changes("", wanted, current))
    return bool(wanted == current)


def _number(value: Any) -> float | None:
    """Chronos takes numbers as texts, too."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _same_schedule(wanted: str, current: str) -> bool:
    """Whether both mean the same runs: Chronos moves the start on by whole periods, and counts repetitions down."""
    mine, theirs = _SCHEDULE.fullmatch(wanted), _SCHEDULE.fullmatch(current)
    if mine is None or theirs is None:
        return wanted == current
    if bool(mine[1]) != bool(theirs[1]) or mine[3] != theirs[3]:
        return False
    starts, period = (_moment(mine[2]), _moment(theirs[2])), _seconds(mine[3])
    if starts[0] is None or starts[1] is None:
        return not mine[2] or mine[2] == theirs[2]  # an empty start means now
    return starts[0] == starts[1] or (bool(period) and (starts[1] - starts[0]) % period == 0)


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(period: str) -> int:
    """Return the length of a period; 0 when it has months or years, which differ."""
    found = _PERIOD.fullmatch(period)
    numbers = found.groups() if found else ()
    return sum(int(number) * length for number, length in zip(numbers, _PERIOD_SECONDS, strict=False) if number)


async def carry_out(step: JobStep, chronos: Chronos, limits: Limits, progress: Progress) -> Outcome:
    """Put a job; doing that twice is doing it once, so a lost answer is asked for again."""
    name, patience = step.wanted.name, Patience(limits)
    if step.kind == "unchanged":
        return Outcome(name, State.UNCHANGED)
    while True:
        progress.update(name, "giving it to Chronos")
        try:
            await chronos.put(step.wanted.definition)
        except ClusterBusy as error:
            progress.update(name, f"trying again: {error}")
            try:
                await patience.bear(error)
            except ClusterBusy:
                return Outcome(name, State.UNFINISHED, f"asked for, but no answer says that it was done: {error}")
        except ClusterError as error:
            return Outcome(name, State.REFUSED, f"{step.wanted.path}: {error}")
        else:
            return Outcome(name, State.CREATED if step.kind == "create" else State.CHANGED)
