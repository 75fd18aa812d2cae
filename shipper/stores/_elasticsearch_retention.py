"""Deleting from Elasticsearch: whole days as indices, the records of single apps by their ids, in steps."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from shipper.errors import StoreBusy, StoreFull, StoreUnusable
from shipper.record.times import day, from_ns
from shipper.search.retention import Deletion, Removal, StoredDay, is_day
from shipper.search.usage import Disk
from shipper.stores import _elasticsearch_history as history
from shipper.stores._elasticsearch_blocks import waited_for
from shipper.stores._elasticsearch_disk import disk_of
from shipper.stores._elasticsearch_server import Server, reason

if TYPE_CHECKING:
    from shipper.stores.elasticsearch import Config

#: Records found by one search: `index.max_result_window`.
_STEP: Final = 10_000
#: Records deleted by one request: little beside the batches that are stored meanwhile.
_BULK: Final = 1000
#: Series of the ledger read, and deleted, by one request.
_SERIES: Final = 200
#: Fields that hold the id of the app, and the kind of log.
_APP: Final = "orchestrator.resource.name"
_DATASET: Final = "event.dataset"
_SEARCH: Final = "_search?ignore_unavailable=true&allow_no_indices=true"
#: Only what is read of an answer: ids of 10,000 documents are a megabyte with all that is around them.
_SHOWN: Final = "hits.hits._id,_shards.failed,timed_out"
#: Status of a document that was deleted, or was not there any more.
_GONE: Final = (200, 404)


class ElasticsearchKeeper:
    """Looks at the indices of one cluster and deletes from them. Any number may run; the same twice does nothing."""

    def __init__(self, config: "Config", cluster: str) -> None:
        self._config = config
        self._cluster = cluster
        #: Single records that are deleted in a second, at most; 0: as fast as it goes.
        self.records_per_second = config.retention_records_per_second

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
        """Return the days that there are, those too that are closed or cannot be read now."""
        return await self._days("logs-mesos")

    async def _days(self, kind: str) -> list[StoredDay]:
        prefix = f"{kind}.{self._cluster}-"
        # Figures are not told of an index that is red.
        names = await self._server.ask("GET", f"/{prefix}*/_settings/index.uuid?expand_wildcards=open,closed")
        target = f"/{prefix}*/_stats/docs,store?forbid_closed_indices=false&expand_wildcards=open,closed"
        answer = await self._server.ask("GET", target)
        found = answer["indices"] if answer else {}
        figures = {
            name: (one["primaries"].get("docs", {}), one["total"].get("store", {})) for name, one in found.items()
        }
        return [
            StoredDay(name.removeprefix(prefix), docs.get("count", 0), store.get("size_in_bytes", 0))
            for name in sorted(names or {})
            for docs, store in (figures.get(name, ({}, {})),)
            # Somebody else's index may bear our prefix, and one of any name an alias that does.
            if name.startswith(prefix) and is_day(name.removeprefix(prefix))
        ]

    async def count(self, removal: Removal) -> int:
        """Return how many records would be deleted; a closed index cannot say."""
        target = f"/{self._index(removal)}/_count?ignore_unavailable=true"
        answer = await self._server.ask("POST", target, {"query": _chosen(removal)})
        return int(answer["count"]) if answer else 0

    async def remove(self, removal: Removal) -> AsyncGenerator[int, None]:
        """Delete, and give the number of records of each step."""
        if removal.whole:
            count = await self.count(removal)
            await self._server.ask("DELETE", f"/{self._index(removal)}")
            yield count
            return
        found = _STEP
        while found == _STEP:
            ids = await self._find(self._index(removal), _chosen(removal))
            found = len(ids)
            for start in range(0, max(found, 1), _BULK):
                began = time.monotonic()
                await self._delete(self._index(removal), ids[start : start + _BULK])
                yield len(ids[start : start + _BULK])
                await self._pause(len(ids[start : start + _BULK]), began)
            await self._shown(self._index(removal), ids)

    async def _pause(self, records: int, began: float) -> None:
        """Leave Elasticsearch to those who store and ask, as long as the settings say."""
        if self.records_per_second:
            await asyncio.sleep(began + records / self.records_per_second - time.monotonic())

    async def written_at(self, name: str) -> int:
        """Return when the newest record of a day was stored; 0 when nobody can say (closed, empty)."""
        body = {"size": 0, "track_total_hits": False, "aggs": {"last": {"max": {"field": "event.ingested"}}}}
        answer = await self._server.ask("POST", f"/logs-mesos.{self._cluster}-{name}/{_SEARCH}", body)
        found = answer["aggregations"]["last"]["value"] if answer and answer.get("aggregations") else None
        return int(found) * 10**6 if found else 0

    async def note(self, deletion: Deletion) -> None:
        """Keep what was deleted; StoreFull while nothing can be written."""
        await history.note(self._server, self._cluster, deletion)

    async def history(self, limit: int) -> list[Deletion]:
        """Return what was deleted, the newest first."""
        return await history.read(self._server, self._cluster, limit)

    async def disk(self) -> Disk | None:
        """Return the room that Elasticsearch has; None when these credentials may not ask."""
        return await disk_of(self._server)

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
        found = _STEP
        while found == _STEP:
            ids = await self._find(index, query)
            found = len(ids)
            for start in range(0, found, _BULK):
                await self._delete(index, ids[start : start + _BULK])
            await self._shown(index, ids)

    async def _find(self, index: str, query: dict[str, Any]) -> list[str]:
        """Return the ids of documents that a question finds, at most `_STEP`. What came a second ago may be missing."""
        body = {"size": _STEP, "_source": False, "track_total_hits": False, "sort": ["_doc"], "query": query}
        answer = await self._server.ask("POST", f"/{index}/{_SEARCH}&filter_path={_SHOWN}", body)
        if answer is None:
            return []
        if answer["_shards"]["failed"] or answer["timed_out"]:
            raise StoreBusy(f"Elasticsearch: {index} could not be searched as a whole; nothing more was deleted")
        return [hit["_id"] for hit in answer.get("hits", {}).get("hits", ())]

    async def _delete(self, index: str, ids: list[str]) -> None:
        if not ids:
            return
        lines = (orjson.dumps({"delete": {"_index": index, "_id": id}}) + b"\n" for id in ids)
        told = await self._server.send(b"".join(lines))
        for item in told["items"] if told["errors"] else ():
            if item["delete"]["status"] not in _GONE:
                said = reason(item["delete"].get("error"))
                if full := waited_for(said):
                    raise StoreFull(f"{index}: {full}")
                raise StoreBusy(f"Elasticsearch: {index}: {said}")

    async def _shown(self, index: str, ids: list[str]) -> None:
        """Make what was deleted disappear from answers, and from the next search for what is left."""
        if ids:
            await self._server.ask("POST", f"/{index}/_refresh")

    def _index(self, removal: Removal) -> str:
        return f"logs-mesos.{self._cluster}-{removal.day}"


def _chosen(removal: Removal) -> dict[str, Any]:
    """Return the question that finds what is to be deleted."""
    if removal.whole:
        return {"match_all": {}}
    named = {"terms": {_APP: list(removal.apps)}}
    base = {"bool": {"must_not": [named]}} if removal.others else named
    return {"bool": {"should": [base, {"terms": {_DATASET: list(removal.datasets)}}], "minimum_should_match": 1}}
