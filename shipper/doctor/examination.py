"""What the checks of one run share: the host as it is configured, as it says it is, and its containers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from shipper.doctor.containers import Scan

_LONGEST_FILE: Final = 2**20


class HostSettings(Protocol):
    """What host.json says, as `shipper.host.settings` reads it."""

    @property
    def socket(self) -> str: ...  # noqa: D102  named in shipper.host.settings
    @property
    def work_directory(self) -> str: ...  # noqa: D102
    @property
    def host_name(self) -> str: ...  # noqa: D102
    @property
    def rsyslogd(self) -> str: ...  # noqa: D102
    @property
    def sandboxes(self) -> str: ...  # noqa: D102
    @property
    def has_files(self) -> bool: ...  # noqa: D102
    @property
    def queue_limit_bytes(self) -> int: ...  # noqa: D102


@dataclass(slots=True)
class Examination:
    """One run. `state` is what the holder said when it began, `no_state` why it said nothing."""

    #: host.json; `shipper.conf` and the rest lie beside it.
    config: Path
    settings: HostSettings
    #: Why host.json cannot be used; "" when it can.
    refused: str
    #: Asks the holder for its state; ShipperError when it does not answer.
    ask: Callable[[], Mapping[str, Any]]
    #: Where shipper's API answers.
    url: str
    state: Mapping[str, Any] = field(default_factory=dict)
    no_state: str = ""
    containers: Scan = field(default_factory=lambda: Scan((), 0))

    @property
    def host_name(self) -> str:
        """The name that this host's records carry."""
        return str(self.state.get("host") or self.settings.host_name)

    def shipper_conf(self) -> str:
        """Return rsyslogd's configuration; OSError when it cannot be read."""
        with self.config.with_name("shipper.conf").open(errors="replace") as file:
            return file.read(_LONGEST_FILE)

    def pid(self, name: str) -> int:
        """Return the pid of a child of the holder ("reader", "rsyslogd", "tailer"); 0 while there is none."""
        child = self.state.get(name)
        return int(child.get("pid") or 0) if isinstance(child, Mapping) else 0
