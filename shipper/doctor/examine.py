"""The checks of `shipper doctor host`, in the order in which they are told; together they take less than 30 s."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from shipper.doctor import (
    canary,
    configuration,
    container_socket,
    deaf,
    docker,
    ledger,
    limits,
    queue,
    reach,
)
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, skipped
from shipper.errors import ShipperError

Check = Callable[[Examination], Iterator[Finding]]

_STATE_SECONDS: Final = 3.0
_CHECK_SECONDS: Final = 9.0
_CANARY_SECONDS: Final = canary.SECONDS + 1.5
#: They look at different things, so all run at once.
_CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("socket", container_socket.check),
    ("containers", deaf.check),
    ("configuration", configuration.check),
    ("queue", queue.check),
    ("shipper", reach.check),
    ("ledger", ledger.check),
    ("limits", limits.check),
    ("docker", docker.check),
)


def examine(examination: Examination, *, with_canary: bool = True) -> Iterator[Finding]:
    """Make all checks and give each finding as soon as it and those before it are known."""
    state = _Running("state", lambda looked: _ask(looked), examination, _STATE_SECONDS)
    if any(finding.advice for finding in state.findings()):
        examination.no_state = f"the holder gives no answer in {_STATE_SECONDS:g} s"
    running = [_Running(name, check, examination, _CHECK_SECONDS) for name, check in _CHECKS]
    for each in running:
        yield from each.findings()
    if with_canary:
        yield from _Running("canary", canary.check, examination, _CANARY_SECONDS).findings()
    else:
        yield skipped("canary", "not asked for")


def _ask(examination: Examination) -> Iterator[Finding]:
    try:
        examination.state = examination.ask()
    except ShipperError as error:
        examination.no_state = str(error)
    yield from ()


class _Running:
    """One check in a thread of its own, which is left alone when it hangs: what it looks at may never answer."""

    def __init__(self, name: str, check: Check, examination: Examination, seconds: float) -> None:
        self._name, self._check, self._examination = name, check, examination
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def findings(self) -> list[Finding]:
        """Wait for the check, within its time, and return what it found."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            text = f"no result in {self._seconds:g} s: what it looks at does not answer"
            found.append(failed(self._name, text, "look for a disk or a network file system that hangs (dmesg)"))
        return found

    def _run(self) -> None:
        try:
            self._found.extend(self._check(self._examination))
        except PermissionError as error:
            self._found.append(skipped(self._name, f"{error.filename or 'this'} may not be looked at; run as root"))
        except ShipperError as error:
            self._found.append(failed(self._name, str(error), "it answered a moment ago: `journalctl -u shipper-host`"))
        except Exception as error:  # noqa: BLE001  the other checks are made whatever happens to this one
            self._found.append(failed(self._name, f"the check ended with {error!r}", "this is a bug: report it"))
