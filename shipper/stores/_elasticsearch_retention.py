"""Deleting from Elasticsearch: whole days as indices, the records of single apps by their ids, in steps."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from shipper.errors import StoreBusy, StoreUnusable
from shipper.record.times import day, from_ns
from shipper.search.retention import Removal, StoredDay
from shipper.stores._elasticsearch_server import Server, reason

if TYPE_CHECKING:
    from shipper.stores.elasticsearch import Config

#: Records deleted by one request: `index.max_result_window`.
_STEP: Final = 10_000
#: Series of the ledger read, and deleted, by one request.
_SERIES: Final = 200
#: Field that holds the id of the app.
_APP: Final = "orchestrator.resource.name"
_SEARCH: Final = "_search?ignore_unavailable=true&allow_no_indices=true"
#: Status of a document that was deleted, or was not there any more.
_GONE: Final = (200, 404)
_DAY_LENGTH: Final = len("2026.11.22")


class ElasticsearchKeeper:
    """Looks at the indices of one cluster and deletes from them. Any number may run; the same twice does nothing."""

    def __init__(self, config: "Config", cluster: str) -> None:
        self._config = config
        self._cluster = cluster

    async def __aenter__(self) -> Self:
        """Make the client; StoreUnusable when its settings do not allow it."""
        try:
            self._server = Server(self._config)
        except (ValueError, OSError) as error:
            raise StoreUnusable(f"Elasticsearch: {error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._server.close()

    async def days(self) -> list[StoredDay]:
        """Return the days that there are, closed ones too."""
        return await self._days("logs-mesos")

    async def _days(self, kind: str) -> list[StoredDay]:
        prefix = f"{kind}.{self._cluster}-"
        target = f"/{prefix}*/_stats/docs,store?forbid_closed_indices=false&expand_wildcards=open,closed"
        answer = await self._server.ask("GET", target)
        found = answer["indices"] if answer else {}
        return [
            StoredDay(
                name.removeprefix(prefix),
                found[name]["primaries"].get("docs", {}).get("count", 0),
                found[name]["total"].get("store", {}).get("size_in_bytes", 0),
            )
            for name in sorted(found)
            if len(name) == len(prefix) + _DAY_LENGTH
        ]

    async def count(self, removal: Removal) -> int:
        """Return how many records would be deleted; a closed index cannot say."""
        target = f"/{self._index(removal)}/_count?ignore_unavailable=true"
        answer = await self._server.ask("POST", target, {"query": _chosen(removal)})
        return int(answer["count"]) if answer else 0

    async def remove(self, removal: Removal) -> AsyncIterator[int]:
        """Delete, and give the number of records of each step."""
        if removal.whole:
            count = await self.count(removal)
            await self._server.ask("DELETE", f"/{self._index(removal)}")
            yield count
            return
        deleted = _STEP
        while deleted == _STEP:
            deleted = await self._delete(self._index(removal), _chosen(removal))
            yield deleted

    async def forget(self, before: int) -> None:
        """Delete dead letters, reports and whole series of the ledger older than this (nanoseconds since 1970)."""
        first = day(from_ns(before))
        for found in await self._days("shipper-dead-letters"):
            if found.day < first:
                await self._server.ask("DELETE", f"/shipper-dead-letters.{self._cluster}-{found.day}")
        await self._delete_all(f"shipper-reports.{self._cluster}", {"range": {"updated_at": {"lt": before}}})
        old = await self._old_series(before)
        for start in range(0, len(old), _SERIES):
            series = [{"bool": {"filter": [{"term": one} for one in pair]}} for pair in old[start : start + _SERIES]]
            await self._delete_all(f"shipper-ledger.{self._cluster}", {"bool": {"should": series}})

    async def _old_series(self, before: int) -> list[tuple[dict[str, str], dict[str, str]]]:
        """Return hosts and series of which nothing is younger: a part of a series missing would look like a loss."""
        sources = [{name: {"terms": {"field": name}}} for name in ("host", "series")]
        grouped: dict[str, Any] = {"size": _SERIES, "sources": sources}
        last = {"last": {"max": {"field": "updated_at"}}}
        found: list[tuple[dict[str, str], dict[str, str]]] = []
        while True:
            body = {"size": 0, "aggs": {"series": {"composite": grouped, "aggs": last}}}
            answer = await self._server.ask("POST", f"/shipper-ledger.{self._cluster}/_search", body)
            if answer is None:
                return found
            if answer["_shards"]["failed"] or answer["timed_out"]:
                raise StoreBusy("Elasticsearch: the ledger could not be read as a whole")
            series = answer["aggregations"]["series"]
            keys = [bucket["key"] for bucket in series["buckets"] if bucket["last"]["value"] < before]
            found += [({"host": key["host"]}, {"series": key["series"]}) for key in keys]
            if "after_key" not in series:
                return found
            grouped["after"] = series["after_key"]

    async def _delete_all(self, index: str, query: dict[str, Any]) -> None:
        while await self._delete(index, query) == _STEP:
            pass

    async def _delete(self, index: str, query: dict[str, Any]) -> int:
        """Delete documents that a question finds, at most `_STEP`; return how many. What came a second ago may stay."""
        body = {"size": _STEP, "_source": False, "track_total_hits": False, "sort": ["_doc"], "query": query}
        answer = await self._server.ask("POST", f"/{index}/{_SEARCH}", body)
        if answer is None:
            return 0
        if answer["_shards"]["failed"] or answer["timed_out"]:
            raise StoreBusy(f"Elasticsearch: {index} could not be searched as a whole; nothing more was deleted")
        found = [{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in answer["hits"]["hits"]]
        if found:
            told = await self._server.send(b"".join(orjson.dumps(one) + b"\n" for one in found))
            for item in told["items"] if told["errors"] else ():
                if item["delete"]["status"] not in _GONE:
                    raise StoreBusy(f"Elasticsearch: {index}: {reason(item['delete'].get('error'))}")
            await self._server.ask("POST", f"/{index}/_refresh")
        return len(found)

    def _index(self, removal: Removal) -> str:
        return f"logs-mesos.{self._cluster}-{removal.day}"


def _chosen(removal: Removal) -> dict[str, Any]:
    """Return the question that finds what is to be deleted."""
    if removal.whole:
        return {"match_all": {}}
    named = {"terms": {_APP: list(removal.apps)}}
    return {"bool": {"must_not": [named]}} if removal.others else {"bool": {"filter": [named]}}
