"""What the counting questions answer, as models for the schema; plain values are what is sent."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from shipper.api.answers import LINKS, Links

_INCOMPLETE = "why numbers may be too small or estimates; empty: they are exact"


class Bucket(BaseModel):
    """Records in one part of time."""

    start: str
    count: int
    values: dict[str, int] = Field(description='records by value of the field; "" for records without one')


class CountsAnswer(BaseModel):
    """Records over time, in equal parts; also parts without any."""

    start: str
    end: str
    step_seconds: float
    by: str | None
    buckets: list[Bucket]
    total: int
    incomplete: list[str] = Field(description=_INCOMPLETE)
    links: Links = Field(description=LINKS)


class Value(BaseModel):
    """One value of a field."""

    value: str
    count: int
    share: float = Field(description="of all records that match, 0 to 1")


class TopAnswer(BaseModel):
    """The most frequent values of a field."""

    field: str
    values: list[Value]
    total: int = Field(description="records that match")
    without: int = Field(description="of those, records without a value")
    others: int = Field(description="records with a value that is not listed")
    incomplete: list[str] = Field(description=_INCOMPLETE)
    links: Links = Field(description=LINKS)


class PatternAnswer(BaseModel):
    """Messages that are alike."""

    template: str = Field(
        description="<n> (numbers, hexadecimal ids) <id> <ip> <hex> <time> <text> <*> stand for what varies"
    )
    count: int
    share: float
    first: str = Field(description="oldest of the time asked for")
    last: str
    since: str | None = Field(description="oldest that is stored; null when it was not looked for or not found")
    levels: dict[str, int]
    apps: dict[str, int]
    example: dict[str, Any]
    query: str = Field(description="what its messages match (and perhaps some others)")


class PatternsAnswer(BaseModel):
    """Patterns of what matches, most frequent first."""

    patterns: list[PatternAnswer]
    looked_at: int
    total: int
    incomplete: list[str] = Field(description=_INCOMPLETE)
    links: Links = Field(description=LINKS)


class Side(BaseModel):
    """One of two questions that are compared."""

    total: int
    looked_at: int
    links: Links = Field(description=LINKS)


class ComparedPattern(BaseModel):
    """One pattern on both sides."""

    template: str
    a: int
    b: int
    change: Literal["new", "gone", "more", "less", "same"] = Field(
        description="more, less: its share doubled or halved"
    )
    example: dict[str, Any]
    query: str


class CompareAnswer(BaseModel):
    """Patterns of b against those of a: new ones first."""

    a: Side
    b: Side
    patterns: list[ComparedPattern]
    incomplete: list[str] = Field(description=_INCOMPLETE)
    links: Links = Field(description=LINKS)


class AppAnswer(BaseModel):
    """One app that wrote."""

    app: str
    count: int
    errors: int
    hosts: list[str] = Field(description="of its newest 100 records, newest first")
    versions: list[str] = Field(description="of its newest 100 records, newest first")
    last: str | None


class AppsAnswer(BaseModel):
    """Every app that wrote in the time asked for."""

    apps: list[AppAnswer]
    incomplete: list[str] = Field(description=_INCOMPLETE)
    links: Links = Field(description=LINKS)


class RecordAnswer(BaseModel):
    """One record, with its actions."""

    record: dict[str, Any]
    links: Links = Field(description=LINKS)


class ContextAnswer(BaseModel):
    """A record between its neighbours, each list oldest first."""

    record: dict[str, Any]
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    kind: Literal["task", "stream", "series", "host"]
    incomplete: list[str]
    links: Links = Field(description=LINKS)
