"""A whole question as one expression: for filters that look at records one by one and know no `Query`."""

from shipper.search.expression import Between, Equals, Everything, Expression, Or, Words, both
from shipper.search.query import Query


def whole(query: Query) -> Expression:
    """Return what a record must match to be in the answer of a question, whatever its place, order and limit."""
    return both((_time(query), *_fields(query), *_phrases(query), query.where)) or Everything()


def _time(query: Query) -> Expression | None:
    if query.start is None and query.end is None:
        return None
    return Between("@timestamp", query.start, query.end)


def _fields(query: Query) -> list[Expression]:
    exactly = {"service.name": query.app, "host.name": query.host, "http.request.id": query.request_id}
    found: list[Expression] = [Equals(name, value) for name, value in exactly.items() if value is not None]
    if query.levels:
        levels = tuple(Equals("log.level", level) for level in query.levels)
        found.append(levels[0] if len(levels) == 1 else Or(levels))
    return found


def _phrases(query: Query) -> list[Expression]:
    return [Words(phrase, " ".join(phrase), "message") for phrase in query.phrases]
