"""The page of the live tail: the same filters as a search; its script listens, without it a link reads the newest."""

from starlette.requests import Request
from starlette.responses import Response

from shipper.api.ask import Asking
from shipper.api.html import render
from shipper.api.pages.asked import Typed, link, without_empty
from shipper.api.pages.search import elsewhere, refused
from shipper.errors import ShipperError

#: Records shown at first, from before the tail began.
_BACK = 20
_VOID = {"start": None, "end": None, "order": None, "limit": None, "cursor": None}


async def tail(asking: Asking, request: Request) -> Response:
    """Show records as they are written."""
    shorter = without_empty(request)
    if shorter is not None:
        return shorter
    typed = Typed.of(request)
    try:
        asked = typed.question()
        asked.query(asking.clock())  # says what is wrong with it, before anything listens
    except ShipperError as error:
        return refused("tail.html", request, typed, error)
    stream = link("/api/v1/tail", asked, back=_BACK, **_VOID)
    return render(
        "tail.html", request=request, typed=typed, asked=asked, trouble=None, stream=stream, **elsewhere(asked)
    )
