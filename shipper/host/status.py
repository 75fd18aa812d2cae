"""The state of a host, for `shipper host status`: who connects to the status socket gets one JSON object."""

import contextlib
import socket
from typing import Any, Final

import orjson

from shipper.errors import ConfigError
from shipper.host.children import Child
from shipper.host.shared import SERIES, Cell, Snapshot

#: Peers answered in one turn of the holder.
_MOST_PEERS: Final = 16
_LONGEST_ANSWER: Final = 2**20
_ASK_SECONDS: Final = 5.0


def figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the reader's part of the state."""
    series = {
        letter: {"name": snapshot.start + letter, "last": snapshot[last], "dropped": snapshot[dropped]}
        for letter, (last, dropped) in SERIES.items()
        if letter != "h"
    }
    names = (
        "received",
        "forwarded",
        "empty",
        "truncated",
        "resolved",
        "unresolved",
        "bugs",
        "backlog_records",
        "backlog_bytes",
    )
    cells = {name: snapshot[Cell[name.upper()]] for name in names}
    return {"series": series, "dropped": snapshot.dropped, **cells}


def of_child(child: Child) -> dict[str, Any]:
    """Return the state of one child process; its pid is null while it does not run."""
    return {
        "pid": child.pid or None,
        "started_at": child.started_at,
        "restarts": child.restarts,
        "last_exit": child.last_exit,
    }


def answer(server: socket.socket, state: bytes) -> None:
    """Give all who have connected the state, and close. Nobody is waited for: it fits into the socket's buffer."""
    for _ in range(_MOST_PEERS):
        try:
            peer, _ = server.accept()
        except OSError:  # nobody (any more)
            return
        with peer, contextlib.suppress(OSError):
            peer.setblocking(False)
            peer.send(state)


def ask(path: str) -> dict[str, Any]:
    """Return the state of the host whose status socket this is; ConfigError when nobody answers."""
    chunks = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(_ASK_SECONDS)
            server.connect(path)
            while (chunk := server.recv(65_536)) and len(chunks) < _LONGEST_ANSWER:
                chunks += chunk
        state = orjson.loads(chunks)
    except PermissionError:
        raise ConfigError(f"{path}: permission denied") from None
    except (OSError, orjson.JSONDecodeError):
        raise ConfigError(f"{path}: nobody answers; is `shipper host run` running on this machine?") from None
    if not isinstance(state, dict):
        raise ConfigError(f"{path}: the answer is no state of a host")
    return state
