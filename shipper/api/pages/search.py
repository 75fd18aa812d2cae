"""The search page: the address is the question, the form writes the address."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shipper.api.ask import Asking
from shipper.api.discover import of_query
from shipper.api.errors import status_of
from shipper.api.html import render
from shipper.api.kibana import links_to
from shipper.api.pages.asked import Trouble, Typed, link, marked, parameters, without_empty
from shipper.api.pages.overview import overview
from shipper.api.question import Question
from shipper.api.rows import rows
from shipper.errors import ShipperError
from shipper.record.times import from_ns
from shipper.search import cursor as cursors
from shipper.search.query import Page, Query

#: The script asks for rows alone by this header.
PART_HEADER = "x-shipper-part"
#: A longer page has lines that are opened on their own page: with all fields of all lines it would be too big.
_MOST_WITH_FIELDS = 200


async def search(asking: Asking, request: Request) -> Response:
    """Search: newest records first, how many there are, and what is missing."""
    shorter = without_empty(request)
    if shorter is not None:
        return shorter
    typed = Typed.of(request)
    try:
        asked = typed.question()
        query = asked.query(asking.clock())
        began = time.monotonic()
        page = await asking.within(asking.reader.search(query))
    except ShipperError as error:
        return refused("search.html", request, typed, error, page=None)
    only_rows = request.headers.get(PART_HEADER) == "rows"
    lazy = only_rows or query.limit > _MOST_WITH_FIELDS
    shown = _shown(asked, query, page) | {"rows": rows(page.records, asking.kibana, lazy), "lazy": lazy}
    if only_rows:
        return render("_more.html", **shown)
    # A store that does not answer is not asked for more: whoever looks now waits for nothing.
    first = asked.cursor is None and page.records and page.source == "store"
    above = await overview(asking, typed, asked, query) if first else None
    return render(
        "search.html",
        request=request,
        typed=typed,
        asked=asked,
        trouble=None,
        page=page,
        above=above,
        took=time.monotonic() - began,
        start=None if query.start is None else from_ns(query.start),
        end=None if query.end is None else from_ns(query.end),
        first_url=typed.url(asked) if asked.cursor else None,
        kibana_url=links_to(asking.kibana, of_query(query)).get("kibana"),
        **shown,
        **elsewhere(asked),
    )


def refused(template: str, request: Request, typed: Typed, error: ShipperError, **values: Any) -> Response:
    """Return a page whose question was not answered, with all that was typed."""
    trouble = Trouble.of(error, typed.values)
    return render(template, status_of(error), request=request, typed=typed, asked=None, trouble=trouble, **values)


def elsewhere(asked: Question) -> dict[str, Any]:
    """Return the links from a question to other pages and to the API."""
    timeless = {"start": None, "end": None, "order": None, "limit": None, "cursor": None}
    return {
        "json_url": link("/api/v1/records", asked),
        "tail_url": link("/tail", asked, **timeless),
        "patterns_url": link("/patterns", asked, order=None, limit=None, cursor=None),
        "search_url": link("/", asked, cursor=None),
        "given": parameters(asked),
    }


def _shown(asked: Question, query: Query, page: Page) -> dict[str, Any]:
    next_url = None
    if page.next is not None:  # what was relative to now stays what it was on the first page
        pinned = {"start": query.start, "end": query.end}
        bounds = {name: from_ns(value) for name, value in pinned.items() if value is not None}
        next_url = link("/", asked, cursor=cursors.encode(page.next), **bounds)
    return {"phrases": marked(query), "next_url": next_url, "notes": page.incomplete}
