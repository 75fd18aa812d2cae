"""Set-up without a server: versions it refuses, privileges it names, snapshot policies, and how templates compare."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.cli import main
from shipper.errors import StoreUnusable
from shipper.setup import elasticsearch_indices as indices
from shipper.setup import elasticsearch_snapshots as snapshots
from shipper.setup.elasticsearch import _of_template
from shipper.setup.elasticsearch_asking import Asked, privilege, refusal
from shipper.setup.elasticsearch_differences import template_lines
from shipper.setup.elasticsearch_plan import Step
from shipper.setup.elasticsearch_roles import PURPOSES, descriptor
from shipper.stores._elasticsearch_templates import TemplateSettings, templates
from shipper.stores.elasticsearch import Config
from tests.unit.cluster_server import serving
from tests.unit.elasticsearch_world import PASSWORD, USER, Fake, elasticsearch

PATTERNS = ("logs-mesos.prod-*", "shipper-ledger.prod")


def asked(fake: Fake) -> Asked:
    login = {"username": USER, "password": PASSWORD}
    return Asked(Config.model_validate({"type": "elasticsearch", "urls": [fake.url], **login}))


REFUSED: dict[str, tuple[Any, str]] = {
    "too old": ({"number": "8.18.4"}, r"it is 8\.18\.4; shipper needs Elasticsearch 8\.19 or 9\.x: upgrade it first"),
    "OpenSearch": ({"number": "2.11.0", "distribution": "opensearch"}, "this is OpenSearch; shipper needs Elast"),
    "something else": ({"hello": "world"}, "it names no version: not the answer of Elasticsearch"),
    "a version of a joker": ({"number": "9.\x1b[2J"}, "it names no version"),
    "no object": ("9.2.0", "it names no version"),
}


@pytest.mark.parametrize(("version", "said"), REFUSED.values(), ids=REFUSED.keys())
async def test_versions_that_do_not_do(version: Any, said: str) -> None:
    async with elasticsearch() as fake:
        fake.version = version
        async with asked(fake) as one:
            with pytest.raises(StoreUnusable, match=said) as raised:
                await one.version()
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("number", ["8.19.0", "8.19.9", "9.0.0", "9.2.0-SNAPSHOT", "10.0.1"])
async def test_versions_that_do(number: str) -> None:
    async with elasticsearch() as fake:
        fake.version = {"number": number}
        async with asked(fake) as one:
            assert await one.version() == number


#: As real servers said it.
UNAUTHORIZED = (
    "security_exception: action [indices:admin/index_template/put] is unauthorized for user [writing] with effective "
    "roles [writing], this action is granted by the cluster privileges [manage_index_templates,manage,all]"
)


def test_the_smallest_privilege_is_named() -> None:
    assert privilege(UNAUTHORIZED) == "the cluster privilege manage_index_templates"
    index = UNAUTHORIZED.replace(
        "cluster privileges [manage_index_templates,", "index privileges [view_index_metadata,"
    )
    assert privilege(index) == "the index privilege view_index_metadata"
    unknown = UNAUTHORIZED.partition(", this")[0]
    assert privilege(unknown) == "a privilege for the action indices:admin/index_template/put"
    assert privilege("no") == ""
    answer = {"error": {"type": "security_exception", "reason": UNAUTHORIZED}}
    assert refusal(403, answer, "PUT /x") == "PUT /x: the login lacks the cluster privilege manage_index_templates"
    assert refusal(500, "broken", "read") == "read: 500 broken"


async def survey(fake: Fake, retention_days: int = 30) -> list[Step]:
    async with asked(fake) as one:
        found = await snapshots.survey(one, "prod", "backup", retention_days, PATTERNS)
        for step in found:
            for request in step.requests:
                await one.change(request.method, request.target, request.body)
        return found


async def test_a_snapshot_policy_is_made_once_and_follows_retention() -> None:
    async with elasticsearch() as fake:
        assert [step.kind for step in await survey(fake)] == ["blocked"]
        fake.repositories.add("backup")
        kinds = [[step.kind for step in await survey(fake, days)] for days in (30, 30, 0, 3, 3)]
        assert kinds == [["unchanged", kind] for kind in ("create", "unchanged", "unchanged", "change", "unchanged")]
        stored = fake.policies["shipper.prod"]
        assert stored["version"] == 2
        assert stored["policy"]["retention"] == {"expire_after": "3d", "min_count": 3}
        assert stored["policy"]["config"]["indices"] == list(PATTERNS)
        del stored["policy"]["config"]["metadata"]
        assert (await survey(fake))[1].kind == "blocked"
        assert stored["version"] == 2


def test_no_elasticsearch_in_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shipper.yaml"
    path.write_text("store: {type: sqlite}\n")
    assert main(["setup", "elasticsearch", "--config", str(path)]) == 2
    assert "store.type is sqlite: there is no Elasticsearch to set up" in capsys.readouterr().err


def test_two_logins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shipper.yaml"
    path.write_text("store: {type: elasticsearch}\n")
    login = ["--api-key-file", "x", "--username", "y"]
    assert main(["setup", "elasticsearch", "--config", str(path), *login]) == 2
    assert "either --username or --api-key-file, not both" in capsys.readouterr().err


async def test_a_login_that_is_not_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with elasticsearch() as fake:
        path = tmp_path / "shipper.yaml"
        path.write_text(
            yaml.safe_dump({"store": {"type": "elasticsearch", "urls": [fake.url], "api_key": "bm9uZTpub25l"}})
        )
        assert await asyncio.to_thread(main, ["setup", "elasticsearch", "--config", str(path)]) == 2
    assert "the login is not accepted: check the key" in capsys.readouterr().err


async def test_no_answer_steers_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = {"error": {"type": "illegal_argument_exception", "reason": "\x1b[2Jgone\n\x07"}, "status": 400}
    async with serving() as server:
        server.replies["GET /"] = (400, reply)
        path = tmp_path / "shipper.yaml"
        path.write_text(yaml.safe_dump({"store": {"type": "elasticsearch", "urls": [server.url]}}))
        assert await asyncio.to_thread(main, ["setup", "elasticsearch", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert "gone" in error
    assert not set(error) & {"\x1b", "\x07"}
    assert len(error.splitlines()) == 1


def test_a_key_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shipper.yaml"
    path.write_text("store: {type: elasticsearch}\n")
    assert main(["setup", "elasticsearch", "--config", str(path), "--api-key-file", str(tmp_path / "no.key")]) == 2
    assert "no.key: cannot read the API key (No such file or directory)" in capsys.readouterr().err


def stored(template: dict[str, Any]) -> dict[str, Any]:
    """A template as Elasticsearch shows it: values as text, names of settings as objects."""
    settings = {name: str(value).lower() if isinstance(value, bool | int) else value
                for name, value in template["template"]["settings"]["index"].items()}  # fmt: skip
    settings["sort"] = {"field": settings.pop("sort.field"), "order": settings.pop("sort.order")}
    inner = {**template["template"], "settings": {"index": settings}}
    return {**template, "template": inner, "composed_of": [], "created_date_millis": 5}


def test_templates_that_mean_the_same_have_no_difference() -> None:
    wanted = templates("prod", TemplateSettings())["logs-mesos.prod"]
    assert template_lines(wanted, stored(wanted)) == []
    other = templates("prod", TemplateSettings(replicas=0))["logs-mesos.prod"]
    assert template_lines(other, stored(wanted)) == ["setting number_of_replicas: 1 → 0"]
    assert _of_template("x", wanted, stored(wanted)).kind == "unchanged"
    assert _of_template("x", wanted, {**stored(wanted), "_meta": None}).kind == "blocked"


def test_many_old_days_are_asked_in_lines_that_fit() -> None:
    wanted = templates("prod", TemplateSettings())["logs-mesos.prod"]
    old = {"mappings": {"dynamic": "false", "properties": {"message": {"type": "text", "norms": False}}}}
    found = {f"logs-mesos.prod-2026.{month:02}.{day:02}": old for month in range(1, 13) for day in range(1, 29)}
    (step,) = indices.steps(wanted, found)
    assert step.name == "logs-mesos.prod-2026.01.01 … 2026.12.28 (336 indices)"
    assert sum(request.target.count("logs-mesos") for request in step.requests) == 336
    assert all(len(request.target) < 3000 for request in step.requests)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_no_role_reaches_all_indices(purpose: Any) -> None:
    made = descriptor(purpose, "a.b")
    assert not {"all", "manage", "manage_security"} & set(made["cluster"])
    for one in made["indices"]:
        assert not {"all", "manage"} & set(one["privileges"])
        assert all("a.b" in name or "a[.]b" in name for name in one["names"])
