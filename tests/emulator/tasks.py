"""/v2/tasks and the tasks of an app: listed in JSON and in plain text, and killed."""

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.emulator import answers, definitions
from tests.emulator.deploying import Locked
from tests.emulator.engine import Engine
from tests.emulator.errors import Refused, flag, locked, no_app, no_json
from tests.emulator.model import App, Task


class Tasks:
    """Handlers of tasks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._world = engine.world

    def routes(self) -> list[web.RouteDef]:
        """The paths that name no app."""
        return [web.get("/v2/tasks", self._list), web.post("/v2/tasks/delete", self._kill_many)]

    async def _list(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "*/*")
        if self._world.profile.text_plain and "text/plain" in accept and "application/json" not in accept:
            return web.Response(text=self._lines())
        asked = [*request.query.getall("status", []), *request.query.getall("status[]", [])]
        states = {f"TASK_{one.upper()}" for one in asked}
        shown = [
            answers.task_of(self._world, task, service_ports=True)
            for task in self._world.tasks_of(self._world.marathon)
            if not states or task.state in states
        ]
        return web.json_response({"tasks": shown})

    def _lines(self) -> str:
        """One line for each service port: its app, itself, and where its running tasks are, well or not."""
        lines: list[str] = []
        for app in self._world.apps.values():
            tasks = [
                task for task in self._world.tasks_of(self._world.marathon, app.id) if task.state == "TASK_RUNNING"
            ]
            lines += _lines_of(app, tasks)
        return "".join(lines)

    async def of_app(self, request: web.Request, app_id: str) -> web.Response:
        """GET of an app's tasks."""
        if app_id not in self._world.apps:
            raise no_app(app_id)
        tasks = self._world.tasks_of(self._world.marathon, app_id)
        return web.json_response({"tasks": [answers.task_of(self._world, task) for task in tasks]})

    async def kill_of_app(self, request: web.Request, app_id: str, task_id: str = "") -> web.Response:
        """DELETE of an app's tasks: all, those of one host, or one."""
        if app_id not in self._world.apps:
            raise no_app(app_id)
        host = request.query.get("host", "*")
        tasks = [
            task
            for task in self._world.tasks_of(self._world.marathon, app_id)
            if host in {"*", task.agent.host} and task_id in {"", task.id, task.instance_id}
        ]
        if task_id and not tasks:
            raise Refused(404, f"Task '{task_id}' does not exist")
        return self._kill(request, tasks, single=bool(task_id))

    async def _kill_many(self, request: web.Request) -> web.Response:
        try:
            ids = json.loads(await request.read())["ids"]
        except (ValueError, KeyError, TypeError) as error:
            raise no_json(str(error)) from None
        known = self._world.tasks_of(self._world.marathon)
        for task_id in ids:
            if not any(answers.looks_like(str(task_id), app_id) for app_id in self._world.apps):
                raise Refused(400, f"Invalid task id '{task_id}'. Unable to extract instance ID")
        return self._kill(request, [task for task in known if task.id in ids or task.instance_id in ids])

    def _kill(self, request: web.Request, tasks: Sequence[Task], *, single: bool = False) -> web.Response:
        shown = [answers.task_of(self._world, task) for task in tasks]
        if flag(request.query, "scale"):
            return self._scale(request, tasks)
        for task in tasks:
            self._engine.keeper.kill(task)
        return web.json_response({"task": shown[0]} if single else {"tasks": shown})

    def _scale(self, request: web.Request, tasks: Sequence[Task]) -> web.Response:
        """Kill them and have so many fewer: a deployment of each app."""
        target: dict[str, Any] = {}
        for task in tasks:
            definition = target.get(task.owner) or self._world.apps[task.owner].definition
            target[task.owner] = {**definition, "instances": max(0, definition["instances"] - 1)}
        try:
            deployment = self._engine.deployer.change(target, force=flag(request.query, "force"))
        except Locked as error:
            raise locked(error.deployments) from None
        for task in tasks:
            self._engine.keeper.kill(task)
        for app_id in target:  # before anybody takes the place of the killed
            app = self._world.apps[app_id]
            self._engine.keeper.want(app, {app.last_config_at: app.instances})
        body = {"version": deployment.version, "deploymentId": deployment.id}
        return web.json_response(body, headers={"Marathon-Deployment-Id": deployment.id})


def _lines_of(app: App, tasks: Sequence[Task]) -> list[str]:
    name, service_ports = app.id.strip("/").replace("/", "_"), definitions.service_ports(app.definition)
    if not service_ports:
        return [f"{name}\t \t" + "".join(f"{task.agent.host}\t" for task in tasks) + "\n"]
    return [
        f"{name}\t{port}\t" + "".join(f"{task.agent.host}:{task.ports[number]}\t" for task in tasks) + "\n"
        for number, port in enumerate(service_ports)
    ]
