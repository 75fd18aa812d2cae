"""What to try on the cluster of the demo: commands with exact arguments, and a request that has much to show."""

import asyncio
import shlex
import urllib.parse
from pathlib import Path
from typing import Any, Final

from shipper.demo.run import PATIENT_SECONDS, get
from shipper.demo.screen import Screen, command
from shipper.errors import ConfigError
from shipper.generate.samples import SERVICES

_LOOK_SECONDS: Final = 0.2
#: How long the first request may take to be told.
_LONGEST_SECONDS: Final = 120.0


async def request_to_show(url: str) -> tuple[str, bool]:
    """Return a request that the API tells of all three services, and whether it failed: one that did, if that is soon.

    ConfigError when there is none for long.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            return await _request_to_show(url)
    except TimeoutError:
        raise ConfigError(f"{url} told of no request in {_LONGEST_SECONDS:g} s: look at the tasks' sandboxes") from None


async def _request_to_show(url: str) -> tuple[str, bool]:
    loop = asyncio.get_running_loop()
    choosy_until: float | None = None
    while True:
        found = await asyncio.to_thread(_told, url)
        failed = [one for one in found if one[1]]
        if found and choosy_until is None:
            choosy_until = loop.time() + PATIENT_SECONDS
        if failed or (found and choosy_until is not None and loop.time() > choosy_until):
            return (failed or found)[0]
        await asyncio.sleep(_LOOK_SECONDS)


def _told(url: str) -> list[tuple[str, bool]]:
    """Requests of the last payments whose whole story the API tells, each with whether it failed."""
    asked = urllib.parse.urlencode({"app": "payments", "limit": 20})
    try:
        ids = dict.fromkeys(_request_id(one) for one in get(f"{url}/api/v1/records?{asked}")["records"])
        stories = [get(f"{url}/api/v1/requests/{urllib.parse.quote(one)}") for one in ids if one]
    except (OSError, ValueError, KeyError):
        return []
    return [(story["request_id"], bool(story["first_error"])) for story in stories if _whole(story)]


def _request_id(record: dict[str, Any]) -> str:
    return str(record.get("http.request.id") or "")


def _whole(story: dict[str, Any]) -> bool:
    """Whether all three have written, and the gateway its last line."""
    written = {service["name"]: int(service["count"]) for service in story["services"]}
    return written.keys() >= set(SERVICES) and written[SERVICES[0]] > 1


def show(screen: Screen, url: str, marathon: str, mesos: str, apps: Path, request: tuple[str, bool]) -> None:
    """Say where to look and what to type."""
    request_id, failed = request
    screen.say("page", url)
    screen.say("marathon", f"{marathon}/v2/apps   mesos {mesos}/state")
    shipper, cluster = shlex.quote(command()), f"--marathon {marathon}"
    lines = (
        f"apps {cluster}",
        f"where date {cluster}",
        f"sandbox /shipper/shipper --file stderr {cluster} --mesos {mesos}",
        f"request {request_id} --url {url}",
        f"deploy --apps {shlex.quote(str(apps))} {cluster}",
    )
    told = (
        "what runs", "on which host and port", "what a task wrote to its stderr",
        "a request that failed" if failed else "a request", "after a change of a file there",
    )  # fmt: skip
    for number, (line, text) in enumerate(zip(lines, told, strict=True)):
        screen.say("" if number else "try", f"{text}:")
        screen.say("", f"{shipper} {line}")
    screen.say("", "Ctrl-C stops")
