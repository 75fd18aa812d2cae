"""Elasticsearch (8.19 and 9.x): daily indices by the day of host time, written by `create` with our own ids.

    logs-mesos.<cluster>-2026.11.22              records
    shipper-dead-letters.<cluster>-2026.11.22    dead letters
    shipper-ledger.<cluster>                     ledger entries
    shipper-reports.<cluster>                    the newest reports of the hosts

An index per day of the host's stamp, not a data stream: a record sent again must meet its twin, and behind a rollover
the same id was created a second time. Elasticsearch shows what is stored within `refresh_interval`, one second.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shipper.config import Settings
from shipper.errors import QueryError, StoreBusy, StoreRejected, StoreUnusable
from shipper.record import COMPARED, DeadLetter, Fate, Outcome, Record, Repair
from shipper.record.times import from_ns
from shipper.search.ledger import Entry, Range, Report, merge
from shipper.search.query import Around, Buckets, Counts, Neighbours, Page, Query, Top
from shipper.search.retention import first_day
from shipper.stores import _elasticsearch_counting as counting
from shipper.stores import _elasticsearch_questions as questions
from shipper.stores._agreement import EXPIRED, Datasets, check_datasets, outcome_of_twin
from shipper.stores._elasticsearch_bulk import (
    Batch,
    entry_lines,
    item_outcome,
    letter_lines,
    repair_lines,
    report_lines,
    report_of,
)
from shipper.stores._elasticsearch_history import Deletions
from shipper.stores._elasticsearch_neighbours import around_body, neighbours
from shipper.stores._elasticsearch_prepare import put_templates
from shipper.stores._elasticsearch_retention import ElasticsearchKeeper
from shipper.stores._elasticsearch_server import Server
from shipper.stores._elasticsearch_templates import MOST_SHARDS, IndexMode

EXAMPLE: Final[dict[str, Any]] = {"type": "elasticsearch", "urls": ["http://127.0.0.1:9200"]}

#: Most hits of one search: `index.max_result_window`.
_MOST_HITS: Final = 10_000
#: A search ends this much before its request would.
_MARGIN_SECONDS: Final = 1.0
#: Only indices that are open, never an error because one is missing.
_SEARCH: Final = "_search?ignore_unavailable=true&allow_no_indices=true&expand_wildcards=open"
#: The same, but an error when one is closed: what it holds would be missing in the answer.
_SEARCH_ALL: Final = "_search?allow_no_indices=true&expand_wildcards=open,closed"

_log = logging.getLogger(__name__)


class Config(Settings):
    """Settings of the Elasticsearch store."""

    type: Literal["elasticsearch"] = "elasticsearch"
    urls: list[str] = Field(
        ["http://127.0.0.1:9200"], min_length=1, description="nodes: http:// or https://, with port"
    )
    api_key: SecretStr | None = Field(default=None, description="API key, encoded, as Elasticsearch shows it once")
    api_key_file: str | None = Field(
        default=None, description="file with that key, of `shipper setup keys`: read again when it changes"
    )
    username: str | None = Field(default=None, description="user name, when there is no API key")
    password: SecretStr | None = Field(default=None, description="password of that user")
    repair_api_key: SecretStr | None = Field(
        default=None,
        description="second API key, which may update records whose task became known late; default: the same login",
    )
    repair_api_key_file: str | None = Field(default=None, description="file with that second key, read again alike")
    ca_certs: str | None = Field(
        default=None, description="file of certificates to trust, when the system does not know them"
    )
    request_seconds: float = Field(default=30, gt=0, description="how long a request may take")
    retention_days: int = Field(
        default=0, ge=0, description="days that `shipper retention` keeps; records of older ones expire; 0: for ever"
    )
    retention_datasets: Datasets = Field(
        default={}, description="days by event.dataset, where they are fewer than retention_days: {nginx.access: 7}"
    )
    retention_records_per_second: int = Field(
        default=2000, ge=0, description="single records that `shipper retention` deletes in a second; 0: no limit"
    )
    replicas: int = Field(default=1, ge=0, description="copies of new indices beside the first; 0 on a single node")
    index_mode: IndexMode = Field(
        default="standard", description="`index.mode` of new days of records: standard or logsdb"
    )
    shards: int = Field(
        default=1, ge=0, le=MOST_SHARDS, description="shards of a new day; 0: one per 40 GB of the largest day there is"
    )

    @field_validator("urls")
    @classmethod
    def _urls(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
                raise ValueError("needs http:// or https://, a host and a port, as http://127.0.0.1:9200")
            if parts.username is not None:
                raise ValueError("no credentials in an address: use username and password, or api_key")
        return urls

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if sum(one is not None for one in (self.api_key, self.api_key_file, self.username)) > 1:
            raise ValueError("api_key, api_key_file and username exclude each other: set one of them")
        if self.repair_api_key is not None and self.repair_api_key_file is not None:
            raise ValueError("repair_api_key and repair_api_key_file exclude each other: set one of them")
        check_datasets(self.retention_days, self.retention_datasets)
        return self

    def build(self, cluster: str) -> "ElasticsearchStore":
        """Return the store that writes."""
        return ElasticsearchStore(self, cluster)

    def reader(self, cluster: str) -> "ElasticsearchReader":
        """Return one that only reads."""
        return ElasticsearchReader(self, cluster)

    def keeper(self, cluster: str) -> ElasticsearchKeeper:
        """Return one that deletes what is too old."""
        return ElasticsearchKeeper(self, cluster)


class ElasticsearchReader:
    """Answers questions from the indices of one cluster, and from no others."""

    def __init__(self, config: Config, cluster: str) -> None:
        self._config = config
        self._cluster = cluster
        self._records = f"/logs-mesos.{cluster}-*"

    async def __aenter__(self) -> Self:
        """Make the client; nothing is asked yet."""
        try:
            self._server = Server(self._config)
        except (ValueError, OSError) as error:
            raise StoreUnusable(f"Elasticsearch: {error}") from None
        self._deletions = Deletions(self._server, self._cluster)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._server.close()

    async def search(self, query: Query) -> Page:
        """Return the records that match, in order; what could not be searched is said in `incomplete`."""
        answer, said = await self._find(questions.search_body(query, self._seconds))
        deleted = await self._deletions.note(query, time.time_ns())
        return questions.page(answer, query, *said, *filter(None, [deleted]))

    async def counts(self, query: Query, buckets: Buckets, by: str | None) -> Counts:
        """Count what matches over time; more than 2,000 buckets, or 200 values in one, are cut, and that is said."""
        body = counting.counts_body(query, buckets, by, self._seconds)
        answer, said = (None, ()) if body is None else await self._find(body)
        return counting.counts(answer, buckets, by, *said)

    async def top(self, query: Query, field: str, limit: int) -> Top:
        """Return the most frequent values of a field, at most 1,000."""
        answer, said = await self._find(counting.top_body(query, field, limit, self._seconds))
        return counting.top(answer, *said)

    async def around(self, around: Around) -> Neighbours:
        """Return the neighbours of a record, at most 1,000 on each side."""
        bodies = [around_body(around, self._seconds, after=after) for after in (False, True)]
        (before, said), (after, also_said) = await asyncio.gather(*map(self._find, bodies))
        return neighbours(before, after, *said, *also_said)

    @property
    def _seconds(self) -> float:
        """How long a search may take: it ends before its request would."""
        return max(self._config.request_seconds - _MARGIN_SECONDS, self._config.request_seconds / 2)

    async def _find(self, body: dict[str, Any]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        """Search all records; return the answer, None when there is no index, and what is known to be missing in it."""
        said: tuple[str, ...] = ()
        try:
            answer = await self._server.ask("POST", f"{self._records}/{_SEARCH_ALL}", body)
        except StoreRejected as error:
            if "Determinizing automaton" in str(error):
                raise QueryError("a pattern has too many * and ?; use fewer, or words") from None
            if "index_closed_exception" not in str(error):
                raise
            answer = await self._server.ask("POST", f"{self._records}/{_SEARCH}", body)
            said = ("days that are closed were not searched",)
        return (answer if answer and answer["_shards"]["total"] else None), said

    async def dead_letters(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest dead letters."""
        body = {
            "size": min(limit, _MOST_HITS),
            "track_total_hits": False,
            "sort": [
                {"received_at": {"order": "desc", "unmapped_type": "date_nanos"}},
                {"id": {"order": "asc", "unmapped_type": "keyword"}},
            ],
        }
        answer = await self._server.ask("POST", f"/shipper-dead-letters.{self._cluster}-*/{_SEARCH}", body)
        return [hit["_source"] for hit in answer["hits"]["hits"]] if answer else []

    async def ledger(self, *hosts: str) -> list[Entry]:
        """Return the entries of some hosts or of all, page by page."""
        sources = await self._all(f"shipper-ledger.{self._cluster}", hosts, ("host", "series", "id"))
        found = [Entry(**{name: source[name] for name in Entry.__slots__}) for source in sources]
        return sorted(found, key=lambda entry: (entry.host, entry.series, entry.first))

    async def reports(self, *hosts: str) -> list[Report]:
        """Return the reports of some hosts or of all, page by page."""
        sources = await self._all(f"shipper-reports.{self._cluster}", hosts, ("host", "id"))
        return sorted(map(report_of, sources), key=lambda report: (report.host, report.id))

    async def _all(self, index: str, hosts: Sequence[str], order: Sequence[str]) -> list[dict[str, Any]]:
        """Return every document of an index of ours, of some hosts or of all."""
        found: list[dict[str, Any]] = []
        after: list[Any] | None = None
        while True:
            body = questions.all_body(hosts, order, after, _MOST_HITS)
            answer = _whole(await self._server.ask("POST", f"/{index}/{_SEARCH}", body))
            hits = answer["hits"]["hits"] if answer else []
            found += [hit["_source"] for hit in hits]
            if len(hits) < _MOST_HITS:
                return found
            after = hits[-1]["sort"]

    async def present(self, series: str, numbers: Range, limit: int = 10_000) -> list[Range]:
        """Return which numbers of a range are stored in days that are open, as of a second ago."""
        first, last = numbers
        found: list[Range] = []
        while limit > 0 and first <= last:
            body = questions.series_body(series, first, last, min(limit, _MOST_HITS))
            answer = _whole(await self._server.ask("POST", f"{self._records}/{_SEARCH}", body))
            hits = answer["hits"]["hits"] if answer else []
            found += [(hit["sort"][0], hit["sort"][0]) for hit in hits]
            if len(hits) < _MOST_HITS:
                break
            first, limit = hits[-1]["sort"][0] + 1, limit - len(hits)
        return merge(found)

    async def healthy(self) -> str | None:
        """Return why it cannot be used, if so: not reachable, or shards of ours without any copy."""
        try:
            answer = await self._server.ask("GET", f"/_cluster/health{self._records}?timeout=1s")
        except (StoreBusy, StoreRejected) as error:
            # Who may write and search need not be allowed to ask this.
            return None if "security_exception" in str(error) else str(error)
        if answer is not None and answer.get("status") == "red":
            return f"Elasticsearch: status red, {answer['unassigned_shards']} shards are not available"
        return None


def _whole(answer: Any | None) -> Any | None:
    """Refuse an answer that lacks something, where an incomplete one would be taken for the truth."""
    if answer is not None and (notes := questions.notes(answer)):
        raise StoreBusy(f"Elasticsearch: {notes[0]}")
    return answer


class ElasticsearchStore(ElasticsearchReader):
    """Writes by bulk requests; every item has an outcome of its own."""

    def __init__(self, config: Config, cluster: str) -> None:
        super().__init__(config, cluster)
        self._prepared = False

    async def __aenter__(self) -> Self:
        """Put the templates; when Elasticsearch is away now, before the first record is stored."""
        await super().__aenter__()
        try:
            await self._prepare()
        except StoreBusy as error:
            _log.warning("the store is not ready yet", extra={"reason": str(error)})
        except BaseException:
            await self._server.close()
            raise
        return self

    async def put(self, records: Sequence[Record]) -> list[Outcome]:
        """Store a batch by one bulk request; a record whose id is taken is compared with its twin."""
        first = first_day(time.time_ns(), self._config.retention_days)
        if any(record.day < first for record in records):
            return await self._put_around(records, first)
        await self._prepare()
        batch = Batch(self._cluster, records, from_ns(time.time_ns()))
        if batch.body:
            taken = batch.read(await self._server.send(batch.body))
            if taken:
                await self._compare(records, batch, taken)
        if records and all(outcome.fate is Fate.BUSY for outcome in batch.outcomes):
            raise StoreBusy(f"Elasticsearch: {batch.outcomes[0].reason}")
        return batch.outcomes

    async def _put_around(self, records: Sequence[Record], first: str) -> list[Outcome]:
        """Store the records of days that are kept: an index that was deleted must not come back."""
        young = [record for record in records if record.day >= first]
        stored = iter(await self.put(young) if young else ())
        return [next(stored) if record.day >= first else EXPIRED for record in records]

    async def put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the same one twice is kept once."""
        await self._write_all(letter_lines(self._cluster, letters), known=409)

    async def put_ledger(self, entries: Sequence[Entry]) -> None:
        """Write ledger entries, replacing those with the same id."""
        await self._write_all(entry_lines(self._cluster, entries))

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Write reports, each over an older one with the same id."""
        await self._write_all(report_lines(self._cluster, reports), known=409)

    async def repair(self, repairs: Sequence[Repair]) -> None:
        """Give stored records more fields; what is there is asked first, as an update would make an index again."""
        docs = [{"_index": f"logs-mesos.{self._cluster}-{repair.day}", "_id": repair.id} for repair in repairs]
        answer = await self._server.ask("POST", "/_mget?_source=false", {"docs": docs}) if docs else {"docs": []}
        if answer is None:
            raise StoreBusy("Elasticsearch: stored records could not be read")
        there = [repair for repair, doc in zip(repairs, answer["docs"], strict=True) if doc.get("found")]
        if not there:
            return
        answer = await self._server.send(repair_lines(self._cluster, there), repair=True)
        for item in answer["items"] if answer["errors"] else ():
            outcome = item_outcome(item["update"])
            if item["update"]["status"] not in (200, 404):  # 404: deleted just now
                raise (StoreRejected if outcome.fate is Fate.REJECTED else StoreBusy)(
                    f"Elasticsearch: {outcome.reason}"
                )

    async def _write_all(self, body: bytes, known: int = 200) -> None:
        """Write documents of our own; StoreBusy when one of them was not taken."""
        if not body:
            return
        await self._prepare()
        answer = await self._server.send(body)
        for item in answer["items"] if answer["errors"] else ():
            (result,) = item.values()
            if result["status"] not in (200, 201, known):
                raise StoreBusy(f"Elasticsearch: {item_outcome(result).reason}")

    async def _compare(self, records: Sequence[Record], batch: Batch, taken: list[int]) -> None:
        """Fetch what is stored under the ids that are taken: the same record, or a different one."""
        docs = [{"_index": f"logs-mesos.{self._cluster}-{records[i].day}", "_id": records[i].id} for i in taken]
        answer = await self._server.ask("POST", f"/_mget?_source_includes={','.join(COMPARED)}", {"docs": docs})
        if answer is None:
            raise StoreBusy("Elasticsearch: stored records could not be read")
        for index, twin in zip(taken, answer["docs"], strict=True):
            if twin.get("found"):
                batch.outcomes[index] = outcome_of_twin(records[index].content(), twin["_source"])
            else:  # deleted since, or its shard is away
                batch.outcomes[index] = Outcome(Fate.BUSY, "the record stored under this id could not be read")

    async def _prepare(self) -> None:
        """Put the templates once: an index made without them would guess types from the first record."""
        if self._prepared:
            return
        await put_templates(self._server, self._config, self._cluster)
        self._prepared = True
