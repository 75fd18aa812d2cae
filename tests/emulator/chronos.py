"""Chronos over HTTP, under the paths of 2.x (`/scheduler`) and of 3.x (`/v1/scheduler`; not in the oldest profile)."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from aiohttp import web

from tests.emulator import chronos_jobs
from tests.emulator.chronos_jobs import Job
from tests.emulator.chronos_runs import Runs
from tests.emulator.model import World
from tests.emulator.running import Runner

#: How many jobs a search gives when it is not told.
SEARCH_LIMIT: Final = 10
_NEW: Final = "/v1/scheduler"


def application(world: World, runner: Runner) -> web.Application:
    """All paths; the jobs end with the application."""
    chronos = _Chronos(Runs(world, runner))
    app = web.Application()
    # With Marathon 0.9.1 goes Chronos 2.3.4.
    for base in ("/scheduler",) if world.profile.name == "0.9.1" else ("/scheduler", _NEW):
        app.add_routes(
            [
                web.post(f"{base}/iso8601", chronos.post_scheduled),
                web.post(f"{base}/dependency", chronos.post_dependent),
                web.get(f"{base}/jobs", chronos.list_jobs),
                web.get(f"{base}/jobs/search", chronos.search),
                web.put(f"{base}/job/{{name}}", chronos.run),
                web.delete(f"{base}/job/{{name}}", chronos.delete),
                web.delete(f"{base}/task/kill/{{name}}", chronos.kill),
            ]
        )
    app.on_cleanup.append(chronos.close)
    return app


class _Chronos:
    """The handlers; they answer 204 without a body to what was done, and 400 with the reason to what was not."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def close(self, _: web.Application) -> None:
        await self._runs.close()

    async def post_scheduled(self, request: web.Request) -> web.Response:
        def check(job: Job) -> None:
            if job.schedule is None:
                raise ValueError(f"Cannot parse schedule of '{job.name}': it has parents")
            # 3.x refuses a new job that began long ago; an old job may be changed.
            long_ago = job.schedule.due < self._runs.now() - timedelta(days=365)
            if long_ago and request.path.startswith(_NEW) and job.name not in self._runs.jobs:
                raise ValueError(f"Scheduled start date '{job.schedule.due}' is more than 1 year in the past!")

        return await self._post(request, check)

    async def post_dependent(self, request: web.Request) -> web.Response:
        def check(job: Job) -> None:
            if not job.parents or not job.parents <= self._runs.jobs.keys():
                raise ValueError(f"Error, parent does not exist: {', '.join(sorted(job.parents))}")
            if job.name in self._ancestors(job.parents):
                raise ValueError(f"Job '{job.name}' would wait for itself")

        return await self._post(request, check)

    async def list_jobs(self, _: web.Request) -> web.Response:
        return web.json_response([job.describe() for job in self._runs.jobs.values()])

    async def search(self, request: web.Request) -> web.Response:
        """Jobs whose name and command hold the texts asked for, or either of them holds `any`; case does not matter."""
        name, command, either = (request.query.get(key, "").lower() for key in ("name", "command", "any"))
        try:
            offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", SEARCH_LIMIT))
        except ValueError:
            raise web.HTTPNotFound from None

        def found(job: Job) -> bool:
            own, runs = job.name.lower(), job.definition["command"].lower()
            both = name in own and command in runs
            return (both and bool(name or command or not either)) or bool(either and (either in own or either in runs))

        jobs = [job.describe() for job in self._runs.jobs.values() if found(job)]
        return web.json_response(jobs[max(offset, 0) :][: max(limit, 0)])

    async def run(self, request: web.Request) -> web.Response:
        self._runs.run(self._job(request), self._runs.now(), arguments=request.query.get("arguments", ""))
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        self._runs.delete(self._job(request))
        return web.Response(status=204)

    async def kill(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._runs.jobs:
            raise web.HTTPInternalServerError(text="")  # as Chronos does
        self._runs.kill(self._runs.jobs[name])
        return web.Response(status=204)

    async def _post(self, request: web.Request, check: Callable[[Job], None]) -> web.Response:
        try:
            job = chronos_jobs.read(await request.json(), self._runs.now())
            check(job)
        except ValueError as error:  # of JSON, too
            return _refused(str(error), in_json=request.path == f"{_NEW}/iso8601")
        self._runs.put(job)
        return web.Response(status=204)

    def _job(self, request: web.Request) -> Job:
        name = request.match_info["name"]
        if name not in self._runs.jobs:
            raise web.HTTPBadRequest(text=f"Job '{name}' not found")
        return self._runs.jobs[name]

    def _ancestors(self, names: set[str]) -> set[str]:
        found, todo = set[str](), set(names)
        while todo:
            found |= todo
            todo = {parent for name in todo for parent in self._runs.jobs[name].parents} - found
        return found


def _refused(reason: str, *, in_json: bool) -> web.Response:
    """3.x says it in JSON where a schedule is posted, and everything else as plain text."""
    if in_json:
        body = json.dumps({"status": "Bad Request", "message": reason})
        return web.Response(status=400, text=body, content_type="application/json")
    return web.Response(status=400, text=reason)
