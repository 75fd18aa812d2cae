"""`/files/*` of a Mesos agent: what lies in its sandboxes, by real and virtual paths (Mesos, src/files/files.cpp)."""

import grp
import json
import os
import pwd
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

#: Most that one /files/read gives: 16 pages.
READ_LIMIT = 16 * 4096

#: What is attached now: the virtual or real path of a sandbox, and where it is.
Attached = Callable[[], Mapping[str, Path]]


class Files:
    """Answers for the sandboxes of one agent; nothing outside of them can be read."""

    def __init__(self, attached: Attached) -> None:
        self._attached = attached

    def routes(self) -> list[web.RouteDef]:
        """The four endpoints, each with and without `.json`, as Mesos of all versions has them."""
        handlers = {"browse": self._browse, "read": self._read, "download": self._download, "debug": self._debug}
        return [web.get(f"/files/{name}{end}", to) for name, to in handlers.items() for end in ("", ".json")]

    async def _browse(self, request: web.Request) -> web.Response:
        name, place = self._asked(request)
        entries = sorted(place.iterdir()) if place.is_dir() else []
        return answer([_listed(f"{name.rstrip('/')}/{entry.name}", entry) for entry in entries])

    async def _read(self, request: web.Request) -> web.Response:
        offset, length = _number(request, "offset"), _number(request, "length")
        _, place = self._asked(request)
        if place.is_dir():
            raise web.HTTPBadRequest(text="Cannot read a directory.\n")
        with place.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if offset < 0 or offset >= size:
                return _data(b"", size)
            file.seek(offset)
            return _data(file.read(min(length if length >= 0 else READ_LIMIT, READ_LIMIT)), offset)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        _, place = self._asked(request)
        if place.is_dir():
            raise web.HTTPBadRequest(text="Cannot download a directory.\n")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename={place.name}",
        }
        return web.FileResponse(place, headers=headers)

    async def _debug(self, request: web.Request) -> web.Response:
        return answer({name: str(place) for name, place in self._attached().items()})

    def _asked(self, request: web.Request) -> tuple[str, Path]:
        """The path that was asked for, and the file that it is; 400 and 404 as Mesos gives them."""
        name = request.query.get("path", "")
        if not name:
            raise web.HTTPBadRequest(text="Expecting 'path=value' in query.\n")
        attached = self._attached()
        parts = name.rstrip("/").split("/")
        for end in range(len(parts), 0, -1):
            if root := attached.get("/".join(parts[:end])):
                return name, _below(root, "/".join(parts[end:]), name)
        raise web.HTTPNotFound(text="")


def answer(data: object) -> web.Response:
    """JSON as Mesos sends it: no character set in its type."""
    return web.Response(body=json.dumps(data).encode(), content_type="application/json")


def _below(root: Path, rest: str, name: str) -> Path:
    place = Path(os.path.realpath(root / rest))
    if not place.is_relative_to(root.resolve()):
        raise web.HTTPBadRequest(text=f"'{name}' is inaccessible.\n")
    if not place.exists():
        raise web.HTTPNotFound(text="")
    return place


def _number(request: web.Request, name: str) -> int:
    try:
        return int(request.query.get(name, "-1"))
    except ValueError:
        raise web.HTTPBadRequest(text=f"Failed to parse {name}: Failed to convert to number.\n") from None


def _data(data: bytes, offset: int) -> web.Response:
    """Mesos escapes quotes and control characters only: bytes that are no UTF-8 stay, and make the JSON invalid."""
    text = json.dumps(data.decode("utf-8", "surrogateescape"), ensure_ascii=False)
    body = b'{"data":%s,"offset":%d}' % (text.encode("utf-8", "surrogateescape"), offset)
    return web.Response(body=body, content_type="application/json")


def _listed(name: str, place: Path) -> dict[str, Any]:
    found = place.lstat()
    return {
        "gid": _named(lambda: grp.getgrgid(found.st_gid).gr_name, found.st_gid),
        "mode": stat.filemode(found.st_mode),
        "mtime": float(int(found.st_mtime)),
        "nlink": found.st_nlink,
        "path": name,
        "size": found.st_size,
        "uid": _named(lambda: pwd.getpwuid(found.st_uid).pw_name, found.st_uid),
    }


def _named(name: Callable[[], str], number: int) -> str:
    try:
        return name()
    except KeyError:
        return str(number)
