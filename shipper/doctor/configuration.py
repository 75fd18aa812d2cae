"""Are the files of this host valid, and is what runs what lies on disk?"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, ok, skipped, span, warning

_NAME: Final = "configuration"
_SECONDS: Final = 8.0
_LONGEST_LINE: Final = 300


def check(examination: Examination) -> Iterator[Finding]:
    """Have host.json read and shipper.conf checked by rsyslogd, then compare their age with that of what runs."""
    if examination.refused:
        yield failed(_NAME, examination.refused, "correct it, or write it again with `shipper generate rsyslog`")
        return
    conf = examination.config.with_name("shipper.conf")
    if not conf.exists():
        yield failed(_NAME, f"{conf} is missing", "`shipper generate rsyslog` writes it beside host.json")
        return
    conf.open().close()  # PermissionError: said for the whole check
    yield _checked(examination, conf)
    yield _in_force(examination, conf)


def _checked(examination: Examination, conf: Path) -> Finding:
    """Ask the rsyslogd that `start` would run."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    program = shutil.which(examination.settings.rsyslogd or "rsyslogd", path=path)
    if program is None:
        missing = examination.settings.rsyslogd or "rsyslogd"
        return failed(_NAME, f"{missing} is missing", "install the packages rsyslog and rsyslog-relp")
    work = examination.settings.work_directory
    if Path(work).is_dir() and not os.access(work, os.W_OK | os.X_OK):
        return skipped(_NAME, f"rsyslogd cannot check {conf} without {work}; run as root")
    argv = [program, "-N1", "-f", str(conf)]
    environment = {**os.environ, "SHIPPER_SERIES": "check0"}
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return failed(_NAME, f"{program} -N1 gives no result in {_SECONDS:g} s", f"run it: {' '.join(argv)}")
    if done.returncode == 0:
        return ok(_NAME, f"host.json and {conf} are accepted by {program}")
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if "config validation run" not in line]
    said = lines[0][:_LONGEST_LINE] if lines else f"exit code {done.returncode}"
    return failed(_NAME, f"rsyslogd refuses {conf}: {said}", "write it again with `shipper generate rsyslog --check`")


def _in_force(examination: Examination, conf: Path) -> Finding:
    """Compare when the files were written with when their readers were started."""
    name = "in force"
    if examination.no_state:
        return skipped(name, examination.no_state)
    rsyslogd, holder = examination.state.get("rsyslogd") or {}, examination.state.get("started_at")
    if not examination.pid("rsyslogd"):
        return failed(
            name,
            f"rsyslogd does not run; the last one: {rsyslogd.get('last_exit') or 'none'}",
            "`shipper host status` says why under what happened",
        )
    stale = _newer(conf, rsyslogd.get("started_at"))
    if stale:
        return warning(name, f"{conf} is {stale} newer than the rsyslogd that runs", "shipper host reload")
    stale = _newer(examination.config, holder)
    if stale:
        return warning(
            name,
            f"{examination.config} is {stale} newer than what runs",
            "systemctl restart shipper-host.service; where the holder has the socket: shipper host restart",
        )
    restarts = int(rsyslogd.get("restarts") or 0)
    return ok(name, f"what runs was started after its files were written; rsyslogd was restarted {restarts:,} times")


def _newer(file: Path, started_at: object) -> str:
    """Say by how much a file is newer than a process; "" when it is not."""
    try:
        seconds = file.stat().st_mtime - datetime.fromisoformat(str(started_at)).timestamp()
    except ValueError:
        return ""
    return span(seconds) if seconds > 0 else ""
