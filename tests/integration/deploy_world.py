"""A Marathon that keeps apps in memory and fails when it is told to, for tests of `shipper deploy`.

Its time is what is asked of it: a deployment is over after some looks at /v2/deployments, so no test waits for a clock.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from aiohttp import web

from shipper.cluster.settings import ClusterSettings
from shipper.deploy import files, run
from shipper.deploy.asking import Limits
from shipper.deploy.outcome import Outcome
from shipper.deploy.progress import Progress

#: An environment variable of an app whose tasks never become healthy.
SICK = {"SICK": "yes"}
LOOKS = 2
Definition = dict[str, Any]


@dataclass
class Deployment:
    """A change that is being made: over after some looks, or never when the app is sick."""

    app_id: str
    before: Definition | None
    looks: int


@dataclass
class Fault:
    """What happens to the next requests that begin with these words, in place of an answer or after it was done."""

    asked: str
    status: int = 500
    body: str = ""
    times: int = 1
    #: The request is carried out all the same.
    done: bool = False
    #: Requests that come before.
    after: int = 0


@dataclass
class FakeMarathon:
    """Apps by id, deployments by id, and what is to go wrong."""

    url: str = ""
    apps: dict[str, Definition] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    #: Host ports of the tasks of an app.
    ports: Callable[[str], list[int]] = lambda _: [31000]
    #: How often an app's tasks were replaced.
    generation: int = 0
    #: How many looks at /v2/deployments show one.
    looks: int = LOOKS
    #: Whether a cancelled deployment is undone, or the request refused.
    cancels: bool = True

    def define(self, app_id: str, definition: Mapping[str, Any] | None) -> str:
        """Begin to change an app; return the deployment."""
        self.generation += 1
        identity = f"deployment-{self.generation}"
        self.deployments[identity] = Deployment(app_id, self.apps.get(app_id), self.looks)
        if definition is None:
            self.apps.pop(app_id, None)
        else:
            self.apps[app_id] = {**definition, "id": app_id, "version": f"2026-01-01T00:00:00.{self.generation:03}Z"}
        return identity

    def settle(self) -> None:
        """End all deployments: for what was there before a test begins."""
        self.deployments.clear()

    def answer(self, app_id: str) -> Definition:
        """An app as Marathon shows it, with what it fills in."""
        app = self.apps[app_id]
        healthy = app.get("env") != SICK
        task = {"host": "127.0.0.1", "state": "TASK_RUNNING", "ports": self.ports(app_id), "version": app["version"]}
        tasks = [
            {"id": f"{app_id}.{app['version']}.{number}", **task, "healthCheckResults": [{"alive": healthy}]}
            for number in range(app.get("instances", 1) if healthy else 0)
        ]
        open_ones = [{"id": key} for key, one in self.deployments.items() if one.app_id == app_id]
        failure = {} if healthy else {"lastTaskFailure": {"host": "web-3", "message": "exited with status 1"}}
        filled = {"env": {}, "labels": {}, "instances": 1, "cpus": 1.0, "mem": 128, "backoffSeconds": 1, "user": None}
        return {**filled, **app, "tasks": tasks, "deployments": open_ones, **failure}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or fail as told."""
        asked = f"{request.method} {request.path}"
        self.asked.append(asked)
        for fault in self.faults:
            if not asked.startswith(fault.asked) or not fault.times:
                continue
            fault.after -= 1
            if fault.after < 0:
                fault.times -= 1
                if fault.done:
                    await self._reply(request)
                return _fail(request, fault)
        return await self._reply(request)

    async def _reply(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if path == "/v2/apps" and method == "GET":
            return web.json_response({"apps": [self.answer(app_id) for app_id in self.apps]})
        if path == "/v2/deployments":
            return web.json_response(self._looked_at())
        if path.startswith("/v2/deployments/"):
            return self._cancel(path.rpartition("/")[2])
        if path == "/v2/queue":
            return web.json_response({"queue": []})
        body = await request.json() if method in ("POST", "PUT") else {}
        app_id = body["id"] if method == "POST" else path.removeprefix("/v2/apps")
        return self._app(method, app_id, body, force=request.query.get("force") == "true")

    def _app(self, method: str, app_id: str, body: Definition, *, force: bool) -> web.Response:
        if method != "POST" and app_id not in self.apps:
            return web.json_response({"message": f"App '{app_id}' does not exist"}, status=404)
        if method == "GET":
            return web.json_response({"app": self.answer(app_id)})
        locks = [key for key, one in self.deployments.items() if one.app_id == app_id]
        if locks and not force:
            said = {"message": "App is locked by one or more deployments.", "deployments": [{"id": locks[0]}]}
            return web.json_response(said, status=409)
        if method == "POST" and app_id in self.apps:
            return web.json_response({"message": f"An app with id [{app_id}] already exists."}, status=409)
        for lock in locks:
            del self.deployments[lock]
        deployment = self.define(app_id, body or None)
        if method == "POST":
            return web.json_response(self.answer(app_id), status=201)
        return web.json_response({"version": "v", "deploymentId": deployment})

    def _looked_at(self) -> list[Any]:
        for key, one in list(self.deployments.items()):
            one.looks -= 1
            if one.looks < 0 and self.apps.get(one.app_id, {}).get("env") != SICK:
                del self.deployments[key]
        return [
            {"id": key, "affectedApps": [one.app_id], "version": "v", "currentStep": 1, "totalSteps": 1, "steps": []}
            for key, one in self.deployments.items()
        ]

    def _cancel(self, identity: str) -> web.Response:
        if identity not in self.deployments or not self.cancels:
            return web.json_response({"message": f"DeploymentPlan {identity} does not exist"}, status=404)
        cancelled = self.deployments.pop(identity)
        undoing = self.define(cancelled.app_id, cancelled.before)
        return web.json_response({"version": "v", "deploymentId": undoing})


def _fail(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    if fault.status == 0:  # nothing: the connection ends
        assert request.transport is not None
        request.transport.abort()
    return web.Response(status=fault.status or 500, text=fault.body)


@asynccontextmanager
async def serving(handle: Callable[[web.BaseRequest], Any]) -> AsyncIterator[str]:
    """The address of a server with one handler."""
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fake_marathon() -> AsyncIterator[FakeMarathon]:
    """A Marathon without apps."""
    marathon = FakeMarathon()
    async with serving(marathon.handle) as marathon.url:
        yield marathon


def app(app_id: str, role: str = "app", **keys: Any) -> Definition:
    """A definition of ours."""
    labels = {"SHIPPER_ROLE": role, "SHIPPER_OWNER": "logging"}
    return {"id": app_id, "cmd": "true", "labels": labels, "healthChecks": [{"path": "/"}], **keys}


class Deploys:
    """Deploys definitions to a fake, and keeps what was said."""

    def __init__(self, folder: Path, marathon_url: str, chronos_url: str = "") -> None:
        self.folder = folder
        self.settings = ClusterSettings(
            marathon_urls=[marathon_url], chronos_urls=[chronos_url] if chronos_url else [], request_seconds=20
        )
        self.limits = Limits(wait=60, patience=60, look=0.005)
        self.outcomes: list[Outcome] = []
        self.said = ""

    def write(self, *definitions: Definition) -> list[Path]:
        """Write definitions into files of their own."""
        paths = [self.folder / f"{str(one.get('id', one.get('name'))).strip('/')}.json" for one in definitions]
        for path, definition in zip(paths, definitions, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(definition))
        return paths

    async def plan(self, *definitions: Definition) -> run.Plan:
        """Read the cluster and return what would be done."""
        wanted = files.read(self.write(*definitions))
        return await run.survey(wanted, self.settings, self.limits, Progress(StringIO(), columns=None))

    async def carry_out(self, plan: run.Plan, *, force: bool = False, canary: float | None = None) -> list[Outcome]:
        """Do what was planned."""
        said = StringIO()
        self.outcomes = []
        way = run.Way(self.limits, force=force, canary_seconds=canary)
        try:
            await run.carry_out(plan, self.settings, way, Progress(said, columns=None), self.outcomes.append)
        finally:
            self.said = said.getvalue()
        return self.outcomes

    async def deploy(self, *definitions: Definition, force: bool = False, canary: float | None = None) -> list[Outcome]:
        """Plan and do."""
        return await self.carry_out(await self.plan(*definitions), force=force, canary=canary)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, with a limit for machines that are slow."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 -- what others do raises no event
            await asyncio.sleep(0.005)
