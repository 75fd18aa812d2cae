"""The API: questions in a URL, answers as JSON; and what a load balancer and Prometheus ask."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from shipper import telemetry
from shipper.api import answers
from shipper.api.accounts import books
from shipper.api.ask import Asking
from shipper.api.discover import of_query, of_story, of_task
from shipper.api.ledger_answers import LedgerAnswer, ledger_answer
from shipper.api.question import SHORT, LinkedQuestion, request_id
from shipper.api.short_links import links
from shipper.api.story import tell
from shipper.api.task import task_id, tell_task
from shipper.api.task_answer import TaskAnswer, task_answer
from shipper.errors import ShipperError

_READY_SECONDS = 2.0
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": answers.ErrorAnswer, "description": "The question is wrong; the message says where."},
    503: {"model": answers.ErrorAnswer, "description": "Not now; Retry-After says when to ask again."},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": answers.ErrorAnswer, "description": "No record carries this request id."}
}


def _json(value: Any, status: int = 200) -> Response:
    return Response(answers.encode(value), status, media_type="application/json")


def _answers(model: type) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **_ERRORS}


def questions(asking: Asking) -> APIRouter:
    """Return the routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1", tags=["questions"], default_response_class=Response)

    @routes.get("/records", responses=_answers(answers.RecordsAnswer), response_model=None)
    async def records(request: Request, asked: Annotated[LinkedQuestion, Query()]) -> Response:
        """Search records: all given parameters must match; newest first unless asked otherwise."""
        mine = asking.of(request)
        query = asked.query(mine.clock())
        page = await mine.within(mine.reader.search(query))
        there = await links(mine, request, of_query(query), asked.short)
        return _json(answers.records_answer(page, query, mine.kibana, there))

    @routes.get("/requests/{id:path}", responses={**_answers(answers.StoryAnswer), **_NOT_FOUND}, response_model=None)
    async def story(
        request: Request,
        id: Annotated[str, Path(description="the request id", max_length=256)],
        short: Annotated[bool, Query(description=SHORT)] = False,
    ) -> Response:
        """Tell the story of one request: its records across all apps, oldest first, and whether any are missing."""
        mine = asking.of(request)
        told = await mine.within(tell(mine.reader, request_id(id), mine.clock()))
        if told is None:
            raise HTTPException(404, f"no record carries the request id {id}")
        return _json(answers.story_answer(told, mine.kibana, await links(mine, request, of_story(told), short)))

    _tasks(routes, asking)

    @routes.get("/ledger", responses=_answers(LedgerAnswer), response_model=None)
    async def ledger(
        request: Request,
        host: Annotated[str | None, Query(description="of one host only", max_length=256)] = None,
    ) -> Response:
        """Account for every number of every series: settled, with what fate, or missing, and why; and every host."""
        mine = asking.of(request)
        return _json(ledger_answer(await mine.within(books(mine.reader, mine.clock(), *filter(None, [host])))))

    @routes.get("/dead-letters", responses=_answers(answers.DeadLettersAnswer), response_model=None)
    async def dead_letters(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000, description="how many at most")] = 100,
    ) -> Response:
        """List the newest dead letters: records that no store would take as they are, with the reason."""
        mine = asking.of(request)
        return _json(answers.dead_letters_answer(await mine.within(mine.reader.dead_letters(limit))))

    return routes


def _tasks(routes: APIRouter, asking: Asking) -> None:
    none: dict[int | str, dict[str, Any]] = {
        404: {"model": answers.ErrorAnswer, "description": "No record of this task is stored."}
    }

    @routes.get("/tasks/{id:path}", responses={**_answers(TaskAnswer), **none}, response_model=None)
    async def task(
        request: Request,
        id: Annotated[str, Path(description="id of the Mesos task", max_length=1024)],
        at: Annotated[
            int | None, Query(ge=0, lt=2**63, description="a time it wrote at, ns since 1970: quicker")
        ] = None,
        short: Annotated[bool, Query(description=SHORT)] = False,
    ) -> Response:
        """Tell of one task: its app and host, its last records, errors and requests, and whether any are missing."""
        mine = asking.of(request)
        told, notes = await mine.within(tell_task(mine.reader, task_id(id), at, mine.clock()))
        if told is None:
            raise HTTPException(404, "; ".join(("no record of this task is stored", *notes)))
        there = await links(mine, request, of_task(told.id, told.first, told.last), short)
        return _json(task_answer(told, mine.kibana, there))


def health(asking: Asking) -> APIRouter:
    """Return the routes that machines ask: is it up, is it ready, what are its counters."""
    routes = APIRouter(tags=["health"], default_response_class=Response)

    @routes.get("/health", response_model=dict[str, str])
    async def health() -> Response:
        """Say that the process is up; the store is not asked."""
        return _json({"status": "up"})

    @routes.get("/ready", response_model=answers.Ready, responses={503: {"model": answers.Ready}})
    async def ready(request: Request) -> Response:
        """Say whether records are taken and the store answers; 503 with the reason when not."""
        status = asking.status()
        reason = None if status.ready else status.reason or "not ready"
        if reason is None:
            reason = await _trouble(asking)
        told = {
            "ready": reason is None,
            "reason": reason or status.reason,
            "figures": dict(status.figures) if request.scope["shipper.caller"] else {},
        }
        return _json(told, 200 if reason is None else 503)

    @routes.get("/metrics", response_model=str)
    async def metrics() -> Response:
        """Return all counters in Prometheus' text format."""
        return Response(telemetry.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


async def _trouble(asking: Asking) -> str | None:
    """Return why the store cannot be used now, or None."""
    quick = Asking(asking.reader, asking.status, asking.clock, min(asking.seconds, _READY_SECONDS))
    try:
        return await quick.within(asking.reader.healthy())
    except ShipperError as error:
        return str(error)
