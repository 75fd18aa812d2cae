"""Where a record leads on the page: itself, the story of its request, and what its app wrote beside it.

Values are strangers' text: one that cannot be asked for gives no link, and every other is encoded.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from shipper.api.question import is_request_id
from shipper.api.shown import identify, moment
from shipper.record.times import from_ns

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
