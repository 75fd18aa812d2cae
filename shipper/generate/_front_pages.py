"""What nginx in front says by itself: that the API or Kibana is not running, or that a client follows too much."""

from typing import Final

#: Served under the status that says why: no quotes of either kind but the doubled ones of HTML, and no `$`.
_PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=width=device-width>"
    "<title>@title@</title><body style=font-family:sans-serif;margin:4em><h1>@title@</h1><p>@text@</p></html>"
)


def page(title: str, text: str) -> str:
    """Return a page as it stands between single quotes in nginx's language; both texts are ours, in HTML."""
    return _PAGE.replace("@title@", title).replace("@text@", text)


def error(text: str) -> str:
    """Return an answer of the API's form; the text is ours and needs no escaping."""
    return f'{{"error":{{"message":"{text}","position":null}}}}'


#: What HAProxy says under 503 when no task can be reached, between double quotes of nginx's language. Source: HAProxy's
#: built-in errors, the same from version 1.8 on.
NOBODY: Final = (
    r"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>"
)
API_AWAY: Final = page(
    "The search page is not running",
    "No task of the API answers. It is started again by itself; try again in a minute. "
    "Kibana, if there is one, is at <a href=/kibana/>/kibana</a>.",
)
KIBANA_AWAY: Final = page(
    "Kibana is not running",
    "It is started again by itself, which takes a minute or two. The search page is at <a href=/>/</a>.",
)
NO_KIBANA: Final = page("There is no Kibana here", "The search page is at <a href=/>/</a>.")
API_AWAY_ERROR: Final = error("the API is not running; it is started again by itself, ask again in a minute")
TOO_MANY_TAILS: Final = error("too many live tails of this client at a time; close one")
