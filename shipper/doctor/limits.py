"""Limits that lose records without a word: of the kernel, of processes, of rsyslog and journald."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, ok, skipped, warning

_NAME: Final = "limits"
_RATE_LIMITS: Final = "rate limits"
#: Part of the descriptors that may be in use; a tailer has one for each file it follows.
_FULL: Final = 0.8
_RATE: Final = re.compile(r'^[^#\n]*\b(RateLimit\.Interval)\s*=\s*"(\d+)"', re.MULTILINE | re.IGNORECASE)
_LONGEST_FILE: Final = 2**20
_JOURNALD: Final = ("/etc/systemd/journald.conf", "/etc/systemd/journald.conf.d", "/run/systemd/journald.conf.d")


def check(examination: Examination) -> Iterator[Finding]:
    """Look at what the socket holds, at open files, and at every rate limit that is set."""
    try:
        length = Path("/proc/sys/net/unix/max_dgram_qlen").read_text().strip()
    except OSError:
        length = "an unknown number of"
    yield _files(examination, f"the socket keeps {length} records while nobody reads (net.unix.max_dgram_qlen)")
    try:
        conf = examination.shipper_conf()
    except FileNotFoundError:
        yield skipped(_RATE_LIMITS, "there is no shipper.conf")
        return
    yield _rates(conf)


def _files(examination: Examination, socket: str) -> Finding:
    """Compare open files of the tailer, or of the reader where there is none, with their limit."""
    if examination.no_state:
        return ok(_NAME, f"{socket}; open files not looked at: {examination.no_state}")
    name = "tailer" if examination.pid("tailer") else "reader"
    pid = examination.pid(name)
    try:
        used = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
        limit = _open_files(Path(f"/proc/{pid}/limits").read_text())
    except FileNotFoundError:
        return ok(_NAME, f"{socket}; the {name} does not run")
    found = f"{socket}; the {name} has {used:,} of {limit:,} files open"
    if used > _FULL * limit:
        return warning(_NAME, found, "raise LimitNOFILE in shipper-host.service: files above it are not followed")
    return ok(_NAME, found)


def _open_files(text: str) -> int:
    """Return the soft limit from a /proc/PID/limits."""
    found = re.search(r"^Max open files\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 2**20  # "unlimited"


def _rates(conf: str) -> Finding:
    wrong = [f'{name}="{value}"' for name, value in _RATE.findall(conf) if value != "0"]
    if wrong:
        return failed(
            _RATE_LIMITS,
            f"shipper.conf has {', '.join(wrong)}: rsyslogd drops above it, and no counter shows that",
            'set it to "0": write the file again with `shipper generate rsyslog`',
        )
    if "imjournal" not in conf:
        return ok(_RATE_LIMITS, "none in shipper.conf; the journal is not read")
    journald = "; ".join(_journald()) or "journald's own, 10,000 records in 30 s of one service"
    return ok(_RATE_LIMITS, f"none in shipper.conf; above {journald} journald drops, and says so in the journal")


def _journald() -> Iterator[str]:
    """Return the lines that set journald's rate limit, the last one counts."""
    for place in map(Path, _JOURNALD):
        for path in sorted(place.glob("*.conf")) if place.is_dir() else [place]:
            try:
                with path.open(errors="replace") as file:
                    lines = file.read(_LONGEST_FILE).splitlines()
            except OSError:
                continue
            yield from (line.strip() for line in lines if line.strip().startswith("RateLimit"))
