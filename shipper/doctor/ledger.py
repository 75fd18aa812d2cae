"""What the store knows of this host: its last report, what is missing, and whether both clocks agree."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shipper.doctor import api
from shipper.doctor.examination import Examination
from shipper.doctor.findings import Finding, failed, many, ok, skipped, span, warning
from shipper.errors import ShipperError

_NAME: Final = "ledger"
_CLOCK: Final = "clock"
_SECONDS: Final = 6.0
_WARNING_SECONDS, _FAILED_SECONDS = 1.0, 60.0
_SET: Final = "set the clock of the one that is wrong (chrony, systemd-timesyncd): times of records come from the host"


def check(examination: Examination) -> Iterator[Finding]:
    """Ask the API for the ledger of this host."""
    host = examination.host_name
    try:
        answer = api.ask(examination.url, "/api/v1/ledger", {"host": host}, _SECONDS)
    except ShipperError as error:
        yield skipped(_NAME, f"{error}; --url or $SHIPPER_URL says where shipper answers")
        return
    known = [one for one in answer.body.get("hosts", ()) if one.get("host") == host]
    if known:
        yield _account(known[0])
    else:
        yield failed(_NAME, f"the store has never had anything of host {host}", "see the checks above: nothing arrives")
    if answer.ahead is not None:
        yield _clock(*answer.ahead)


def _account(host: Mapping[str, Any]) -> Finding:
    missing, kinds = int(host["missing"]), host["kinds"]
    why = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in kinds.items() if number)
    age = host["last_report_age_seconds"]
    heard = f"last report {span(age)} ago" if age is not None else "no report ever"
    found = f"{heard}; {many(missing, 'record')} missing{f' ({why})' if why else ''}"
    look = f"shipper ledger --host {host['host']} shows which and when"
    if host["state"] == "silent":
        return failed(_NAME, found, "reports do not arrive: see the checks of queue and way to the shipper")
    if host["alarm"]:
        return failed(_NAME, found, look)
    if host["state"] != "reporting":
        return warning(_NAME, f"{found}; it is {host['state']}", "started just now? then look again in a minute")
    if missing > int(kinds.get("late", 0)):
        return warning(_NAME, found, look)
    return ok(_NAME, found)


def _clock(ahead: float, uncertain: float) -> Finding:
    way = "ahead of" if ahead > 0 else "behind"
    least = abs(ahead) - uncertain
    if least > _WARNING_SECONDS:
        say = failed if least > _FAILED_SECONDS else warning
        return say(_CLOCK, f"the shipper's clock is {span(abs(ahead))} {way} ours (± {uncertain:.1f} s)", _SET)
    return ok(_CLOCK, f"the shipper's clock and ours agree within {abs(ahead) + uncertain:.1f} s")
