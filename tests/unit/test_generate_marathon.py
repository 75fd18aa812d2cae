"""What a cluster gets: committed files, Marathon's schema and rules, settings that reach the product, refusals."""

import argparse
import json
import math
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from shipper import config
from shipper.cli import PARTS, generate, parser_of
from shipper.errors import ConfigError
from shipper.generate import marathon
from shipper.generate._apps import ROLE, value
from tests.conftest import DATA
from tests.unit.marathon_apps import ELSEWHERE, KEYS_OF_0_9_1, apps, broken_rules, clusters, files, jobs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    path = DATA / "marathon/schema/marathon-app.schema.json"
    if not path.is_file():
        pytest.skip("no data folder ../shared/data/marathon beside this checkout")
    return Draft7Validator(json.loads(path.read_text()))


def test_committed_files_are_what_the_defaults_give() -> None:
    folder = ROOT / "marathon-apps"
    committed = {str(path.relative_to(ROOT)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert committed == files(), "run: .venv/bin/shipper generate marathon"


def test_the_same_settings_give_the_same_bytes_and_nothing_is_left_unfilled() -> None:
    for settings in clusters():
        written = files(**settings)
        assert written == files(**settings)
        for path, text in written.items():
            left = re.findall(r"@[a-z_]+@", text)
            assert set(left) <= {"@port@", "@tls_port@", "@private@"}, path  # the app's command fills them
            assert text.endswith("\n"), path


def test_every_setting_reaches_the_files() -> None:
    changed: dict[str, object] = {
        "marathon": "1.4", "group": "/ops/logs", "owner": "ops", "cluster": "prod", "package": "archive",
        "image": "registry.example:5000/shipper:9", "archive": "http://files.example/s.tar.gz", "shippers": 5,
        "apis": 3, "hosts": "web-.*", "retention_days": 3, "drain_seconds": 33, "relp_port": 6140,
        "shipper_port": 6141, "api_port": 6090,
        "front_port": 6088, "kibana_port": 6601, "elasticsearch_port": 6200, "elasticsearch": "elsewhere",
        "elasticsearch_urls": "http://10.0.0.9:9200", "elasticsearch_hosts": "a,b",
        "elasticsearch_transport_port": 6300,
        "elasticsearch_heap_mb": 999, "elasticsearch_disk_mb": 5555, "elasticsearch_image": "e:1", "replicas": 2,
        "kibana": False, "kibanas": 3, "kibana_ca": "/srv/ca/ca.pem", "kibana_image": "k:1", "nginx_image": "n:1",
        "busybox_image": "b:1", "front_url": "https://logs.example", "front_auth": "basic",
        "front_trusted": "10.0.0.7", "front_networks": "10.9.0.0/16", "front_tls_certificate": "/srv/tls/front.pem",
        "front_tls_key": "/srv/tls/front.key", "front_tls_port": 443, "front_tails": 7,
        "front_names": "logs.example", "haproxy": "app", "agents": 7, "haproxy_group": "internal",
        "host_program": "/srv/shipper", "log_socket": "/srv/log", "marathon_urls": "http://m:1", "mesos_urls": "http://m:2",
        "state_directory": "/srv/state", "secrets_directory": "/srv/secrets", "secrets": "SHIPPER_STORE__PASSWORD=a/b",
        "elasticsearch_keys": True,
    }  # fmt: skip
    assert changed.keys() == marathon.Settings.model_fields.keys()
    needs: dict[str, dict[str, object]] = {
        "elasticsearch": {"elasticsearch_urls": "http://10.0.0.1:9200"},
        "elasticsearch_urls": ELSEWHERE,
        "archive": {"package": "archive"},
        "agents": {"haproxy": "app"},
        "kibanas": {"secrets_directory": "/etc/secrets"},
        "elasticsearch_keys": {"secrets_directory": "/etc/secrets"},
        "front_auth": {"secrets_directory": "/etc/secrets"},
        "front_tls_certificate": {"front_tls_certificate": "/a.pem", "front_tls_key": "/a.key"},
        "front_tls_key": {"front_tls_certificate": "/a.pem", "front_tls_key": "/a.key"},
        "front_tls_port": {"front_tls_certificate": "/a.pem", "front_tls_key": "/a.key"},
    }
    for name, new in changed.items():
        before = files(**needs.get(name, {}))
        assert before != files(**{**needs.get(name, {}), name: new}), name


@pytest.mark.parametrize("settings", clusters(), ids=str)
def test_every_app_is_one_that_marathon_takes(settings: dict[str, object], schema: Draft7Validator) -> None:
    for path, app in apps(**settings).items():
        assert not [error.message for error in schema.iter_errors(app)], path


@pytest.mark.parametrize("settings", clusters(), ids=str)
def test_every_app_keeps_the_rules_that_the_schema_cannot_say(settings: dict[str, object]) -> None:
    made = apps(**settings)
    service_ports: list[int] = []
    for path, app in made.items():
        assert not list(broken_rules(app)), path
        assert app["labels"][ROLE] == ("sample" if "/samples/" in path else Path(path).stem)
        if settings.get("marathon") == "0.9.1":
            assert app.keys() <= KEYS_OF_0_9_1, path
        ports = [port["port"] for port in app["portDefinitions"]] if "portDefinitions" in app else app["ports"]
        service_ports += ports
        assert ("HAPROXY_GROUP" in app["labels"]) == bool(ports), path
    assert len(set(service_ports)) == len(service_ports), "HAProxy has each port once"
    ids = {app["id"] for app in made.values()}
    assert all(needed in ids for app in made.values() for needed in app.get("dependencies", []))


def test_an_upgrade_starts_new_shippers_beside_the_old_and_kills_none_before_it_has_drained() -> None:
    for settings in clusters():
        shipper = apps(**settings)["marathon-apps/shipper.json"]
        assert shipper["upgradeStrategy"] == {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0}
        assert ["hostname", "UNIQUE"] not in shipper["constraints"], "the new one must find room beside the old one"
        drain = float(shipper["env"]["SHIPPER_PIPELINE__DRAIN_SECONDS"])
        assert drain < shipper.get("taskKillGracePeriodSeconds", 5)
        assert ("readinessChecks" in shipper) == (settings.get("marathon") != "0.9.1")


@pytest.mark.parametrize("nodes", range(1, 65))
def test_an_upgrade_of_elasticsearch_takes_one_node_at_a_time(nodes: int) -> None:
    hosts = [f"es-{number}" for number in range(nodes)]
    app = apps(elasticsearch_hosts=hosts)["marathon-apps/elasticsearch.json"]
    kept = math.ceil(app["upgradeStrategy"]["minimumHealthCapacity"] * nodes)  # as Marathon rounds
    assert kept == nodes - 1
    pattern = next(rule[2] for rule in app["constraints"] if rule[1] == "LIKE")
    assert all(re.fullmatch(pattern, host) for host in hosts)
    assert not re.fullmatch(pattern, "es-65")


def test_elasticsearch_elsewhere_leaves_it_out_and_is_asked_there() -> None:
    made = apps(**ELSEWHERE)
    assert "marathon-apps/elasticsearch.json" not in made
    for name in ("shipper", "api"):
        assert made[f"marathon-apps/{name}.json"]["env"]["SHIPPER_STORE__URLS"] == '["https://es.example:9200"]'
    assert "https://es.example:9200" in made["marathon-apps/kibana.json"]["env"]["ELASTICSEARCH_HOSTS"]


def started(app: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """The environment in which the command of an app starts shipper, as a shell makes it of Mesos' variables."""
    stub = directory / "shipper"
    stub.write_text('#!/bin/sh\nenv -0 >"$0.env"\necho "$@" >"$0.arguments"\n')
    stub.chmod(0o755)
    (directory / "run").unlink(missing_ok=True)
    mesos = {"PORT0": "31001", "PORT1": "31002", "HOST": "web-1", "PATH": f"{directory}:{os.environ['PATH']}"}
    subprocess.run(["/bin/sh", "-c", app["cmd"]], env={**app["env"], **mesos}, cwd=directory, check=True, timeout=30)
    assert (directory / "shipper.arguments").read_text() == "run\n"
    pairs = (directory / "shipper.env").read_text().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("cluster", ["prod", "1e3", "0x1f", "no"])
def test_shippers_and_api_find_their_settings(tmp_path: Path, cluster: str) -> None:
    made = apps(cluster=cluster, replicas=0, drain_seconds=7, state_directory="")
    shipper = config.load(environment=started(made["marathon-apps/shipper.json"], tmp_path))
    assert shipper.cluster == cluster, "a name that YAML would read as something else stays a name"
    assert [(source.type, source.host, source.port) for source in shipper.sources] == [("relp", "::", 31001)]
    assert (shipper.api.host, shipper.api.port) == ("::", 31002)
    assert (shipper.store.urls, shipper.store.replicas) == (["http://127.0.0.1:9200"], 0)
    assert shipper.pipeline.drain_seconds == 7
    assert [one.type for one in shipper.enrichers] == ["request_id", "marathon"]
    assert shipper.enrichers[1].registry_file is None
    api = config.load(environment=started(made["marathon-apps/api.json"], tmp_path))
    assert (api.sources, api.api.port, api.store) == ([], 31001, shipper.store)


def test_values_of_variables_are_read_back_as_they_were() -> None:
    import yaml

    for setting in ("prod", "::", "1", "", "a: b", ["x"], {"a": None}, 3, True, "null", "2026-01-01", "~"):
        assert yaml.safe_load(value(setting)) == setting


def test_secrets_are_named_and_never_written() -> None:
    app = apps(secrets="SHIPPER_STORE__API_KEY=shipper/es-key")["marathon-apps/shipper.json"]
    assert app["env"]["SHIPPER_STORE__API_KEY"] == {"secret": "shipper-store--api-key"}
    assert app["secrets"] == {"shipper-store--api-key": {"source": "shipper/es-key"}}
    app = apps(secrets_directory="/etc/shipper/secrets")["marathon-apps/shipper.json"]
    assert app["env"]["SHIPPER_CONFIG"] == "/etc/shipper/secrets/shipper.yaml"
    volumes = {volume["hostPath"]: volume["mode"] for volume in app["container"]["volumes"]}
    assert volumes == {"/etc/shipper/secrets": "RO", "/var/lib/shipper": "RW"}


def test_each_app_has_its_own_key_file() -> None:
    made = apps(secrets_directory="/etc/keys", elasticsearch_keys=True)
    folder = "/etc/keys/elasticsearch"
    shipper, api = (made[f"marathon-apps/{name}.json"]["env"] for name in ("shipper", "api"))
    assert shipper["SHIPPER_STORE__API_KEY_FILE"] == f"{folder}/writing.key"
    assert shipper["SHIPPER_STORE__REPAIR_API_KEY_FILE"] == f"{folder}/repairing.key"
    assert api["SHIPPER_STORE__API_KEY_FILE"] == f"{folder}/reading.key"
    assert "SHIPPER_STORE__REPAIR_API_KEY_FILE" not in api


def test_containers_of_the_product_may_change_nothing() -> None:
    for path in ("shipper", "api", "samples/orders"):
        docker = apps()[f"marathon-apps/{path}.json"]["container"]["docker"]
        given = {parameter["key"]: parameter["value"] for parameter in docker["parameters"]}
        assert (given["read-only"], given["cap-drop"], given["security-opt"]) == ("true", "ALL", "no-new-privileges")
        assert not docker.get("privileged")


@pytest.mark.parametrize("package", ["image", "archive"])
def test_jobs_run_commands_that_exist(package: str) -> None:
    made = jobs(package=package)
    parser = parser_of(PARTS)
    for path, job in made.items():
        assert re.fullmatch(r"[\w.-]+", job["name"]), path
        assert re.fullmatch(r"R/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/P(T\d+[MH]|1D)", job["schedule"]), path
        assert "networks" not in job.get("container", {}), "Chronos' container is flat"
        words = re.sub(r"^(exec|\./shipper/run) ", "", job["command"]).split(" || ")[0].split()
        if "samples" not in path:
            program = next(place for place, word in enumerate(words) if word.endswith("shipper"))
            parser.parse_args(words[program + 1 :])


def test_deploy_takes_the_committed_files() -> None:
    from shipper.deploy.files import in_directory, read
    from shipper.deploy.plan import in_order

    folder = ROOT / "marathon-apps"
    wanted = read(in_directory(folder))
    assert [app.role for app in in_order(wanted.apps)] == ["elasticsearch", "shipper", "api", "kibana", "nginx"]
    assert [job.name for job in wanted.jobs] == ["shipper-check", "shipper-ledger", "shipper-retention"]
    samples = read(in_directory(folder / "samples"))
    assert {app.role for app in samples.apps} == {"sample"}
    assert [job.name for job in samples.jobs] == ["sample-date"]


@pytest.mark.parametrize("settings", clusters(), ids=str)
def test_no_label_of_ours_is_a_mistake_to_ourselves(settings: dict[str, object]) -> None:
    from shipper.cluster import labels
    from shipper.cluster.model import App
    from shipper.generate import localhost

    found = []
    for app in apps(**settings).values():
        assert not labels.read(app["labels"]).problems
        ports = [port["port"] for port in app["portDefinitions"]] if "portDefinitions" in app else app["ports"]
        found.append(App(app["id"], "", app["labels"], app["instances"], tuple(ports), (), (), app))
    served = localhost.generate(found, localhost.Settings(host_name="web-1"))
    assert not served.problems
    assert {5140, 5141, 8090, 8088, 9080} <= set(served.ports)


def test_retention_finds_store_and_marathon_and_names_no_secret() -> None:
    made = jobs(secrets="SHIPPER_STORE__API_KEY=a/b", retention_days=9)["marathon-apps/chronos/retention.json"]
    variables = {each["name"]: each["value"] for each in made["environmentVariables"]}
    loaded = config.load(environment=variables)
    assert (loaded.store.urls, loaded.store.retention_days) == (["http://127.0.0.1:9200"], 9)
    assert loaded.enrichers[1].marathon_urls == ["http://marathon.localhost:8080"]
    assert made["command"] == "exec shipper retention --json"


def test_the_haproxy_app_runs_a_command_that_exists() -> None:
    from shipper.cli import haproxy

    app = apps(haproxy="app", agents=9)["marathon-apps/haproxy.json"]
    assert (app["instances"], app["constraints"], app["user"]) == (9, [["hostname", "UNIQUE"]], "root")
    parser = argparse.ArgumentParser()
    haproxy.add_commands(parser.add_subparsers())
    program, *words = app["cmd"].removeprefix("exec ").split()
    assert program == "/opt/shipper/bin/shipper"
    assert parser.parse_args(words).marathon == "http://marathon.localhost:8080"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"group": "/a_b"}, "group"),
        ({"group": "/a'; rm -rf /"}, "group"),
        ({"cluster": "a\nb"}, "cluster"),
        ({"image": "a b"}, "image"),
        ({"archive": "http://x/$(id).tar.gz"}, "archive"),
        ({"archive": "http://x/a.zip"}, "archive"),
        ({"marathon_urls": "http://user:password@m:8080"}, "marathon_urls"),
        ({"mesos_urls": "http://m:5050/`id`"}, "mesos_urls"),
        ({"elasticsearch_hosts": "a,$HOME"}, "elasticsearch_hosts"),
        ({"elasticsearch_hosts": "a,a"}, "elasticsearch_hosts"),
        ({"elasticsearch_hosts": ""}, "elasticsearch_hosts"),
        ({"front_names": "a b"}, "front_names"),
        ({"front_url": "https://logs.example/x"}, "front_url"),
        ({"front_auth": "basic"}, "secrets_directory"),
        ({"front_auth": "header", "secrets_directory": "/s"}, "front_trusted"),
        ({"front_trusted": "10.0.0.0/8 1; }"}, "front_trusted"),
        ({"front_trusted": "::1%a;b{"}, "front_trusted"),
        ({"front_networks": "everybody"}, "front_networks"),
        ({"front_tls_certificate": "/a.pem"}, "front_tls_key"),
        ({"front_tls_certificate": "/a.pem;", "front_tls_key": "/a.key"}, "front_tls_certificate"),
        ({"kibanas": 2}, "secrets_directory"),
        ({"elasticsearch_keys": True}, "secrets_directory"),
        ({"hosts": "("}, "hosts"),
        ({"hosts": "a;b"}, "hosts"),
        ({"host_program": "/opt/a b"}, "host_program"),
        ({"log_socket": "run/log"}, "log_socket"),
        ({"secrets_directory": "/etc/$x"}, "secrets_directory"),
        ({"secrets": "PATH=a"}, "secrets"),
        ({"secrets": "SHIPPER_STORE__PASSWORD"}, "secrets"),
        ({"secrets": "SHIPPER_A=b", "marathon": "1.4"}, "secrets"),
        ({"elasticsearch": "elsewhere"}, "elasticsearch_urls"),
        ({"relp_port": 9200}, "ports"),
        ({"shippers": 0}, "shippers"),
        ({"shipper": 3}, "unknown key"),
        ({"haproxy_group": "a,b"}, "haproxy_group"),
        ({"marathon": "2.0"}, "marathon"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        files(**values)
    assert str(refused.value).startswith("marathon: ")
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_command_writes_what_file_and_options_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "cluster.yaml"
    settings.write_text("cluster: prod\nshippers: 5\n")
    parser = argparse.ArgumentParser()
    generate.add_commands(parser.add_subparsers())
    words = ["generate", "marathon", "--settings", str(settings), "--shippers", "7", "--out", str(tmp_path)]
    options = parser.parse_args(words)
    assert options.function(options) == 0
    app = json.loads((tmp_path / "marathon-apps/shipper.json").read_text())
    assert (app["instances"], app["env"]["SHIPPER_CLUSTER"]) == (7, "prod")
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / path) for path in files(cluster="prod", shippers=7)]


def test_the_readme_names_every_file() -> None:
    for settings in clusters():
        written = files(**settings)
        page = written.pop("marathon-apps/README.md")
        rows = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
        assert sorted(f"marathon-apps/{row}" for row in rows) == sorted(written)
