"""The paths that are followed: those of a checkpoint, then every run and match that is found, until it is gone."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Final

from shipper.host import finding
from shipper.host.checkpoints import Checkpoints
from shipper.host.followed import Followed
from shipper.host.lines import Origin

#: Paths outside of sandboxes that are remembered when nothing is there: it may come again, with the same inode.
_MOST_GONE: Final = 10_000


class Catalogue:
    """Knows what to follow; `follow` makes a Followed of where lines come from."""

    def __init__(
        self, sandboxes: str, patterns: Sequence[str], checkpoints: Checkpoints, follow: Callable[[Origin], Followed]
    ) -> None:
        self.followed: dict[bytes, Followed] = {}
        self._sandboxes = finding.Sandboxes(sandboxes) if sandboxes else None
        self._patterns = [os.path.abspath(os.fsencode(pattern)) for pattern in patterns]  # noqa: PTH100  bytes
        self._checkpoints = checkpoints
        self._follow = follow
        self._runs: set[bytes] = set()

    def restore(self) -> None:
        """Follow what the checkpoint knows and the settings still name."""
        for path, found in groupby(self._checkpoints.saved(), lambda item: item[1].generation.path):
            generations = list(found)
            origin = self._origin(path)
            if origin is None:
                for series, _ in generations:
                    self._checkpoints.move(series, None)
                continue
            followed = self._add(origin)
            for series, saved in generations:
                followed.restore(series, saved)
            if origin.task and not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120  bytes
                followed.leaving = True

    def search(self) -> Iterator[Followed]:
        """Yield what was not followed before, and what has to be looked at as its folder is gone."""
        if self._sandboxes is not None:
            runs = self._sandboxes.runs()
            for run in runs.keys() - self._runs:
                for origin in finding.streams(run, runs[run]):
                    if origin.path not in self.followed:
                        yield self._add(origin)
            for run in self._runs - runs.keys():
                for origin in finding.streams(run, ""):
                    if origin.path in self.followed:
                        self.followed[origin.path].leaving = True
                        yield self.followed[origin.path]
            self._runs = set(runs)
        if self._patterns:
            yield from self._match()

    def holds(self, followed: Followed) -> bool:
        """Say whether it is still followed."""
        return self.followed.get(followed.origin.path) is followed

    def drop(self, followed: Followed) -> None:
        """Follow a path no longer."""
        followed.forget()
        self.followed.pop(followed.origin.path, None)

    def _match(self) -> Iterator[Followed]:
        matched = set(finding.matches(self._patterns))
        renamed = self._checkpoints.renamed
        for path in matched - self.followed.keys():
            identity = _identity(path)
            if identity is None or renamed.get(path) == identity:
                continue
            if identity in set(renamed.values()) or any(identity in one.identities() for one in self._outside()):
                self._checkpoints.rename(path, identity)
            else:
                self._checkpoints.rename(path, None)
                yield self._add(Origin(path))
        for path in renamed.keys() - matched:
            self._checkpoints.rename(path, None)
        gone = [one for one in self._outside() if one.origin.path not in matched and not one.identities()]
        for followed in gone[: max(len(gone) - _MOST_GONE, 0)]:
            self.drop(followed)

    def _outside(self) -> Iterator[Followed]:
        return (one for one in self.followed.values() if not one.origin.task)

    def _add(self, origin: Origin) -> Followed:
        followed = self.followed[origin.path] = self._follow(origin)
        return followed

    def _origin(self, path: bytes) -> Origin | None:
        found = self._sandboxes.origin(path) if self._sandboxes is not None else None
        if found is None and any(fnmatchcase(os.fsdecode(path), os.fsdecode(one)) for one in self._patterns):
            return Origin(path)
        return found


def _identity(path: bytes) -> tuple[int, int] | None:
    """Return device and inode; None for what is gone and what is a folder."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return None if stat.S_ISDIR(status.st_mode) else (status.st_dev, status.st_ino)
