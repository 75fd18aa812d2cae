"""The page of a request's story: the verdict, the first error, the picture, then its records in order."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shipper.api.ask import Asking
from shipper.api.discover import of_story
from shipper.api.html import render
from shipper.api.kibana import links_to
from shipper.api.links import request_url
from shipper.api.pages.lanes import MOST_LANES, STRIPES, Mark, picture
from shipper.api.question import request_id
from shipper.api.rows import story_rows
from shipper.api.shown import service_of
from shipper.api.story import Story, tell
from shipper.errors import QueryError
from shipper.record.times import moment, to_ns

#: Records of one page of a story, and up to how many each has its fields with it.
_MOST_ROWS = 500
_MOST_WITH_FIELDS = 100
_MOST_RELATED = 12


async def find_request(asking: Asking, request: Request) -> Response:
    """Send the small form in the head of every page to the request's own address."""
    return RedirectResponse(request_url(request_id(request.query_params.get("id", "").strip())), 303)


async def story(asking: Asking, request: Request) -> Response:
    """Tell the story of one request; `service` and `from` choose which of its records are listed."""
    wanted = request_id(request.path_params["id"])
    begin = _begin(request.query_params.get("from", "0"))
    told = await asking.within(tell(asking.reader, wanted, asking.clock()))
    if told is None or not told.records:
        notes = told.incomplete if told else []
        return render("story_missing.html", 404, request=request, request_id=wanted, incomplete=notes)
    service = request.query_params.get("service") or None
    there = links_to(asking.kibana, of_story(told)).get("kibana")
    shown = _drawn(told) | _listed(told, service, begin)
    return render("story.html", request=request, story=told, kibana_url=there, **shown)


def _begin(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise QueryError("from: the number of the first record that is listed, from 0")
    return int(text)


def _drawn(told: Story) -> dict[str, Any]:
    marks = (Mark(_at(one) - told.began, service_of(one), str(one.get("log.level") or "")) for one in told.records)
    first_error = None
    if told.first_error is not None:
        (first_error,) = story_rows([told.first_error], told.began, {})
    return {
        "picture": picture(told.services, marks, told.hops, told.holes, told.began, told.duration),
        "most_lanes": MOST_LANES,
        "most_related": _MOST_RELATED,
        "hosts": list(dict.fromkeys(host for service in told.services for host in service.hosts)),
        "first_error": first_error,
    }


def _at(record: dict[str, Any]) -> int:
    shown = record.get("shown_time")
    return to_ns(shown) if isinstance(shown, str) else moment(record)


def _listed(told: Story, service: str | None, begin: int) -> dict[str, Any]:
    wanted = [one for one in told.records if service is None or service_of(one) == service]
    here = wanted[begin : begin + _MOST_ROWS]
    stripes = {one.name: place % STRIPES for place, one in enumerate(told.services)}
    links = {one.name: _url(told, one.name) for one in told.services}
    rest = len(wanted) - begin - len(here)
    return {
        "rows": story_rows(here, told.began, stripes, lazy=len(here) > _MOST_WITH_FIELDS),
        "lazy": len(here) > _MOST_WITH_FIELDS,
        "service": service,
        "links": links,
        "all_url": _url(told, None),
        "begin": begin,
        "wanted": len(wanted),
        "next_url": _url(told, service, begin + len(here)) if rest > 0 else "",
        "before_url": _url(told, service, max(0, begin - _MOST_ROWS)) if begin else "",
    }


def _url(told: Story, service: str | None, begin: int = 0) -> str:
    asked = {"service": service, "from": begin or None}
    kept = urlencode({name: value for name, value in asked.items() if value}, errors="replace")
    return f"{request_url(told.request_id)}{'?' if kept else ''}{kept}#records"
