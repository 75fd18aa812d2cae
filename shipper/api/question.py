"""What may be asked: the parameters of a search, the same for the API, the page and a link to it."""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from shipper.errors import QueryError
from shipper.record import ids
from shipper.record.levels import LEVELS, at_least, normalise
from shipper.search import cursor as cursors
from shipper.search import times
from shipper.search.expression import Equals, Everything, Expression, Or, both
from shipper.search.kql import MAX_TEXT, parse
from shipper.search.names import APP_ID, full
from shipper.search.query import Phrase, Query
from shipper.search.words import parse_text

MOST_RECORDS = 1000
#: What `short` asks for, wherever it may be given.
SHORT: Final = "make a short link to the same question in Kibana: links.kibana_short"

Name = Annotated[str, StringConstraints(max_length=256)]
Time = Annotated[str, StringConstraints(max_length=times.MAX_LENGTH)]
Level = Annotated[str, StringConstraints(max_length=32)]


class Question(BaseModel):
    """The parameters of a search. Every one that is given must match; an empty one is as good as none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kql: Annotated[str, StringConstraints(max_length=MAX_TEXT)] | None = Field(
        default=None,
        alias="query",  # the name `query` is taken by what a store is asked
        description='the language: words, "phrases", field:value, * and ?, level >= warn, [a TO b], and or not, ( )',
    )
    text: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        default=None, description='words that the message must contain, in any order; "in quotes": next to each other'
    )
    app: Name | None = Field(
        default=None,
        description="name of the app (service.name), exactly; or its Marathon id, which begins with a slash",
    )
    host: Name | None = Field(default=None, description="name of the host (host.name), exactly")
    level: list[Level] = Field(
        default=[], max_length=len(LEVELS), description=f"one of {' '.join(LEVELS)}; may be repeated"
    )
    min_level: Level | None = Field(default=None, description="this level and all that are more important")
    request_id: Name | None = Field(default=None, description="request id, exactly")
    start: Time | None = Field(default=None, description=f"earliest time, included: {times.ACCEPTED}")
    end: Time | None = Field(default=None, description="latest time, not included; as start")
    order: Literal["newest", "oldest"] = Field(default="newest", description="which comes first")
    limit: int = Field(default=100, ge=1, le=MOST_RECORDS, description="records of one page")
    cursor: Annotated[str, StringConstraints(max_length=cursors.MAX_LENGTH)] | None = Field(
        default=None, description="next_cursor of the page before"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        levels = values.get("level")
        if isinstance(levels, list):
            values = {**values, "level": [level for level in levels if level != ""]}
        return {name: value for name, value in values.items() if value not in ("", None)}

    @field_validator("level", "min_level")
    @classmethod
    def _known_level(cls, value: list[str] | str | None) -> list[str] | str | None:
        if isinstance(value, list):
            return [_level(one) for one in value]
        return value if value is None else _level(value)

    def query(self, now: int) -> Query:
        """Return what a store is asked; QueryError says which parameter is wrong and how."""
        start = _time("start", self.start, now)
        end = _time("end", self.end, now)
        if start is not None and end is not None and start >= end:
            raise QueryError("start is not before end: no record can match")
        id = _marathon_id(self.app or "")
        return Query(
            start=start,
            end=end,
            app=None if id else self.app,
            host=self.host,
            levels=self._levels(),
            request_id=None if self.request_id is None else request_id(self.request_id),
            phrases=() if self.text is None else phrases(self.text),
            where=both((None if self.kql is None else _where(self.kql, now), id)),
            after=None if self.cursor is None else cursors.decode(self.cursor),
            limit=self.limit,
            newest_first=self.order == "newest",
        )

    def url(self, **changes: object) -> str:
        """Return the link to this question on the page, with some parameters changed (None leaves one out)."""
        values = self.model_dump(exclude_defaults=True, by_alias=True) | changes
        kept = {name: value for name, value in values.items() if value not in (None, [])}
        return f"/?{urlencode(kept, doseq=True)}" if kept else "/"

    def _levels(self) -> tuple[str, ...]:
        if self.min_level is None:
            return tuple(dict.fromkeys(self.level))
        wanted = at_least(self.min_level)
        if not self.level:
            return wanted
        both = tuple(level for level in wanted if level in self.level)
        if not both:
            raise QueryError(f"level is below min_level {self.min_level}: no record can match")
        return both


class LinkedQuestion(Question):
    """A question to the API, whose answer has links."""

    short: bool = Field(default=False, description=SHORT)


#: Names of all parameters, as they stand in a link.
PARAMETERS: Final = tuple(field.alias or name for name, field in Question.model_fields.items())


def question(values: dict[str, Any]) -> Question:
    """Read the parameters of a link; QueryError says what is wrong with one."""
    try:
        return Question.model_validate(values)
    except ValidationError as error:
        raise QueryError(explain(list(error.errors(include_url=False)))) from None


def explain(errors: list[Any]) -> str:
    """Return the first of pydantic's errors as one line that names the parameter."""
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return f"{first['loc'][-1]!r:.80}: no such parameter; known: {', '.join(PARAMETERS)}"
    name = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def is_request_id(text: str) -> bool:
    """Whether a text can be a request id: what is not, is never linked or asked for."""
    return ids.request_id(text) is not None


def request_id(text: str) -> str:
    """Return a request id that is one; QueryError otherwise."""
    if not is_request_id(text):
        raise QueryError("request_id: 1 to 128 letters, digits and . _ : / + = @ - are one")
    return text


def phrases(text: str) -> tuple[Phrase, ...]:
    """Return the phrases that a person typed; QueryError when there is no word to look for."""
    try:
        found = parse_text(text)
    except QueryError as error:
        raise QueryError(f"text: {error}", error.position) from None
    if text.strip() and not found:
        raise QueryError("text: there is no word in it; a word is made of letters and digits", 0)
    return found


def _where(text: str, now: int) -> Expression | None:
    try:
        found = parse(text, now)
    except QueryError as error:
        raise QueryError(f"query: {error}", error.position) from None
    return None if isinstance(found, Everything) else found


def _marathon_id(app: str) -> Expression | None:
    """Return what a Marathon id asks; a service may be called so, too. None when it is only a name."""
    return Or((Equals(full("app"), app), Equals(APP_ID, app))) if app.startswith("/") else None


def _level(text: str) -> str:
    found = normalise(text)
    if found is None:
        raise ValueError(f"no such level: {text!r} (known: {' '.join(LEVELS)})")
    return found


def _time(name: str, text: str | None, now: int) -> int | None:
    try:
        return None if text is None else times.parse(text, now)
    except QueryError as error:
        raise QueryError(f"{name}: {error}") from None
