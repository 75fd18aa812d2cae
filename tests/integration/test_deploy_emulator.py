"""`shipper deploy` on the emulated cluster: real tasks, real rolling upgrades, every form of Marathon's answers."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shipper.cluster.marathon import Marathon
from shipper.deploy import files
from shipper.deploy.differences import changes
from shipper.deploy.outcome import Outcome, State
from shipper.generate import marathon as generated
from tests.emulator.process import Emulator
from tests.integration.deploy_world import Deploys, until


@pytest.fixture(scope="module", params=["0.9.1", "1.4", "1.10"])
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def emulator(profile: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator"), profile=profile, time_scale=0.05) as emulator:
        yield emulator


@pytest.fixture
def deploys(emulator: Emulator, tmp_path: Path) -> Deploys:
    return Deploys(tmp_path, emulator.marathon, emulator.chronos)


def web(app_id: str, role: str, received: int = 1000, dead: int = 0, **keys: Any) -> dict[str, Any]:
    """An app of real HTTP servers, whose figures are a file."""
    figures = {
        "shipper_records_received_total": received,
        'shipper_records_settled_total{fate="stored"}': received - dead,
        'shipper_records_settled_total{fate="rejected"}': dead,
        "shipper_dead_letters_total": dead,
    }
    written = "".join(f"{name} {value}\\n" for name, value in figures.items())
    return {
        "id": app_id,
        "cmd": f"printf '{written}' > metrics; exec {sys.executable} -m http.server $PORT0",
        "cpus": 0.1,
        "mem": 32,
        "instances": 2,
        "ports": [0],
        "labels": {"SHIPPER_ROLE": role, "SHIPPER_OWNER": "logging"},
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "intervalSeconds": 2}],
        **keys,
    }


def states(outcomes: list[Outcome]) -> dict[str, State]:
    return {outcome.name: outcome.state for outcome in outcomes}


async def test_apps_are_created_changed_over_a_leader_change_and_taken_back(
    emulator: Emulator, deploys: Deploys
) -> None:
    shipper, api = web("/way/shipper", "shipper"), web("/way/api", "api", dependencies=["shipper"], instances=1)
    assert states(await deploys.deploy(api, shipper)) == {"/way/shipper": "created", "/way/api": "created"}
    assert not (await deploys.plan(api, shipper)).work

    larger = {**shipper, "instances": 3, "env": {"LEVEL": "debug"}}
    doing = asyncio.create_task(deploys.deploy(larger))
    await until(lambda: sum(task["owner"] == "/way/shipper" for task in emulator.tasks()) > 2)
    emulator.fault("leader_change", seconds=0.3)
    assert [(one.state, one.detail) for one in await doing] == [("changed", "3 of 3 running, 3 healthy")]

    deploys.limits = replace(deploys.limits, wait=0.5)
    outcomes = await deploys.deploy({**larger, "cmd": "exit 3"}, {**api, "mem": 48})
    assert states(outcomes) == {"/way/shipper": "rolled back", "/way/api": "not begun"}
    assert not (await deploys.plan(larger, api)).work


async def test_a_canary_is_withdrawn_then_promoted(deploys: Deploys) -> None:
    await deploys.deploy(web("/canary/shipper", "shipper"))
    (worse,) = await deploys.deploy(web("/canary/shipper", "shipper", dead=500), canary=0.1)
    assert (worse.state, "500 dead letters of 1000 records" in worse.detail) == ("withdrawn", True)
    (better,) = await deploys.deploy(web("/canary/shipper", "shipper", received=2000), canary=0.1)
    assert (better.state, better.detail) == ("changed", "2 of 2 running, 2 healthy")
    async with Marathon(deploys.settings) as marathon:
        assert await marathon.app("/canary/shipper-canary") is None


async def test_generated_apps_are_unchanged_once_they_are_there(profile: str, deploys: Deploys) -> None:
    settings = generated.Settings.model_validate({"marathon": profile, "group": "/generated", "haproxy": "app"})
    for name, text in generated.generate(settings).items():
        path = deploys.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder = deploys.folder / "marathon-apps"
    wanted = files.read([*files.in_directory(folder), *files.in_directory(folder / "samples")])
    assert {"shipper", "api", "elasticsearch", "kibana", "nginx", "haproxy"} < {app.role for app in wanted.apps}
    async with Marathon(deploys.settings) as marathon:
        for app in wanted.apps:
            there = await marathon.create({**app.definition, "instances": 0})
            assert [change.key for change in changes(app.definition, there.definition)] == ["instances"], app.id
            await marathon.delete(app.id, force=True)
