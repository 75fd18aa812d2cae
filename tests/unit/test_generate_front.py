"""The configuration of nginx in front: no setting changes its structure; what its app carries and mounts."""

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from shipper.errors import ConfigError
from shipper.generate import marathon
from shipper.generate._front import front_config, front_file
from tests.unit.marathon_apps import apps

TLS: dict[str, object] = {"front_tls_certificate": "/etc/tls/front.pem", "front_tls_key": "/etc/tls/front.key"}
EVERYTHING: dict[str, object] = {
    **TLS, "front_auth": "basic", "front_trusted": "10.0.0.7", "secrets_directory": "/etc/secrets",
}  # fmt: skip
_TOKEN = re.compile(r"""\s+|\#[^\n]*|(?P<word>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{};]|(?:[^\s{};"'\\]|\\.)+)""")
_ADDRESS = re.compile(r"[0-9a-f.:]+/[0-9]+")
_HOSTILE = (
    ";", "}", "{", "\n", "\r", '"', "'", "\\", "$", "$host", "`id`", "$(id)", "#", " ", "\t", "\x00", "\x1b[31m", "ü",
    "|", "&", "::1%", "@port@", "@private@", "@secret@", "@file@", "..", "/", "//", "/etc", "/a.pem", "a", "0",
    "10.0.0.0/8", "::1", "return 200;", "location / { }", "include /etc/passwd;", "%0a", "\u2028", "*", "~", "(?<x>",
    "https://", ":",
)  # fmt: skip


def structure(config: str) -> list[str]:
    """Each directive's first word with its end (`;` or `{`), and each `}`; fails on what nginx could not read.

    One of those that stand once for each address is kept, however many there are.
    """
    found, name, at = [], "", 0
    while at < len(config):
        token = _TOKEN.match(config, at)
        assert token, config[at : at + 40]
        at = token.end()
        word = token["word"]
        if word in ("{", "}", ";"):
            found.append(f"{name}{word}")
            name = ""
        elif word is not None and not name:
            name = "address" if _ADDRESS.fullmatch(word) else word
    repeated = ("address;", "set_real_ip_from;")
    return [word for place, word in enumerate(found) if word not in repeated or found[place - 1] != word]


def read(values: dict[str, object]) -> marathon.Settings | None:
    """The settings; None when they are refused, which is said without a character that a terminal obeys."""
    said = ""
    try:
        return marathon.read(values)
    except ConfigError as refused:
        said = str(refused)
    assert said.isprintable()
    return None


def hostile(seed: int) -> Iterator[str]:
    """Texts made of what means something in nginx's language, in a shell, or in a path."""
    chance = random.Random(seed)
    for _ in range(400):
        yield "".join(chance.choices(_HOSTILE, k=chance.randrange(1, 6)))


@pytest.mark.parametrize(
    "name",
    ["front_tls_certificate", "front_tls_key", "secrets_directory", "front_trusted", "front_networks", "front_url",
     "front_names", "front_auth", "log_socket", "kibana_ca", "front_tails", "front_tls_port", "api_port",
     "kibana_port"],
)  # fmt: skip
def test_a_hostile_setting_is_refused_or_changes_one_value_only(name: str) -> None:
    wanted = structure(front_config(marathon.read(EVERYTHING)))
    start = apps(**EVERYTHING)["marathon-apps/nginx.json"]["cmd"]
    taken = 0
    for text in hostile(len(name)):
        settings = read({**EVERYTHING, name: text})
        if settings is None:
            continue
        taken += 1
        if settings.front_trusted:  # none is a structure of its own
            assert structure(front_config(settings)) == wanted, text
        said = apps(**settings.model_dump())["marathon-apps/nginx.json"]["cmd"]
        assert said.replace(settings.secrets_directory, "/etc/secrets") == start, text
    assert taken < 200, "most of them are refused"


def test_the_structure_of_a_hostile_configuration_would_be_seen() -> None:
    good = front_config(marathon.read(TLS))
    assert structure(good) != structure(good.replace("/etc/tls/front.pem", "/a;include b"))
    assert sum(word.endswith("{") for word in structure(good)) == structure(good).count("}")


def test_no_line_is_left_unfilled() -> None:
    for more in ({}, TLS, EVERYTHING, {**EVERYTHING, "front_auth": "header"}, {"kibana": False}):
        text = front_config(marathon.read(more))
        names = {"@port@"} | ({"@tls_port@"} if "front_tls_key" in more else set())
        private = {"@private@"} if more.get("front_auth") else set()
        assert set(re.findall(r"@[a-z_]+@", text)) == names | private
        assert not re.findall(r"@[a-z_]+@", front_file(marathon.read(more)))


def volumes(**settings: object) -> list[tuple[str, str]]:
    """What the app of nginx mounts, and how."""
    found: list[dict[str, Any]] = apps(**settings)["marathon-apps/nginx.json"]["container"]["volumes"]
    return [(volume["hostPath"], volume["mode"]) for volume in found]


def test_nginx_sees_only_its_own_secrets() -> None:
    log = ("/run/shipper/log", "RW")
    assert volumes() == [log]
    assert volumes(secrets_directory="/etc/secrets") == [log]
    assert volumes(**EVERYTHING) == [log, ("/etc/tls", "RO"), ("/etc/secrets/front", "RO")]


def test_kibana_sees_only_its_own_secrets() -> None:
    app = apps(secrets_directory="/etc/secrets", kibanas=2, kibana_ca="/etc/ca/ca.pem")["marathon-apps/kibana.json"]
    mounts = [volume["hostPath"] for volume in app["container"]["volumes"]]
    assert mounts == ["/etc/ca", "/etc/secrets/kibana"]
    assert "KBN_CONFIG_PATHS=/usr/share/kibana/config/kibana.yml,/etc/secrets/kibana/kibana.yml " in app["cmd"]
    assert app["instances"] == 2


def test_values_of_kibana_have_no_space_as_its_image_would_cut_them() -> None:
    for settings in ({}, {"elasticsearch": "elsewhere", "elasticsearch_urls": "https://a:1,https://b:2"}):
        environment = apps(front_url="https://logs.example", kibana_ca="/ca/a.pem", **settings)
        for name, text in environment["marathon-apps/kibana.json"]["env"].items():
            assert re.fullmatch(r"[A-Z_]+", name)
            assert not re.search(r"[\s*?]", text), name


def test_kibana_knows_where_browsers_reach_it() -> None:
    app = apps(front_url="https://logs.example:8443")["marathon-apps/kibana.json"]
    assert app["env"]["SERVER_PUBLICBASEURL"] == "https://logs.example:8443/kibana"


def test_tls_is_a_port_of_its_own_that_haproxy_passes_on_as_it_is() -> None:
    app = apps(**TLS)["marathon-apps/nginx.json"]
    assert [port["port"] for port in app["portDefinitions"]] == [8088, 8443]
    assert (app["labels"]["HAPROXY_0_MODE"], app["labels"]["HAPROXY_1_MODE"]) == ("http", "tcp")
    assert '-e "s|@tls_port@|$PORT1|g"' in app["cmd"]
