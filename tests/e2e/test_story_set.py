"""The story test set: requests over two to twelve running services, and what their stories must tell."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shipper.demo.services import Shop as Sample
from tests.e2e.story_world import Asked, Machine, Part, Shop, Syslog, Wire, World
from tests.integration.host import Host
from tests.servers.process import wait_until
from tests.shipper_process import ShipperProcess

#: How late a record came tells how wrong a clock is.
pytestmark = pytest.mark.alone

CHAIN = {"edge": Part([["orders"]]), "orders": Part([["payments"], ["mail"]]), "payments": Part(), "mail": Part()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("story")
    with ShipperProcess(folder, {"type": "sqlite", "path": str(folder / "data")}) as shipper:
        wire = Wire(shipper.port)
        try:
            yield World(shipper, wire)
        finally:
            wire.close()


def pairs(told: Any) -> list[tuple[str, str]]:
    """Who called whom, in order."""
    return [(hop["from"], hop["to"]) for hop in told["hops"]]


def order_of(told: Any) -> list[tuple[str, str]]:
    """Service and first word of what was written, in the order of the story."""
    return [(record["service.name"], text_of(record)) for record in told["records"]]


def text_of(record: Any) -> str:
    """What the service wrote, without what belongs to the form of its log."""
    return str(record["message"]).removeprefix("INFO ").partition(" [request_id=")[0]


def check_nested(told: Any, shop: Shop) -> None:
    """What a service does lies between its caller's first and last record; within a series, numbers go up."""
    at: dict[str, tuple[int, int]] = {}
    for place, (service, _) in enumerate(order_of(told)):
        first, _ = at.get(service, (place, place))
        at[service] = first, place
    for service, part in shop.parts.items():
        for called in (called for stage in part.stages for called in stage):
            if called in at and service in at:
                assert at[service][0] < at[called][0] <= at[called][1] < at[service][1], (service, called)
    numbers: dict[str, list[int]] = {}
    for record in told["records"]:
        numbers.setdefault(record["shipper.series"], []).append(record["event.sequence"])
    assert all(a < b for found in numbers.values() for a, b in pairwise(found))


@pytest.mark.parametrize("logs", ["http", "server", "span", "plain"])
def test_complete(world: World, logs: str) -> None:
    parts = {name: Part(part.stages, logs, 0.01) for name, part in CHAIN.items()}
    parts["edge"].logs = "http"
    with world.shop(f"complete-{logs}", parts) as shop:
        shop.earlier()
        asked = shop.ask(Asked(f"complete-{logs}-1"))
    told = world.story(asked.id)
    assert order_of(told) == asked.written
    assert pairs(told) == [("edge", "orders"), ("orders", "payments"), ("orders", "mail")]
    expected = {"http": ["http"] * 3, "server": ["http", "time", "time"], "span": ["http", "span", "span"]}
    assert [hop["how"] for hop in told["hops"]] == expected.get(logs, ["http", "time", "time"])
    assert told["entry"] == {"service": "edge", "method": "GET", "path": f"/complete-{logs}/1", "status": 200}
    assert (told["verdict"], told["silent"], told["clocks"]) == ({"state": "complete", "reasons": []}, [], [])


def test_one_service_is_silent(world: World) -> None:
    with world.shop("silent", CHAIN) as shop:
        shop.earlier()
        asked = shop.ask(Asked("silent-1", mute=["mail"]))
        well = shop.ask(Asked("silent-2"), 2)
    told = world.story(asked.id)
    assert order_of(told) == asked.written
    assert [(one["service"], one["share"], one["explained"]) for one in told["silent"]] == [("mail", 1.0, False)]
    assert ("orders", "mail") in pairs(told)  # its caller says so
    assert told["verdict"]["state"] == "possibly incomplete"
    assert told["verdict"]["reasons"][0].startswith("orders says that it called mail, which has no record here")
    assert world.story(well.id)["verdict"]["state"] == "complete"


def test_a_service_that_nobody_names_is_silent(world: World) -> None:
    parts = {name: Part(part.stages, "plain") for name, part in CHAIN.items()} | {"edge": Part([["orders"]], "server")}
    with world.shop("unnamed", parts) as shop:
        shop.earlier()
        asked = shop.ask(Asked("unnamed-1", mute=["payments"]))
    told = world.story(asked.id)
    assert [(one["service"], one["of"]) for one in told["silent"]] == [("payments", 6)]
    why = "payments took part in 6 of 6 earlier requests like this one and has no record here"
    assert told["verdict"] == {"state": "possibly incomplete", "reasons": [why]}


def test_an_error_explains_who_was_not_asked(world: World) -> None:
    parts = {**CHAIN, "orders": Part([["payments"]]), "payments": Part([["bank"]]), "bank": Part()}
    with world.shop("explained", parts) as shop:
        shop.earlier()
        asked = shop.ask(Asked("explained-1", fails={"payments": 9}))
    told = world.story(asked.id)
    assert asked.status == 502
    assert Counter(pairs(told)) == {("edge", "orders"): 3, ("orders", "payments"): 9}
    (bank,) = told["silent"]
    assert (bank["service"], bank["explained"]) == ("bank", True)
    assert bank["why"].endswith("; payments failed before it, which may be why")
    assert told["verdict"] == {"state": "complete", "reasons": []}


def test_a_hole_between_its_records(world: World) -> None:
    with world.shop("hole", CHAIN) as shop:
        shop.earlier()
        machine = shop.machines["orders"]
        assert isinstance(machine, Machine)
        machine.lose = lambda text: "called payments" in text
        asked = shop.ask(Asked("hole-1"))
    told = world.story_with_holes(asked.id)
    assert [one for one in asked.written if one != ("orders", "called payments")] == order_of(told)
    assert pairs(told) == [("edge", "orders"), ("orders", "payments"), ("orders", "mail")]
    (hole,) = told["holes"]
    assert (hole["host"], hole["missing"]) == ("hole-orders", 1)
    assert told["verdict"]["state"] == "incomplete"
    assert told["verdict"]["reasons"][0].startswith("1 record of host hole-orders missing")
    assert told["verdict"]["reasons"][0].endswith(", between records of this request")


def test_all_records_of_a_host_are_cut(world: World) -> None:
    with world.shop("cut", CHAIN) as shop:
        shop.earlier()
        machine = shop.machines["payments"]
        assert isinstance(machine, Machine)
        machine.lose = lambda text: "cut-1" in text
        asked = shop.ask(Asked("cut-1"))
        shop.ask(Asked("cut-2"), 2)
    told = world.story_with_holes(asked.id)
    assert [one["service"] for one in told["silent"]] == ["payments"]
    assert [(hole["host"], hole["missing"]) for hole in told["holes"]] == [("cut-payments", 2)]
    assert told["verdict"]["state"] == "incomplete"
    assert "where payments runs, which is silent here" in told["verdict"]["reasons"][0]


@pytest.mark.parametrize("logs", ["http", "span"])
def test_clocks_are_off(world: World, logs: str) -> None:
    off = {"orders": -4.8, "payments": 5.0, "mail": -0.7}
    name = f"clocks-{logs}"
    with world.shop(name, {part: Part(CHAIN[part].stages, logs) for part in CHAIN}, off) as shop:
        shop.earlier()
        asked = shop.ask(Asked(f"{name}-1"))
    told = world.story(asked.id)
    check_nested(told, shop)
    assert pairs(told) == [("edge", "orders"), ("orders", "payments"), ("orders", "mail")]
    wrong_by = {clock["host"]: clock["shift_ns"] / 1e9 for clock in told["clocks"]}
    assert wrong_by == pytest.approx({f"{name}-{part}": -seconds for part, seconds in off.items()}, abs=0.5)
    shifts = {lane["name"]: lane["clock_shift_ns"] for lane in told["services"]}
    assert shifts["edge"] == 0
    assert shifts["payments"] < -4e9
    assert shifts["orders"] > 4e9
    assert told["clocks"][0]["told"].startswith(f"the clock of host {told['clocks'][0]['host']} was ")
    assert told["duration_ns"] < 3e9
    assert all(("shown_time" in record) is (record["host.name"] != f"{name}-edge") for record in told["records"])
    assert told["verdict"]["state"] == "complete"


@pytest.mark.parametrize("logs", ["http", "server", "plain"])
def test_retries(world: World, logs: str) -> None:
    parts = {part: Part(CHAIN[part].stages, logs) for part in CHAIN} | {"edge": Part([["orders"]])}
    if logs == "plain":
        parts["orders"].logs = "http"
    with world.shop(f"retries-{logs}", parts) as shop:
        shop.earlier()
        asked = shop.ask(Asked(f"retries-{logs}-1", fails={"payments": 2}))
    told = world.story(asked.id)
    assert asked.status == 200
    assert order_of(told) == asked.written
    assert pairs(told) == [("edge", "orders"), *[("orders", "payments")] * 3, ("orders", "mail")]
    if logs != "plain":
        assert [hop["status"] for hop in told["hops"]] == [200, 503, 503, 200, 200]
    assert told["verdict"]["state"] == "complete"


def test_fan_out(world: World) -> None:
    leaves = [f"leaf{number}" for number in range(6)]
    parts = {
        "edge": Part([["search"]]),
        "search": Part([leaves], "span"),
        **{name: Part(logs="span") for name in leaves},
    }
    with world.shop("fan", parts) as shop:
        shop.earlier()
        asked = shop.ask(Asked("fan-1"))
    told = world.story(asked.id)
    check_nested(told, shop)
    assert Counter(pairs(told)) == {("edge", "search"): 1, **{("search", name): 1 for name in leaves}}
    assert {hop["how"] for hop in told["hops"]} == {"http", "span"}
    assert told["verdict"]["state"] == "complete"


def test_all_of_it_with_twelve_services_and_thousands_of_records(world: World) -> None:
    leaves = [f"leaf{number}" for number in range(7)]
    parts = {
        "edge": Part([["web"]]), "web": Part([["orders"]]), "orders": Part([["stock", "payments"], leaves]),
        "stock": Part(lines=700), "payments": Part(lines=700), **{name: Part(lines=120) for name in leaves},
    }  # fmt: skip
    off = {"orders": 3.1, "stock": -4.9, "payments": 4.9, "leaf3": -2.0, "leaf4": 2.0}
    with world.shop("all", parts, off) as shop:
        shop.parts = {name: Part(part.stages) for name, part in parts.items()}
        shop.earlier()
        shop.parts = parts
        machine = shop.machines["stock"]
        assert isinstance(machine, Machine)
        machine.lose = lambda text: '"step 50' in text
        asked = shop.ask(Asked("all-1", fails={"payments": 1}, mute=["leaf5"]))
    told = world.story_with_holes(asked.id)
    assert len(told["records"]) == len(asked.written) - 11 > 2000
    check_nested(told, shop)
    assert Counter(pairs(told)) == {
        ("edge", "web"): 1, ("web", "orders"): 1, ("orders", "stock"): 1, ("orders", "payments"): 2,
        **{("orders", name): 1 for name in leaves},
    }  # fmt: skip
    wrong_by = {clock["host"]: clock["shift_ns"] / 1e9 for clock in told["clocks"]}
    assert {f"all-{name}" for name in off} <= set(wrong_by)
    # A service that gets no processor for a moment may look late by that much.
    assert all(abs(by) < 0.5 for host, by in wrong_by.items() if host.removeprefix("all-") not in off)
    assert [one["service"] for one in told["silent"]] == ["leaf5"]
    assert sum(hole["missing"] for hole in told["holes"]) == 11
    assert told["verdict"]["state"] == "incomplete"
    assert len(told["verdict"]["reasons"]) == 3  # two holes and the silent one


def test_through_a_real_host(world: World, run_dir: Path, rsyslogd: str) -> None:
    with Host(rsyslogd, run_dir, world.shipper.port, shipper_host="127.0.0.1", host_name="real-1") as host:
        machine = Syslog(str(host.socket))
        try:
            with Shop(CHAIN, dict.fromkeys(CHAIN, machine), "/real") as shop:
                shop.earlier()
                asked = shop.ask(Asked("real-1", fails={"payments": 1}))
                muted = shop.ask(Asked("real-2", mute=["mail"]), 2)
        finally:
            machine.close()

        def told(request: Asked) -> Any:
            found = world.shipper.get(f"/api/v1/records?request_id={request.id}&limit=100")["records"]
            return world.story(request.id) if len(found) == len(request.written) else None

        wait_until(lambda: told(muted) and told(asked), 60, "all is stored")
        wait_until(lambda: told(asked)["verdict"]["state"] == "complete", 60, "the ledger has heard of all")
        story = told(asked)
        assert order_of(story) == asked.written
        assert pairs(story) == [("edge", "orders"), *[("orders", "payments")] * 2, ("orders", "mail")]
        assert {host for lane in story["services"] for host in lane["hosts"]} == {"real-1"}
        assert [one["service"] for one in told(muted)["silent"]] == ["mail"]


async def test_the_shop_of_the_demo(world: World) -> None:
    machines = {tag: Machine(world.wire, f"demo-{tag}") for tag in ("gateway", "orders", "payments")}

    def send(message: bytes) -> bool:
        head, _, text = message.decode().partition("]: ")
        tag = head.rpartition(" ")[2].partition("[")[0]
        machines[tag].write(tag, text)
        return True

    shop = Sample(send, seed="story")
    answered = await asyncio.gather(*(shop.request(number) for number in range(16)))
    for one in answered:
        told = await asyncio.to_thread(world.story, one.request_id)
        assert len(told["records"]) == one.written
        assert told["entry"]["status"] == one.status
        assert pairs(told) == [("gateway", "orders"), ("orders", "payments")][: one.services - 1]
        assert (told["first_error"] is not None) is one.failed
        assert [related["kind"] for related in told["related"]] == ["trace"]
        assert told["verdict"] == {"state": "complete", "reasons": []}
