"""What Marathon tells about itself and its work: deployments, the queue, events, leader, information."""

import asyncio

from aiohttp import web

from tests.emulator import answers
from tests.emulator.engine import Engine
from tests.emulator.errors import Refused, flag
from tests.emulator.events import Stream


class Cluster:
    """Handlers of everything but apps and tasks."""

    def __init__(self, engine: Engine, address: str) -> None:
        """`address` is host and port of the leader, which is this one."""
        self._engine = engine
        self._world = engine.world
        self._address = address

    def routes(self) -> list[web.RouteDef]:
        """All of its paths."""
        routes = [
            web.get("/v2/deployments", self._deployments),
            web.delete("/v2/deployments/{id}", self._cancel),
            web.get("/v2/queue", self._queue),
            web.delete("/v2/queue/{id:.+}/delay", self._reset_delay),
            web.get("/v2/events", self._events),
            web.get("/v2/info", self._info),
            web.get("/v2/leader", self._leader),
            web.delete("/v2/leader", self._abdicate),
            web.get("/v2/groups", self._groups),
            web.get("/ping", self._ping),
            web.get("/metrics", self._metrics),
        ]
        if self._world.profile.subscriptions:
            for method in ("GET", "POST", "DELETE"):
                routes.append(web.route(method, "/v2/eventSubscriptions", self._subscriptions))
        return routes

    async def _deployments(self, request: web.Request) -> web.Response:
        return web.json_response([answers.deployment_of(one) for one in self._world.deployments.values()])

    async def _cancel(self, request: web.Request) -> web.Response:
        deployment = self._world.deployments.get(request.match_info["id"])
        if deployment is None:
            raise Refused(404, f"DeploymentPlan {request.match_info['id']} does not exist")
        back = self._engine.deployer.cancel(deployment, force=flag(request.query, "force"))
        if back is None:
            return web.Response(status=202)
        body = {"version": back.version, "deploymentId": back.id}
        return web.json_response(body, headers={"Marathon-Deployment-Id": back.id})

    async def _queue(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "queue": [
                    {
                        "app": answers.definition(self._world, one.app, one.app.newest_of(one.config)),
                        "count": one.count,
                        "delay": {"timeLeftSeconds": int(one.delay_seconds), "overdue": one.delay_seconds == 0},
                        "since": self._world.clock.text(one.since),
                        "processedOffersSummary": {"processedOffersCount": 0, "unusedOffersCount": 0},
                    }
                    for one in self._engine.keeper.queue
                ]
            }
        )

    async def _reset_delay(self, request: web.Request) -> web.Response:
        app_id = "/" + request.match_info["id"].strip("/")
        if not any(one.app.id == app_id for one in self._engine.keeper.queue):
            raise Refused(404, f"Application {app_id} not found in tasks queue.")
        self._engine.keeper.reset_delay(app_id)
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if "text/event-stream" not in request.headers.get("Accept", ""):
            raise Refused(405, "HTTP 405 Method Not Allowed")
        events, address = self._engine.events, request.remote or ""
        light = request.query.get("plan-format") == "light"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        stream = Stream(request.query.getall("event_type", []), light=light)
        events.attach(stream, address)
        try:
            async for frame in stream.frames():
                await events.flowing.wait()
                await response.write(frame)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the listener is gone
        finally:
            events.detach(stream, address)
        return response

    async def _info(self, request: web.Request) -> web.Response:
        host, _, port = self._address.partition(":")
        return web.json_response(
            {
                "name": "marathon",
                "version": self._world.profile.version,
                "buildref": "unknown",
                "elected": True,
                "leader": self._address,
                "frameworkId": self._world.marathon.id,
                "marathon_config": {
                    "checkpoint": True,
                    "framework_name": "marathon",
                    "ha": True,
                    "hostname": host,
                    "local_port_min": 10000,
                    "local_port_max": 20000,
                    "executor": "//cmd",
                },
                "zookeeper_config": {"zk": "zk://localhost:2181/marathon", "zk_timeout": 10000},
                "http_config": {"http_port": int(port), "https_port": 8443},
            }
        )

    async def _leader(self, request: web.Request) -> web.Response:
        return web.json_response({"leader": self._address})

    async def _abdicate(self, request: web.Request) -> web.Response:
        self._engine.events.cut()
        return web.json_response({"message": "Leadership abdicated"})

    async def _groups(self, request: web.Request) -> web.Response:
        apps = [answers.app(self._world, app) for app in self._world.apps.values()]
        return web.json_response(
            {"id": "/", "apps": apps, "groups": [], "dependencies": [], "version": self._world.clock.text()}
        )

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="pong")

    async def _metrics(self, request: web.Request) -> web.Response:
        gauges = {
            "service.mesosphere.marathon.app.count": {"value": len(self._world.apps)},
            "service.mesosphere.marathon.task.running.count": {"value": len(self._world.tasks)},
        }
        return web.json_response({"version": "3.0.0", "gauges": gauges, "counters": {}})

    async def _subscriptions(self, request: web.Request) -> web.Response:
        callbacks, url = self._engine.events.callbacks, request.query.get("callbackUrl", "")
        if request.method == "GET":
            return web.json_response({"callbackUrls": callbacks})
        if not url.startswith(("http://", "https://")):
            raise Refused(400, "callbackUrl is missing")
        known, kind = url in callbacks, "subscribe_event" if request.method == "POST" else "unsubscribe_event"
        if request.method == "POST" and not known:
            callbacks.append(url)
        if request.method == "DELETE" and known:
            callbacks.remove(url)
        return web.json_response(
            {"callbackUrl": url, "clientIp": request.remote, "eventType": kind, "timestamp": self._world.clock.text()}
        )
