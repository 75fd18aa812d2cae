"""Saved searches: the questions that people ask every day, each with how to make it their own."""

from dataclasses import dataclass
from typing import Final

from shipper.generate._kibana_objects import SEARCH_INDEX, SavedObject, object_id, query, saved, text
from shipper.generate._kibana_views import DATA_VIEW_ID, LEDGER, LETTERS, REPORTS

#: Levels of errors, as `shipper.record.levels` names them.
ERRORS: Final = "log.level : (error or critical or alert or emergency)"
#: What the job `shipper-ledger` writes of a series or a host that misses records for no known reason.
HOLES: Final = 'orchestrator.resource.name : "shipper-ledger" and labels.alarm : "true"'
#: A slow answer, in nanoseconds.
SLOW: Final = "event.duration >= 1000000000"


@dataclass(frozen=True, slots=True)
class Search:
    """A question with its columns; `name` is what its id is made of."""

    name: str
    title: str
    description: str
    kql: str
    columns: tuple[str, ...]
    view: str = DATA_VIEW_ID
    time_field: str = "@timestamp"
    oldest_first: bool = False


SEARCHES: Final = (
    Search(
        "errors",
        "Logs: all errors",
        "Records of level error and above, of all apps. Add service.name : \"shop-api\" for one app.",
        ERRORS,
        ("log.level", "service.name", "host.name", "message"),
    ),
    Search(
        "app",
        "Logs: by app",
        "All records that name their app. Write the app in place of the star: service.name : \"shop-api\".",
        "service.name : *",
        ("service.name", "log.level", "host.name", "message"),
    ),
    Search(
        "request",
        "Logs: one request",
        "All records of one request across all apps, oldest first. Write the request id (header X-Request-ID) in place "
        'of the star: http.request.id : "4970aa75a647", and choose a time that holds it. The id in a record is a link '
        "to its story: calls, first error, what is missing.",
        "http.request.id : *",
        ("http.request.id", "service.name", "log.level", "message"),
        oldest_first=True,
    ),
    Search(
        "task",
        "Logs: one task",
        "All records of one Mesos task, oldest first. Write the task id in place of the star. The id in a record is a "
        "link to the task: where it ran, its sandbox.",
        "orchestrator.resource.id : *",
        ("orchestrator.resource.id", "log.level", "shipper.stream", "message"),
        oldest_first=True,
    ),
    Search(
        "slow",
        "Logs: slow requests",
        "Records that state a duration of one second or more (event.duration, in nanoseconds).",
        SLOW,
        ("event.duration", "service.name", "url.path", "http.response.status_code", "message"),
    ),
    Search(
        "letters",
        "Shipper: dead letters",
        "Records that the store did not take as they are, with the reason. `shipper dead-letters` shows them too.",
        "",
        ("reason", "host", "detail", "original"),
        LETTERS,
        "received_at",
    ),
    Search(
        "holes",
        "Shipper: holes in the ledger",
        "What the job shipper-ledger wrote of series and hosts that miss records for no known reason. `shipper ledger` "
        "says which numbers, when and why.",
        HOLES,
        ("message",),
    ),
    Search(
        "dropped",
        "Shipper: what was left out on purpose",
        "Runs of numbers that were not stored, with the reason after the colon (budget: its app wrote too much; "
        "expired: its day is deleted). `shipper ledger` adds what is missing.",
        "fate : discarded*",
        ("host", "series", "fate", "first", "last", "count"),
        LEDGER,
    ),
    Search(
        "reports",
        "Shipper: what hosts say of themselves",
        "The newest figures of each part of each host: records dropped and waiting, bytes in its queues.",
        "",
        ("host", "name", "dropped", "waiting", "queue_bytes"),
        REPORTS,
    ),
)  # fmt: skip


def search_id(name: str) -> str:
    """Return the id of one of our searches."""
    return object_id("search", name)


def searches() -> list[SavedObject]:
    """Return the saved searches."""
    return [_object(search) for search in SEARCHES]


def _object(search: Search) -> SavedObject:
    source = {"query": query(search.kql), "filter": [], "highlightAll": True, "indexRefName": SEARCH_INDEX}
    attributes = {
        "columns": list(search.columns),
        "description": search.description,
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": text(source)},
        "sort": [[search.time_field, "asc" if search.oldest_first else "desc"]],
        "timeRestore": False,
        "title": search.title,
        "usesAdHocDataView": False,
    }
    references = [{"id": search.view, "name": SEARCH_INDEX, "type": "index-pattern"}]
    return saved("search", search_id(search.name), attributes, references)
