"""The join of what many records have alike with what is known of their task: made once, then only looked up."""

from collections.abc import Mapping
from typing import Any, Final

from shipper.enrichers._task_fields import ADDED, Found, service_of
from shipper.enrichers._waiting import Unknown
from shipper.record import Record, Shared

_ADDED: Final = frozenset(ADDED)
_NOTHING_SAID: Final[frozenset[str]] = frozenset()


class Join:
    """What records of one task share, with the fields of that task."""

    __slots__ = (
        "_added", "_base", "_others", "_service", "app_id", "budget", "by", "claims", "found", "records", "revision",
        "said", "shared", "unknown",
    )  # fmt: skip

    def __init__(self, base: Shared, found: Found, unknown: Unknown | None, revision: int, work: str) -> None:
        """`work` is the app or job that the host said, "" for none."""
        self._base = base
        self.found = found
        self.unknown = unknown
        known = found.known
        #: Records per second that the app may write before it is sampled; 0: as many as it likes.
        self.budget = known.definition.wishes.budget if known is not None and known.definition is not None else 0
        self.app_id = known.app_id if known is not None else ""
        #: The registry's, at which the join is known to be right.
        self.revision = revision
        #: What the host makes of the app's id: no record's own word either.
        self._service = service_of(work)
        #: Names of ours that the host said. A shared service.name follows from the app's id or a syslog tag: the
        #: registry knows better.
        self.said = (_ADDED & base.fields.keys()) - {"service.name"}
        if not work:
            self.said -= {"orchestrator.resource.type"}  # nor does it say "task" of anything but a task id
        told: Mapping[str, Any] = found.fields if found.by or not work else {"shipper.enriched_by": "host"}
        self._added = {name: value for name, value in told.items() if name not in self.said}
        self.by = str(self._added.get("shipper.enriched_by", ""))
        #: What records get as their shared fields.
        self.shared = self._with(_NOTHING_SAID)
        #: Names that come new into the shared fields, now or late, so that a record may have them already.
        self.claims = (frozenset(self._added) if unknown is None else _ADDED) - base.fields.keys()
        #: The same for records that say some of those names themselves.
        self._others: dict[tuple[str, ...], tuple[Shared, frozenset[str]]] = {}
        #: Records joined since the last count.
        self.records = 0

    def apply(self, record: Record) -> frozenset[str]:
        """Join a record that says some of the names itself: what it says stays. Return all names said."""
        fields = record.fields
        own = tuple([name for name in self.claims if name in fields])
        if "service.name" in own and fields["service.name"] in (self._service, fields.get("log.syslog.appname")):
            del fields["service.name"]
            own = tuple([name for name in own if name != "service.name"])
        known = self._others.get(own)
        if known is None:
            known = self._others[own] = self._with(frozenset(own)), self.said | frozenset(own)
        record.shared, said = known
        return said

    def _with(self, own: frozenset[str]) -> Shared:
        added = {name: value for name, value in self._added.items() if name not in own}
        return Shared(self._base.fields | added, self._base.final) if added else self._base
