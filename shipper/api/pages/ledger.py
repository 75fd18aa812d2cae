"""The pages of the account: what every host sent and what became of it, and what no store would take."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shipper.api import answers
from shipper.api.accounts import books
from shipper.api.ask import Asking
from shipper.api.html import render
from shipper.api.ledger_answers import ledger_answer

_MOST_DEAD_LETTERS = 200


async def ledger(asking: Asking, request: Request) -> Response:
    """Show what every host sent and what became of it."""
    host = request.query_params.get("host") or None
    told = ledger_answer(await asking.within(books(asking.reader, asking.clock(), *filter(None, [host]))))
    by_host: dict[str, list[dict[str, Any]]] = {}
    for line in told["series"]:
        by_host.setdefault(line["host"], []).append(line)
    reporting = [one for one in told["hosts"] if one["last_report"] or one["rsyslogd_starts"]]
    return render("ledger.html", request=request, ledger=told, reporting=reporting, by_host=by_host, host=host)


async def dead_letters(asking: Asking, request: Request) -> Response:
    """Show the newest records that no store would take."""
    letters = await asking.within(asking.reader.dead_letters(_MOST_DEAD_LETTERS))
    told = answers.dead_letters_answer(letters)["dead_letters"]
    return render("dead_letters.html", request=request, letters=told, most=_MOST_DEAD_LETTERS)
