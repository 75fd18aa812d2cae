"""Questions to the files of an embedded store, without any server: the same application, called in this process."""

import asyncio
from collections.abc import Mapping, MutableMapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from shipper.cli.http import query_of, read_answer
from shipper.cli.terminal import one_line
from shipper.errors import QueryError, StoreBusy


class Embedded:
    """The files of one cluster in a folder of the SQLite store; they are only read."""

    def __init__(self, path: str, cluster: str | None, seconds: float) -> None:
        folder, name = place_of(Path(path), cluster)
        self.name = str(folder / name)
        self._runner = asyncio.Runner()
        self._opened = AsyncExitStack()
        self._web = self._runner.run(self._open(folder, name, seconds))

    def close(self) -> None:
        """Close the files."""
        with self._runner:
            self._runner.run(self._opened.aclose())

    def get(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question, as a server would give it."""
        status, body = self._runner.run(_call(self._web, path, query_of(parameters)[1:]))
        return read_answer(status, body, self.name)

    async def _open(self, folder: Path, cluster: str, seconds: float) -> Any:
        from shipper.api.app import build
        from shipper.stores.sqlite import Config

        settings = Config(path=str(folder), search_seconds=seconds)
        return build(await self._opened.enter_async_context(settings.reader(cluster)))


def place_of(path: Path, cluster: str | None) -> tuple[Path, str]:
    """Return the folder of a store and the cluster in it; QueryError when there is none, or more than one to choose."""
    try:
        if cluster is None and _is_cluster(path):
            path = path.absolute()
            return path.parent, path.name
        found = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and _is_cluster(folder))
    except OSError as error:
        raise StoreBusy(f"--store {one_line(path)}: {error.strerror}") from None
    known = one_line(", ".join(found))
    if cluster is not None and cluster not in found:
        raise QueryError(f"--cluster {one_line(cluster)}: not in {one_line(path)} (there: {known or 'none'})")
    if not found:
        raise QueryError(f"--store {one_line(path)}: no files of an SQLite store in it (store.path of the shipper)")
    if cluster is None and len(found) > 1:
        raise QueryError(f"--store {one_line(path)}: more than one cluster, choose one with --cluster ({known})")
    return path, cluster or found[0]


def _is_cluster(folder: Path) -> bool:
    return (folder / "ledger.db").is_file() or next(folder.glob("records-*.db"), None) is not None


async def _call(web: Any, path: str, query: str) -> tuple[int, bytes]:
    """Ask an ASGI application one question; the caller stays until it is answered."""
    status, parts, asked = 500, [], False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()  # nobody goes away
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"application/json")],
        "client": ("127.0.0.1", 0), "server": ("localhost", 80),
    }  # fmt: skip
    await web(scope, receive, send)
    return status, b"".join(parts)
