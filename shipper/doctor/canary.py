"""One record of our own, written where a container writes, and followed until it can be found in the store.

It is real: local0.info, program "shipper-doctor", and it stays in the store like any other.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shipper.doctor import api
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, ok, skipped, span
from shipper.doctor.hearing import Hearing, connected, identity
from shipper.errors import ConfigError, ShipperError, StoreBusy

#: How long a record may take until it is found, in seconds.
SECONDS: Final = 15.0
_NAME: Final = "canary"
#: local0.info
_PRI: Final = 134
_READ_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.02
_ASK_SECONDS: Final = 0.2


@dataclass(slots=True)
class _Written:
    """One record on its way."""

    via: str
    id: str
    at: float
    writer: socket.socket

    @property
    def unread(self) -> bool:
        """Whether it still lies in the socket: its memory is still counted for us."""
        return fcntl.ioctl(self.writer, termios.TIOCOUTQ, bytes(4)) != bytes(4)


def check(examination: Examination) -> Iterator[Finding]:
    """Write one record for each way that containers have to the socket, and follow each."""
    if examination.no_state:
        yield skipped(_NAME, f"nobody reads what would be written: {examination.no_state}")
        return
    deadline = time.monotonic() + SECONDS
    with contextlib.ExitStack() as stack:
        for via, path in _ways(examination).items():
            found = _write(examination, via, path)
            if isinstance(found, Finding):
                yield found
            else:
                stack.callback(found.writer.close)
                yield _follow(examination, found, deadline)


def _ways(examination: Examination) -> dict[str, str]:
    """Return a path of each way, by how it is told: through one container per kind of mount, else the socket itself."""
    ways: dict[str, str] = {}
    for container in examination.containers.of(Hearing.LIVE):
        kind = "the mounted socket" if container.way.by_file else "the mounted directory"
        if not any(via.startswith(kind) for via in ways):
            ways[f"{kind} of container {container.described()}"] = f"/proc/{container.pid}/root{container.way.path}"
    return ways or {"the socket": examination.settings.socket}


def _write(examination: Examination, via: str, path: str) -> _Written | Finding:
    live = identity(examination.settings.socket)
    writer = connected(path, live)
    if not isinstance(writer, socket.socket):
        return failed(_NAME, f"{via}: {os.strerror(writer)}", "see the checks of socket and containers")
    known = secrets.token_hex(8)
    text = f"<{_PRI}>shipper-doctor[{os.getpid()}]: shipper doctor canary {known}"
    writer.settimeout(_READ_SECONDS)
    at = time.time()
    try:
        writer.send(text.encode())
    except OSError as error:
        writer.close()
        why = error.strerror or f"not taken in {_READ_SECONDS:g} s: it is full"
        return failed(_NAME, f"{via}: {why}", "nobody reads the socket: see the check of it")
    return _Written(via, known, at, writer)


def _follow(examination: Examination, written: _Written, deadline: float) -> Finding:
    """Return how far it came, and when it was where."""
    limit = time.monotonic() + _READ_SECONDS
    while written.unread:
        if time.monotonic() > limit:
            return failed(
                _NAME,
                f"through {written.via}: written, but not read in {_READ_SECONDS:g} s",
                "the reader hangs or is too slow: `shipper host status`",
            )
        time.sleep(_LOOK_SECONDS)
    read = time.time() - written.at
    refusal = ""
    while time.monotonic() < deadline:
        try:
            record = _find(examination, written, deadline)
        except StoreBusy as error:  # may answer the next time
            refusal = str(error)
        except ConfigError as error:
            refusal = str(error)
            break
        else:
            if record is not None:
                return _arrived(written, record)
            refusal = ""
        time.sleep(_ASK_SECONDS)
    return _stopped(examination, written, read, refusal)


def _find(examination: Examination, written: _Written, deadline: float) -> Mapping[str, Any] | None:
    asked = {"text": written.id, "host": examination.host_name, "start": "1h", "limit": "1"}
    left = max(0.5, deadline - time.monotonic())
    records = api.ask(examination.url, "/api/v1/records", asked, left).body.get("records") or ()
    return next((one for one in records if written.id in str(one.get("message"))), None)


def _arrived(written: _Written, record: Mapping[str, Any]) -> Finding:
    found = time.time() - written.at
    hops = []
    names = {"event.created": "host", "shipper.received_at": "shipper", "event.ingested": "stored"}
    for name, told in names.items():
        try:
            at = datetime.fromisoformat(str(record.get(name))).timestamp()
        except ValueError:
            continue
        hops.append(f"{told} {'+' if at >= written.at else '-'}{span(abs(at - written.at))}")
    return ok(_NAME, f"found after {span(found)} through {written.via}: {', '.join(hops)}; written {written.id}")


def _stopped(examination: Examination, written: _Written, read: float, refusal: str) -> Finding:
    """Say at which hop it is: at the reader, in rsyslogd's queue, or at the shipper."""
    came = f"through {written.via}: read after {span(read)}"
    state = examination.ask()
    if not examination.pid("rsyslogd") or int(state["backlog_records"]):
        waits = int(state["backlog_records"])
        return failed(
            _NAME,
            f"{came}, then not taken by rsyslogd; {waits:,} records wait in the reader",
            "rsyslogd is away or hangs: `shipper host status` says why",
        )
    if refusal:
        return skipped(_NAME, f"{came} and passed to rsyslogd; not followed further: {refusal}")
    if not _settled(examination, state):
        grown = int(state["queue_bytes"]) - int(examination.state["queue_bytes"])
        return failed(
            _NAME,
            f"{came} and passed to rsyslogd, but the shipper has not had it in {SECONDS:g} s; "
            f"the queue on disk has {'grown' if grown > 0 else 'not grown'}{_not_ready(examination)}",
            "see the check of the way to the shipper; behind a full queue a new record waits its turn",
        )
    return failed(
        _NAME,
        f"{came}, settled by the shipper, but not found by a search in {SECONDS:g} s",
        "the store is slow, or an index refuses it: shipper dead-letters, and /ready of the shipper",
    )


def _not_ready(examination: Examination) -> str:
    """Say why the shipper that answers questions takes no records, as when the disk of its store is full."""
    try:
        api.ask(examination.url, "/ready", {}, 2.0)
    except StoreBusy as error:
        return f"; {error}"
    except ShipperError:
        pass  # said already
    return ""


def _settled(examination: Examination, state: Mapping[str, Any]) -> bool:
    """Whether the shipper has settled all that the reader had numbered by now, of the series that we wrote to."""
    series = state["series"]["n"]
    with contextlib.suppress(ShipperError):
        answer = api.ask(examination.url, "/api/v1/ledger", {"host": examination.host_name}, 2.0)
        for line in answer.body.get("series", ()):
            if line.get("series") == series["name"]:
                return bool(int(line["last"]) >= int(series["last"]) and not line["missing"])
    return False
