"""What Kibana is given: the committed files, the lint and that it catches each fault, links, alert rules."""

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

import shipper.cli.generate as command
from shipper.api.kibana import DATA_VIEW
from shipper.errors import ConfigError
from shipper.generate import kibana
from shipper.record.fields import FIELDS
from shipper.search import kql
from tests.kibana_lint import fields_of, lint

ROOT = Path(__file__).resolve().parents[2]
Objects = list[dict[str, Any]]


def all_objects(**settings: Any) -> Objects:
    """Everything that is imported, as the file holds it."""
    made = kibana.read(settings)
    lines = kibana.generate(made)["kibana/shipper.ndjson"].splitlines()
    return [json.loads(line) for line in lines]


def one_of(found: Objects, kind: str, title: str) -> dict[str, Any]:
    """The object of this type whose title has this text."""
    (one,) = (each for each in found if each["type"] == kind and title in each["attributes"]["title"])
    return one


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["generate", *arguments])
    return int(parsed.function(parsed))


def test_committed_files_are_what_the_defaults_give() -> None:
    files = kibana.generate(kibana.Settings())
    committed = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "kibana").iterdir()}
    assert committed == files, "run: .venv/bin/shipper generate kibana"


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("kibana", "--out", str(tmp_path), "--cluster", "prod", "--silent-apps", "shop-api, payments") == 0
    assert len(capsys.readouterr().out.split()) == 3
    assert "shop-api is silent" in (tmp_path / "kibana/rules.json").read_text()
    assert "logs-mesos.prod-*" in (tmp_path / "kibana/shipper.ndjson").read_text()


def test_every_setting_reaches_the_files() -> None:
    plain = kibana.generate(kibana.Settings())
    changed: dict[str, object] = {
        "cluster": "prod", "links": "https://logs.example", "delay_minutes": 7, "window_minutes": 33, "errors": 9,
        "silent_apps": ["shop"],
    }  # fmt: skip
    assert changed.keys() == kibana.Settings.model_fields.keys()
    for name, value in changed.items():
        assert kibana.generate(kibana.read({name: value})) != plain, name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cluster", "Prod"), ("cluster", "a-b"), ("cluster", "*"), ("links", "javascript:alert(1)"),
        ("links", 'https://x/"'), ("links", "https://x\n"), ("silent_apps", 'a"b'), ("silent_apps", ["a\nb"]),
        ("errors", 0), ("window_minutes", 0), ("delay_minutes", -1), ("clutser", "x"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^kibana: {key}: "):
        kibana.read({key: value})


@pytest.mark.parametrize("cluster", ["", "prod", "eu.prod_2"])
def test_nothing_is_wrong_with_them(cluster: str) -> None:
    found = all_objects(cluster=cluster)
    assert lint(found) == []
    assert {one["type"] for one in found} == {"index-pattern", "search", "dashboard"}


def test_the_same_settings_give_the_same_bytes_and_ids_never_change() -> None:
    one, other = (kibana.generate(kibana.read({"cluster": name})) for name in ("a", "a"))
    assert one == other
    ids = {(each["type"], each["id"]) for each in all_objects()}
    assert ids == {(each["type"], each["id"]) for each in all_objects(cluster="b", errors=3)}
    assert ("index-pattern", DATA_VIEW) in ids
    assert kibana.DATA_VIEW_ID == DATA_VIEW


def test_the_views_of_the_api_are_those_of_the_file() -> None:
    views = [body["data_view"] for body in kibana.data_views(kibana.Settings())]
    for view, saved in zip(views, kibana.data_view_objects(kibana.Settings()), strict=True):
        attributes = saved["attributes"]
        assert (view["id"], view["title"], view["name"]) == (saved["id"], attributes["title"], attributes["name"])
        assert json.loads(attributes["fieldFormatMap"]) == view["fieldFormats"]
        assert json.loads(attributes["fieldAttrs"]) == view["fieldAttrs"]
        assert json.loads(attributes["runtimeFieldMap"]) == view["runtimeFieldMap"]
    described = views[0]["fieldAttrs"]
    assert described.keys() == {field.name for field in FIELDS}


def link_of_kibana(template: str, value: str, base_path: str) -> str:
    """The address behind a value, as Kibana's URL formatter and then the browser make it."""
    origin, url = "https://logs.example", template.replace("{{value}}", value)
    if url.startswith(("http://", "https://")):
        return url
    if url.startswith(base_path or "/"):
        return origin + url
    return urljoin(f"{origin}{base_path}/app/", url)


@pytest.mark.parametrize("base_path", ["", "/kibana", "/s/team-a", "/kibana/s/team-a", "/a/b/c/s/d"])
def test_ids_are_links_wherever_kibana_is(base_path: str) -> None:
    formats = kibana.data_views(kibana.Settings())[0]["data_view"]["fieldFormats"]
    for name, path in (("http.request.id", "requests"), ("orchestrator.resource.id", "tasks")):
        template = formats[name]["params"]["urlTemplate"]
        assert link_of_kibana(template, "4970aa75a647", base_path) == f"https://logs.example/{path}/4970aa75a647"


def test_links_may_lead_to_another_host() -> None:
    view = kibana.data_views(kibana.read({"links": "https://logs.example/shipper/"}))[0]["data_view"]
    template = view["fieldFormats"]["http.request.id"]["params"]["urlTemplate"]
    assert template == "https://logs.example/shipper/requests/{{value}}"


def _panels(found: Objects, change: Callable[[list[dict[str, Any]]], object]) -> None:
    dashboard = one_of(found, "dashboard", "health of the pipeline")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    change(panels)
    dashboard["attributes"]["panelsJSON"] = json.dumps(panels)


def _layer(panel: dict[str, Any]) -> dict[str, Any]:
    state = panel["embeddableConfig"]["attributes"]["state"]
    found: dict[str, Any] = state["datasourceStates"]["formBased"]["layers"]["main"]
    return found


def _columns(panels: list[dict[str, Any]], title: str) -> dict[str, Any]:
    (panel,) = (one for one in panels if one.get("title") == title)
    found: dict[str, Any] = _layer(panel)["columns"]
    return found


def _source(found: Objects, change: Callable[[dict[str, Any]], object]) -> None:
    meta = one_of(found, "search", "all errors")["attributes"]["kibanaSavedObjectMeta"]
    source = json.loads(meta["searchSourceJSON"])
    change(source)
    meta["searchSourceJSON"] = json.dumps(source)


def _records(found: Objects) -> dict[str, Any]:
    (view,) = (one for one in found if one["id"] == "logs-mesos")
    return view


def _view(found: Objects, key: str, value: Any) -> None:
    attributes = _records(found)["attributes"]
    attributes[key] = json.dumps(json.loads(attributes[key]) | value)


#: One fault each, and the words by which the lint names it.
FAULTS: dict[str, tuple[Callable[[Objects], object], str]] = {
    "a reference is gone": (lambda o: one_of(o, "search", "one task")["references"].clear(), "no reference"),
    "a panel's reference is not hoisted": (
        lambda o: one_of(o, "dashboard", "slow requests")["references"].pop(0), "is not at the dashboard",
    ),
    "a hoisted reference leads elsewhere": (
        lambda o: one_of(o, "dashboard", "slow requests")["references"][0].update(id="shipper-ledger"), "is not at the",
    ),
    "a reference too many": (
        lambda o: one_of(o, "dashboard", "slow requests")["references"].append(
            {"id": "logs-mesos", "name": "9:x", "type": "index-pattern"}
        ),
        "that nothing needs",
    ),
    "a search on a dashboard is gone": (lambda o: o.remove(one_of(o, "search", "all errors")), "which is not there"),
    "an object twice": (lambda o: o.append(copy.deepcopy(o[-1])), "same type and id"),
    "an attribute that Kibana forbids": (
        lambda o: one_of(o, "search", "one task")["attributes"].update(tabs=[]), "attributes",
    ),
    "an attribute is missing": (
        lambda o: one_of(o, "dashboard", "volume")["attributes"].pop("optionsJSON"), "attributes",
    ),
    "a key of an export": (lambda o: o[0].update(updated_at="2026-11-23"), "keys"),
    "a version of a newer Kibana": (lambda o: o[-1].update(typeMigrationVersion="10.3.0"), "version"),
    "no version": (lambda o: o[-1].pop("typeMigrationVersion"), "keys"),
    "a dashboard that people change": (lambda o: o[-1].update(managed=False), "managed"),
    "panels are no string": (
        lambda o: one_of(o, "dashboard", "volume")["attributes"].update(optionsJSON={}), "is no string",
    ),
    "a panel over another": (lambda o: _panels(o, lambda p: p[1]["gridData"].update(x=0)), "lies over"),
    "a panel outside": (lambda o: _panels(o, lambda p: p[3]["gridData"].update(w=30)), "outside of the grid"),
    "a place of another panel": (lambda o: _panels(o, lambda p: p[3]["gridData"].update(i="2")), "its place"),
    "no such field": (
        lambda o: _panels(o, lambda p: _columns(p, "Dead letters by reason")["reason"].update(sourceField="why")),
        "no field why",
    ),
    "a text in buckets": (
        lambda o: _panels(o, lambda p: _columns(p, "Dead letters by reason")["reason"].update(sourceField="detail")),
        "terms of detail, which is text",
    ),
    "a sum of words": (
        lambda o: _panels(o, lambda p: _columns(p, "Dropped on hosts")["value"].update(sourceField="name")),
        "sum of name, which is keyword",
    ),
    "time over a number": (
        lambda o: _panels(o, lambda p: _columns(p, "Dead letters by reason")["time"].update(sourceField="sequence")),
        "date_histogram of sequence, which is long",
    ),
    "a latest time that is called a number": (
        lambda o: _panels(o, lambda p: _columns(p, "Hosts, as they report")["last"].update(dataType="number")),
        "not number",
    ),
    "a count of a field": (
        lambda o: _panels(o, lambda p: _columns(p, "Dead letters")["value"].update(sourceField="id")),
        "counts no records",
    ),
    "a column without a scale": (
        lambda o: _panels(o, lambda p: _columns(p, "Dead letters")["value"].pop("scale")), "is not complete",
    ),
    "an order by nothing": (
        lambda o: _panels(
            o, lambda p: _columns(p, "Dead letters by reason")["reason"]["params"]["orderBy"].update(columnId="x")
        ),
        "ordered by no figure",
    ),
    "a column that is not drawn": (
        lambda o: _panels(o, lambda p: _columns(p, "Dead letters").update(more=_columns(p, "Dead letters")["value"])),
        "does not draw",
    ),
    "a column out of order": (
        lambda o: _panels(o, lambda p: _layer(p[0])["columnOrder"].clear()), "the order of its columns",
    ),
    "a wrong question": (
        lambda o: _source(o, lambda s: s["query"].update(query="(log.level : error")), "question",
    ),
    "a question about no field": (
        lambda o: _source(o, lambda s: s["query"].update(query="log.levle : error")), "question",
    ),
    "a data view in place of its reference": (
        lambda o: _source(o, lambda s: s.update(index="logs-mesos")), "is no reference",
    ),
    "a column of no field": (
        lambda o: one_of(o, "search", "one task")["attributes"]["columns"].append("app"), "no field app",
    ),
    "a sort by words": (
        lambda o: one_of(o, "search", "one task")["attributes"].update(sort=[["service.name", "asc"]]), "sort by",
    ),
    "times that are not restored": (
        lambda o: one_of(o, "dashboard", "volume")["attributes"].update(timeRestore=False), "not restored",
    ),
    "bytes of words": (lambda o: _view(o, "fieldFormatMap", {"message": {"id": "bytes"}}), "format bytes for message"),
    "a description of nothing": (
        lambda o: _view(o, "fieldAttrs", {"x": {"customDescription": "x"}}), "description of x",
    ),
    "a time that is none": (
        lambda o: _records(o)["attributes"].update(timeFieldName="message"), "no date",
    ),
    "indices that nothing makes": (
        lambda o: _records(o)["attributes"].update(title="logstash-*"), "no template",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_lint_finds(fault: str) -> None:
    found = all_objects()
    change, words = FAULTS[fault]
    change(found)
    said = lint(found)
    assert any(words in one for one in said), said


def test_alert_rules_ask_for_what_is_there() -> None:
    views = {one["attributes"]["title"]: fields_of(one) for one in all_objects() if one["type"] == "index-pattern"}
    rules = kibana.rules(kibana.read({"silent_apps": ["shop-api", "payments"]}))
    assert len({one["id"] for one in rules}) == len({one["rule"]["name"] for one in rules}) == len(rules) == 6
    for one in rules:
        rule, parameters = one["rule"], one["rule"]["params"]
        # With the free licence there are these kinds of rules, and no connector that we could know of.
        assert rule["rule_type_id"] in (".index-threshold", ".es-query")
        assert (rule["consumer"], rule["actions"], rule["tags"]) == ("stackAlerts", [], [kibana.TAG])
        (index,) = parameters["index"]
        assert views[index][parameters["timeField"]].startswith("date")
        if "filterKuery" in parameters:
            kql.parse(parameters["filterKuery"], 0)
            assert views[index][parameters["termField"]] == "keyword"


def test_silence_is_looked_for_in_times_that_are_over() -> None:
    rules = kibana.rules(kibana.read({"silent_apps": ["shop-api"], "window_minutes": 15, "delay_minutes": 5}))
    (silence,) = (one["rule"]["params"] for one in rules if "shop-api" in one["rule"]["name"])
    assert (silence["timeWindowSize"], silence["timeWindowUnit"]) == (20, "m")
    assert (silence["thresholdComparator"], silence["threshold"]) == ("<", [1])
    # A run that left out what the one before had seen would take steady traffic for silence.
    assert silence["excludeHitsFromPreviousRun"] is False
    filters = json.loads(silence["esQuery"])["query"]["bool"]["filter"]
    assert filters == [{"term": {"service.name": "shop-api"}}, {"range": {"@timestamp": {"lt": "now-5m"}}}]
