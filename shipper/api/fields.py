"""What can be typed in a question: /api/v1/fields, and the values that a field has, /api/v1/values."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shipper.api.answers import ErrorAnswer, encode
from shipper.api.ask import Asking
from shipper.api.question import Name
from shipper.errors import QueryError
from shipper.record.levels import LEVELS
from shipper.search import names
from shipper.search.query import Query as Asked
from shipper.stores import Reader

MOST_VALUES: Final = 100
#: Values of this time are known; of those, so many are looked through for a prefix.
_LOOKED_BACK_NS: Final = 24 * 3600 * 10**9
_LOOKED_THROUGH: Final = 1000

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The question is wrong; the message says where."},
    503: {"model": ErrorAnswer, "description": "Not now; Retry-After says when to ask again."},
}


class FieldAnswer(BaseModel):
    """A field that can be asked for."""

    name: str
    short: str = Field(description="another name for it; empty when it has none")
    kind: str = Field(description="keyword, text, long, date, date_nanos, ip, flattened (has keys: labels.cart)")
    meaning: str


class FieldsAnswer(BaseModel):
    """All fields that can be asked for, those with a short name first."""

    fields: list[FieldAnswer]


class ValuesAnswer(BaseModel):
    """Values of a field in the last 24 hours, the most frequent first; levels in their own order."""

    field: str = Field(description="its full name")
    values: list[str]


class ValuesQuestion(BaseModel):
    """Which values are asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Name = Field(description="app, host, task, or the name of any keyword or number field")
    prefix: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="what they begin with; capitals do not matter"
    )
    limit: int = Field(default=20, ge=1, le=MOST_VALUES, description="how many at most")


def fields(asking: Asking) -> APIRouter:
    """Return the routes for completion."""
    routes = APIRouter(prefix="/api/v1", tags=["questions"], default_response_class=Response)

    @routes.get("/fields", responses={200: {"model": FieldsAnswer}}, response_model=None)
    async def known() -> Response:
        """List the fields that can be asked for, with their short names."""
        return Response(encode({"fields": _known()}), media_type="application/json")

    @routes.get("/values", responses={200: {"model": ValuesAnswer}, **_ERRORS}, response_model=None)
    async def values(request: Request, asked: Annotated[ValuesQuestion, Query()]) -> Response:
        """List values that a field had in the last 24 hours."""
        mine = asking.of(request)
        found = await mine.within(_values(mine.reader, asked, mine.clock()))
        return Response(encode(found), media_type="application/json")

    return routes


def _known() -> list[dict[str, str]]:
    return [
        {"name": name.name, "short": name.short, "kind": name.kind, "meaning": name.meaning} for name in names.askable()
    ]


async def _values(reader: Reader, asked: ValuesQuestion, now: int) -> dict[str, Any]:
    field = names.full(asked.field)
    kind = names.kind_of(field)
    if kind is None:
        raise QueryError(f"field: there is no field {asked.field!r}; {names.suggestion(asked.field)}")
    if kind not in ("keyword", "long"):
        raise QueryError(f"field: {asked.field} ({kind}): values are listed of keyword and number fields only")
    return {"field": field, "values": await _listed(reader, field, asked, now)}


async def _listed(reader: Reader, field: str, asked: ValuesQuestion, now: int) -> list[str]:
    wanted = asked.prefix.lower()
    if field == names.LEVEL:
        return [level for level in LEVELS if level.startswith(wanted)][: asked.limit]
    top = await reader.top(Asked(start=now - _LOOKED_BACK_NS), field, _LOOKED_THROUGH if wanted else asked.limit)
    return [value for value, _ in top.values if value.lower().startswith(wanted)][: asked.limit]
