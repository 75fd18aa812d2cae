"""What the id of a Mesos task says by itself: Marathon and Chronos both put the name of the work into it."""

import re
from dataclasses import dataclass
from typing import Final, Literal

#: Longer than any id that Mesos can make a folder of.
_LONGEST: Final = 4096

#: Marathon, core/task/Task.scala: "_" stands for "/" in the app's id; a dot, once a "_", before what is unique.
_MARATHON: Final = re.compile(
    r"(?P<app>.+?)[._](?:(?P<prefix>instance|marathon)-)?"
    r"(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"(?:[._](?P<container>(?!\d+$)[^.]+))?(?:\.(?P<attempt>\d{1,9}))?"
)
#: Chronos: due time in milliseconds, attempt, job, arguments; a job's name has no ":".
_CHRONOS: Final = re.compile(
    r"ct:(?P<due>\d{1,15}):(?P<attempt>\d{1,9}):(?P<job>[^:]+)(?::(?P<arguments>.*))?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class TaskId:
    """What one task id says."""

    kind: Literal["app", "job"]
    #: "/shop/api"; "" for a job.
    app_id: str = ""
    #: Name of the Chronos job; "" for an app.
    job: str = ""
    #: Which time the same instance, or the same due run, was started; None when the id does not count.
    attempt: int | None = None
    #: What makes a Marathon task's id unique; "" for a job.
    uuid: str = ""
    #: "instance" (from 1.8 on), "marathon" (converted to that), or "".
    prefix: str = ""
    #: "_app", or the container of a pod; "" in ids of old versions.
    container: str = ""
    #: When a job's run was due, in milliseconds since 1970; None for an app.
    due_ms: int | None = None
    #: What a job's run was called with; "" for an app.
    arguments: str = ""


def read(task_id: str) -> TaskId | None:
    """Return what a task id says; None when neither Marathon nor Chronos made it."""
    if len(task_id) > _LONGEST:
        return None
    if found := _CHRONOS.fullmatch(task_id):
        return TaskId(
            "job",
            job=found["job"],
            attempt=int(found["attempt"]),
            due_ms=int(found["due"]),
            arguments=found["arguments"] or "",
        )
    if found := _MARATHON.fullmatch(task_id):
        return TaskId(
            "app",
            app_id=f"/{found['app'].replace('_', '/')}",
            attempt=int(found["attempt"]) if found["attempt"] else None,
            uuid=found["uuid"],
            prefix=found["prefix"] or "",
            container=found["container"] or "",
        )
    return None
