"""The pages: a search, one record, a request's story, the ledger, dead letters. All of them work without script."""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shipper.api import answers
from shipper.api.accounts import books
from shipper.api.ask import Asking
from shipper.api.errors import answer, status_of
from shipper.api.html import render
from shipper.api.ledger_answers import ledger_answer
from shipper.api.links import request_url
from shipper.api.question import Question, question, request_id
from shipper.api.rows import PAGE_CUT, STRIPES, lanes, row, rows, story_rows, without
from shipper.api.story import Story, tell
from shipper.errors import QueryError, ShipperError
from shipper.record.times import from_ns
from shipper.search import cursor as cursors
from shipper.search.query import Page, Place, Query

#: Time ranges offered as links.
RANGES = ("15m", "1h", "6h", "24h", "7d")
_CONTEXT_RECORDS = 12
_MOST_DEAD_LETTERS = 200

Answer = Callable[[Asking, Request], Awaitable[Response]]


def pages(asking: Asking) -> list[Route]:
    """Return the routes of all pages."""
    routes = {
        "/": search,
        "/records/{id}": record,
        "/requests": find_request,
        "/requests/{id:path}": story,
        "/ledger": ledger,
        "/dead-letters": dead_letters,
    }
    return [Route(path, _page(asking, made)) for path, made in routes.items()]


def _page(asking: Asking, made: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        try:
            return await made(asking.of(request), request)
        except ShipperError as error:
            return answer(request, error)

    return page


async def search(asking: Asking, request: Request) -> Response:
    """Search: the URL is the question, the form writes the URL."""
    given = request.query_params.multi_items()
    if any(value == "" for _, value in given):  # a form sends its empty fields too: a link has none
        kept = [(name, value) for name, value in given if value != ""]
        return RedirectResponse(f"/?{urlencode(kept)}" if kept else "/", 303)
    values: dict[str, Any] = dict(given)
    if "level" in values:
        values["level"] = [value for name, value in given if name == "level"]
    form = {name: str(values.get(name, ""))[:1000] for name in Question.model_fields}
    try:
        asked = question(values)
        query = asked.query(asking.clock())
        began = time.monotonic()
        page = await asking.within(asking.reader.search(query))
    except ShipperError as error:
        status = status_of(error)
        return render(
            "search.html",
            status,
            form=form,
            asked=None,
            error=str(error),
            busy=status == 503,
            ranges=_ranges(None),
            page=None,
        )
    values = _found(asked, query, page) | {"took": time.monotonic() - began}
    return render("search.html", form=form, asked=asked, error=None, ranges=_ranges(asked), page=page, **values)


def _found(asked: Question, query: Query, page: Page) -> dict[str, Any]:
    next_url = None
    if page.next is not None:  # what was relative to now stays what it was on the first page
        pinned = {"start": query.start, "end": query.end}
        bounds = {name: from_ns(value) for name, value in pinned.items() if value is not None}
        next_url = asked.url(cursor=cursors.encode(page.next), **bounds)
    given = asked.model_dump(exclude_defaults=True, exclude={"cursor", "limit", "order"})
    return {
        "rows": rows(page.records),
        "phrases": query.phrases,
        "start": None if query.start is None else from_ns(query.start),
        "end": None if query.end is None else from_ns(query.end),
        "next_url": next_url,
        "first_url": asked.url(cursor=None) if asked.cursor else None,
        "given": {name: (value, without(asked, name)) for name, value in given.items()},
    }


def _ranges(asked: Question | None) -> list[tuple[str, str, bool]]:
    """Time ranges as (name, link, chosen)."""
    asked = asked or Question()
    chosen = asked.start if asked.end is None else ""
    links = [(name, asked.url(start=name, end=None, cursor=None), chosen == name) for name in RANGES]
    return [*links, ("all", asked.url(start=None, end=None, cursor=None), chosen is None)]


async def record(asking: Asking, request: Request) -> Response:
    """One record, whole, and what its host wrote before and after it."""
    place = _place(request.path_params["id"], request.query_params.get("at", ""))
    before_it = Place(place.timestamp, place.series, place.sequence - 1)
    only = Query(start=place.timestamp, end=place.timestamp + 1, after=before_it, limit=1, newest_first=False)
    page = await asking.within(asking.reader.search(only))
    found = [row(one, PAGE_CUT) for one in page.records]
    if not found or found[0].id != request.path_params["id"]:
        message = "No record has this id at this time; it may have been deleted with its day."
        return render("error.html", 404, title="No such record", message=message)
    host = found[0].host or None
    before = await asking.within(asking.reader.search(Query(host=host, after=place, limit=_CONTEXT_RECORDS)))
    later = Query(host=host, after=place, limit=_CONTEXT_RECORDS, newest_first=False)
    after = await asking.within(asking.reader.search(later))
    context = rows([*reversed(before.records), *page.records, *after.records])
    incomplete = dict.fromkeys((*page.incomplete, *before.incomplete, *after.incomplete))
    return render("record.html", record=found[0], context=context, incomplete=list(incomplete))


def _place(id: str, at: str) -> Place:
    series, _, sequence = id.rpartition("-")
    if not (series and sequence.isascii() and sequence.isdecimal() and at.isascii() and at.isdecimal()):
        raise QueryError("a record's link has its id and its time (at)")
    if len(sequence) > 18 or len(at) > 19 or int(at) >= 2**63 - 1:
        raise QueryError("a record's link has its id and its time (at)")
    return Place(int(at), series, int(sequence))


async def find_request(asking: Asking, request: Request) -> Response:
    """Send the small form in the head of every page to the request's own address."""
    return RedirectResponse(request_url(request_id(request.query_params.get("id", "").strip())), 303)


async def story(asking: Asking, request: Request) -> Response:
    """Tell the story of one request."""
    wanted = request_id(request.path_params["id"])
    told = await asking.within(tell(asking.reader, wanted, asking.clock()))
    if told is None or not told.records:
        return render("story_missing.html", 404, request_id=wanted, incomplete=told.incomplete if told else [])
    return render("story.html", story=told, **_drawn(told))


def _drawn(told: Story) -> dict[str, Any]:
    stripes = {service.name: place % STRIPES for place, service in enumerate(told.services)}
    lines = story_rows(told.records, stripes)
    hosts = list(dict.fromkeys(line.host for line in lines if line.host))
    first_error = None if told.first_error is None else row(told.first_error)
    if first_error is not None:
        first_error.offset = first_error.at - told.began
    return {"rows": lines, "lanes": lanes(lines, stripes), "hosts": hosts, "first_error": first_error}


async def ledger(asking: Asking, request: Request) -> Response:
    """Show what every host sent and what became of it."""
    host = request.query_params.get("host") or None
    told = ledger_answer(await asking.within(books(asking.reader, asking.clock(), host)))
    by_host: dict[str, list[dict[str, Any]]] = {}
    for line in told["series"]:
        by_host.setdefault(line["host"], []).append(line)
    reporting = [one for one in told["hosts"] if one["last_report"] or one["rsyslogd_starts"]]
    return render("ledger.html", ledger=told, reporting=reporting, by_host=by_host, host=host)


async def dead_letters(asking: Asking, request: Request) -> Response:
    """Show the newest records that no store would take."""
    letters = await asking.within(asking.reader.dead_letters(_MOST_DEAD_LETTERS))
    told = answers.dead_letters_answer(letters)["dead_letters"]
    return render("dead_letters.html", letters=told, most=_MOST_DEAD_LETTERS)
