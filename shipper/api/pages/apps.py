"""The page of apps: who wrote how much, with how many errors, where, in which versions, and when last."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from shipper.api.ask import Asking
from shipper.api.counting import apps_answer
from shipper.api.discover import of_query
from shipper.api.html import render
from shipper.api.kibana import links_to
from shipper.api.pages.asked import Typed, link, without_empty
from shipper.api.pages.search import elsewhere, refused
from shipper.errors import ShipperError

#: Without a time range: what is there now.
_RANGE = "24h"


async def apps(asking: Asking, request: Request) -> Response:
    """List the apps that wrote in a time range."""
    shorter = without_empty(request)
    if shorter is not None:
        return shorter
    typed = Typed.of(request)
    if not typed.values:
        return RedirectResponse(f"/apps?start={_RANGE}", 303)
    try:
        asked = typed.question()
        query = asked.query(asking.clock())
        told = await asking.within(apps_answer(asking, query))
    except ShipperError as error:
        return refused("apps.html", request, typed, error)
    rows = [
        {
            **app,
            "url": link("/", asked, app=app["app"], cursor=None),
            "errors_url": link("/", asked, app=app["app"], min_level="error", cursor=None),
            "tail_url": link("/tail", asked, app=app["app"], start=None, end=None, cursor=None),
            "share": 0 if not app["count"] else round(100 * app["errors"] / app["count"], 1),
        }
        for app in told["apps"]
    ]
    return render(
        "apps.html",
        request=request,
        typed=typed,
        asked=asked,
        trouble=None,
        apps=rows,
        notes=told["incomplete"],
        kibana_url=links_to(asking.kibana, of_query(query, "service.name")).get("kibana"),
        **elsewhere(asked),
    )
