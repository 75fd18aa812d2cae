"""Chronos jobs: what would change in one, and putting it there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from shipper.cluster.chronos import Chronos
from shipper.deploy import schedules
from shipper.deploy.asking import Limits, Patience
from shipper.deploy.differences import ABSENT, Change
from shipper.deploy.files import WantedJob
from shipper.deploy.outcome import Outcome, State
from shipper.deploy.progress import Progress
from shipper.errors import ClusterBusy, ClusterError

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
        return schedules.same(wanted, current)
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


def definition(step: JobStep, now: datetime) -> Mapping[str, Any]:
    """Return what is put: the file's, with a start that is past moved on to the next run."""
    wanted = step.wanted.definition
    schedule, zone = wanted.get("schedule"), wanted.get("scheduleTimeZone")
    if not isinstance(schedule, str):
        return wanted
    return {**wanted, "schedule": schedules.upcoming(schedule, now, zone if isinstance(zone, str) else "")}


async def carry_out(step: JobStep, chronos: Chronos, limits: Limits, progress: Progress) -> Outcome:
    """Put a job; doing that twice is doing it once, so a lost answer is asked for again."""
    name, patience = step.wanted.name, Patience(limits)
    if step.kind == "unchanged":
        return Outcome(name, State.UNCHANGED)
    while True:
        progress.update(name, "giving it to Chronos")
        try:
            await chronos.put(definition(step, datetime.now(UTC)))
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
