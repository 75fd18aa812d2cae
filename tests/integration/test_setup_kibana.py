"""`shipper setup kibana` against a Kibana that remembers.

Every kind of call is made through Prism once, which holds the command and that Kibana to Kibana's contract.
"""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from shipper.api.ask import Asking
from shipper.api.kibana import Discover, base_url
from shipper.api.short_links import ShortLinks
from shipper.cli import main
from shipper.generate import kibana as generated
from shipper.setup.kibana_access import Access
from shipper.setup.kibana_answers import KibanaRefused
from shipper.setup.kibana_client import Kibana
from shipper.setup.kibana_wanted import in_space, wanted_of
from tests.servers import kibana_prism
from tests.servers.kibana import BASE_PATH, KEY, FakeKibana
from tests.servers.process import free_port
from tests.tls import Authority

Json = dict[str, Any]
SETTINGS = generated.read({})
SEARCHES = [one for one in generated.objects(SETTINGS) if one["type"] == "search"]
RULES = [one["id"] for one in generated.rules(SETTINGS)]
THINGS = 1 + 5 + len(generated.objects(SETTINGS)) + 1 + len(RULES)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeKibana]:
    fake = FakeKibana()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def prism_url(
    prism: str, kibana_contract: Path, server: FakeKibana, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with kibana_prism.running(prism, kibana_contract, server, tmp_path_factory.mktemp("prism")) as url:
        yield url


@pytest.fixture
def kibana(server: FakeKibana) -> FakeKibana:
    server.reset()
    return server


class Command:
    """Runs `shipper setup kibana` with a key, as scripts do."""

    def __init__(self, url: str, key_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.url, self.key_file, self._capsys = url, key_file, capsys

    def __call__(self, *arguments: str, url: str = "") -> tuple[int, list[Json]]:
        """The exit code and the steps."""
        given = ("setup", "kibana", "--url", url or self.url, "--api-key-file", str(self.key_file), "--json")
        code = main([*given, *arguments])
        output = self._capsys.readouterr()
        self.error = output.err
        assert KEY not in output.out + output.err
        return code, [json.loads(line) for line in output.out.splitlines()]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


@pytest.fixture
def setup(kibana: FakeKibana, key_file: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(kibana.url, key_file, capsys)


@pytest.fixture
def checked(prism_url: str, kibana: FakeKibana, key_file: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """As `setup`, with every call held to the contract."""
    return Command(prism_url, key_file, capsys)


def words(steps: list[Json], *left_out: str) -> dict[str, list[str]]:
    """The words by which things of each kind were told."""
    found: dict[str, list[str]] = {}
    for step in steps:
        if step["step"] not in left_out:
            found.setdefault(step["kind"], []).append(step["step"])
    return found


def test_first_time_then_nothing(checked: Command, kibana: FakeKibana) -> None:
    code, steps = checked("--diff")
    assert (code, kibana.changes) == (1, [])
    assert words(steps)["search"] == ["create"] * len(SEARCHES)
    code, steps = checked("--yes")
    assert code == 0
    assert [step["step"] for step in steps].count("created") == THINGS - 1  # the default space is there
    assert kibana.defaults == {"default": "logs-mesos"}
    assert all(saved["managed"] for _, saved in kibana.objects.values())
    before = list(kibana.changes)
    code, steps = checked("--diff")
    assert (code, words(steps, "unchanged")) == (0, {"space": ["left"]})
    assert checked("--yes") == (0, steps)
    assert "nothing to change" in checked.error
    assert kibana.changes == before


def test_two_spaces_have_objects_of_their_own(checked: Command, kibana: FakeKibana) -> None:
    code, _ = checked("--yes", "--space", "team-a", "--space", "default")
    assert code == 0
    assert kibana.spaces["team-a"]["solution"] == "oblt"
    assert kibana.defaults == {"default": "logs-mesos", "team-a": "logs-mesos-team-a"}
    wanted = in_space("team-a", wanted_of(SETTINGS, (9, 2)))
    mine = {name for name, (space, _) in kibana.objects.items() if space == "team-a"}
    assert mine == {(one["type"], one["id"]) for one in wanted.objects}
    assert len(kibana.objects) == 2 * len(mine)
    # Nothing of a team's dashboard leads into another space, in its JSON strings neither.
    for space, saved in kibana.objects.values():
        if space == "team-a":
            names = {one["id"] for one in saved["references"]}
            assert all(name.endswith("-team-a") for name in names)
            assert '"logs-mesos"' not in json.dumps(saved).replace("\\", "")
    code, steps = checked("--diff", "--space", "team-a", "--space", "default")
    assert (code, words(steps, "unchanged")) == (0, {"space": ["left"]})


def test_spaces_that_exist_keep_their_navigation(checked: Command, kibana: FakeKibana) -> None:
    kibana.spaces["team-a"] = {"id": "team-a", "name": "The A team", "color": "#aabbcc", "disabledFeatures": ["ml"]}
    checked("--yes", "--space", "team-a")
    assert "solution" not in kibana.spaces["team-a"]
    checked("--yes", "--space", "team-a", "--sync")
    kept = {"id": "team-a", "name": "The A team", "color": "#aabbcc", "disabledFeatures": ["ml"]}
    assert kibana.spaces["team-a"] == {**kept, "solution": "oblt"}


def test_people_s_runtime_fields_and_labels_stay(checked: Command, kibana: FakeKibana) -> None:
    checked("--yes")
    view = kibana.view("logs-mesos")
    view["title"] = "logs-*"
    view["runtimeFieldMap"]["hour"] = {"type": "long"}
    view["fieldAttrs"]["host.name"] = {"customLabel": "Machine", "customDescription": "Ours"}
    view["fieldAttrs"].pop("message", None)
    view["fieldFormats"]["http.request.id"] = {"id": "string"}
    view["fieldFormats"]["labels.price"] = {"id": "number"}
    code, steps = checked("--diff")
    assert code == 1
    [details] = [step["details"] for step in steps if step["step"] == "change"]
    assert "title: it is logs-*" in details
    assert "format of http.request.id" in details
    checked("--yes")
    assert view["title"] == "logs-mesos.*-*"
    assert view["runtimeFieldMap"]["hour"] == {"type": "long"}
    assert view["fieldAttrs"]["host.name"] == {"customLabel": "Machine", "customDescription": "Ours"}
    assert view["fieldAttrs"]["message"]["customDescription"]
    assert view["fieldFormats"]["http.request.id"]["id"] == "url"
    assert view["fieldFormats"]["labels.price"] == {"id": "number"}
    assert checked("--diff")[0] == 0


def test_changed_by_hand_is_said_and_set_right(checked: Command, kibana: FakeKibana) -> None:
    checked("--yes")
    by_hand, older = (kibana.saved("search", one["id"]) for one in SEARCHES[:2])
    by_hand["attributes"]["columns"] = ["message"]
    by_hand["managed"] = False
    older["attributes"]["description"] = "as an older version had it"
    clone = {**by_hand, "id": "c0ffee00-0000-4000-8000-000000000000"}
    kibana.objects["search", clone["id"]] = ("default", clone)
    code, steps = checked("--diff")
    assert (code, words(steps, "unchanged", "left")) == (1, {"search": ["overwrite", "change"]})
    [told] = [step for step in steps if step["step"] == "overwrite"]
    assert told["details"] == ["a person may have changed it", "columns", "managed"]
    code, steps = checked("--yes")
    assert code == 0
    assert words(steps, "unchanged", "left", "change", "overwrite") == {"search": ["overwritten", "changed"]}
    assert kibana.saved("search", SEARCHES[0]["id"])["attributes"] == SEARCHES[0]["attributes"]
    assert kibana.objects["search", clone["id"]] == ("default", clone)
    assert checked("--diff")[0] == 0


def test_old_objects_of_ours_are_removed_when_asked_only(checked: Command, kibana: FakeKibana) -> None:
    checked("--yes")
    old = {**SEARCHES[0], "id": "6f0c5e0a-54f3-5d0a-9d3c-000000000000"}
    others = {**old, "id": "6f0c5e0a-54f3-4d0a-9d3c-000000000000"}
    people_s = {**old, "id": "6f0c5e0a-54f3-5d0a-9d3c-000000000001", "managed": False}
    for saved in (old, others, people_s):
        kibana.objects["search", saved["id"]] = ("default", saved)
    code, steps = checked("--diff")
    assert (code, words(steps, "unchanged", "left")) == (0, {"search": ["old"]})
    code, steps = checked("--yes", "--prune")
    assert [step["id"] for step in steps if step["step"] == "removed"] == [old["id"]]
    assert ("search", old["id"]) not in kibana.objects
    assert {("search", others["id"]), ("search", people_s["id"])} <= set(kibana.objects)


def test_default_data_view_of_people_stays(checked: Command, kibana: FakeKibana) -> None:
    kibana.defaults["default"] = "theirs"
    checked("--yes")
    assert kibana.defaults["default"] == "theirs"
    code, steps = checked("--yes", "--force-default")
    assert (code, words(steps)["default data view"]) == (0, ["change", "changed"])
    assert kibana.defaults["default"] == "logs-mesos"


def test_rules_that_people_changed_stay(setup: Command, kibana: FakeKibana) -> None:
    setup("--yes")
    changed, off = (kibana.rules.get(name) for name in RULES[:2])
    changed["params"]["threshold"] = [7]
    off["enabled"] = False
    off["tags"].append("night shift")
    code, steps = setup("--diff")
    assert code == 0
    assert words(steps)["alert rule"][:3] == ["left", "left", "unchanged"]
    # Another version of ours wants another threshold: those that nobody changed follow, and stay off when they are.
    more = setup_file(setup, "delay_minutes: 3")
    action = {"group": "default", "id": "c1", "params": {"message": "hm"}, "connector_type_id": ".server-log"}
    off["actions"] = [action]
    code, steps = setup("--yes", *more)
    assert code == 0
    assert words(steps, "created", "changed")["alert rule"][:2] == ["left", "change"]
    assert kibana.rules.get(RULES[0])["params"]["threshold"] == [7]
    now = kibana.rules.get(RULES[1])
    assert now["params"]["timeWindowSize"] == 13
    assert (now["enabled"], "night shift" in now["tags"]) == (False, True)
    assert now["actions"] == [{key: value for key, value in action.items() if key != "connector_type_id"}]
    assert setup("--diff", *more)[0] == 0


def setup_file(setup: Command, text: str) -> tuple[str, str]:
    path = setup.key_file.with_name("kibana.yaml")
    path.write_text(text)
    return "--settings", str(path)


def test_another_data_view_of_the_same_name(setup: Command, kibana: FakeKibana) -> None:
    kibana.views["theirs"] = ("default", {"id": "theirs", "name": "shipper-ledger", "title": "x"})
    code, _ = setup("--yes")
    assert code == 2
    assert "a data view named 'shipper-ledger' of somebody else's: rename that one" in setup.error
    assert kibana.views["theirs"][1]["title"] == "x"
    kibana.views["theirs"][1]["name"] = "mine"
    assert setup("--yes")[0] == 0


async def test_import_of_part(kibana: FakeKibana) -> None:
    async with Kibana(Access(kibana.url, f"ApiKey {KEY}")) as client:
        with pytest.raises(KibanaRefused) as caught:
            await client.import_objects("default", generated.ndjson(SEARCHES))
    assert "needs index-pattern logs-mesos, which is not there" in str(caught.value)
    assert "more; imported were 0" in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_id_that_is_somebody_else_s(setup: Command, kibana: FakeKibana) -> None:
    kibana.spaces["another"] = {"id": "another", "name": "another"}
    kibana.views["shipper-ledger"] = ("another", {"name": "another"})
    assert setup("--yes")[0] == 2
    assert "Saved object [index-pattern/shipper-ledger] conflict" in setup.error


def test_too_new_an_object(setup: Command, kibana: FakeKibana, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.servers import kibana as server

    monkeypatch.setitem(server.KNOWN, "dashboard", (8, 8, 0))
    code, _ = setup("--yes")
    assert code == 2
    assert "belongs to a more recent version of Kibana [8.9.0]" in setup.error
    assert "update it" in setup.error


def test_not_ready_for_a_while(setup: Command, kibana: FakeKibana) -> None:
    kibana.starting = 1
    assert setup("--diff", url=kibana.url)[0] == 1
    assert "is not ready (status 503)" in setup.error
    kibana.level = "unavailable"
    assert setup("--diff", "--wait", "0.2")[0] == 2
    assert "is not ready (status 503)" in setup.error


def test_wrong_key_and_none(setup: Command, kibana: FakeKibana, tmp_path: Path, capsys: Any) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("d3Jvbmc6a2V5\n")
    assert main(["setup", "kibana", "--url", kibana.url, "--api-key-file", str(wrong), "--diff"]) == 2
    error = capsys.readouterr().err
    assert "the key, or user and password, is not valid" in error
    assert "d3Jvbmc6a2V5" not in error
    assert main(["setup", "kibana", "--url", kibana.url, "--diff"]) == 2
    assert "does not tell us its version, as it does not know us: give --api-key-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [("8.8.2", 2, "is version 8.8.2, which is too old: 8.9 or newer"), ("8.9.0", 1, ""), ("x\x1b[31m", 2, "\\x1b[31m")],
)
def test_versions(setup: Command, kibana: FakeKibana, version: str, code: int, said: str) -> None:
    kibana.version = version
    assert setup("--diff")[0] == code
    assert said in setup.error
    assert "\x1b" not in setup.error


def test_an_old_one_is_not_told_what_it_does_not_know(setup: Command, kibana: FakeKibana) -> None:
    kibana.version = "8.9.0"
    assert setup("--yes", "--space", "team-a")[0] == 0
    assert "solution" not in kibana.spaces["team-a"]
    assert kibana.view("logs-mesos-team-a")["fieldAttrs"] == {}
    assert setup("--diff", "--space", "team-a")[0] == 0


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (200, "text/html", b"<html>\x1b[2J</html>", "is not Kibana: /api/status gives no JSON object"),
        (200, "application/json", b'{"status": "green"}', "is not Kibana: its status has no level"),
        (200, "application/json", b"[" * 100_000, "is not Kibana"),
        (200, "application/json", b" " * (65 * 2**20), "with more than 64 MiB, which is not read"),
        (404, "text/html", b"<html>", "is not Kibana (status 404 without JSON)"),
        (302, "text/plain", b"", "sends us elsewhere (status 302)"),
        (400, "application/json", b'{"message": "\\u001b[2J\\r\\u202eevil"}', "\\x1b[2J\\x0d\\u202eevil"),
        (500, "application/json", b'{"message": "' + b"x" * 10**6 + b'"}', "is not Kibana (status 500"),
    ],
)
def test_hostile_answers(setup: Command, kibana: FakeKibana, status: int, kind: str, body: bytes, said: str) -> None:
    kibana.instead = (status, kind, body)
    code, _ = setup("--yes", "--wait", "0", url=kibana.url)
    assert code == 2
    assert said in setup.error
    assert len(setup.error) < 1000
    assert setup.error.rstrip("\n").isprintable()


def test_below_a_base_path_that_the_configuration_names(
    kibana: FakeKibana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KIBANA_URL", raising=False)
    monkeypatch.setenv("KIBANA_API_KEY", KEY)
    path = tmp_path / "shipper.yaml"
    path.write_text(f"api: {{kibana_url: /kibana, kibana_internal_url: {kibana.url}{BASE_PATH}/}}\n")
    kibana.defaults["default"] = "\x1b[2Jevil"
    assert main(["setup", "kibana", "--config", str(path), "--yes", "--space", "team-a", "--space", "default"]) == 0
    output = capsys.readouterr()
    assert "create       team-a: dashboard Logs: slow requests\n" in output.out
    assert "it is \\x1b[2Jevil" in output.out
    assert "\x1b" not in output.out + output.err
    assert {one.partition(" ")[2].startswith(BASE_PATH) for one in kibana.asked} == {True}
    path.write_text("api: {kibana_url: /kibana}\n")
    assert main(["setup", "kibana", "--config", str(path)]) == 2
    assert "which Kibana? give --url" in capsys.readouterr().err


def test_certificates_of_an_own_ca(setup: Command, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.sign("localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    fake = FakeKibana(context)
    fake.start()
    try:
        assert setup("--diff", "--ca-file", authority.certificate, url=fake.url)[0] == 1
        assert setup("--diff", url=fake.url)[0] == 2
    finally:
        fake.stop()
    assert "shows no certificate that is trusted" in setup.error
    assert setup("--diff", "--wait", "0", "--ca-file", authority.certificate, url=fake.url)[0] == 2
    assert "cannot be reached" in setup.error


def test_nobody_there(setup: Command) -> None:
    assert setup("--diff", "--wait", "0", url=f"http://127.0.0.1:{free_port()}/kibana")[0] == 2
    assert "cannot be reached" in setup.error


def test_the_contract_is_looked_at(checked: Command, kibana: FakeKibana) -> None:
    kibana.defaults["default"] = 5  # type: ignore[assignment]
    assert checked("--diff")[0] == 2
    assert "data_views/default (status 500" in checked.error


def test_without_the_right_to_alert_the_rest_is_done(setup: Command, kibana: FakeKibana) -> None:
    kibana.rules.refusal = (403, "Unauthorized by alerting")
    code, steps = setup("--yes")
    assert (code, words(steps)["alert rules"]) == (0, ["left"])
    assert any("refused GET /api/alerting/rule" in step["details"][0] for step in steps if step["details"])
    assert len(kibana.objects) == len(generated.objects(SETTINGS))


def test_asks_before_it_changes_anything(setup: Command, kibana: FakeKibana) -> None:
    assert setup()[0] == 2
    assert "nobody can be asked here; add --yes" in setup.error
    assert kibana.changes == []


class _Free:
    """Whoever asks for a short link, and has all the time of the store."""

    def charge(self, seconds: float) -> None:
        """Nothing is counted."""


async def test_short_links_are_made_once(prism_url: str, kibana: FakeKibana, key_file: Path) -> None:
    kibana.spaces["team-a"] = {"id": "team-a", "name": "team-a"}
    asked, caller = Discover("log.level : error"), cast(Asking, _Free())
    base = base_url(prism_url, "team-a")
    slug = await ShortLinks(base, key_file).slug(asked, caller)
    assert await ShortLinks(base, key_file).slug(asked, caller) == slug  # another process: Kibana says 409
    [(space, name)] = kibana.slugs
    assert (space, name) == ("team-a", slug)
    assert kibana.slugs[space, name]["locator"]["state"]["dataViewId"] == "logs-mesos-team-a"
    assert kibana.asked[-2:] == ["POST /s/team-a/api/short_url", f"GET /s/team-a/api/short_url/_slug/{slug}"]
