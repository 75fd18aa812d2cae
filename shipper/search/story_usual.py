"""Who usually takes part in such requests: learned from earlier ones of the same entry point and outcome."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

#: A service is missed when it took part in this share of so many earlier requests.
SHARE: Final = 0.9
LEAST_EARLIER: Final = 5
#: Parts of a path that are ids: numbers, UUIDs, hashes, and long words with a digit in them.
_ID: Final = re.compile(r"\d+|[0-9A-Fa-f-]{8,}|(?=\D*\d)[^/]{16,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where requests come in: what was asked of the first service, as far as a record says."""

    service: str
    method: str | None
    path: str | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier request: how it ended and who took part, in order of first appearance."""

    outcome: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """A service that usually takes part in such requests and has no record in this one."""

    service: str
    #: Part of the earlier requests that it took part in, and how many those are.
    share: float
    of: int
    #: Whether an error before it may be why it was not asked.
    explained: bool
    why: str


def masked(path: str) -> str:
    """Return a path with a `*` for each part that is an id."""
    return "/".join("*" if _ID.fullmatch(part) else part for part in path.split("/"))


def outcome(status: int | None) -> str:
    """Return the class of a status: good, "refused" (4xx), "failed" (5xx); "" when there is none."""
    if status is None:
        return ""
    return "good" if status < 400 else "refused" if status < 500 else "failed"


def silent_services(
    earlier: Mapping[str, Earlier], ended: str, present: Collection[str], failed: Collection[str]
) -> list[Silent]:
    """Return who is missed in a request that ended so.

    `failed` are the services of it that answered an error, the innermost first: they explain the silence of those that
    usually come later.
    When too few earlier requests ended as this one did, all those that did not are taken, as far as an error explains.
    """
    alike = [one for one in earlier.values() if one.outcome == ended or not ended]
    if len(alike) >= LEAST_EARLIER:
        return _missed(alike, present, failed, explained=False)
    if ended in ("refused", "failed"):
        return _missed(list(earlier.values()), present, failed, explained=True)
    return []


def unheard_services(earlier: Mapping[str, Earlier], unheard: Mapping[str, str]) -> list[Silent]:
    """Return who was called, as the caller's log says, and has no record; only who ever took part, not strangers.

    `unheard` has the caller of each.
    """
    found = []
    for service, caller in unheard.items():
        count = sum(service in one.services for one in earlier.values())
        if count:
            of = len(earlier)
            usually = f"but in {count} of {of} earlier requests"
            why = f"{caller} says that it called {service}, which has no record here ({usually})"
            found.append(Silent(service, round(count / of, 3), of, explained=False, why=why))
    return found


def _missed(
    earlier: Collection[Earlier], present: Collection[str], failed: Collection[str], *, explained: bool
) -> list[Silent]:
    of = len(earlier)
    if of < LEAST_EARLIER:
        return []
    took_part = Counter(service for one in earlier for service in set(one.services))
    found = []
    for service, count in took_part.most_common():
        if count < SHARE * of:
            break
        if service not in present:
            found.append(_silent(service, count, of, _before(service, earlier, failed), explained=explained))
    return found


def _silent(service: str, count: int, of: int, cause: str, *, explained: bool) -> Silent:
    why = f"{service} took part in {count} of {of} earlier requests like this one and has no record here"
    if cause:
        why += f"; {cause} failed before it, which may be why"
    elif explained:
        why += "; this one ended in an error, which may be why"
    return Silent(service, round(count / of, 3), of, explained or bool(cause), why)


def _before(service: str, earlier: Collection[Earlier], failed: Collection[str]) -> str:
    """Return the first of the failed services that usually appears before it, "" when none does."""
    for cause in failed:
        both = [one.services for one in earlier if service in one.services and cause in one.services]
        first = sum(services.index(cause) < services.index(service) for services in both)
        if both and first > len(both) / 2:
            return cause
    return ""
