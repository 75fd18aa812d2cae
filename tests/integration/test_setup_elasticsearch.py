"""`shipper setup elasticsearch` on real servers: from nothing, twice, from the version before, among strangers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.cli import main
from shipper.record import STORED
from shipper.record.fields import FIELDS
from shipper.stores._elasticsearch_templates import VERSION
from shipper.stores.elasticsearch import Config
from tests.contract.store_world import http, indices
from tests.contract.test_reports import report
from tests.contract.test_stores import _entry, _letter, record

DAY = record(1).day


class World:
    """A configuration file for one cluster of one server."""

    def __init__(self, url: str, cluster: str, folder: Path, **store: Any) -> None:
        self.url, self.cluster = url, cluster
        self.path = folder / "shipper.yaml"
        self.store = {"type": "elasticsearch", "urls": [url], "replicas": 0, **store}
        self.path.write_text(yaml.safe_dump({"cluster": cluster, "store": self.store}))

    def setup(self, *options: str) -> int:
        return main(["setup", "elasticsearch", "--config", str(self.path), *options])

    def template(self, kind: str = "logs-mesos") -> dict[str, Any]:
        answer = http("GET", f"{self.url}/_index_template/{kind}.{self.cluster}")
        found: dict[str, Any] = answer["index_templates"][0]["index_template"]
        # When it was written is told, and refused in a template that is put.
        return {name: value for name, value in found.items() if "_date" not in name}

    def mapping(self, index: str) -> dict[str, Any]:
        found: dict[str, Any] = http("GET", f"{self.url}/{index}/_mapping")[index]["mappings"]
        return found

    def clean(self) -> None:
        for name in indices(self.url, self.cluster):
            http("DELETE", f"{self.url}/{name}")
        http("DELETE", f"{self.url}/_index_template/*.{self.cluster}")


def steps(text: str) -> list[tuple[str, str, str]]:
    found = [json.loads(line) for line in text.splitlines()]
    return [(one["step"], one["what"], one["name"]) for one in found]


def write_one_of_each(config: Config, cluster: str) -> None:
    async def write() -> None:
        async with config.build(cluster) as store:
            assert await store.put([record(1)]) == [STORED]
            await store.put_dead_letters([_letter(1)])
            await store.put_ledger([_entry("a", 1, 2)])
            await store.put_reports([report("a")])

    asyncio.run(write())


def test_from_nothing_and_twice(elasticsearch_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(elasticsearch_url, "setnew", tmp_path)
    assert world.setup("--dry-run", "--json") == 1
    names = [f"{kind}.setnew" for kind in ("logs-mesos", "shipper-dead-letters", "shipper-ledger", "shipper-reports")]
    assert steps(capsys.readouterr().out) == [("create", "template", name) for name in names]
    assert world.setup() == 2
    assert "nobody can be asked here; add --yes" in capsys.readouterr().err
    assert world.setup("--yes", "--shards", "3", "--replicas", "2", "--logsdb") == 0
    said = world.template()["template"]["settings"]["index"]
    assert (said["number_of_shards"], said["number_of_replicas"], said["mode"]) == ("3", "2", "logsdb")
    assert world.setup("--yes") == 0
    write_one_of_each(Config.model_validate(world.store), "setnew")
    capsys.readouterr()
    for more in ((), ("--dry-run",), ("--yes",), ("--shards", "auto")):
        assert world.setup(*more) == 0
        seen = capsys.readouterr()
        assert "nothing to change: Elasticsearch" in seen.err
        assert seen.out.count("unchanged") == len(seen.out.splitlines()) == 8
    assert world.template()["version"] == VERSION
    assert world.setup("--dry-run", "--replicas", "1") == 1
    kept = capsys.readouterr().out
    assert kept.count("number_of_replicas: stays 0, 1 is for new indices; to change it: PUT /INDEX/_settings") == 4
    world.clean()


def as_before(template: dict[str, Any]) -> dict[str, Any]:
    """A template as the first version wrote it: no version, no mark in the mapping, fields that it did not know."""
    made: dict[str, Any] = json.loads(json.dumps(template))
    del made["version"], made["template"]["mappings"]["_meta"]
    made["_meta"] = {"managed_by": "shipper"}
    return made


def test_an_upgrade_adds_fields_to_old_days(
    elasticsearch_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(elasticsearch_url, "setold", tmp_path)
    assert world.setup("--yes") == 0
    for kind in ("logs-mesos", "shipper-dead-letters", "shipper-ledger", "shipper-reports"):
        old = as_before(world.template(kind))
        if kind == "logs-mesos":
            del old["template"]["mappings"]["properties"]["url.path"]
            old["template"]["mappings"]["properties"]["user.id"] = {"type": "text"}
        http("PUT", f"{world.url}/_index_template/{kind}.setold", old)
    for index in (f"logs-mesos.setold-{DAY}", "logs-mesos.setold-2026.01.01", "shipper-ledger.setold"):
        http("PUT", f"{world.url}/{index}")
    http("PUT", f"{world.url}/logs-mesos.setold-restored")
    before = world.mapping("logs-mesos.setold-restored")
    capsys.readouterr()
    assert world.setup("--dry-run") == 1
    shown = capsys.readouterr().out
    assert f"version: + {VERSION}" in shown
    assert "field url.path: + keyword, ignore_above 1024" in shown
    assert f"logs-mesos.setold-2026.01.01 … {DAY} (2 indices)" in shown
    assert "field user.id: text → keyword, ignore_above 1024 in new indices only" in shown
    assert "path" not in world.mapping(f"logs-mesos.setold-{DAY}")["properties"]["url"]["properties"]
    assert world.setup("--yes") == 0
    for index in (f"logs-mesos.setold-{DAY}", "logs-mesos.setold-2026.01.01"):
        mapping = world.mapping(index)
        assert mapping["properties"]["url"]["properties"]["path"]["type"] == "keyword"
        assert mapping["properties"]["user"]["properties"]["id"]["type"] == "text"
        assert mapping["_meta"] == {"managed_by": "shipper", "version": VERSION}
    assert world.mapping("logs-mesos.setold-restored") == before
    write_one_of_each(Config.model_validate(world.store), "setold")
    capsys.readouterr()
    assert world.setup() == 0
    seen = capsys.readouterr()
    assert "nothing to change" in seen.err
    assert "later" in seen.out
    world.clean()


def test_what_others_made_is_left_alone(
    elasticsearch_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(elasticsearch_url, "settaken", tmp_path)
    stranger = {"index_patterns": ["settaken-other-*"], "priority": 7, "_meta": {"by": "\x1b[31mothers"}}
    http("PUT", f"{world.url}/_index_template/logs-mesos.settaken", stranger)
    http(
        "PUT",
        f"{world.url}/_index_template/settaken-greedy",
        {"index_patterns": ["*-ledger.settaken"], "priority": 900},
    )
    http("PUT", f"{world.url}/shipper-reports.settaken", {"mappings": {"properties": {"mine": {"type": "long"}}}})
    assert world.setup("--yes") == 2
    seen = capsys.readouterr()
    assert (
        "not all is as wanted: template logs-mesos.settaken, template settaken-greedy, index shipper-reports.settaken"
        in seen.err
    )
    assert "somebody else made a template of this name" in seen.out
    assert "its priority 900 beats ours, 500, for shipper-ledger.settaken" in seen.out
    assert "\x1b" not in seen.out
    assert world.template()["index_patterns"] == ["settaken-other-*"]
    assert set(world.mapping("shipper-reports.settaken")["properties"]) == {"mine"}
    assert world.template("shipper-ledger")["_meta"]["managed_by"] == "shipper"
    http("DELETE", f"{world.url}/_index_template/settaken-greedy")
    world.clean()


def test_a_newer_template_is_not_taken_back(
    elasticsearch_9: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(elasticsearch_9, "setnewer", tmp_path)
    assert world.setup("--yes") == 0
    newer = world.template()
    newer["_meta"]["version"] = VERSION + 1
    http("PUT", f"{world.url}/_index_template/logs-mesos.setnewer", newer)
    assert world.setup("--yes") == 2
    assert "a newer shipper made it" in capsys.readouterr().out
    assert world.template()["_meta"]["version"] == VERSION + 1
    world.clean()


def test_a_snapshot_repository_is_verified(
    elasticsearch_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(elasticsearch_url, "setsnap", tmp_path, retention_days=30)
    assert world.setup("--yes", "--snapshots", "setsnap none") == 2
    assert "there is none of this name: register it first" in capsys.readouterr().out
    http("PUT", f"{world.url}/_snapshot/setsnap", {"type": "fs", "settings": {"location": "setsnap"}})
    assert world.setup("--yes", "--snapshots", "setsnap", "--json") == 2
    assert ("unchanged", "snapshot repository", "setsnap") in steps(out := capsys.readouterr().out)
    assert "this server has no snapshot lifecycle management" in out
    http("DELETE", f"{world.url}/_snapshot/setsnap")
    world.clean()


def test_the_summary_counts_all_fields(
    elasticsearch_9: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert World(elasticsearch_9, "setsum", tmp_path).setup("--dry-run") == 1
    said = f"for logs-mesos.setsum-*: {len(FIELDS)} fields, shards 1, replicas 0, mode standard"
    assert said in capsys.readouterr().out
