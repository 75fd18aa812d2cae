"""Templates: what they say of each field, their version, and when a running shipper leaves one alone."""

from typing import Any

import pytest

from shipper.errors import StoreBusy, StoreUnusable
from shipper.record.fields import FIELDS
from shipper.stores._elasticsearch_prepare import put_templates, template_settings
from shipper.stores._elasticsearch_templates import (
    MOST_SHARDS,
    VERSION,
    TemplateSettings,
    shards_for,
    templates,
    version_of,
)
from shipper.stores.elasticsearch import Config
from tests.integration.test_elasticsearch_store import answering

GB = 10**9
RECORDS = "logs-mesos.prod"
NAMES = [RECORDS, "shipper-dead-letters.prod", "shipper-ledger.prod", "shipper-reports.prod"]


def of_records(**settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = templates("prod", TemplateSettings(**settings))[RECORDS]["template"]
    return found


def test_every_template_is_ours_and_of_this_version() -> None:
    made = templates("prod", TemplateSettings())
    assert list(made) == NAMES
    for name, template in made.items():
        assert template["index_patterns"][0].startswith(name)
        assert template["version"] == version_of(template) == version_of(template["template"]["mappings"]) == VERSION
        assert template["template"]["mappings"]["dynamic"] is False


def test_all_fields_and_objects_are_within_the_limit_and_none_can_refuse_a_record() -> None:
    found = of_records()
    properties = found["mappings"]["properties"]
    assert properties.keys() == {field.name for field in FIELDS}
    objects = {name[:at] for name in properties for at, char in enumerate(name) if char == "."}
    assert len(properties) + len(objects) < found["settings"]["index"]["mapping.total_fields.limit"]
    assert found["settings"]["index"]["mapping.ignore_malformed"] is True
    for name, kind in properties.items():
        indexed = kind.get("index", True) or kind.get("doc_values", True)
        assert kind["type"] not in ("keyword", "flattened") or not indexed or kind["ignore_above"] == 1024, name


def test_what_operators_decide() -> None:
    usual = of_records()["settings"]["index"]
    assert (usual["mode"], usual["codec"], usual["number_of_shards"]) == ("standard", "best_compression", 1)
    chosen = of_records(replicas=2, index_mode="logsdb", shards=3, seq_no_index=False)["settings"]["index"]
    assert (chosen["mode"], chosen["number_of_shards"], chosen["number_of_replicas"]) == ("logsdb", 3, 2)
    assert chosen["mapping.source.mode"] == "stored"
    assert chosen["seq_no.index_options"] == "doc_values_only"
    ledger = templates("prod", TemplateSettings(index_mode="logsdb", shards=3))["shipper-ledger.prod"]
    assert ledger["template"]["settings"]["index"]["number_of_shards"] == 1


@pytest.mark.parametrize(
    ("size", "shards"), [(0, 1), (40 * GB, 1), (40 * GB + 1, 2), (400 * GB, 10), (10**15, MOST_SHARDS)]
)
def test_shards_by_size(size: int, shards: int) -> None:
    assert shards_for(size) == shards


@pytest.mark.parametrize(
    ("template", "version"),
    [
        ({}, None),
        ({"_meta": {"managed_by": "somebody"}}, None),
        ({"_meta": {"managed_by": "shipper"}}, 1),
        ({"_meta": {"managed_by": "shipper", "version": 7}}, 7),
        ({"_meta": {"managed_by": "shipper", "version": "seven"}}, 1),
        ({"_meta": "shipper"}, None),
    ],
)
def test_whose_a_template_is(template: dict[str, Any], version: int | None) -> None:
    assert version_of(template) == version


CONFIG = Config.model_validate({})


class Recorder:
    """Stands at the rim: has these templates, and remembers what is written."""

    def __init__(self, there: dict[str, Any], **more: Any) -> None:
        self.there = there
        self.more = more
        self.written: list[str] = []

    async def ask(self, method: str, target: str, question: Any = None) -> Any:
        if isinstance(answer := self.more.get(target.partition("?")[0]), Exception):
            raise answer
        if answer is not None:
            return answer
        name = target.rpartition("/")[2]
        if method == "PUT":
            self.written.append(name)
            return {"acknowledged": True}
        there = self.there.get(name)
        return there and {"index_templates": [{"name": name, "index_template": there}]}


def _ours(version: int) -> dict[str, Any]:
    return {"_meta": {"managed_by": "shipper", "version": version}}


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ({}, NAMES),
        ({NAMES[0]: _ours(VERSION - 1)}, NAMES),
        ({NAMES[0]: _ours(VERSION)}, NAMES[1:]),
        ({NAMES[0]: _ours(VERSION + 1), NAMES[3]: _ours(VERSION + 1)}, NAMES[1:3]),
    ],
    ids=["absent", "older", "same", "newer"],
)
async def test_a_newer_template_stays(there: dict[str, Any], written: list[str]) -> None:
    server = Recorder(there)
    await put_templates(server, CONFIG, "prod")  # type: ignore[arg-type]
    assert server.written == written


async def test_a_template_of_another_program_is_not_touched() -> None:
    server = Recorder({NAMES[0]: {"_meta": {"managed_by": "somebody"}}})
    with pytest.raises(StoreUnusable, match=r"^template logs-mesos.prod: another program's .* delete or rename it"):
        await put_templates(server, CONFIG, "prod")  # type: ignore[arg-type]
    assert server.written == []


def _day(size: int) -> dict[str, Any]:
    return {"primaries": {"store": {"size_in_bytes": size}}}


FORBIDDEN = StoreBusy("Elasticsearch: security_exception: action is unauthorized")
SIZES = "/logs-mesos.prod-*/_stats/store"


@pytest.mark.parametrize(
    ("config", "more", "shards", "seq_no_index"),
    [
        ({}, {"/": {"version": {"number": "8.19.9"}}}, 1, True),
        ({}, {"/": {"version": {"number": "9.2.0"}}}, 1, False),
        ({"shards": 4}, {"/": {"version": {"number": "10.0.0-SNAPSHOT"}}}, 4, False),
        ({"shards": 4}, {"/": {"hello": "world"}}, 4, True),
        ({"shards": 0}, {"/": FORBIDDEN, SIZES: FORBIDDEN}, 1, True),
        ({"shards": 0}, {"/": FORBIDDEN, SIZES: {"indices": {"a": _day(10**9), "b": _day(90 * GB)}}}, 3, True),
    ],
)
async def test_settings_by_what_is_there(
    config: dict[str, Any], more: dict[str, Any], shards: int, seq_no_index: bool
) -> None:
    found = await template_settings(Recorder({}, **more), Config.model_validate(config), "prod")  # type: ignore[arg-type]
    assert (found.shards, found.seq_no_index) == (shards, seq_no_index)


async def test_busy_is_no_reason_to_guess() -> None:
    server = Recorder({}, **{"/": StoreBusy("Elasticsearch: 503")})
    with pytest.raises(StoreBusy, match="503"):
        await put_templates(server, CONFIG, "prod")  # type: ignore[arg-type]
    assert server.written == []


async def test_an_answer_of_another_service_is_no_template() -> None:
    body = b'{"hello":"world"}'
    asked: list[bytes] = []
    async with answering("200 OK", body, asked=asked) as url:
        async with Config.model_validate({"urls": [url]}).build("prod"):
            pass
    assert sum(one.startswith(b"PUT /_index_template/") for one in asked) == len(NAMES)
