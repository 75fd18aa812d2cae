"""Every panel, search and alert rule asked of a real Elasticsearch with our templates: none is about nothing.

The records go through the real parsers and the real store. The one field that Kibana computes has its value in the
documents here, as this build of Elasticsearch has no script language.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from shipper.api.ledger_answers import HostAnswer, SeriesAnswer
from shipper.generate import kibana
from shipper.generate._kibana_searches import HOLES, SEARCHES
from shipper.generate._kibana_views import DELAY_FIELD
from shipper.record import STORED, DeadLetter, Record
from shipper.search import kql
from shipper.search.ledger import Entry, Report
from shipper.stores._elasticsearch_where import compiled
from shipper.stores.elasticsearch import Config
from tests import lens
from tests.contract.parsing import parsed, stamped
from tests.contract.store_world import http

CLUSTER = "panels"
NOW = datetime.now(UTC)
SETTINGS = kibana.read({"cluster": CLUSTER, "silent_apps": ["shop-api", "unheard-of"], "errors": 5})
Answer = dict[str, Any]


def _created(number: int) -> datetime:
    return NOW - timedelta(seconds=20 * number)


def _line(number: int) -> tuple[str, dict[str, str]]:
    """One of the lines that a cluster writes, and what its host stamps on it."""
    app, version = ("/shop/api", "/shop/pay")[number % 2], f"2026-11-2{number % 3}T10:00:00.000Z"
    stamp = {"app": app, "app_version": version, "task": f"{app[1:].replace('/', '_')}.{number % 4}"}
    stamp |= {"input": "docker", "stream": "stdout"}
    failed, request = number % 4 == 0, f"req{number // 3:09d}"
    said = {"level": "error" if failed else "info", "message": f"order {number}", "request_id": request}
    match number % 5:
        case 0:
            error = {"error.type": "BankTimeout", "error.message": "no answer"} if failed else {}
            return orjson.dumps({**said, **error, "version": f"1.{number % 3}"}).decode(), stamp
        case 1:
            more = {"duration_ms": 30 * number, "path": f"/orders/{number % 7}", "status": 500 if failed else 200}
            return orjson.dumps({**said, **more}).decode(), stamp
        case 2:
            proxy = ("haproxy", "nginx")[number % 2]
            return f"{_created(number):%b %d %H:%M:%S} {proxy}: {_access(number, request)}", {"input": "socket"}
        case 3:
            line = {"host": "web-1", "series": "abc1w", "missing": 2, "alarm": True, "kinds": {"unexplained": 2}}
            return orjson.dumps(line).decode(), {"job": "shipper-ledger", "task": f"ct:1:0:{number}", "input": "file"}
        case _:
            return '{"broken": ', stamp


def _access(number: int, request: str) -> str:
    """What a proxy writes with the format that is generated for it."""
    status = (200, 301, 404, 502)[number % 4]
    line = {
        "message": f"GET /orders {status}", "request_id": request, "method": "GET", "path": f"/orders/{number}",
        "query_string": "", "status": str(status), "bytes": "512", "duration_s": f"{number / 100:.3f}",
        "client_ip": "10.0.0.9", "user_agent": "curl/8", "virtual_host": "shop", "referrer": "", "upstream": "-",
        "upstream_time": "-",
    }  # fmt: skip
    return orjson.dumps(line).decode()


def _record(number: int) -> Record:
    message, stamp = _line(number)
    at = {"host_time": _created(number).isoformat(timespec="microseconds"), "host": f"web-{number % 3}"}
    record = parsed(stamped(message, sequence=str(number), series="panels00000en", **at, **stamp))
    record.fields[DELAY_FIELD] = 40 + number
    return record


def _ns(back: int) -> int:
    return int((NOW.timestamp() - back) * 1e9)


def _letter(number: int) -> DeadLetter:
    day = f"{NOW:%Y.%m.%d}"
    series, reason = "panels00000en", "rejected"
    return DeadLetter(
        f"{series}-{number:010d}-x", day, series, number, "web-1", reason, "too deep", b"<14>x", _ns(60 * number)
    )


async def _fill(url: str) -> None:
    settings = Config.model_validate({"type": "elasticsearch", "urls": [url], "replicas": 0})
    fates = ("stored", "rejected", "discarded:budget", "duplicate")
    entries = [Entry(f"e{n}", "web-1", "panels00000en", fate, 1, 9, 9, _ns(60), _ns(9)) for n, fate in enumerate(fates)]
    series = {"series": "abc1w", "last": 10, "dropped": 3}
    reader = {"series": [series], "backlog_records": 7, "queue_bytes": 4096}
    queue = {"size": 5, "discarded.full": 2, "discarded.nf": 1}
    reports = [
        Report("a/reader", "web-1", "abc1", "reader", _ns(5), reader),
        Report("a/normal queue", "web-1", "abc1", "normal queue", _ns(5), queue),
    ]
    async with settings.build(CLUSTER) as store:
        records = [_record(number) for number in range(1, 301)]
        assert await store.put(records) == [STORED] * len(records)
        await store.put_dead_letters([_letter(number) for number in range(1, 4)])
        await store.put_ledger(entries)
        await store.put_reports(reports)


@pytest.fixture(scope="module")
def filled(elasticsearch_url: str) -> Iterator[str]:
    asyncio.run(_fill(elasticsearch_url))
    http("POST", f"{elasticsearch_url}/*.{CLUSTER}*/_refresh")
    yield elasticsearch_url
    for row in http("GET", f"{elasticsearch_url}/_cat/indices/*.{CLUSTER}*?format=json&h=index"):
        http("DELETE", f"{elasticsearch_url}/{row['index']}")


def _filter(text: str) -> dict[str, Any]:
    """A question as Elasticsearch gets it. The ledger's own fields are none of records: one prefix is all of it."""
    name, _, value = text.partition(" : ")
    if name == "fate":
        return {"prefix": {name: value.rstrip("*")}}
    return compiled(kql.parse(text, _ns(0)))


def _views() -> dict[str, dict[str, Any]]:
    return {one["id"]: one["attributes"] for one in kibana.data_view_objects(SETTINGS)}


def _ask(url: str, view: dict[str, Any], body: dict[str, Any]) -> Answer:
    runtime = {name: {"type": field["type"]} for name, field in json.loads(view["runtimeFieldMap"]).items()}
    found = http("POST", f"{url}/{view['title']}/_search", {**body, "runtime_mappings": runtime})
    assert isinstance(found, dict)
    assert not found["timed_out"]
    assert found["_shards"]["failed"] == 0
    return found


def _of(kind: str) -> list[dict[str, Any]]:
    return [one for one in kibana.objects(SETTINGS) if one["type"] == kind]


def test_every_chart_shows_something(filled: str) -> None:
    views, charts = _views(), 0
    for dashboard in _of("dashboard"):
        attributes = dashboard["attributes"]
        for panel in json.loads(attributes["panelsJSON"]):
            if panel["type"] != "lens":
                continue
            chart = panel["embeddableConfig"]["attributes"]
            view = views[chart["references"][0]["id"]]
            asked = lens.body(chart, attributes["timeFrom"], view["timeFieldName"], _filter)
            answer = _ask(filled, view, asked)
            name = f"{attributes['title']}: {panel['title']}"
            assert answer["hits"]["total"]["value"], name
            assert list(lens.empty(answer.get("aggregations", {}), asked["aggs"])) == [], name
            charts += 1
    assert charts >= 25


def test_every_search_finds_something_and_each_of_its_columns(filled: str) -> None:
    views = _views()
    for search in _of("search"):
        attributes = search["attributes"]
        source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
        view = views[search["references"][0]["id"]]
        ((by, order),) = attributes["sort"]
        body = {"size": 300, "query": _filter(source["query"]["query"]), "sort": [{by: order}]}
        hits = _ask(filled, view, body)["hits"]["hits"]
        assert hits, attributes["title"]
        columns = {name for hit in hits for name in hit["_source"]}
        assert {*attributes["columns"]} <= columns, attributes["title"]
        assert by in columns


@pytest.mark.parametrize(
    ("question", "index", "asked", "count"),
    [
        (
            HOLES,
            f"logs-mesos.{CLUSTER}-*",
            [
                {"match_phrase": {"orchestrator.resource.name": "shipper-ledger"}},
                {"match_phrase": {"labels.alarm": "true"}},
            ],
            60,
        ),
        (
            "fate : discarded*",
            f"shipper-ledger.{CLUSTER}",
            [{"query_string": {"fields": ["fate"], "query": "discarded*"}}],
            1,
        ),
    ],
)
def test_what_kibana_itself_makes_of_a_question_finds_the_same(
    filled: str, question: str, index: str, asked: list[dict[str, Any]], count: int
) -> None:
    """Where it differs from ours: a key of a flattened field is none that its data view knows; a star is a word's."""
    assert question in {search.kql for search in SEARCHES}
    for body in (_filter(question), {"bool": {"filter": asked}}):
        found = http("POST", f"{filled}/{index}/_search", {"size": 0, "track_total_hits": True, "query": body})
        assert found["hits"]["total"]["value"] == count


def test_kibana_can_draw_what_the_charts_are_made_of(filled: str) -> None:
    views = _views()
    for dashboard in _of("dashboard"):
        for panel in json.loads(dashboard["attributes"]["panelsJSON"]):
            if panel["type"] != "lens":
                continue
            chart = panel["embeddableConfig"]["attributes"]
            view = views[chart["references"][0]["id"]]
            (layer,) = chart["state"]["datasourceStates"]["formBased"]["layers"].values()
            asked = {one["sourceField"] for one in layer["columns"].values() if "sourceField" in one}
            asked -= {"___records___", DELAY_FIELD}
            if not asked:
                continue
            found = http("GET", f"{filled}/{view['title']}/_field_caps?fields={','.join(sorted(asked))}")["fields"]
            drawn = {name for name, kinds in found.items() if all(kind["aggregatable"] for kind in kinds.values())}
            assert drawn == asked, panel["title"]


def _rule(filled: str, words: str) -> int:
    """How many records the rule of this name looks at."""
    (rule,) = (one["rule"] for one in kibana.rules(SETTINGS) if words in one["rule"]["name"])
    parameters = rule["params"]
    since = f"now-{parameters['timeWindowSize']}{parameters['timeWindowUnit']}"
    during = {"range": {parameters["timeField"]: {"gte": since, "lte": "now"}}}
    asked = json.loads(parameters["esQuery"])["query"]
    body = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": [during, asked]}}}
    found = http("POST", f"{filled}/{parameters['index'][0]}/_search", body)["hits"]["total"]["value"]
    assert isinstance(found, int)
    return found


def test_alert_rules_see_what_they_are_about(filled: str) -> None:
    assert _rule(filled, "no record") > 0
    assert _rule(filled, "shop-api is silent") > 0
    assert _rule(filled, "unheard-of is silent") == 0
    assert _rule(filled, "records are missing") == 60
    assert _rule(filled, "dead letters") == 3
    # The ledger's job writes these documents, one a line.
    assert {"alarm", "host"} <= SeriesAnswer.model_fields.keys() & HostAnswer.model_fields.keys()


def test_errors_are_counted_by_app(filled: str) -> None:
    (rule,) = (one["rule"] for one in kibana.rules(SETTINGS) if "many errors" in one["rule"]["name"])
    parameters = rule["params"]
    by_app = {"terms": {"field": parameters["termField"], "size": parameters["termSize"]}}
    body = {"size": 0, "query": _filter(parameters["filterKuery"]), "aggs": {"apps": by_app}}
    answer = http("POST", f"{filled}/{parameters['index'][0]}/_search", body)
    counts = {bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["apps"]["buckets"]}
    assert counts.get("shop-api", 0) >= parameters["threshold"][0], counts


@pytest.mark.parametrize(("of", "instead"), [("service.name", "transaction.id"), ("event.duration", "log.offset")])
def test_a_chart_of_a_field_that_no_record_has_is_found(filled: str, of: str, instead: str) -> None:
    found = []
    for dashboard in _of("dashboard"):
        for panel in json.loads(dashboard["attributes"]["panelsJSON"].replace(f'"{of}"', f'"{instead}"')):
            if panel["type"] == "lens" and instead in json.dumps(panel):
                chart = panel["embeddableConfig"]["attributes"]
                asked = lens.body(chart, "now-7d", "@timestamp", _filter)
                answer = _ask(filled, _views()[chart["references"][0]["id"]], asked)
                found.append(list(lens.empty(answer["aggregations"], asked["aggs"])))
    assert found
    assert all(found)
