"""What a person means by the name of an app or a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar

from shipper.cluster._refusals import clean
from shipper.cluster.model import LIVE, App, Task
from shipper.errors import QueryError

Found = TypeVar("Found")

#: A part of a task's id that is shorter may be anything.
_SHORTEST_PART: Final = 6
_MOST_NAMED: Final = 10
_LONGEST_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Meant:
    """The app that a name means, and those of its tasks that it means: all of them, or one."""

    app: App
    tasks: tuple[Task, ...]

    @property
    def live(self) -> tuple[Task, ...]:
        """Those that may still run."""
        return tuple(task for task in self.tasks if task.state in LIVE)


def find(apps: Sequence[App], name: str) -> Meant | None:
    """Return what a name means; None when it means nothing, QueryError when it means more than one thing.

    It is the id of an app or its last parts ("shop/api", "api"), or the id of a task or a part of it.
    """
    path = f"/{name.strip('/')}"
    by_id = [app for app in apps if app.id == path]
    found = by_id or [app for app in apps if app.id.endswith(path)]
    if found:
        app = _only(name, found, [app.id for app in found])
        return Meant(app, app.tasks)
    tasks = [(app, task) for app in apps for task in app.tasks if name == task.id]
    if not tasks and len(name) >= _SHORTEST_PART:
        tasks = [(app, task) for app in apps for task in app.tasks if name in task.id]
    if not tasks:
        return None
    app, task = _only(name, tasks, [task.id for _, task in tasks])
    return Meant(app, (task,))


def nearest(apps: Sequence[App], name: str) -> list[str]:
    """Return ids of apps that a name resembles, for one that means nothing."""
    by_end = {app.id.rpartition("/")[2]: app.id for app in apps}
    ids = {app.id for app in apps}
    alike = get_close_matches(f"/{name.strip('/')}", ids, n=3) + [
        by_end[end] for end in get_close_matches(name.strip("/"), by_end, n=3)
    ]
    return [clean(one, _LONGEST_SHOWN) for one in dict.fromkeys(alike)]


def one_of(meant: Meant) -> Task:
    """Return the only task that is meant and may run; QueryError says which there are to choose from."""
    if not meant.live:
        raise QueryError(f"no task of {clean(meant.app.id, _LONGEST_SHOWN)} runs now")
    return _only(meant.app.id, meant.live, [task.id for task in meant.live])


def _only(name: str, found: Sequence[Found], names: Sequence[str]) -> Found:
    if len(found) > 1:
        more = f" or {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        listed = ", ".join(clean(one, _LONGEST_SHOWN) for one in names[:_MOST_NAMED])
        raise QueryError(f"{clean(name, _LONGEST_SHOWN)} may be {listed}{more}; name one of them")
    return found[0]
