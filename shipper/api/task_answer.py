"""What the API answers of a task: the model for the schema, and the same as plain values."""

from pydantic import BaseModel, Field

from shipper.api.actions import commands_of
from shipper.api.answers import LINKS, Document, Links, VerdictAnswer, with_actions
from shipper.api.ledger_answers import MOST_HOLES, HoleAnswer, hole_answer
from shipper.api.links import request_url, task_page
from shipper.api.task import MOST_RECORDS, Task
from shipper.record.times import from_ns

#: Of the records that were read, so many are in the answer.
_MOST_SHOWN = 100


class TaskRequestAnswer(BaseModel):
    """A request among the newest records of a task."""

    request_id: str
    records: int
    errors: int
    last: str
    url: str = Field(description="its story, on this server")


class SiblingAnswer(BaseModel):
    """Another task of the same app at the same time."""

    task_id: str
    records: int
    url: str = Field(description="its page, on this server; empty when its id cannot be asked for")


class TaskAnswer(BaseModel):
    """One task: what it is, what it wrote, and whether its records are all here."""

    task_id: str
    app: str = Field(description="as its records name it")
    app_id: str = Field(description="in Marathon (/shop/api), or the name of the job in Chronos; empty: unknown")
    is_job: bool
    versions: list[str] = Field(description=f"of its newest {MOST_RECORDS} records, as are hosts and containers")
    hosts: list[str]
    containers: list[str]
    first: str = Field(description="its first record of the 7 days before its last one")
    last: str
    total: int = Field(description="records in this time")
    levels: dict[str, int] = Field(description='records by level, the most important first; "" for those without one')
    records: list[Document] = Field(description=f"the newest {_MOST_SHOWN}, newest first, with their actions")
    last_error: Document | None = Field(description="the newest record of level error and above")
    requests: list[TaskRequestAnswer] = Field(description=f"of its newest {MOST_RECORDS} records, the newest first")
    siblings: list[SiblingAnswer] = Field(description="tasks of its app at that time, most records first")
    actions: list[Document] = Field(description="commands for a terminal: shell, sandbox, where")
    holes: list[HoleAnswer] = Field(description="losses on its hosts while it wrote, that can concern it")
    verdict: VerdictAnswer
    incomplete: list[str] = Field(description="why numbers may be too small; empty: they are exact")
    links: Links = Field(description=LINKS)


def task_answer(task: Task, kibana: str | None, links: Links) -> Document:
    """Return a `TaskAnswer`; `kibana` is where links to Kibana go."""
    return {
        "task_id": task.id,
        "app": task.app,
        "app_id": task.app_id,
        "is_job": task.is_job,
        "versions": task.versions,
        "hosts": task.hosts,
        "containers": task.containers,
        "first": from_ns(task.first),
        "last": from_ns(task.last),
        "total": task.total,
        "levels": task.levels,
        "records": [with_actions(record, kibana) for record in task.records[:_MOST_SHOWN]],
        "last_error": with_actions(task.last_error, kibana) if task.last_error else None,
        "requests": [
            {
                "request_id": one.id,
                "records": one.records,
                "errors": one.errors,
                "last": from_ns(one.last),
                "url": request_url(one.id),
            }
            for one in task.requests
        ],
        "siblings": [{"task_id": one, "records": count, "url": task_page(one)} for one, count in task.siblings],
        "actions": [action.as_json() for action in commands_of(task.newest)],
        "holes": [hole_answer(hole) for hole in task.holes[:MOST_HOLES]],
        "verdict": task.verdict,
        "incomplete": task.incomplete,
        "links": links,
    }
