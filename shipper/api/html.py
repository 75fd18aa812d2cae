"""Templates: every value is escaped, whatever it is; strangers' text is made visible first."""

import hashlib
import re
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import HTTPConnection

from shipper import __version__
from shipper.api.shown import duration, offset
from shipper.api.visible import pieces, visible
from shipper.record.levels import LEVELS
from shipper.record.times import from_ns
from shipper.search.query import Phrase

_HERE = Path(__file__).parent
STATIC = _HERE / "static"


def _static_urls() -> dict[str, str]:
    """Links to our own files that change when the file does, so that browsers may keep them."""
    files = sorted(path for path in STATIC.iterdir() if path.is_file())
    return {path.name: f"/static/{path.name}?v={hashlib.sha256(path.read_bytes()).hexdigest()[:10]}" for path in files}


def show(text: object, phrases: tuple[Phrase, ...] = ()) -> Markup:
    """Return a stranger's text as HTML: escaped, escapes dressed, words that were searched for marked."""
    wanted = _pattern(phrases)
    parts = []
    for is_escape, part in pieces(str(text)):
        if is_escape:
            parts.append(Markup('<span class="unseen">{}</span>').format(part))
        elif wanted is None:
            parts.append(escape(part))
        else:
            parts += [
                Markup("<mark>{}</mark>").format(piece) if place % 2 else escape(piece)
                for place, piece in enumerate(wanted.split(part))
            ]
    return Markup("").join(parts)


def _pattern(phrases: tuple[Phrase, ...]) -> re.Pattern[str] | None:
    """One group that finds phrases, as good as a regular expression can tell words apart."""
    if not phrases:
        return None
    longest_first = sorted(phrases, key=len, reverse=True)
    found = "|".join(r"\W{1,8}".join(re.escape(word) for word in phrase) for phrase in longest_first)
    return re.compile(rf"(?<!\w)({found})(?!\w)", re.IGNORECASE)


def _number(value: int) -> str:
    return f"{value:,}"


def _moment(text: str) -> str:
    """A time to the second: "2026-11-22 14:00:05"."""
    return text[:19].replace("T", " ")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,  # always: jinja2's own default is off
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "show": show,
        "plain": visible,
        "number": _number,
        "offset": offset,
        "duration": duration,
        "time": from_ns,
        "moment": _moment,
    }
    environment.globals |= {"static": _static_urls(), "version": __version__, "levels": LEVELS}
    return environment


ENVIRONMENT = _environment()


def render(template: str, status: int = 200, request: HTTPConnection | None = None, **values: Any) -> HTMLResponse:
    """Return a page; of a request it names the caller."""
    caller = None if request is None else request.scope.get("shipper.caller")
    return HTMLResponse(ENVIRONMENT.get_template(template).render(caller=caller, **values), status)
