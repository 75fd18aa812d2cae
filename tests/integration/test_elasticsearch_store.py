"""The Elasticsearch store beyond the contract: poison, closed and blocked indices, kills, and answers of proxies."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from shipper.errors import StoreBusy, StoreRejected, StoreUnusable
from shipper.record import DUPLICATE, STORED, Fate, Record, Repair
from shipper.record.fields import FIELDS
from shipper.search.query import Query
from shipper.stores.elasticsearch import Config
from tests.contract.store_world import http
from tests.contract.test_reports import report
from tests.contract.test_stores import DAY_NS, NOON, SERIES, _entry, _letter, record
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.process import free_port


def settings(url: str, **more: Any) -> Config:
    return Config.model_validate({"type": "elasticsearch", "urls": [url], "replicas": 0, **more})


def index(cluster: str, one: Record) -> str:
    return f"logs-mesos.{cluster}-{one.day}"


def with_fields(number: int, more: dict[str, Any]) -> Record:
    made = record(number)
    made.fields |= more
    return made


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


#: What Elasticsearch refuses in one record, and what our mapping makes it take; both versions alike.
POISON: dict[str, tuple[dict[str, Any], bool]] = {
    "string in a number": ({"process.pid": "abc"}, True),
    "object in a number": ({"process.pid": {"a": 1}}, False),
    "number too long": ({"process.pid": 2**63 + 5}, True),
    "scalar where an object belongs": ({"log": "x"}, False),
    "bad date": ({"shipper.received_at": "yesterday"}, True),
    "date before 1970": ({"event.created": "1960-01-01T00:00:00Z"}, True),
    "date after 2262": ({"event.created": "2300-01-01T00:00:00Z"}, True),
    "bad address": ({"client.ip": "300.1.1.1"}, True),
    "keyword of 40 kB": ({"user.id": "x" * 40_000}, True),
    "original of 40 kB": ({"event.original": "x" * 40_000}, True),
    "word of 1 MB": ({"message": "x" * 10**6}, True),
    "object in a keyword": ({"user.id": {"a": 1}}, False),
    "object in a text": ({"error.message": {"a": 1}}, False),
    "labels too deep": ({"labels": _nested(25)}, False),
    "labels no object": ({"labels": "x"}, False),
    "value of 40 kB in labels": ({"labels": {"a": "x" * 40_000}}, True),
    "key of 40 kB in labels": ({"labels": {"k" * 40_000: "x"}}, False),
    "1,500 keys in labels": ({"labels": {f"k{n}": "v" for n in range(1500)}}, True),
    "key with NUL in labels": ({"labels": {"a\0b": "x"}}, False),
    "empty name": ({"": 1}, False),
    "blank name": ({" ": 1}, False),
    "two dots in a name": ({"a..b": 1}, False),
    "reserved name": ({"_id": "x"}, False),
    "not a number": ({"process.pid": float("nan")}, True),
    "unknown and deep": ({"unknown": _nested(25)}, True),
    "NUL": ({"message": "a\0b"}, True),
}


async def test_poison_hurts_only_itself(elasticsearch_url: str) -> None:
    async with settings(elasticsearch_url).build("poison") as store:
        batch = []
        for number, (more, _) in enumerate(POISON.values()):
            batch += [record(3 * number + 1), with_fields(3 * number + 2, more), record(3 * number + 3)]
        outcomes = await store.put(batch)
        assert outcomes[::3] == outcomes[2::3] == [STORED] * len(POISON)
        for (name, (_, taken)), outcome in zip(POISON.items(), outcomes[1::3], strict=True):
            assert outcome.fate is (Fate.STORED if taken else Fate.REJECTED), name
            if not taken:
                assert re.match(r"(document_parsing|illegal_argument)_exception: ", outcome.reason), name
    http("DELETE", f"{elasticsearch_url}/{index('poison', batch[0])}")


async def test_closed_and_blocked_days_refuse_while_others_accept(elasticsearch_url: str) -> None:
    batch = [record(n, at=NOON - n * DAY_NS) for n in range(3)]
    async with settings(elasticsearch_url).build("closing") as store:
        assert await store.put(batch) == [STORED] * 3
        closed, blocked, _ = (f"{elasticsearch_url}/{index('closing', one)}" for one in batch)
        http("POST", f"{closed}/_close")
        http("PUT", f"{blocked}/_settings", {"index.blocks.write": True})
        again = [record(10 + n, at=NOON - n * DAY_NS) for n in range(3)]
        outcomes = await store.put(again)
        assert [outcome.fate for outcome in outcomes] == [Fate.REFUSED, Fate.REFUSED, Fate.STORED]
        assert outcomes[0].reason.startswith("index_closed_exception: closed")
        assert outcomes[1].reason.startswith("cluster_block_exception: ")
        http("POST", f"{elasticsearch_url}/logs-mesos.closing-*/_refresh?expand_wildcards=open")
        page = await store.search(Query())
        assert sorted(found["event.sequence"] for found in page.records) == [1, 2, 12]
        assert page.incomplete == ("days that are closed were not searched",)
        http("POST", f"{closed}/_open")
        http("PUT", f"{blocked}/_settings", {"index.blocks.write": None})
        assert await store.put(again) == [STORED, STORED, DUPLICATE]
    for one in batch:
        http("DELETE", f"{elasticsearch_url}/{index('closing', one)}")


async def test_template_has_all_fields_and_nothing_is_added(elasticsearch_url: str) -> None:
    one = with_fields(1, {"labels": {"a": {"b": 1}}, "surprise": {"x": 1}})
    async with settings(elasticsearch_url).build("mapped") as store:
        assert await store.put([one]) == [STORED]
    found = http("GET", f"{elasticsearch_url}/{index('mapped', one)}")[index("mapped", one)]
    http("DELETE", f"{elasticsearch_url}/{index('mapped', one)}")
    assert _leaves(found["mappings"]["properties"]) == {field.name for field in FIELDS}
    said = found["settings"]["index"]
    assert (said["mode"], said["codec"], said["refresh_interval"]) == ("standard", "best_compression", "1s")
    assert said["sort"]["field"] == ["service.name", "host.name", "@timestamp"]


def _leaves(properties: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in properties.items():
        found |= _leaves(value["properties"], f"{prefix}{name}.") if "properties" in value else {f"{prefix}{name}"}
    return found


async def test_no_other_cluster_is_searched(elasticsearch_url: str) -> None:
    async with settings(elasticsearch_url).build("east") as east, settings(elasticsearch_url).build("east.1") as other:
        await east.put([record(1)])
        await other.put([record(2)])
        http("POST", f"{elasticsearch_url}/logs-mesos.east*/_refresh")
        assert [found["event.sequence"] for found in (await east.search(Query())).records] == [1]
        assert [found["event.sequence"] for found in (await other.search(Query())).records] == [2]
    for cluster in ("east", "east.1"):
        http("DELETE", f"{elasticsearch_url}/{index(cluster, record(1))}")


async def test_a_body_of_many_megabytes(elasticsearch_url: str) -> None:
    batch = [record(n, "x y " * 25_000) for n in range(1, 101)]
    async with settings(elasticsearch_url).build("large") as store:
        assert await store.put(batch) == [STORED] * 100
        with pytest.raises(StoreRejected, match="413"):
            await store.put([record(n, "x y " * 2_500_000) for n in range(201, 214)])
    http("DELETE", f"{elasticsearch_url}/{index('large', batch[0])}")


async def test_killed_and_started_again_it_has_what_was_stored(
    elasticsearch_url: str, killable: Callable[[str], Elasticsearch]
) -> None:
    server = killable(elasticsearch_url)
    async with settings(server.url, request_seconds=10).build("killed") as store:
        writing = asyncio.create_task(_write_until_busy(store))
        await asyncio.sleep(2)
        server.process.kill9()
        stored, trouble = await writing
        assert stored
        assert server.url in trouble
        assert "\n" not in trouble
        assert server.url in str(await store.healthy())
        with pytest.raises(StoreBusy):
            await store.search(Query())
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_recovered)
        assert await _retried(store, [record(n) for n in range(1, stored + 1)]) == [DUPLICATE] * stored
        outcomes = await store.put([record(n) for n in range(stored + 1, stored + 201)])
        assert {outcome.fate for outcome in outcomes} <= {Fate.STORED, Fate.DUPLICATE}
        http("POST", f"{server.url}/logs-mesos.killed-*/_refresh")
        assert await store.present(SERIES, (1, 10**6), 10**6) == [(1, stored + 200)]


async def _write_until_busy(store: Any) -> tuple[int, str]:
    """Store batches of 100 until the store is busy: how many it said are stored, and what it said then."""
    last = 0
    while True:
        try:
            if await store.put([record(n) for n in range(last + 1, last + 101)]) != [STORED] * 100:
                return last, "not stored"
        except StoreBusy as error:
            return last, str(error)
        last += 100
        await asyncio.sleep(0.05)


async def _retried(store: Any, batch: list[Record]) -> Any:
    for _ in range(60):
        with contextlib.suppress(StoreBusy):
            return await store.put(batch)
        await asyncio.sleep(1)
    raise AssertionError("busy for a minute")


async def test_nobody_there_is_busy_in_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with settings(url).build("c") as store:
        for call in (
            store.put([record(1)]),
            store.put_ledger([_entry("a", 1, 1)]),
            store.put_reports([report("reader")]),
            store.put_dead_letters([_letter(1)]),
            store.search(Query()),
            store.ledger(),
            store.reports(),
            store.dead_letters(1),
            store.present(SERIES, (1, 2)),
        ):
            with pytest.raises(StoreBusy) as busy:
                await call
            assert str(busy.value).startswith(f"Elasticsearch at {url}: ")
            assert "\n" not in str(busy.value)
        assert url in str(await store.healthy())


@contextlib.asynccontextmanager
async def answering(
    status: str, body: bytes, content_type: str = "application/json", asked: list[bytes] | None = None
) -> AsyncIterator[str]:
    """A server that gives every request the same answer; no status: none at all. `asked` gets the heads."""
    held = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if asked is not None:
                    asked.append(head)
                length = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                if status:
                    answer = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
                    writer.write(answer.encode() + body)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in held:
            writer.close()


def _error(kind: str, reason: str) -> bytes:
    return b'{"error":{"type":"%s","reason":"%s"},"status":400}' % (kind.encode(), reason.encode())


ANSWERS = {
    "429": ("429 Too Many Requests", _error("es_rejected_execution_exception", "full"), StoreBusy, "429 .*: full"),
    "503": ("503 Service Unavailable", b"{}", StoreBusy, "503"),
    "502 of a proxy": ("502 Bad Gateway", b"<html>bad\ngateway</html>", StoreBusy, "502|not the answer"),
    "401": (
        "401 Unauthorized",
        _error("security_exception", "unable to authenticate"),
        StoreBusy,
        "credentials: .*unable",
    ),
    "403": ("403 Forbidden", _error("security_exception", "needs create_doc"), StoreBusy, "may not .*needs create_doc"),
    "400": ("400 Bad Request", _error("illegal_argument_exception", "id is too long"), StoreRejected, "id is too long"),
    "413": ("413 Content Too Large", b"{}", StoreRejected, "413"),
    "404": ("404 Not Found", b"{}", StoreBusy, "404"),
    "another service": ("200 OK", b'{"hello":"world"}', StoreBusy, "not the answer of Elasticsearch"),
    "not JSON": ("200 OK", b"hello", StoreBusy, "not the answer of Elasticsearch"),
    "cut short": ("200 OK", b'{"errors":fal', StoreBusy, "not the answer of Elasticsearch"),
    "no answer": ("", b"", StoreBusy, "no answer in time"),
}


@pytest.mark.parametrize(("status", "body", "error", "text"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_answers_to_a_whole_request(status: str, body: bytes, error: type[Exception], text: str) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json"
    async with answering(status, body, kind) as url, settings(url, request_seconds=0.5).reader("c") as reader:
        store = settings(url, request_seconds=0.5).build("c")
        store._server, store._prepared = reader._server, True
        async with asyncio.timeout(5):
            with pytest.raises(error, match=text) as raised:
                await store.put([record(1)])
        assert type(raised.value) is error
        assert "\n" not in str(raised.value)


REPAIRS = {
    "may not update": (403, "security_exception", StoreBusy),
    "read-only": (403, "cluster_block_exception", StoreBusy),
    "not for this mapping": (400, "document_parsing_exception", StoreRejected),
    "deleted just now": (404, "document_missing_exception", None),
}


@pytest.mark.parametrize(("status", "kind", "error"), REPAIRS.values(), ids=REPAIRS.keys())
async def test_answers_to_a_repair(status: int, kind: str, error: type[Exception] | None) -> None:
    item = {"update": {"status": status, "error": {"type": kind, "reason": "no"}}}
    answer = orjson.dumps({"docs": [{"found": True}], "errors": True, "items": [item]})
    async with answering("200 OK", answer) as url, settings(url).reader("c") as reader:
        store = settings(url).build("c")
        store._server, store._prepared = reader._server, True
        with pytest.raises(error, match=kind) if error else contextlib.nullcontext():
            await store.repair([Repair(SERIES, 1, "2026.11.22", {"service.name": "shop"})])


async def test_a_repair_is_sent_with_its_own_key() -> None:
    asked: list[bytes] = []
    answer = orjson.dumps({"docs": [{"found": True}], "errors": False, "items": [], "took": 1})
    keys = {"api_key": "first", "repair_api_key": "second"}
    async with answering("200 OK", answer, asked=asked) as url, settings(url, **keys).reader("c") as reader:
        store = settings(url, **keys).build("c")
        store._server, store._prepared = reader._server, True
        await store.repair([Repair(SERIES, 1, "2026.11.22", {"service.name": "shop"})])
    keys_of = {re.search(rb"post /(_\w+)", one.lower())[1]: b"ApiKey second" in one for one in asked}  # type: ignore[index]
    assert keys_of == {b"_mget": False, b"_bulk": True}


async def test_a_413_of_a_proxy_splits_too() -> None:
    async with answering("413 Request Entity Too Large", b"<html>413</html>", "text/html") as url:
        async with settings(url).reader("c") as reader:
            store = settings(url).build("c")
            store._server, store._prepared = reader._server, True
            with pytest.raises(StoreRejected, match="413"):
                await store.put([record(1), record(2)])


ITEMS: dict[str, tuple[int, str, Fate]] = {
    "too many requests": (429, "es_rejected_execution_exception", Fate.BUSY),
    "disk nearly full": (429, "cluster_block_exception", Fate.BUSY),
    "shard away": (503, "unavailable_shards_exception", Fate.BUSY),
    "not allowed": (403, "security_exception", Fate.BUSY),
    "read-only": (403, "cluster_block_exception", Fate.REFUSED),
    "closed": (400, "index_closed_exception", Fate.REFUSED),
    "no index": (404, "index_not_found_exception", Fate.REFUSED),
    "too many shards": (400, "validation_exception", Fate.REFUSED),
    "unparsable": (400, "document_parsing_exception", Fate.REJECTED),
    "unknown": (400, "some_new_exception", Fate.REJECTED),
}


@pytest.mark.parametrize(("status", "kind", "fate"), ITEMS.values(), ids=ITEMS.keys())
async def test_answers_per_item(status: int, kind: str, fate: Fate) -> None:
    failed = b'{"create":{"status":%d,"error":{"type":"%s","reason":"why"}}}' % (status, kind.encode())
    body = b'{"errors":true,"items":[{"create":{"status":201}},%s]}' % failed
    async with answering("200 OK", body) as url, settings(url).reader("c") as reader:
        store = settings(url).build("c")
        store._server, store._prepared = reader._server, True
        outcomes = await store.put([record(1), record(2)])
    assert outcomes[0] == STORED
    assert outcomes[1].fate is fate
    assert outcomes[1].reason == f"{kind}: why"


async def test_a_batch_of_which_nothing_can_be_taken_now_is_busy() -> None:
    item = b'{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue full"}}}'
    async with answering("200 OK", b'{"errors":true,"items":[%s,%s]}' % (item, item)) as url:
        async with settings(url).reader("c") as reader:
            store = settings(url).build("c")
            store._server, store._prepared = reader._server, True
            with pytest.raises(StoreBusy, match="queue full"):
                await store.put([record(1), record(2)])


async def test_failed_shards_and_lack_of_time_are_said() -> None:
    body = (
        b'{"took":1,"timed_out":true,"_shards":{"total":3,"successful":2,"skipped":0,"failed":1,"failures":'
        b'[{"index":"logs-mesos.c-2026.11.20","reason":{"type":"io","reason":"broken"}}]},"hits":{"hits":[]}}'
    )
    async with answering("200 OK", body) as url, settings(url).reader("c") as reader:
        page = await reader.search(Query())
        assert page.incomplete == (
            "1 of 3 shards could not be read, first logs-mesos.c-2026.11.20: broken",
            "not searched to the end: it took too long",
        )
        with pytest.raises(StoreBusy, match="1 of 3 shards"):
            await reader.ledger()
        with pytest.raises(StoreBusy, match="1 of 3 shards"):
            await reader.present(SERIES, (1, 10))


async def test_templates_that_may_not_be_written_must_be_there_already() -> None:
    reason = "action [indices:admin/index_template/put] is unauthorized for API key"
    async with answering("403 Forbidden", _error("security_exception", reason)) as url:
        async with settings(url).build("c") as store:
            assert store._prepared


async def test_a_template_that_is_refused_needs_a_person() -> None:
    async with answering("400 Bad Request", _error("illegal_argument_exception", "no such setting")) as url:
        with pytest.raises(StoreUnusable, match=r"template logs-mesos\.c: .*no such setting"):
            async with settings(url).build("c"):
                pass


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"urls": []}, "at least 1 item"),
        ({"urls": ["127.0.0.1:9200"]}, "needs http://"),
        ({"urls": ["http://127.0.0.1"]}, "a port"),
        ({"urls": ["http://me:secret@127.0.0.1:9200"]}, "no credentials in an address"),
        ({"username": "me"}, "belong together"),
        ({"username": "me", "password": "secret", "api_key": "key"}, "exclude each other"),
        ({"url": "http://127.0.0.1:9200"}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Config.model_validate({"type": "elasticsearch", **more})


def test_secrets_are_not_shown() -> None:
    shown = repr(Config.model_validate({"type": "elasticsearch", "username": "me", "password": "canary"}))
    assert "canary" not in shown


async def test_a_file_of_certificates_that_is_not_there(tmp_path: Any) -> None:
    config = settings("https://127.0.0.1:9200", ca_certs=str(tmp_path / "ca.pem"))
    with pytest.raises(StoreUnusable, match="Elasticsearch: "):
        async with config.reader("c"):
            pass
