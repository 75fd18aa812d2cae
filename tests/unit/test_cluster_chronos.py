"""The client of Chronos, on the paths of 2.x and of 3.x."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from shipper.cluster.chronos import Chronos
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterRefused
from tests.unit.cluster_server import Server, data_of, serving


@asynccontextmanager
async def _chronos(base: str) -> AsyncIterator[tuple[Server, Chronos]]:
    async with serving() as server:
        server.replies[f"GET {base}/jobs"] = [{"name": "b"}, {"name": "a"}]
        for question in ("POST iso8601", "POST dependency", "PUT job/a", "DELETE job/a"):
            server.replies[question.replace(" ", f" {base}/")] = (204, "")
        async with Chronos(ClusterSettings(chronos_urls=[server.url], request_seconds=30)) as chronos:
            yield server, chronos


@pytest.mark.parametrize("base", ["/scheduler", "/v1/scheduler"])
async def test_jobs(base: str) -> None:
    job = data_of("chronos", "demo-date.json")
    async with _chronos(base) as (server, chronos):
        await chronos.put(job)
        await chronos.put({"name": "after", "parents": ["a"]})
        await chronos.run("a")
        await chronos.delete("a")
        assert [one["name"] for one in await chronos.jobs()] == ["a", "b"]
        asked = [path for path in server.paths if not path.endswith("/jobs")]
        assert asked == [
            f"POST {base}/iso8601", f"POST {base}/dependency", f"PUT {base}/job/a", f"DELETE {base}/job/a",
        ]  # fmt: skip
        assert next(one.body for one in server.asked if one.method == "POST") == job
        # Which Chronos it is was asked once.
        assert len(server.paths) - len(asked) <= 3


async def test_a_leader_elsewhere() -> None:
    async with _chronos("/v1/scheduler") as (server, chronos), serving("127.0.0.2") as leader:
        leader.replies["PUT /v1/scheduler/job/a"] = (204, "")

        async def redirect(request: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{leader.url}{request.rel_url}"})

        server.replies["PUT /v1/scheduler/job/a"] = redirect
        await chronos.run("a")
        assert leader.paths == ["PUT /v1/scheduler/job/a"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\nb"])
async def test_what_is_no_name_is_never_asked(name: str) -> None:
    async with _chronos("/v1/scheduler") as (server, chronos):
        with pytest.raises(ClusterRefused, match="not the name of a job"):
            await chronos.delete(name)
        with pytest.raises(ClusterRefused, match="not the name of a job"):
            await chronos.put({"name": name})
        assert [path for path in server.paths if not path.startswith("GET")] == []


async def test_a_name_is_only_a_name() -> None:
    async with _chronos("/v1/scheduler") as (server, chronos):
        server.replies["DELETE /v1/scheduler/job/a%20b%3Fc"] = (204, "")
        await chronos.delete("a b?c")
        assert server.paths[-1] == "DELETE /v1/scheduler/job/a%20b%3Fc"


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        ((404, ""), ClusterRefused, "is it a Chronos"),
        ((401, "no"), ClusterRefused, "check user and password_file"),
        ((200, "<html>"), ClusterBusy, "no JSON"),
        ((200, {"a": 1}), ClusterBusy, "not a list"),
        ((500, "java.lang.Exception\n\tat"), ClusterBusy, "java.lang.Exception at"),
    ],
)
async def test_no_answer_of_use(reply: Any, kind: type[Exception], said: str) -> None:
    async with _chronos("/v1/scheduler") as (server, chronos):
        server.replies = {"GET /v1/scheduler/jobs": reply}
        with pytest.raises(kind, match=said):
            await chronos.jobs()


async def test_a_job_that_is_refused() -> None:
    async with _chronos("/scheduler") as (server, chronos):
        server.replies["POST /scheduler/iso8601"] = (400, "the job's schedule is invalid")
        with pytest.raises(ClusterRefused, match="the job's schedule is invalid"):
            await chronos.put({"name": "a"})
