"""The page of one task: what it is, how to get into it, its last error, requests and siblings, and its last records."""

from starlette.requests import Request
from starlette.responses import Response

from shipper.api.actions import commands_of
from shipper.api.ask import Asking
from shipper.api.discover import of_task
from shipper.api.html import render
from shipper.api.kibana import links_to
from shipper.api.links import request_url, task_page, task_search
from shipper.api.pages.asked import moment_of
from shipper.api.rows import COMMANDS, row, rows
from shipper.api.task import task_id, tell_task

#: Records of the list; the link to the search has all.
_MOST_ROWS = 50


async def task(asking: Asking, request: Request) -> Response:
    """Show one task; `at` is a time that it wrote at."""
    wanted = task_id(request.path_params["id"])
    given = request.query_params.get("at")
    at = None if given is None else moment_of(given)
    told, notes = await asking.within(tell_task(asking.reader, wanted, at, asking.clock()))
    if told is None:
        message = "No record of this task is stored. It may have written nothing, or been deleted with its day."
        return render("error.html", 404, request=request, title="No such task", message=message, incomplete=notes)
    return render(
        "task.html",
        request=request,
        task=told,
        rows=rows(told.records[:_MOST_ROWS], asking.kibana),
        last_error=row(told.last_error) if told.last_error else None,
        commands=[(COMMANDS[one.name], one.command) for one in commands_of(told.newest)],
        requests=[(one, request_url(one.id)) for one in told.requests],
        siblings=[(one, count, task_page(one)) for one, count in told.siblings],
        search_url=task_search(told.id),
        errors_url=f"{task_search(told.id)}&min_level=error",
        kibana_url=links_to(asking.kibana, of_task(told.id, told.first, told.last)).get("kibana"),
    )
