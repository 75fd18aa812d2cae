"""Tells owners of mistakes in their labels, by records that go the way of all others."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from shipper.cluster.label_report import report, take
from shipper.cluster.labels import Wishes
from shipper.record import Receipt, Received, Record

#: Name of the source that these records come from; no source of the configuration has it.
SOURCE: Final = "shipper"
#: Apps whose mistakes are remembered; beyond it nobody is told: it is not typing mistakes then.
_MOST_APPS: Final = 1000

#: How the intake reads what this source brings.
READ: Final[Callable[[Record], None]] = take


class Notices:
    """Remembers what was told, so that an app is told once of the same mistakes, however often it is seen."""

    def __init__(self, submit: Callable[[Received], None], clock: Callable[[], int] = time.time_ns) -> None:
        self._submit = submit
        self._clock = clock
        self._told: dict[str, tuple[str, ...]] = {}

    def look(self, apps: Iterable[tuple[str, str, Wishes]]) -> None:
        """Tell the owners of mistakes that are new; `apps`: id, version and wishes of all apps there are."""
        wrong = [(app_id, version, wishes) for app_id, version, wishes in apps if wishes.problems][:_MOST_APPS]
        now = self._clock()
        payloads = [
            report(app_id, version, wishes, now)
            for app_id, version, wishes in wrong
            if self._told.get(app_id) != wishes.problems
        ]
        self._told = {app_id: wishes.problems for app_id, _, wishes in wrong}
        if payloads:
            self._submit(Received(payloads, SOURCE, "", now, Receipt(len(payloads))))
