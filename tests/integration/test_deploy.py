"""`shipper deploy` against a Marathon that fails in every way: each outcome says in which state an app was left."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shipper.deploy.outcome import Outcome, State, exit_code
from shipper.errors import ClusterBusy
from tests.integration.deploy_world import SICK, Deploys, FakeMarathon, Fault, app, fake_marathon, serving, until

World = tuple[FakeMarathon, Deploys]
SHIPPER = app("/l/shipper", "shipper", instances=3)
API = app("/l/api", "api", instances=2)
NO_LEADER = "Could not determine the current leader"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with fake_marathon() as marathon:
        yield marathon, Deploys(tmp_path, marathon.url)


def states(outcomes: list[Outcome]) -> dict[str, State]:
    return {outcome.name: outcome.state for outcome in outcomes}


async def test_apps_are_created_in_order_and_a_repetition_does_nothing(world: World) -> None:
    marathon, deploys = world
    outcomes = await deploys.deploy(API, SHIPPER)
    assert [(one.name, one.state) for one in outcomes] == [("/l/shipper", "created"), ("/l/api", "created")]
    assert outcomes[0].detail == "3 of 3 running, 3 healthy"
    assert "/l/api" in deploys.said
    marathon.asked.clear()
    plan = await deploys.plan(API, SHIPPER)
    assert not plan.work
    assert states(await deploys.carry_out(plan)) == {"/l/shipper": "unchanged", "/l/api": "unchanged"}
    assert all(asked.startswith("GET") for asked in marathon.asked)


async def test_a_change_waits_until_all_are_healthy(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    outcomes = await deploys.deploy({**SHIPPER, "instances": 5, "env": {"LEVEL": "debug"}})
    assert [(one.state, one.detail) for one in outcomes] == [("changed", "5 of 5 running, 5 healthy")]
    assert not marathon.deployments
    assert marathon.apps["/l/shipper"]["env"] == {"LEVEL": "debug"}


@pytest.mark.parametrize("cancels", [True, False])
async def test_a_change_that_does_not_become_healthy_is_taken_back(world: World, cancels: bool) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    marathon.cancels = cancels
    deploys.limits = replace(deploys.limits, wait=0.3)
    outcomes = await deploys.deploy({**SHIPPER, "env": SICK, "cmd": "broken"}, API)
    assert states(outcomes) == {"/l/shipper": "rolled back", "/l/api": "not begun"}
    assert exit_code(outcomes) == 1
    assert marathon.apps["/l/shipper"]["cmd"] == "true"
    assert marathon.apps["/l/shipper"].get("env", {}) == {}
    assert not marathon.deployments
    assert (
        "after 0.3 s: 0 of 3 running, 0 healthy, deployment goes on; last failure on web-3: exited"
        in outcomes[0].detail
    )
    assert outcomes[0].detail.endswith("is back, 3 of 3 running, 3 healthy")
    assert "/l/api" not in marathon.apps


@pytest.mark.parametrize("cancels", [True, False])
async def test_a_new_app_that_does_not_become_healthy_is_removed_again(world: World, cancels: bool) -> None:
    marathon, deploys = world
    marathon.cancels = cancels
    deploys.limits = replace(deploys.limits, wait=0.3)
    outcomes = await deploys.deploy({**SHIPPER, "env": SICK})
    assert states(outcomes) == {"/l/shipper": "rolled back"}
    assert outcomes[0].detail.endswith("it is removed again")
    assert marathon.apps == {}


async def test_a_roll_back_that_cannot_be_done_is_said(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    marathon.cancels = False
    marathon.faults.append(Fault("PUT", 403, '{"message": "no"}', times=99, after=1))
    deploys.limits = replace(deploys.limits, wait=0.3)
    outcomes = await deploys.deploy({**SHIPPER, "env": SICK})
    assert states(outcomes) == {"/l/shipper": "unfinished"}
    assert "the roll-back is not done: Marathon at" in outcomes[0].detail
    assert exit_code(outcomes) == 2


async def test_a_lock_is_waited_for(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    lock = marathon.define("/l/shipper", marathon.apps["/l/shipper"])
    outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"})
    assert states(outcomes) == {"/l/shipper": "changed"}
    assert f"locked by deployment {lock}, waiting for it" in deploys.said


async def test_a_lock_that_stays_is_named_and_nothing_is_changed(world: World) -> None:
    marathon, deploys = world
    marathon.define("/l/shipper", {**SHIPPER, "env": SICK})
    deploys.limits = replace(deploys.limits, wait=0.5)
    outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"})
    assert states(outcomes) == {"/l/shipper": "refused"}
    assert "locked by deployment deployment-1 for more than 0.5 s; wait for it, or override" in outcomes[0].detail
    assert "PUT" not in {asked.split()[0] for asked in marathon.asked[-1:]}
    assert marathon.apps["/l/shipper"]["cmd"] == "true"


async def test_a_lock_is_overridden_when_told(world: World) -> None:
    marathon, deploys = world
    marathon.define("/l/shipper", {**SHIPPER, "env": SICK})
    outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"}, force=True)
    assert states(outcomes) == {"/l/shipper": "changed"}
    assert marathon.apps["/l/shipper"]["cmd"] == "new"


INVALID = json.dumps({"message": "Object is not valid", "details": [{"path": "/cmd", "errors": ["must not be blank"]}]})


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, '{"message": "Invalid credentials"}', "status 401: Invalid credentials"),
        (403, '{"message": "Not Authorized"}', "status 403"),
        (422, INVALID, "/cmd: must not be blank"),
        (400, '{"message": "Invalid JSON \\u001b[2J"}', "status 400"),
    ],
)
async def test_a_no_names_the_file_and_the_place(world: World, status: int, body: str, said: str) -> None:
    marathon, deploys = world
    marathon.faults.append(Fault("POST", status, body))
    outcomes = await deploys.deploy(SHIPPER, API)
    assert states(outcomes) == {"/l/shipper": "refused", "/l/api": "not begun"}
    assert str(deploys.folder / "l/shipper.json") in outcomes[0].detail
    assert said in outcomes[0].detail
    assert "\x1b" not in outcomes[0].line()
    assert marathon.apps == {}
    assert exit_code(outcomes) == 2


#: A Marathon that gives no usable answer for a while: nothing, errors, another program's page, no leader.
AWAY = [
    Fault("", 0),
    Fault("", 500, "oops"),
    Fault("", 503, ""),
    Fault("", 502, NO_LEADER),
    Fault("", 200, "<html>a proxy's page</html>"),
    Fault("", 200, '{"apps": 5, "app": 7}'),
]


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: f"{fault.status}{fault.body[:8]}")
@pytest.mark.parametrize("kind", ["create", "change"])
async def test_a_marathon_that_is_away_for_a_while_is_borne(world: World, fault: Fault, kind: str) -> None:
    marathon, deploys = world
    if kind == "change":
        await deploys.deploy(SHIPPER)
    marathon.faults += [
        replace(fault, asked=method, times=2) for method in ("GET /v2/apps/", "GET /v2/d", "POST", "PUT")
    ]
    outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"})
    assert states(outcomes) == {"/l/shipper": "created" if kind == "create" else "changed"}
    assert marathon.apps["/l/shipper"]["cmd"] == "new"


@pytest.mark.parametrize("kind", ["create", "change"])
async def test_a_change_whose_answer_is_lost_is_made_once(world: World, kind: str) -> None:
    marathon, deploys = world
    if kind == "change":
        await deploys.deploy(SHIPPER)
    before = marathon.generation
    marathon.faults += [Fault(method, 0, done=True) for method in ("POST", "PUT")]
    outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"})
    assert states(outcomes) == {"/l/shipper": "created" if kind == "create" else "changed"}
    assert marathon.generation == before + 1


async def test_a_leader_change_in_the_middle_of_a_deployment_is_borne(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    marathon.faults += [Fault("GET /v2/deployments", 502, NO_LEADER, times=5), Fault("GET", 0, times=3)]
    plan = await deploys.plan({**SHIPPER, "cmd": "new"})
    assert states(await deploys.carry_out(plan)) == {"/l/shipper": "changed"}


async def test_a_marathon_that_stays_away_leaves_a_clear_message(world: World) -> None:
    marathon, deploys = world
    plan = await deploys.plan(SHIPPER, API)
    deploys.limits = replace(deploys.limits, patience=0.3)
    marathon.faults.append(Fault("GET /v2/deployments", 503, times=10**6))
    outcomes = await deploys.carry_out(plan)
    assert states(outcomes) == {"/l/shipper": "unfinished", "/l/api": "not begun"}
    assert "deployment deployment-1 was begun and goes on without being watched: Marathon at" in outcomes[0].detail
    assert exit_code(outcomes) == 2


async def test_a_marathon_that_is_not_there_is_said_before_anything(world: World) -> None:
    marathon, deploys = world
    deploys.limits = replace(deploys.limits, patience=0.1)
    marathon.faults.append(Fault("", 0, times=10**6))
    with pytest.raises(ClusterBusy, match="Marathon at"):
        await deploys.plan(SHIPPER)


async def test_what_somebody_else_changed_after_the_plan_is_not_overwritten(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    plan = await deploys.plan({**SHIPPER, "cmd": "new"})
    marathon.define("/l/shipper", {**SHIPPER, "cmd": "theirs"})
    marathon.settle()
    outcomes = await deploys.carry_out(plan)
    assert states(outcomes) == {"/l/shipper": "refused"}
    assert "changed by someone else after the plan was shown" in outcomes[0].detail
    assert marathon.apps["/l/shipper"]["cmd"] == "theirs"


async def test_an_interruption_says_what_goes_on(world: World) -> None:
    marathon, deploys = world
    plan = await deploys.plan({**SHIPPER, "env": SICK}, API)
    doing = asyncio.create_task(deploys.carry_out(plan))
    await until(lambda: "/l/shipper" in marathon.apps)
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert states(deploys.outcomes) == {"/l/shipper": "unfinished", "/l/api": "not begun"}


def figures(received: int, dead: int = 0) -> Callable[[web.BaseRequest], Any]:
    """A shipper's /metrics: with each answer so many records more."""
    count = 0

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal count
        count += 1
        lines = [
            f'shipper_records_received_total{{source="relp"}} {received * count}.0',
            f'shipper_records_settled_total{{fate="stored"}} {(received - dead) * count}.0',
            f'shipper_records_settled_total{{fate="rejected"}} {dead * count}.0',
            f'shipper_dead_letters_total{{reason="too large"}} {dead * count}.0',
        ]
        return web.Response(text="\n".join(lines) + "\n")

    return answer


@asynccontextmanager
async def counting(marathon: FakeMarathon, old: tuple[int, int], new: tuple[int, int]) -> AsyncIterator[None]:
    """Let old instances and the canary count (received, dead letters) with each look."""
    async with serving(figures(*old)) as old_url, serving(figures(*new)) as new_url:
        ports = {True: int(new_url.rpartition(":")[2]), False: int(old_url.rpartition(":")[2])}
        marathon.ports = lambda app_id: [ports[app_id.endswith("-canary")]]
        yield


@pytest.mark.parametrize(
    ("new", "state", "said"),
    [
        ((1000, 0), State.CHANGED, "3 of 3 running"),
        ((1000, 100), State.WITHDRAWN, "dead letters of"),
        ((0, 0), State.WITHDRAWN, "no traffic: no record reached the canary"),
    ],
)
async def test_a_canary_is_promoted_or_withdrawn(world: World, new: tuple[int, int], state: State, said: str) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    async with counting(marathon, (1000, 0), new):
        outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"}, API, canary=0.05)
    assert outcomes[0].state == state
    assert said in outcomes[0].detail
    assert list(states(outcomes).values())[1] == ("created" if state == State.CHANGED else "not begun")
    assert marathon.apps["/l/shipper"]["cmd"] == ("new" if state == State.CHANGED else "true")
    assert "/l/shipper-canary" not in marathon.apps
    assert "instances   received" in deploys.said


async def test_a_canary_that_does_not_become_healthy_or_answers_nothing_is_withdrawn(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    marathon.ports = lambda _: [1]
    outcomes = await deploys.deploy({**SHIPPER, "cmd": "new"}, canary=0.05)
    assert outcomes[0].state == State.WITHDRAWN
    assert "gives no figures" in outcomes[0].detail
    deploys.limits = replace(deploys.limits, wait=0.3)
    outcomes = await deploys.deploy({**SHIPPER, "env": SICK}, canary=0.05)
    assert outcomes[0].state == State.WITHDRAWN
    assert "after 0.3 s: 0 of 1 running" in outcomes[0].detail
    assert list(marathon.apps) == ["/l/shipper"]


async def test_an_interrupted_canary_is_removed_and_somebody_elses_app_is_not(world: World) -> None:
    marathon, deploys = world
    await deploys.deploy(SHIPPER)
    plan = await deploys.plan({**SHIPPER, "cmd": "new"})
    doing = asyncio.create_task(deploys.carry_out(plan, canary=600))
    await until(lambda: "/l/shipper-canary" in marathon.apps)
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert list(marathon.apps) == ["/l/shipper"]
    assert "interrupted  /l/shipper-canary  it is removed again" in deploys.said
    marathon.define("/l/shipper-canary", app("/l/shipper-canary", "shop"))
    outcomes = await deploys.carry_out(plan, canary=600)
    assert outcomes[0].state == State.REFUSED
    assert "/l/shipper-canary" in marathon.apps


TIDY = {"name": "tidy", "schedule": "R/2026-01-01T03:00:00Z/P1D", "command": "true", "ownerName": "logging"}


async def test_jobs_are_put_after_apps(world: World) -> None:
    marathon, deploys = world
    assert states(await deploys.deploy(TIDY)) == {"tidy": "skipped"}
    jobs: list[dict[str, Any]] = []
    refusals = [web.Response(status=500), web.Response(status=503)]

    async def chronos(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/scheduler/jobs":
            return web.json_response(jobs)
        if request.path == "/scheduler/iso8601":
            if refusals:
                return refusals.pop()
            jobs[:] = [{**await request.json(), "successCount": 1}]
            return web.Response(status=204)
        return web.Response(status=404)

    async with serving(chronos) as url:
        deploys = Deploys(deploys.folder, marathon.url, url)
        assert states(await deploys.deploy(TIDY, SHIPPER)) == {"/l/shipper": "created", "tidy": "created"}
        assert not (await deploys.plan(TIDY, SHIPPER)).work
        assert states(await deploys.deploy({**TIDY, "command": "false"})) == {"tidy": "changed"}
        assert jobs[0]["command"] == "false"


async def command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shipper", "deploy", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_looks_asks_and_does(world: World) -> None:
    marathon, deploys = world
    marathon.looks = 0
    deploys.write(app("/x", env={"DB_PASSWORD": "hunter2"}))
    where = ("--apps", str(deploys.folder), "--marathon", marathon.url)
    code, out, err = await command(*where, "--dry-run")
    assert (code, out.splitlines()[-1], err) == (0, "create     /x  instances 1, role app", "")
    code, _, err = await command(*where)
    assert (code, err) == (
        2, "error: nothing was changed: nobody can be asked here; add --yes, or --dry-run to look only\n",
    )  # fmt: skip
    assert marathon.apps == {}
    code, out, err = await command(*where, "--yes", "--json")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"name": "/x", "plan": "create", "file": str(deploys.folder / "x.json"), "changes": []},
        {"name": "/x", "state": "created", "detail": "1 of 1 running, 1 healthy"},
    ]
    assert code == 0
    deploys.write(app("/x", env={"DB_PASSWORD": "new-hunter2"}))
    marathon.apps["/x"]["labels"] = {}
    code, out, err = await command(*where, "--yes")
    assert code == 2
    assert "hunter2" not in out + err
    assert "env.DB_PASSWORD: changed (secret, not shown)" in out
    assert err.endswith("error: nothing was changed: /x would need --adopt\n")
    code, out, err = await command(*where, "--yes", "--adopt")
    assert (code, out.splitlines()[-1]) == (0, "changed      /x  1 of 1 running, 1 healthy")
    code, out, err = await command(*where, "--yes")
    assert (code, err) == (0, "nothing to do: all is as its file says\n")
