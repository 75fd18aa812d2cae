"""HAProxy's file for one host: what is served where, who serves it, and that the same state gives the same bytes."""

import random
from typing import Any

import pytest
from pydantic import ValidationError

from shipper.generate.localhost import HEADER, Settings, generate, ports_of
from tests.unit.localhost_world import HEALTH, SETTINGS, app, sections, servers, shipper, task


def test_an_app_is_served_on_its_service_port_of_localhost() -> None:
    made = generate([app("/shop/db", (10002,))], SETTINGS)
    found = sections(made.text)
    assert found["frontend shop_db_10002"] == [
        ["bind", "127.0.0.1:10002"], ["option", "tcplog"], ["default_backend", "shop_db_10002"],
    ]  # fmt: skip
    assert found["backend shop_db_10002"] == [
        ["server", "10_0_0_1_31010", "10.0.0.1:31010"], ["server", "10_0_0_2_31020", "10.0.0.2:31020"],
    ]  # fmt: skip
    assert (made.ports, made.apps, made.servers, made.problems) == ((10002,), ("/shop/db",), 2, ())
    assert made.text.startswith(HEADER)
    assert ports_of(made.text) == {10002}


def test_another_loopback_address_serves_every_port() -> None:
    settings = SETTINGS.model_copy(update={"address": "127.0.1.2"})
    apps = [shipper(), app("/shop/db", (10002,)), app("/api", (10001,), {"HAPROXY_0_VHOST": "api.example"})]
    made = generate(apps, settings)
    assert "127.0.0.1:" not in made.text
    assert made.text.count("  bind 127.0.1.2:") == len(made.ports)
    assert ports_of(made.text) == set(made.ports)


def test_each_port_of_an_app_has_its_own_place_in_the_ports_of_its_tasks() -> None:
    made = generate([app("/a", (10001, 10002), tasks=[task("/a", 1)])], SETTINGS)
    assert servers(made.text, "backend a_10001") == ["10_0_0_1_31010"]
    assert servers(made.text, "backend a_10002") == ["10_0_0_1_31011"]


def test_an_app_without_tasks_keeps_its_port() -> None:
    made = generate([app("/a", tasks=[])], SETTINGS)
    assert made.ports == (10001,)
    assert servers(made.text, "backend a_10001") == []


def test_nothing_to_serve_is_a_file_too() -> None:
    made = generate([], SETTINGS)
    assert (made.ports, made.servers, ports_of(made.text)) == ((), 0, set())
    assert sections(made.text)["frontend shipper-nothing"] == [["bind", "abns@shipper-127.0.0.1-80-5140"]]


def test_host_names_share_one_port() -> None:
    made = generate(
        [
            app("/api", (10001,), {"HAPROXY_0_VHOST": "Api.example, www.api.example"}),
            app("/web", (10002,), {"HAPROXY_0_VHOST": "web.example"}),
        ],
        SETTINGS,
    )
    found = sections(made.text)
    rule = ["{", "req.hdr(host),field(1,:),lower", "-m", "str"]
    assert found["frontend shipper-http"][0] == ["bind", "127.0.0.1:80"]
    assert found["frontend shipper-http"][-3:] == [
        ["use_backend", "api_10001", "if", *rule, "api.example", "}"],
        ["use_backend", "web_10002", "if", *rule, "web.example", "}"],
        ["use_backend", "api_10001", "if", *rule, "www.api.example", "}"],
    ]
    assert ["mode", "http"] in found["frontend api_10001"]
    assert made.ports == (80, 10001, 10002)


@pytest.mark.parametrize(
    ("labels", "checks", "mode"),
    [
        ({}, [], "tcp"),
        ({"HAPROXY_0_MODE": "http"}, [], "http"),
        ({}, [HEALTH], "http"),
        ({}, [{**HEALTH, "protocol": "MESOS_HTTP"}], "http"),
        ({}, [{**HEALTH, "protocol": "TCP"}], "tcp"),
        ({}, [{**HEALTH, "portIndex": 1}], "tcp"),
        ({"HAPROXY_0_MODE": "tcp"}, [HEALTH], "tcp"),
        ({"HAPROXY_1_MODE": "http"}, [], "tcp"),
    ],
)
def test_the_mode_is_said_or_follows_from_the_health_check(
    labels: dict[str, str], checks: list[Any], mode: str
) -> None:
    made = generate([app("/a", (10001, 10002), labels, checks=checks)], SETTINGS)
    assert (["mode", "http"] in sections(made.text)["frontend a_10001"]) == (mode == "http")


def test_another_port_by_label() -> None:
    made = generate([app("/a", (10001,), {"HAPROXY_0_PORT": "8081"})], SETTINGS)
    assert made.ports == (8081,)
    assert "frontend a_8081" in sections(made.text)


@pytest.mark.parametrize(
    ("label", "served"), [("internal", True), ("x, internal", True), ("external", False), (None, False)]
)
def test_groups_choose_apps(label: str | None, served: bool) -> None:
    labels = {} if label is None else {"HAPROXY_GROUP": label}
    chosen = Settings(host_name="h", groups=("internal",))
    assert bool(generate([app("/a", labels=labels)], chosen).ports) == served
    assert generate([app("/a", labels=labels)], SETTINGS).ports == (10001,)


@pytest.mark.parametrize(
    ("check", "lines", "words"),
    [
        (HEALTH, [["option", "httpchk", "GET", "/health"], ["timeout", "check", "2s"]], "check inter 5s fall 4"),
        ({**HEALTH, "protocol": "TCP"}, [["timeout", "check", "2s"]], "check inter 5s fall 4"),
        ({"protocol": "HTTP"}, [["option", "httpchk", "GET", "/"], ["timeout", "check", "20s"]],
         "check inter 60s fall 4"),
        ({**HEALTH, "protocol": "COMMAND"}, [], ""),
        ({**HEALTH, "port": 9000}, [], ""),
        ({**HEALTH, "intervalSeconds": 0, "timeoutSeconds": -1, "maxConsecutiveFailures": 10**9},
         [["option", "httpchk", "GET", "/health"], ["timeout", "check", "20s"]], "check inter 1s fall 3601"),
        ("nonsense", [], ""),
    ],
)  # fmt: skip
def test_health_checks_are_marathons(check: Any, lines: list[list[str]], words: str) -> None:
    made = generate([app("/a", labels={"HAPROXY_0_MODE": "tcp"}, checks=[check])], SETTINGS)
    backend = sections(made.text)["backend a_10001"]
    assert backend[: len(lines)] == lines
    assert [" ".join(line[3:]) for line in backend[len(lines) :]] == [words, words]


@pytest.mark.parametrize(
    ("state", "serves"),
    [("", True), ("TASK_RUNNING", True), ("TASK_UNREACHABLE", True), ("TASK_LOST", True), ("TASK_STAGING", False),
     ("TASK_STARTING", False), ("TASK_KILLING", False), ("TASK_KILLED", False), ("TASK_FAILED", False), ("x", False)],
)  # fmt: skip
def test_only_tasks_that_may_take_connections_serve(state: str, serves: bool) -> None:
    made = generate([app("/a", tasks=[task("/a", 1, state=state)])], SETTINGS)
    assert bool(servers(made.text, "backend a_10001")) == serves


def test_a_task_serves_when_it_is_healthy_or_nobody_knows() -> None:
    def serving(*known: bool | None, healthy: frozenset[str] = frozenset()) -> list[int]:
        tasks = [task("/a", number, healthy=each) for number, each in enumerate(known, 1)]
        made = generate([app("/a", tasks=tasks)], SETTINGS, healthy=healthy)
        return [int(name[7]) for name in servers(made.text, "backend a_10001")]

    assert serving(True, False, True) == [1, 3]
    assert serving(None, None) == [1, 2], "no checks, or Marathon has a new leader"
    assert serving(True, None) == [1], "the second is starting"
    assert serving(True, None, healthy=frozenset({"a.2"})) == [1, 2], "the second was good before the leader changed"
    assert serving(False, False) == []


def test_the_first_by_id_gets_a_port_or_a_name_and_the_other_is_told() -> None:
    names = {"HAPROXY_0_VHOST": "a.example"}
    apps = [app("/z", (10001, 10003)), app("/b", (10001,), names), app("/c", (10002,), names)]
    made = generate(apps, SETTINGS)
    assert {"frontend b_10001", "frontend c_10002", "frontend z_10003"} < sections(made.text).keys()
    assert [(each.app_id, each.text) for each in made.problems] == [
        ("/c", "host name a.example is not routed: it is /b's"),
        ("/z", "port 10001 is not served: it is /b's"),
    ]


def test_ports_that_are_not_for_apps() -> None:
    made = generate([app("/a", (80, 5140, 10001, 9999))], SETTINGS, occupied={9999})
    assert made.ports == (10001,)
    assert [each.text for each in made.problems] == [
        "port 5140 is not served: it is shipper's port",
        "port 80 is not served: it is the port for host names",
        "port 9999 is not served: another program of this host has it",
    ]
    with pytest.raises(ValidationError):
        Settings(host_name="h", http_port=5140)


@pytest.mark.parametrize(("settings", "occupied"), [({"http_port": 0}, set()), ({}, {80})])
def test_without_a_port_for_host_names_apps_have_their_own(settings: dict[str, Any], occupied: set[int]) -> None:
    made = generate(
        [app("/a", labels={"HAPROXY_0_VHOST": "a.example"})], Settings(host_name="h", **settings), occupied=occupied
    )
    assert made.ports == (10001,)
    assert len(made.problems) == len(occupied)


def test_the_same_state_gives_the_same_bytes() -> None:
    apps = [app(f"/app{n}", (10000 + n,), {"HAPROXY_0_VHOST": f"n{n}.example"}) for n in range(20)] + [shipper(1, 2, 3)]
    expected = generate(apps, SETTINGS)
    chance = random.Random(1)
    for _ in range(5):
        shuffled = [
            app(each.id, each.service_ports, each.labels, chance.sample(each.tasks, len(each.tasks))) for each in apps
        ]
        chance.shuffle(shuffled)
        assert generate(shuffled, SETTINGS) == expected


def test_left_out_is_as_if_it_were_not_there() -> None:
    assert generate([app("/a"), app("/b", (10002,))], SETTINGS, left_out={"/b"}) == generate([app("/a")], SETTINGS)


def test_an_ipv6_host_and_a_double_task() -> None:
    tasks = [task("/a", 1, host="fe80::1"), task("/a", 2, host="fe80::1", ports=(31010,))]
    made = generate([app("/a", tasks=tasks)], SETTINGS)
    assert sections(made.text)["backend a_10001"] == [["server", "fe80__1_31010", "[fe80::1]:31010"]]
