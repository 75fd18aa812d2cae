"""Where a record leads: its own page, the story of its request, what its task and its app wrote, messages like it.

Values are strangers' text: one that cannot be asked for gives no link, and every other is encoded.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from shipper.api.discover import of_record
from shipper.api.question import is_request_id
from shipper.api.shown import identify
from shipper.api.task import TASK, is_task_id
from shipper.record.times import from_ns, moment
from shipper.search import kql, patterns
from shipper.search.expression import Equals, Expression

#: Time before and after a record in which its app's other records are shown, when no request joins them.
_AROUND_NS: Final = 300 * 1_000_000_000
_LONGEST_NAME: Final = 256
_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}-[0-9]{1,18}")


def record_url(record: dict[str, Any]) -> str:
    """Return the page of a record; "" when it has no id or time by which it would be found."""
    name, at = str(identify(record)["id"]), moment(record)
    return f"/records/{quote(name, safe='')}?at={at}" if at > 0 and _ID.fullmatch(name) else ""


def request_url(request_id: str) -> str:
    """Return where the story of a request is; "" when that is no request id."""
    return f"/requests/{quote(request_id, safe='')}" if is_request_id(request_id) else ""


def context_url(record: dict[str, Any]) -> str:
    """Return where the lines before and after a record are: on its own page."""
    url = record_url(record)
    return f"{url}#context" if url else ""


def task_url(record: Mapping[str, Any]) -> str:
    """Return the page of its task, else the search for all that it wrote; "" when no task did."""
    task, at = _name(record, TASK), moment(record)
    if not task:
        return ""
    page = task_page(task)
    return f"{page}?at={at}" if page and at > 0 else page or task_search(task)


def task_page(task: str) -> str:
    """Return the page of a task; "" when that is no id of one."""
    return f"/tasks/{quote(task, safe='')}" if is_task_id(task) else ""


def task_search(task: str) -> str:
    """Return the search for all that a task wrote."""
    return _asked(Equals(TASK, task))


def same_url(record: dict[str, Any]) -> str:
    """Return what leads to the search for messages like its own, of any app on any host."""
    url = record_url(record)
    return url.replace("?", "/same?", 1)


def same_question(record: Mapping[str, Any]) -> str:
    """Return the search for messages like a record's own; "" when all of its words vary."""
    where = patterns.expression(patterns.template(str(record.get("message", ""))))
    return "" if where is None else _asked(where)


def kibana_url(record: Mapping[str, Any], base: str | None) -> str:
    """Return the record in Kibana's Discover, with a minute around it; "" when there is no Kibana."""
    asked = of_record(record)
    return "" if asked is None or base is None else asked.url(base)


def _asked(where: Expression) -> str:
    return f"/?{urlencode({'query': kql.write(where)})}"


def siblings_url(record: Mapping[str, Any]) -> str:
    """Return the search for what its app wrote on its host for its request, else five minutes around it; "" for none.

    A task is not asked for by its id: its app has one task on a host, as a rule.
    """
    asked = {"app": _name(record, "service.name"), "host": _name(record, "host.name")}
    if not all(asked.values()):
        return ""
    request, at = record.get("http.request.id"), moment(record)
    if isinstance(request, str) and is_request_id(request):
        asked["request_id"] = request
    elif at > _AROUND_NS:
        asked |= {"start": from_ns(at - _AROUND_NS), "end": from_ns(at + _AROUND_NS)}
    else:
        return ""
    return f"/?{urlencode(asked)}"


def _name(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    good = isinstance(value, str) and len(value) <= _LONGEST_NAME and value.isprintable() and value.strip()
    return str(value) if good else ""
