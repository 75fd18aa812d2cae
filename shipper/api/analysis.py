"""Questions that count: over time, by value, by pattern, against another time; and the lines around a record."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from shipper.api import analysis_answers as models
from shipper.api.answers import ErrorAnswer, encode, with_actions
from shipper.api.ask import Asking
from shipper.api.context import MOST, Kind, context, find, lines_of
from shipper.api.counting import Histogram, apps_answer, countable, histogram, histogram_answer, top_answer
from shipper.api.discover import of_query, of_record
from shipper.api.patterns import compare_answer, patterns_answer
from shipper.api.question import SHORT, LinkedQuestion, Name, Time
from shipper.api.short_links import links
from shipper.errors import QueryError
from shipper.search import times
from shipper.search.expression import Equals, Or, both
from shipper.search.query import Query as Asked

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The question is wrong; the message says where."},
    503: {"model": ErrorAnswer, "description": "Not now; Retry-After says when to ask again."},
}
_NO_RECORD = "no record has this id; it may have been deleted with its day"


class CountsQuestion(LinkedQuestion):
    """A question, and how its records are counted."""

    by: Name | None = Field(default=None, description="field whose values are counted apart (level, app, host, …)")
    buckets: int = Field(default=60, ge=1, le=500, description="parts of the time, about")


class TopQuestion(LinkedQuestion):
    """A question, and the field whose values are counted."""

    field: Name = Field(default="app", description="app, level, host, or any keyword or number field")
    limit: int = Field(default=10, ge=1, le=1000, description="values, at most")


class PatternsQuestion(LinkedQuestion):
    """A question, and how many patterns of its messages are told."""

    limit: int = Field(default=50, ge=1, le=1000, description="patterns, at most")


class CompareQuestion(PatternsQuestion):
    """A question asked of two times or of two versions of an app."""

    before_start: Time | None = Field(default=None, description="earliest time of a; start and end are those of b")
    before_end: Time | None = Field(default=None, description="latest time of a, not included; default: start of b")
    version_a: Name | None = Field(default=None, description="version of the app (service.version or Marathon's) of a")
    version_b: Name | None = Field(default=None, description="version of the app of b")


class ContextQuestion(BaseModel):
    """How much is told around a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: int | None = Field(default=None, ge=0, lt=2**63, description="its time, nanoseconds since 1970, as links have")
    kind: Kind | None = Field(default=None, description="whose lines; default: the closest that the record names")
    before: int = Field(default=20, ge=0, le=MOST, description="lines before it")
    after: int = Field(default=20, ge=0, le=MOST, description="lines after it")
    short: bool = Field(default=False, description=SHORT)


RecordId = Annotated[str, Path(max_length=160, description="id of the record: series-sequence")]


def _json(value: Any) -> Response:
    return Response(encode(value), media_type="application/json")


def _answers(model: type) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **_ERRORS}


def analysis(asking: Asking) -> APIRouter:
    """Return the routes under /api/v1 that count."""
    routes = APIRouter(prefix="/api/v1", tags=["questions"], default_response_class=Response)

    @routes.get("/counts", responses=_answers(models.CountsAnswer), response_model=None)
    async def counts(request: Request, asked: Annotated[CountsQuestion, Query()]) -> Response:
        """Count records over time; without start and end over all records that match."""
        mine = asking.of(request)
        by = None if asked.by is None else countable("by", asked.by, ("keyword",))
        query = asked.query(mine.clock())
        found = await mine.within(histogram(mine, query, by, asked.buckets))
        there = of_query(_counted(query, found), by)
        return _json({**histogram_answer(found), "links": await links(mine, request, there, asked.short)})

    @routes.get("/top", responses=_answers(models.TopAnswer), response_model=None)
    async def top(request: Request, asked: Annotated[TopQuestion, Query()]) -> Response:
        """List the most frequent values of a field."""
        mine = asking.of(request)
        field = countable("field", asked.field, ("keyword", "long"))
        query = asked.query(mine.clock())
        found = await mine.within(top_answer(mine, query, field, asked.limit))
        return _json({**found, "links": await links(mine, request, of_query(query, field), asked.short)})

    @routes.get("/apps", responses=_answers(models.AppsAnswer), response_model=None)
    async def apps(request: Request, asked: Annotated[LinkedQuestion, Query()]) -> Response:
        """List the apps that wrote, with their errors, hosts and versions."""
        mine = asking.of(request)
        query = asked.query(mine.clock())
        found = await mine.within(apps_answer(mine, query))
        there = await links(mine, request, of_query(query, "service.name"), asked.short)
        return _json({**found, "links": there})

    _patterns(routes, asking)
    _around(routes, asking)
    return routes


def _patterns(routes: APIRouter, asking: Asking) -> None:
    """Add the routes that group messages."""

    @routes.get("/patterns", responses=_answers(models.PatternsAnswer), response_model=None)
    async def patterns(request: Request, asked: Annotated[PatternsQuestion, Query()]) -> Response:
        """Group messages by what they have alike: how often, since when."""
        mine = asking.of(request)
        query = asked.query(mine.clock())
        found = await mine.within(patterns_answer(mine, query, asked.limit))
        there = await links(mine, request, of_query(query), asked.short)
        return _json({**found, "patterns": _with_examples(found["patterns"], mine), "links": there})

    @routes.get("/compare", responses=_answers(models.CompareAnswer), response_model=None)
    async def compare(request: Request, asked: Annotated[CompareQuestion, Query()]) -> Response:
        """Say which patterns are new, gone, more or less in one time or version (b) against another (a)."""
        mine = asking.of(request)
        a, b = sides(asked, mine.clock())
        found = await mine.within(compare_answer(mine, a, b, asked.limit))
        of_a, of_b = [await links(mine, request, of_query(one), asked.short) for one in (a, b)]
        both_sides = {"a": {**found["a"], "links": of_a}, "b": {**found["b"], "links": of_b}, "links": of_b}
        return _json({**found, **both_sides, "patterns": _with_examples(found["patterns"], mine)})


def _around(routes: APIRouter, asking: Asking) -> None:
    """Add the routes of one record."""
    missing: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "No record has this id."}}

    @routes.get("/records/{id}", responses={**_answers(models.RecordAnswer), **missing}, response_model=None)
    async def record(
        request: Request,
        id: RecordId,
        at: Annotated[int | None, Query(ge=0, lt=2**63, description="its time, nanoseconds since 1970")] = None,
        short: Annotated[bool, Query(description=SHORT)] = False,
    ) -> Response:
        """Return one record; its address stays the same as long as it is stored."""
        mine = asking.of(request)
        found = await _found(mine, id, at)
        there = of_record(found)
        told = {} if there is None else await links(mine, request, there, short)
        return _json({"record": with_actions(found, mine.kibana), "links": told})

    @routes.get("/records/{id}/context", responses={**_answers(models.ContextAnswer), **missing}, response_model=None)
    async def around(request: Request, id: RecordId, asked: Annotated[ContextQuestion, Query()]) -> Response:
        """Return the lines before and after a record of the same task, stream, series or host."""
        mine = asking.of(request)
        found = await _found(mine, id, asked.at)
        told = await mine.within(context(mine, found, asked.kind, asked.before, asked.after))
        return _json(
            {
                "record": with_actions(told.record, mine.kibana),
                "before": [with_actions(one, mine.kibana) for one in told.neighbours.before],
                "after": [with_actions(one, mine.kibana) for one in told.neighbours.after],
                "kind": told.kind,
                "incomplete": list(told.neighbours.incomplete),
                "links": await links(mine, request, lines_of(told), asked.short),
            }
        )


async def _found(asking: Asking, id: str, at: int | None) -> dict[str, Any]:
    found, notes = await asking.within(find(asking, id, at))
    if found is None:
        raise HTTPException(404, "; ".join((_NO_RECORD, *notes)))
    return found


def _with_examples(patterns: list[dict[str, Any]], asking: Asking) -> list[dict[str, Any]]:
    return [{**pattern, "example": with_actions(pattern["example"], asking.kibana)} for pattern in patterns]


def _counted(query: Asked, found: Histogram) -> Asked:
    """Return a question with the times that were counted, where it names none."""
    start = found.buckets.start if query.start is None else query.start
    end = found.buckets.end if query.end is None else query.end
    return replace(query, start=start, end=end)


def sides(asked: CompareQuestion, now: int) -> tuple[Asked, Asked]:
    """Return the two queries of a comparison; QueryError when they would be the same."""
    b = asked.query(now)
    a = b
    if (asked.version_a is None) != (asked.version_b is None):
        raise QueryError("version_a and version_b belong together")
    if asked.version_a is not None and asked.version_b is not None:
        a, b = _of_version(a, asked.version_a), _of_version(b, asked.version_b)
    start, end = (_time(name, getattr(asked, name), now) for name in ("before_start", "before_end"))
    if start is not None or end is not None:
        a = replace(a, start=start, end=b.start if end is None else end)
        if a.end is None or (a.start is not None and a.start >= a.end):
            raise QueryError("before_start is not before before_end (default: start)")
    elif asked.version_a is None:
        raise QueryError("nothing to compare with: give before_start and start, or version_a and version_b")
    return a, b


def _of_version(query: Asked, version: str) -> Asked:
    named = Or((Equals("service.version", version), Equals("marathon.app.version", version)))
    return replace(query, where=both((query.where, named)))


def _time(name: str, text: str | None, now: int) -> int | None:
    try:
        return None if text is None else times.parse(text, now)
    except QueryError as error:
        raise QueryError(f"{name}: {error}") from None
