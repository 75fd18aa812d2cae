"""What the API answers, as pydantic models for the schema, and the same as plain values for speed.

A page of 1000 records never passes through pydantic: the models document, `encode` writes.
"""

import json
from typing import Any

import orjson
from pydantic import BaseModel, Field

from shipper.api.actions import actions_of
from shipper.api.discover import as_kql
from shipper.api.ledger_answers import HoleAnswer, hole_answer
from shipper.api.shown import identify
from shipper.api.story import Story
from shipper.record.times import from_ns
from shipper.search import cursor as cursors
from shipper.search.query import Page, Query
from shipper.search.story_calls import Hop

Document = dict[str, Any]

_RECORDS = (
    "flat ECS documents in the order asked for, each with its id and `actions`: a list of {name, command} for a "
    "terminal (shell, sandbox, where: when a task wrote it) and {name, url} on this server (siblings: what its app "
    "wrote on its host for its request, or five minutes around it; request: its story; record)"
)


#: Of every answer to a question.
LINKS = (
    "the same question in Kibana: `kibana` (lasts longest), `kibana_edit` (its state in the address, to be changed by "
    "hand), `kibana_short` when it was asked for by short=1, `note` for a link that could not be made; empty: no "
    "Kibana is configured"
)
Links = dict[str, str]


class Searched(BaseModel):
    """The time range as it was understood: to ask for the next page of exactly the same."""

    start: str | None = Field(description="earliest time, included (UTC)")
    end: str | None = Field(description="latest time, not included (UTC)")


class RecordsAnswer(BaseModel):
    """One page of records."""

    records: list[Document] = Field(description=_RECORDS)
    next_cursor: str | None = Field(description="pass it as cursor for the next page; null: this was the last")
    incomplete: list[str] = Field(description="why records may be missing from this answer; empty: none are")
    source: str = Field(description="store; or recent: the shippers' recent copies, as the store does not answer")
    searched: Searched
    kql: str = Field(description="the question but for its times, as KQL: for Kibana, or as `query`; empty: all")
    kibana: str | None = Field(description="links.kibana, as it was called before; null: there is none")
    links: Links = Field(description=LINKS)


class ServiceAnswer(BaseModel):
    """One app's part in a request."""

    name: str
    first: str = Field(description="corrected time of its first record")
    last: str = Field(description="corrected time of its last record")
    count: int
    errors: int = Field(description="records of level error and above")
    worst_level: str | None
    hosts: list[str]
    lane: int = Field(description="its place, from 0, in order of first appearance")
    offset_ns: int = Field(description="from the first record of the request to its first")
    duration_ns: int
    status: int | None = Field(description="what it answered last, as an HTTP log of its own says")
    clock_shift_ns: int = Field(description="what was added to its times, as its host's clock was wrong; 0: nothing")


class EntryAnswer(BaseModel):
    """Where the request came in: the first service, and what was asked of it, as far as a record says."""

    service: str
    method: str | None
    path: str | None
    status: int | None


class HopAnswer(BaseModel):
    """One service called another; a retry is a hop of its own."""

    model_config = {"populate_by_name": True}

    caller: str = Field(alias="from")
    to: str
    how: str = Field(description="how it is known: span (trace), http (an HTTP log), time (one within the other)")
    offset_ns: int = Field(description="from the first record of the request to its beginning")
    duration_ns: int
    status: int | None


class RelatedAnswer(BaseModel):
    """An id that this request shares with others, and a few of those, within an hour."""

    kind: str = Field(description="trace, session or user")
    id: str
    requests: list[str] = Field(description="ids of other requests")
    query: str = Field(description="a question that finds all of it")


class SilentAnswer(BaseModel):
    """A service that usually takes part in such requests and has no record in this one."""

    service: str
    share: float = Field(description="part of the earlier requests that it took part in; 0 when only a call names it")
    of: int = Field(description="how many earlier requests that is of")
    explained: bool = Field(description="whether an error before it may be why it was not asked")
    why: str = Field(description="the same in words")


class ClockAnswer(BaseModel):
    """A host whose clock was wrong by more than the noise."""

    host: str
    shift_ns: int = Field(description="what was added to its times")
    told: str = Field(description="the same in words")


class VerdictAnswer(BaseModel):
    """Whether something is missing."""

    state: str = Field(description="complete, possibly incomplete or incomplete")
    reasons: list[str] = Field(description="why; empty when complete")


class StoryAnswer(BaseModel):
    """The story of one request, in corrected order; records whose time was corrected carry it as `shown_time`."""

    request_id: str
    records: list[Document]
    entry: EntryAnswer | None
    began: str | None = Field(description="corrected time of its first record")
    duration_ns: int
    services: list[ServiceAnswer] = Field(description="in order of first appearance")
    hops: list[HopAnswer] = Field(description="who called whom, in order")
    first_error: Document | None
    related: list[RelatedAnswer]
    silent: list[SilentAnswer]
    clocks: list[ClockAnswer]
    holes: list[HoleAnswer] = Field(description="losses on the hosts involved that can concern this request")
    cut: bool = Field(description="whether the request has more records than are in this answer")
    verdict: VerdictAnswer
    source: str = Field(description="store; or recent: the shippers' recent copies, as the store does not answer")
    complete: bool = Field(description="whether the verdict is: complete, as far as the ledger knows")
    incomplete: list[str] = Field(description="the reasons of the verdict; empty when complete")
    links: Links = Field(description=LINKS)


class DeadLettersAnswer(BaseModel):
    """Records that no store would take as they are, newest first."""

    dead_letters: list[Document]


class Ready(BaseModel):
    """Whether records are taken and questions answered."""

    ready: bool
    reason: str
    figures: dict[str, int | float | str]


class ErrorDetail(BaseModel):
    """What went wrong and, for a text, at which character."""

    message: str
    position: int | None


class ErrorAnswer(BaseModel):
    """Every error has this form."""

    error: ErrorDetail


def encode(value: Any) -> bytes:
    """Return a value as JSON; what orjson refuses (a lone surrogate, a huge number) is escaped by the slower json."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        return json.dumps(value, default=_plain).encode()


def _plain(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def records_answer(page: Page, query: Query, kibana: str | None, links: Links) -> Document:
    """Return a `RecordsAnswer`; `kibana` is where links to Kibana go."""
    return {
        "records": [with_actions(identify(record), kibana) for record in page.records],
        "next_cursor": None if page.next is None else cursors.encode(page.next),
        "incomplete": list(page.incomplete),
        "source": page.source,
        "searched": {
            "start": None if query.start is None else from_ns(query.start),
            "end": None if query.end is None else from_ns(query.end),
        },
        "kql": as_kql(query),
        "kibana": links.get("kibana"),
        "links": links,
    }


def story_answer(story: Story, kibana: str | None, links: Links) -> Document:
    """Return a `StoryAnswer`; `kibana` is where links to Kibana go."""
    return {
        "request_id": story.request_id,
        "records": [with_actions(record, kibana) for record in story.records],
        "entry": story.entry,
        "began": from_ns(story.began) if story.records else None,
        "duration_ns": story.duration,
        "services": story.services,
        "hops": [_hop(hop) for hop in story.hops],
        "first_error": with_actions(story.first_error, kibana) if story.first_error else None,
        "related": story.related,
        "silent": story.silent,
        "clocks": story.clocks,
        "holes": [hole_answer(hole) for hole in story.holes],
        "cut": story.cut,
        "verdict": story.verdict,
        "source": story.source,
        "complete": story.complete,
        "incomplete": story.incomplete,
        "links": links,
    }


def _hop(hop: Hop) -> Document:
    return {
        "from": hop.caller, "to": hop.to, "how": hop.how,
        "offset_ns": hop.offset_ns, "duration_ns": hop.duration_ns, "status": hop.status,
    }  # fmt: skip


def with_actions(record: Document, kibana: str | None = None) -> Document:
    """Return a record with what can be done about it; a field of that name never stands for it."""
    return {**record, "actions": [action.as_json() for action in actions_of(record, kibana)]}


def dead_letters_answer(letters: list[Document]) -> Document:
    """Return a `DeadLettersAnswer`; whatever the store says of the time, it is told as text."""
    return {"dead_letters": [{**letter, "received_at": time_text(letter.get("received_at"))} for letter in letters]}


def time_text(value: object) -> str:
    """Return a time as text: nanoseconds since 1970, or text as it is."""
    return from_ns(value) if isinstance(value, int) else str(value or "")
