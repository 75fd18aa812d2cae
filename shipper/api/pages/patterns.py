"""The page of patterns: messages grouped by what they have alike, how often, since when."""

from starlette.requests import Request
from starlette.responses import Response

from shipper.api.ask import Asking
from shipper.api.discover import of_query
from shipper.api.html import render
from shipper.api.kibana import links_to
from shipper.api.pages.asked import Typed, link, parameters, without_empty
from shipper.api.pages.search import elsewhere, refused
from shipper.api.patterns import patterns_answer
from shipper.api.question import Question
from shipper.api.rows import row
from shipper.errors import ShipperError

_MOST = 50
#: Of the query language.
_LONGEST = 2000


async def patterns(asking: Asking, request: Request) -> Response:
    """Group what matches a question by pattern."""
    shorter = without_empty(request)
    if shorter is not None:
        return shorter
    typed = Typed.of(request)
    try:
        asked = typed.question()
        query = asked.query(asking.clock())
        told = await asking.within(patterns_answer(asking, query, _MOST))
    except ShipperError as error:
        return refused("patterns.html", request, typed, error)
    found = [
        {
            **one,
            "example": row(one["example"]),
            "url": _narrowed(asked, one["query"]),
        }
        for one in told["patterns"]
    ]
    return render(
        "patterns.html",
        request=request,
        typed=typed,
        asked=asked,
        trouble=None,
        patterns=found,
        looked_at=told["looked_at"],
        total=told["total"],
        notes=told["incomplete"],
        kibana_url=links_to(asking.kibana, of_query(query)).get("kibana"),
        **elsewhere(asked),
    )


def _narrowed(asked: Question, pattern: str) -> str:
    """Return the link to the records of a pattern among those asked for; "" when it cannot be asked for."""
    typed = parameters(asked).get("query")
    both = pattern if not typed else f"({typed}) and ({pattern})"
    return link("/", asked, query=both, cursor=None) if pattern and len(both) <= _LONGEST else ""
