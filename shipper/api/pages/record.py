"""The page of one record: all its fields, what can be done about it, and the lines before and after it."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shipper.api.ask import Asking
from shipper.api.context import KINDS, Kind, best_kind, context, find, kinds_of
from shipper.api.html import render
from shipper.api.links import same_question
from shipper.api.pages.asked import moment_of
from shipper.api.rows import PAGE_CUT, row, rows
from shipper.errors import QueryError, ShipperError
from shipper.search.query import Neighbours

#: Lines before and after: as many as fit a screen, and as many as "more" shows.
_FEW, _MANY = 10, 100


async def record(asking: Asking, request: Request) -> Response:
    """Show one record whole, between its neighbours."""
    at = moment_of(request.query_params.get("at", ""))
    found, notes = await asking.within(find(asking, request.path_params["id"], at))
    if found is None:
        message = "No record has this id at this time; it may have been deleted with its day."
        return render("error.html", 404, request=request, title="No such record", message=message, incomplete=notes)
    kind = _kind(request.query_params.get("kind")) or best_kind(found)
    lines = _MANY if request.query_params.get("lines") == str(_MANY) else _FEW
    try:
        around = (await asking.within(context(asking, found, kind, lines, lines))).neighbours
    except ShipperError as error:  # the record itself is here
        around = Neighbours(incomplete=(f"its neighbours could not be read: {error}",))
    shown = row(found, PAGE_CUT, asking.kibana)
    return render(
        "record.html",
        request=request,
        record=shown,
        context=rows([*around.before, found, *around.after], asking.kibana),
        incomplete=list(dict.fromkeys((*notes, *around.incomplete))),
        kind=kind,
        kinds=kinds_of(found),
        lines=lines,
        more=_MANY if lines == _FEW and max(len(around.before), len(around.after)) == _FEW else None,
    )


async def same(asking: Asking, request: Request) -> Response:
    """Send to the search for messages like a record's, of any app on any host."""
    at = moment_of(request.query_params.get("at", ""))
    found, _ = await asking.within(find(asking, request.path_params["id"], at))
    url = same_question(found) if found is not None else ""
    if url:
        return RedirectResponse(url, 303)
    message = "No record has this id at this time." if found is None else "All words of its message vary."
    return render("error.html", 404, request=request, title="Nothing to look for", message=message)


def _kind(text: str | None) -> Kind | None:
    if text is not None and text not in KINDS:
        raise QueryError(f"kind: one of {', '.join(KINDS)}")
    return next((kind for kind in KINDS if kind == text), None)
