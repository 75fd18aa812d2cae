"""All apps, again and again: at the start, after each change and from time to time.

Events only say when to look. What is read then is the whole truth, so an event that is lost costs `poll_seconds` at
most, and one that lies costs a read.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from shipper.cluster.events import listen
from shipper.cluster.marathon import Marathon
from shipper.cluster.model import App
from shipper.errors import ClusterError

#: Events after which apps or tasks are not what they were; those of old versions too.
CHANGES: Final = (
    "api_post_event",
    "app_terminated_event",
    "deployment_failed",
    "deployment_info",
    "deployment_step_failure",
    "deployment_step_success",
    "deployment_success",
    "group_change_success",
    "health_status_changed_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "status_update_event",
    "unhealthy_instance_kill_event",
    "unhealthy_task_kill_event",
    "unknown_instance_terminated_event",
)


async def watch(
    marathon: Marathon, *, poll_seconds: float, debounce_seconds: float = 1.0
) -> AsyncGenerator[list[App] | ClusterError, None]:
    """Yield all apps, or why they cannot be read now; what was yielded before holds on then.

    The first time at once, then `debounce_seconds` after the first of one or many changes, and every `poll_seconds`.
    It never ends; close it (`contextlib.aclosing`) to stop listening.
    """
    changed = asyncio.Event()
    listening = asyncio.create_task(_listen(marathon, changed))
    try:
        while True:
            changed.clear()  # before the read: what changes meanwhile is read next time
            try:
                answer: list[App] | ClusterError = await marathon.apps()
            except ClusterError as error:
                answer = error
            yield answer
            with suppress(TimeoutError):
                async with asyncio.timeout(poll_seconds):
                    await changed.wait()
                    await asyncio.sleep(debounce_seconds)
            if listening.done():
                listening.result()  # a bug there is not silence
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _listen(marathon: Marathon, changed: asyncio.Event) -> None:
    async for _ in listen(marathon, CHANGES):
        changed.set()
