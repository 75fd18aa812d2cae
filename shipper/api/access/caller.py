"""Who asks, and what that lets them see."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shipper.search.expression import Equals, Everything, Expression, Like, Or

#: From the least to the most; each one includes those before it.
SCOPES: Final = ("read", "tail", "admin")
#: The field by which apps are told apart: the full Marathon id, as the host resolved it, never what a line says.
APP_FIELD: Final = "orchestrator.resource.name"
#: No `?` and no backslash, so that a pattern of ours is a pattern of `Like` as it stands.
_APP: Final = re.compile(r"/[A-Za-z0-9._/*-]{0,255}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks: a token, a user that a trusted proxy names, or anybody where access is open."""

    name: str
    scopes: frozenset[str]
    #: Patterns of Marathon ids (`/shop/*`); none: all apps, and what belongs to no app.
    apps: tuple[str, ...] = ()
    #: Nobody was asked who they are.
    open: bool = False

    @property
    def where(self) -> Expression:
        """What a record must be for this caller to see it."""
        return visible(self.apps)


def including(scopes: Iterable[str]) -> frozenset[str]:
    """Return scopes with those that they include; ValueError for one that there is not."""
    given = list(scopes)
    for scope in given:
        if scope not in SCOPES:
            raise ValueError(f"no such scope: {scope!r} (known: {' '.join(SCOPES)})")
    most = max((SCOPES.index(scope) for scope in given), default=-1)
    return frozenset(SCOPES[: most + 1])


def app_pattern(text: str) -> str:
    """Return a pattern of Marathon ids that is one; ValueError otherwise."""
    if not _APP.fullmatch(text):
        raise ValueError(f"not a Marathon id or a pattern of them: {text!r:.80} (/shop/api, /shop/*)")
    return text


def visible(apps: tuple[str, ...]) -> Expression:
    """Return what the records of some apps match; Everything for none."""
    if not apps:
        return Everything()
    parts: list[Expression] = [Like(app, APP_FIELD) if "*" in app else Equals(APP_FIELD, app) for app in apps]
    return parts[0] if len(parts) == 1 else Or(tuple(parts))
