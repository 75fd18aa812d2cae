"""Dashboards of what is between apps and people: the pipeline's health, and what proxies answered."""

from typing import Final

from shipper.generate._kibana_grid import Board, Row, Shown
from shipper.generate._kibana_lens import (
    chart,
    count,
    each,
    figure,
    maximum,
    over_time,
    percentile,
    questions,
    table,
    total,
    unique,
)
from shipper.generate._kibana_searches import HOLES
from shipper.generate._kibana_views import DELAY, DELAY_FIELD, LEDGER, LETTERS, REPORTS

#: Access logs of proxies, by what they call themselves in syslog.
_PROXIES: Final = "log.syslog.appname : (haproxy or nginx) and http.response.status_code : *"
_DAMAGED: Final = "tags : (invalid_utf8 or truncated or json_invalid or report_invalid or parser_bug)"

_PIPELINE: Final = Board(
    "pipeline",
    "Shipper: health of the pipeline",
    "How late records come, what was dropped or left out, and what no store would take. `shipper ledger` is the whole "
    "account; its job writes it once an hour.",
    (
        Row(
            6,
            (
                Shown(figure("95 % of records stored within", percentile("delay", DELAY_FIELD, 95), "", DELAY), 12),
                Shown(figure("Dropped on hosts", total("since their starts", "dropped"), "", REPORTS), 12),
                Shown(figure("Dead letters", count("records"), "", LETTERS), 12),
                Shown(figure("Lines of the ledger with holes", count("lines"), HOLES), 12),
            ),
        ),
        Row(
            12,
            (
                Shown(
                    chart(
                        "Delay from the host's reading to the store",
                        {
                            "time": over_time(),
                            "half": percentile("half below", DELAY_FIELD, 50),
                            "most": percentile("95 % below", DELAY_FIELD, 95),
                            "longest": maximum("longest", DELAY_FIELD),
                        },
                        "line",
                        view=DELAY,
                    ),
                    24,
                ),
                Shown(
                    chart(
                        "Dead letters by reason",
                        {
                            "time": over_time("received_at"),
                            "reason": each("reason", "reason", "count"),
                            "count": count("records"),
                        },
                        view=LETTERS,
                    ),
                    24,
                ),
            ),
        ),
        Row(
            14,
            (
                Shown(
                    table(
                        "Hosts, as they report",
                        {
                            "host": each("host", "host", "dropped", 50),
                            "name": each("part", "name", "dropped", 5),
                            "dropped": total("dropped", "dropped"),
                            "waiting": total("waiting", "waiting"),
                            "bytes": maximum("bytes in queues", "queue_bytes"),
                            "last": maximum("last report", "@timestamp", date=True),
                        },
                        "",
                        REPORTS,
                    ),
                    24,
                ),
                Shown(
                    table(
                        "Ledger: what became of records",
                        {
                            "fate": each("fate", "fate", "count", 20),
                            "host": each("host", "host", "count"),
                            "count": total("records", "count"),
                            "last": maximum("last", "@timestamp", date=True),
                        },
                        "",
                        LEDGER,
                    ),
                    24,
                ),
            ),
        ),
        Row(
            14,
            (
                Shown("holes", 16),
                Shown(
                    table(
                        "Records that came damaged",
                        {
                            "tag": each("what happened", "tags", "count"),
                            "app": each("app", "service.name", "count"),
                            "count": count("records"),
                        },
                        _DAMAGED,
                    ),
                    16,
                ),
                Shown("dropped", 16),
            ),
        ),
    ),
)

_CLASSES: Final = questions(
    "status",
    {
        "2xx": "http.response.status_code >= 200 and http.response.status_code < 300",
        "3xx": "http.response.status_code >= 300 and http.response.status_code < 400",
        "4xx": "http.response.status_code >= 400 and http.response.status_code < 500",
        "5xx": "http.response.status_code >= 500",
    },
)
_FAILED: Final = "http.response.status_code >= 500"

_STATUS: Final = Board(
    "status",
    "Logs: HTTP status from HAProxy and nginx",
    "What proxies answered, from their access logs.",
    (
        Row(
            14,
            (
                Shown(
                    chart(
                        "Answers by class",
                        {"time": over_time(), "status": _CLASSES, "count": count("answers")},
                        kql=_PROXIES,
                    ),
                    32,
                ),
                Shown(
                    table(
                        "Proxies",
                        {
                            "proxy": each("proxy", "log.syslog.appname", "count"),
                            "host": each("host", "host.name", "count"),
                            "count": count("answers"),
                            "failed": count("5xx", _FAILED),
                        },
                        _PROXIES,
                    ),
                    16,
                ),
            ),
        ),
        Row(
            16,
            (
                Shown(
                    table(
                        "Paths that fail",
                        {
                            "path": each("path", "url.path", "count", 20),
                            "count": count("5xx"),
                            "requests": unique("requests", "http.request.id"),
                        },
                        f"{_PROXIES} and {_FAILED}",
                    ),
                    24,
                ),
                Shown(
                    chart(
                        "Duration",
                        {
                            "time": over_time(),
                            "half": percentile("half below", "event.duration", 50),
                            "most": percentile("95 % below", "event.duration", 95),
                        },
                        "line",
                        _PROXIES,
                    ),
                    24,
                ),
            ),
        ),
    ),
)

BOARDS: Final = (_PIPELINE, _STATUS)
