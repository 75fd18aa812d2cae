"""What the set-up of Kibana believes, compares and sends, without a Kibana."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.api.kibana import data_view_of
from shipper.errors import ConfigError
from shipper.generate import kibana as generated
from shipper.setup.kibana_access import Access, authorization
from shipper.setup.kibana_answers import KibanaNotReady, KibanaRefused, import_problems, refusal, said
from shipper.setup.kibana_compare import differences, object_differences
from shipper.setup.kibana_wanted import id_in, in_space, wanted_of

KEY = "a2V5OnNlY3JldA=="


@pytest.mark.parametrize(
    "url",
    ["", "kibana:5601", "ftp://kibana", "http://u:p@kibana", "http://kibana/x?y", "http://kibana/a b", "http://k\n"],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="Kibana's address is like"):
        Access(url)


@pytest.mark.parametrize("url", ["http://kibana:5601", "https://logs.example/kibana/", "http://[::1]:5601"])
def test_addresses(url: str) -> None:
    assert Access(url).headers == {}


def test_secrets_come_from_files_first(tmp_path: Path) -> None:
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text(f"{KEY}\n")
    password.write_text("pä ss\n")
    environment = {"KIBANA_API_KEY": "other+key", "KIBANA_USER": "u", "KIBANA_PASSWORD": "p"}
    assert authorization(key, None, None, environment) == f"ApiKey {KEY}"
    found = authorization(None, "elastic", password, environment)
    assert found is not None
    assert base64.b64decode(found.removeprefix("Basic ")).decode() == "elastic:pä ss"
    assert authorization(None, None, None, environment) == "ApiKey other+key"
    del environment["KIBANA_API_KEY"]
    assert authorization(None, None, None, environment) == "Basic dTpw"
    assert authorization(None, None, None, {}) is None
    assert KEY not in repr(Access("http://k", f"ApiKey {KEY}"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "on one line"), (b"two\nlines", "on one line"), (b"\xff", "not UTF-8"), (b"not a key!", "is not an API key"),
     (b"a" * 5000, "is not an API key"), (b"a" * 20_000, "on one line")],
)  # fmt: skip
def test_files_that_hold_no_key(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        authorization(path, None, None, {})


def test_who_asks_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    with pytest.raises(ConfigError, match="cannot read"):
        authorization(path, None, None, {})
    with pytest.raises(ConfigError, match="not both"):
        authorization(path, "elastic", path, {})
    with pytest.raises(ConfigError, match="belong together"):
        authorization(None, "elastic", None, {})
    with pytest.raises(ConfigError, match="belong together"):
        authorization(None, None, path, {})
    with pytest.raises(ConfigError, match="cannot read certificates"):
        Access("https://kibana", ca_file=path).certificates()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (503, b"Kibana server is not ready yet", KibanaNotReady, "is not ready (status 503)"),
        (502, b"<html>nginx</html>", KibanaNotReady, "is not ready (status 502)"),
        (401, b'{"message": "no"}', KibanaRefused, "(status 401: no); the key, or user and password, is not valid"),
        (403, b'{"message": "no"}', KibanaRefused, "ask for the right"),
        (404, b"<html>", KibanaRefused, "is not Kibana (status 404 without JSON)"),
        (302, b"", KibanaRefused, "sends us elsewhere"),
        (422, b'{"message": "newer"}', KibanaRefused, "update it"),
        (400, b'{"message": {"a": "\\u001b[1m"}}', KibanaRefused, "refused GET /x"),
        (400, b"[1]", KibanaRefused, "without JSON"),
    ],
)
def test_refusals(status: int, body: bytes, kind: type[Exception], text: str) -> None:
    error = refusal("Kibana at u", "GET /x", status, body)
    assert type(error) is kind
    assert text in str(error)
    assert str(error).isprintable()


def test_a_stranger_s_text_is_one_clean_line() -> None:
    assert said("a\r\n\x1b[2Jb\u202e") == "a \\x1b[2Jb\\u202e"
    assert len(said("x" * 10_000)) == 400


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"success": True, "successCount": 3}, ""),
        ({"success": False}, "it does not say why"),
        ({"success": False, "errors": "x"}, "it does not say why"),
        (
            {"success": False, "errors": [{"type": "a", "id": "b", "error": {"type": "conflict"}}]},
            "a b is there already",
        ),
        (
            {"success": False, "errors": [{"type": "a", "id": "b", "error": {"type": "unsupported_type"}}]},
            "has no objects",
        ),
        ({"success": True, "errors": [{"type": "a", "id": "b", "error": 5}]}, "a b: unknown"),
        ({"success": False, "errors": [{"error": {"type": "unknown", "message": "oh\x1b"}}] * 7}, "and 2 more"),
    ],
)
def test_import_problems(answer: dict[str, Any], text: str) -> None:
    found = import_problems(answer)
    assert text in found
    assert bool(found) == bool(text)
    assert found.isprintable()


def test_differences_are_looked_for_in_what_is_wanted_only() -> None:
    ours = {"a": 1, "json": '{"b":[1,{"c":2}]}', "empty": "", "list": [1, 2], "same": {"x": None}}
    assert list(differences(ours, {**ours, "more": 5})) == []
    assert list(differences(ours, {"a": 1, "json": '{"b": [1, {"c": 2, "d": 3}]}', "list": [1, 2]})) == []
    theirs = {"a": 2, "json": '{"b": [1, {"c": 3}]}', "empty": "full", "list": [1], "same": {"x": 1}}
    assert list(differences(ours, theirs)) == ["a", "json.b[1].c", "empty", "list", "same.x"]
    assert list(differences(ours, "[" * 100_000)) == ["a", "json.b", "list"]


def test_a_search_is_the_same_after_kibana_s_own_migration() -> None:
    ours = generated.objects(generated.read({}))[0]
    attributes = dict(ours["attributes"])
    outer = {key: attributes.pop(key) for key in ("title", "description")}
    migrated = {**outer, "tabs": [{"id": "t", "label": "Untitled", "attributes": attributes}]}
    assert object_differences(ours, {**ours, "attributes": migrated, "typeMigrationVersion": "10.15.0"}) == []
    attributes["columns"] = []
    assert object_differences(ours, {**ours, "attributes": migrated}) == ["columns"]
    assert object_differences(ours, {**ours, "managed": False, "references": []}) == ["references", "managed"]
    assert object_differences(ours, {"attributes": 5, "references": 5})


def test_ids_of_a_space() -> None:
    wanted = wanted_of(generated.read({"silent_apps": ["shop"]}), (9, 2))
    assert in_space("default", wanted) is wanted
    assert id_in("team-a", "logs-mesos") == "logs-mesos-team-a"
    assert data_view_of("https://logs/kibana/s/team-a") == "logs-mesos-team-a"  # where links of the API lead
    team, other = in_space("team-a", wanted), in_space("team-b", wanted)
    assert [view["id"] for view in team.data_views] == [f"{view['id']}-team-a" for view in wanted.data_views]
    assert {rule["id"] for rule in team.rules}.isdisjoint(rule["id"] for rule in (*other.rules, *wanted.rules))
    ids = {one["id"] for one in (*wanted.data_views, *wanted.objects)}
    for ours, theirs in zip(wanted.objects, team.objects, strict=True):
        named = set(re.findall(r'"id": "([^"]+)"', json.dumps(_values(theirs))))
        assert theirs["id"] == f"{ours['id']}-team-a"
        assert named & {f"{name}-team-a" for name in ids}
        assert not named & ids
        # Nothing but ids differs, and what is JSON in a string still is.
        assert json.dumps(_values(theirs)).replace("-team-a", "") == json.dumps(_values(ours))


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _values(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [_values(one) for one in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        return _values(orjson.loads(value))
    return value


def test_descriptions_of_fields_are_for_versions_that_take_them() -> None:
    settings = generated.read({})
    assert wanted_of(settings, (8, 14)).data_views[0]["fieldAttrs"]
    assert "fieldAttrs" not in wanted_of(settings, (8, 13)).data_views[0]
