"""What retention deleted, kept in an index of its own: `shipper-retention.<cluster>`, one small document a removal."""

import time
from contextlib import suppress
from typing import Any, Final

import orjson

from shipper.errors import StoreBusy, StoreFull, StoreRejected
from shipper.search.query import Query
from shipper.search.retention import YOUNG_NS, Deletion, Removal, deleted_note
from shipper.stores._elasticsearch_blocks import waited_for
from shipper.stores._elasticsearch_server import Server, reason

#: Made with the first document; without a mapping the first one would decide the types.
_INDEX: Final = {
    "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
    "mappings": {
        "dynamic": False,
        "properties": {
            "at": {"type": "long"},
            "day": {"type": "keyword"},
            "whole": {"type": "boolean"},
        },
    },
}
_MOST: Final = 10_000
_ASK_SECONDS: Final = 60.0


async def note(server: Server, cluster: str, deletion: Deletion) -> None:
    """Keep one; the same one twice is kept once. StoreBusy: not now."""
    index = f"shipper-retention.{cluster}"
    try:
        await server.ask("PUT", f"/{index}", _INDEX)
    except StoreRejected as error:
        if "resource_already_exists_exception" not in str(error):
            raise
    action = {"index": {"_index": index, "_id": f"{deletion.at}-{deletion.removal.day}"}}
    told = await server.send(b"%b\n%b\n" % (orjson.dumps(action), orjson.dumps(_document(deletion))))
    if told["errors"]:
        said = reason(told["items"][0]["index"].get("error"))
        raise StoreFull(f"{index}: {full}") if (full := waited_for(said)) else StoreBusy(f"{index}: {said}")
    await server.ask("POST", f"/{index}/_refresh")


async def read(server: Server, cluster: str, limit: int) -> list[Deletion]:
    """Return the newest; none when nothing was ever deleted."""
    body = {"size": min(limit, _MOST), "sort": [{"at": "desc"}]}
    target = f"/shipper-retention.{cluster}/_search?ignore_unavailable=true&allow_no_indices=true"
    answer = await server.ask("POST", target, body)
    return [_deletion(hit["_source"]) for hit in answer["hits"]["hits"]] if answer else []


class Deletions:
    """What was deleted, as answers tell it; asked at most once a minute, and only for questions about old days."""

    def __init__(self, server: Server, cluster: str) -> None:
        self._server, self._cluster = server, cluster
        self._known: list[Deletion] = []
        self._asked_at = float("-inf")

    async def note(self, query: Query, now: int) -> str | None:
        """Say what of a question's time was deleted; None when nothing was, or that is not known now."""
        if query.start is None or query.start > now - YOUNG_NS:
            return None
        if time.monotonic() - self._asked_at > _ASK_SECONDS:
            self._asked_at = time.monotonic()
            with suppress(StoreBusy, StoreRejected):  # an answer is worth more than this note
                self._known = await read(self._server, self._cluster, _MOST)
        return deleted_note(self._known, query.start, query.end)


def _document(deletion: Deletion) -> dict[str, Any]:
    removal = deletion.removal
    return {
        "at": deletion.at,
        "by": deletion.by,
        "day": removal.day,
        "apps": removal.apps,
        "others": removal.others,
        "datasets": removal.datasets,
        "whole": removal.whole,
        "records": deletion.records,
        "bytes": deletion.bytes,
        "reason": deletion.reason,
    }


def _deletion(source: dict[str, Any]) -> Deletion:
    removal = Removal(source["day"], tuple(source["apps"]), source["others"], tuple(source["datasets"]))
    return Deletion(source["at"], source["by"], removal, source["records"], source["bytes"], source["reason"])
