"""Reads the counters of a running shipper (`GET /metrics`, shipper/telemetry.py) as the figures of a comparison."""

import asyncio
import math
import os
import re
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from shipper.cluster.model import Task
from shipper.deploy.comparison import Figures
from shipper.deploy.forms import one_form

_LONGEST: Final = 4 * 2**20
_SECONDS: Final = 5.0
_SAMPLE: Final = re.compile(r"^(shipper_[a-z_]{1,60})(\{[^}\n]{0,500}\})? ([0-9.eE+-]{1,30})$", re.MULTILINE)
_FATE: Final = re.compile(r'fate="([a-z]+)"')
_FINAL: Final = frozenset({"stored", "duplicate", "merged", "discarded", "rejected"})
_PLAIN: Final = {
    "shipper_records_received_total": "received",
    "shipper_dead_letters_total": "dead",
    "shipper_parser_bugs_total": "bugs",
    "shipper_batch_seconds_count": "batches",
    "shipper_batch_seconds_sum": "batch_seconds",
}
_HTTP_PORT: Final = "http"


def figures(text: str) -> Figures:
    """Return the figures in an answer of /metrics; what it does not name is 0."""
    found = dict.fromkeys((*_PLAIN.values(), "settled", "stored"), 0.0)
    for name, labels, number in _SAMPLE.findall(text):
        value = _number(number)
        if name in _PLAIN:
            found[_PLAIN[name]] += value
        elif name == "shipper_records_settled_total" and (fate := _FATE.search(labels)) and fate[1] in _FINAL:
            found["settled"] += value
            found["stored"] += value if fate[1] == "stored" else 0
    return Figures(**found)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value >= 0 else 0.0


def http_port(definition: Mapping[str, Any], task: Task) -> int | None:
    """Return the port on which a task answers HTTP: the one named "http", or the one its health check asks."""
    form = one_form(definition)
    container = form.get("container")
    ports = form.get("portDefinitions") or (container.get("portMappings") if isinstance(container, Mapping) else None)
    names = [one.get("name") for one in ports or () if isinstance(one, Mapping)]
    index = names.index(_HTTP_PORT) if _HTTP_PORT in names else _checked_port(form)
    return task.ports[index] if index is not None and 0 <= index < len(task.ports) else None


def _checked_port(form: Mapping[str, Any]) -> int | None:
    checks = form.get("healthChecks")
    for check in checks if isinstance(checks, list) else []:
        if isinstance(check, Mapping) and str(check.get("protocol", "HTTP")).endswith("HTTP"):
            index = check.get("portIndex", 0)
            return index if isinstance(index, int) else None
    return None


async def read(definition: Mapping[str, Any], task: Task) -> Figures | None:
    """Return the figures of a task now; None when it gives none."""
    port = http_port(definition, task)
    if port is None or not task.host:
        return None
    host = f"[{task.host}]" if ":" in task.host else task.host
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            headers = _token(definition)
            async with session.get(f"http://{host}:{port}/metrics", headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                text = await answer.content.read(_LONGEST)
                while len(text) < _LONGEST and (more := await answer.content.read(_LONGEST - len(text))):
                    text += more
    except (aiohttp.ClientError, OSError, ValueError):
        return None
    return figures(text.decode(errors="replace"))


def _token(definition: Mapping[str, Any]) -> dict[str, str]:
    """Say who asks, to a shipper only: another app has no business with our token."""
    labels, token = definition.get("labels"), os.environ.get("SHIPPER_TOKEN")
    ours = isinstance(labels, Mapping) and labels.get("SHIPPER_ROLE") in ("shipper", "api")
    return {"Authorization": f"Bearer {token}"} if ours and token else {}


async def read_all(definition: Mapping[str, Any], tasks: tuple[Task, ...]) -> dict[str, Figures]:
    """Return the figures of each task that gives some, by its id."""
    answers = await asyncio.gather(*(read(definition, task) for task in tasks))
    return {task.id: found for task, found in zip(tasks, answers, strict=True) if found is not None}
