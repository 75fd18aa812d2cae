"""A file of a task's sandbox on the screen: its last lines, then what is added to it."""

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from shipper.api.visible import visible
from shipper.cluster.model import LIVE
from shipper.errors import ClusterBusy, ClusterRefused

if TYPE_CHECKING:
    from shipper.cluster.mesos import Mesos, Place
    from shipper.cluster.settings import ClusterSettings

#: Bytes before the end in which the last lines are looked for, and bytes that are read at once.
_MOST_BYTES: Final = 4 * 2**20
_PART: Final = 256 * 1024
_LOOK_SECONDS: Final = 1.0
#: How often it is asked whether the task still runs; that costs the master more than a look at a file.
_LOOKS_PER_STATE: Final = 5


async def show(settings: "ClusterSettings", place: "Place", name: str, lines: int, *, follow: bool) -> int:
    """Write the last lines of a file, and with `follow` what comes after them until the task ends."""
    from shipper.cluster.mesos import Mesos

    async with Mesos(settings) as mesos:
        try:
            size = await mesos.size(place, name)
        except ClusterRefused as error:
            if error.status != 404 or not place.agent_url:
                raise
            raise ClusterRefused(f"{error}; there: {await _names(mesos, place)}", 404) from None
        start = max(0, size - _MOST_BYTES)
        data = await mesos.read(place, name, start, size - start)
        screen = _Screen()
        screen.write(_last(data, lines, whole=start == 0))
        if follow:
            await _follow(mesos, place, name, start + len(data), screen)
        screen.end()
    return 0


async def _names(mesos: "Mesos", place: "Place") -> str:
    try:
        return visible(", ".join(file.name for file in await mesos.files(place))) or "nothing"
    except ClusterRefused:
        return "nothing"


def _last(data: bytes, lines: int, *, whole: bool) -> bytes:
    """The last lines; one that was cut off at its beginning is left out, unless it is all there is."""
    if lines == 0:
        return b""
    parts = data.splitlines(keepends=True)
    kept = parts[-lines:]
    if not whole and len(kept) == len(parts) and len(parts) > 1:
        kept = kept[1:]
    return b"".join(kept)


async def _follow(mesos: "Mesos", place: "Place", name: str, offset: int, screen: "_Screen") -> None:
    looks, ended = 0, place.state not in LIVE
    while True:
        try:
            size = await mesos.size(place, name)
            if size < offset:
                screen.say(f"{name} was cut or rotated; from its beginning")
                offset = 0
            while data := await mesos.read(place, name, offset, _PART):
                offset += len(data)
                screen.write(data)
            if ended:
                screen.say("the task has ended")
                return
            looks += 1
            ended = looks % _LOOKS_PER_STATE == 0 and not await _lives(mesos, place)
        except ClusterBusy as error:
            screen.say(f"{error}; trying again")
            ended = False
        await asyncio.sleep(0 if ended else _LOOK_SECONDS)


async def _lives(mesos: "Mesos", place: "Place") -> bool:
    found = await mesos.find(place.task_id)
    return found is not None and found.state in LIVE


class _Screen:
    """Where it goes: exact bytes into a pipe; on a terminal nothing that steers it, in whole characters."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._rest = b""
        self._said = ""

    def write(self, data: bytes) -> None:
        """Write a part of the file."""
        self._said = ""
        if not self._terminal:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        # A character, and a "\\r\\n", may be cut in two: what comes after the last line waits for its end.
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        self._show(whole + newline)
        if len(self._rest) > _PART:
            self.end()

    def end(self) -> None:
        """Write what has no line end."""
        rest, self._rest = self._rest, b""
        self._show(rest + b"\n" if rest else b"")

    def say(self, text: str) -> None:
        """Tell what is no part of the file; not the same again and again."""
        if text != self._said:
            self._said = text
            print(f"-- {visible(text)}", file=sys.stderr)

    def _show(self, data: bytes) -> None:
        sys.stdout.write(visible(data.decode(errors="replace")))
        sys.stdout.flush()
