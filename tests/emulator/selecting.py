"""Which apps a GET /v2/apps asks for: id, cmd and label."""

import re
from collections.abc import Iterable, Mapping

from tests.emulator.errors import Refused
from tests.emulator.model import App

_TERM = re.compile(
    r"\s*(?P<key>[^\s=!,()]+)\s*(?:(?P<sign>==|!=)\s*(?P<value>[^\s,]+)|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?\s*"
)


def selected(apps: Iterable[App], query: Mapping[str, str]) -> list[App]:
    """The apps whose id and command contain what is asked for, whatever the case, and whose labels fit."""
    label = query.get("label", "")
    return [
        app
        for app in apps
        if query.get("id", "").lower() in app.id.lower()
        and query.get("cmd", "").lower() in app.definition.get("cmd", "").lower()
        and (not label or fits(label, app.definition["labels"]))
    ]


def fits(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a selector: `k`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, joined by commas."""
    position = 0
    while position < len(selector):
        term = _TERM.match(selector, position)
        if term is None or (term.end() < len(selector) and selector[term.end()] != ","):
            raise Refused(400, f"Could not parse label selector '{selector}'")
        if not _fits(term, labels):
            return False
        position = term.end() + 1
    return True


def _fits(term: re.Match[str], labels: Mapping[str, str]) -> bool:
    has = labels.get(term["key"])
    if term["sign"]:
        return has is not None and (has == term["value"]) == (term["sign"] == "==")
    if term["set"]:
        return has is not None and (has in re.split(r"\s*,\s*", term["values"].strip())) == (term["set"] == "in")
    return has is not None
