"""POST /emulator/faults: what can be made to go wrong, by name and with arguments, in JSON.

{"fault": "kill9", "task": ID}                            SIGKILL to a task
{"fault": "lose_agent", "agent": HOST, "kill": true}      the agent is gone, with its tasks' processes or without
{"fault": "restore_agent", "agent": HOST}                 it is back; what still runs there is ended
{"fault": "drop_events", "count": N}                      the next events reach nobody
{"fault": "stall_events", "on": true}                     no stream moves until it is switched off
{"fault": "cut_events"}                                   every stream ends
{"fault": "refuse", "count": N, "status": 503}            the next answers are this status
{"fault": "slow", "count": N, "seconds": 2}               the next answers take so long
{"fault": "garbage", "count": N}                          the next answers are not JSON
{"fault": "leader_change", "seconds": 1}                  streams end, and there is no leader for so long (502)
{"fault": "clock_jump", "seconds": -3600}                 times in answers jump

refuse, slow and garbage take `method` and `path` (how it begins), too, and leave other requests alone.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.emulator.engine import Engine

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Faults:
    """The faults in force, and the handler that sets them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._next: dict[str, dict[str, Any]] = {}
        self._leaderless_until = 0.0

    def routes(self) -> list[web.RouteDef]:
        """Where faults are set, and where a test sees the processes behind the tasks."""
        return [web.post("/emulator/faults", self._set), web.get("/emulator/tasks", self._tasks)]

    async def meddle(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer, unless a fault says otherwise."""
        if request.path.startswith("/emulator/"):
            return await handler(request)
        if asyncio.get_running_loop().time() < self._leaderless_until:
            return web.json_response({"message": "Could not determine the current leader"}, status=502)
        if slow := self._take("slow", request):
            await asyncio.sleep(slow["seconds"])
        if refuse := self._take("refuse", request):
            return web.json_response({"message": "refused by a fault"}, status=refuse["status"])
        if self._take("garbage", request):
            return web.Response(body=b'<html>\x00\xff{"apps": [', content_type="application/json")
        return await handler(request)

    def _take(self, name: str, request: web.Request) -> dict[str, Any] | None:
        fault = self._next.get(name)
        if fault is None or not request.path.startswith(fault["path"]):
            return None
        if fault["method"] not in {"", request.method}:
            return None
        fault["count"] -= 1
        if fault["count"] <= 0:
            del self._next[name]
        return fault

    async def _set(self, request: web.Request) -> web.Response:
        try:
            given = json.loads(await request.read())
            set_it = getattr(self, f"_set_{given.pop('fault')}")
        except (ValueError, AttributeError, KeyError) as error:
            return web.json_response({"message": f"no such fault: {error}"}, status=400)
        try:
            set_it(**given)
        except (TypeError, KeyError, ValueError) as error:
            return web.json_response({"message": str(error)}, status=400)
        return web.json_response({})

    async def _tasks(self, request: web.Request) -> web.Response:
        shown = [
            {
                "id": task.id,
                "owner": task.owner,
                "agent": task.agent.host,
                "pid": task.pid,
                "state": task.state,
                "sandbox": str(task.sandbox),
            }
            for task in [*self._engine.world.completed, *self._engine.world.tasks.values()]
        ]
        return web.json_response(shown)

    def _set_kill9(self, task: str) -> None:
        self._engine.runner.crash(self._engine.world.tasks[task])

    def _set_lose_agent(self, agent: str, *, kill: bool = True) -> None:
        self._engine.world.agents[agent].alive = False
        for task in list(self._engine.world.tasks.values()):
            if task.agent.host == agent:
                self._engine.runner.lose(task, kill=kill)

    def _set_restore_agent(self, agent: str) -> None:
        self._engine.world.agents[agent].alive = True
        for task in self._engine.world.completed:
            if task.agent.host == agent:
                self._engine.runner.crash(task)

    def _set_drop_events(self, count: int) -> None:
        self._engine.events.drop(count)

    def _set_stall_events(self, *, on: bool) -> None:
        (self._engine.events.flowing.clear if on else self._engine.events.flowing.set)()

    def _set_cut_events(self) -> None:
        self._engine.events.cut()

    def _set_refuse(self, count: int = 1, status: int = 503, method: str = "", path: str = "/") -> None:
        self._next["refuse"] = {"count": count, "status": status, "method": method, "path": path}

    def _set_slow(self, count: int = 1, seconds: float = 1, method: str = "", path: str = "/") -> None:
        self._next["slow"] = {"count": count, "seconds": seconds, "method": method, "path": path}

    def _set_garbage(self, count: int = 1, method: str = "", path: str = "/") -> None:
        self._next["garbage"] = {"count": count, "method": method, "path": path}

    def _set_leader_change(self, seconds: float = 1) -> None:
        self._leaderless_until = asyncio.get_running_loop().time() + seconds
        self._engine.events.cut()

    def _set_clock_jump(self, seconds: float) -> None:
        self._engine.world.clock.offset_seconds += seconds
