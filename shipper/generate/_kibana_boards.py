"""Dashboards of what apps write: errors, volume, slow requests, deploys against errors."""

from typing import Final

from shipper.generate._kibana_grid import Board, Row, Shown
from shipper.generate._kibana_lens import (
    chart,
    count,
    each,
    earliest,
    figure,
    maximum,
    over_time,
    percentile,
    table,
    unique,
)
from shipper.generate._kibana_searches import ERRORS, SLOW

_APP: Final = each("app", "service.name", "count")

_ERRORS: Final = Board(
    "errors",
    "Logs: errors by app and version",
    "Who writes errors, since which version, and which.",
    (
        Row(
            6,
            (
                Shown(figure("Errors", count("errors"), ERRORS), 16),
                Shown(figure("Apps with errors", unique("apps", "service.name"), ERRORS), 16),
                Shown(figure("Requests with errors", unique("requests", "http.request.id"), ERRORS), 16),
            ),
        ),
        Row(
            14,
            (
                Shown(
                    chart("Errors by app", {"time": over_time(), "app": _APP, "count": count("errors")}, kql=ERRORS), 48
                ),
            ),
        ),
        Row(
            14,
            (
                Shown(
                    table(
                        "Errors by app and version",
                        {
                            "app": each("app", "service.name", "count", 20),
                            "version": each("version", "service.version", "count", 5),
                            "count": count("errors"),
                            "last": maximum("last", "@timestamp", date=True),
                        },
                        ERRORS,
                    ),
                    24,
                ),
                Shown(
                    table(
                        "Kinds of errors",
                        {"type": each("exception", "error.type", "count", 20), "count": count("errors")},
                        ERRORS,
                    ),
                    24,
                ),
            ),
        ),
        Row(20, (Shown("errors", 48),)),
    ),
)

_VOLUME: Final = Board(
    "volume",
    "Logs: volume by app and host",
    "Who writes how much; what each record stands for when its app was sampled is in `shipper usage`.",
    (
        Row(14, (Shown(chart("Records by app", {"time": over_time(), "app": _APP, "count": count("records")}), 48),)),
        Row(
            14,
            (
                Shown(
                    chart(
                        "Records by host",
                        {"time": over_time(), "host": each("host", "host.name", "count"), "count": count("records")},
                    ),
                    24,
                ),
                Shown(
                    chart(
                        "Records by level",
                        {"time": over_time(), "level": each("level", "log.level", "count"), "count": count("records")},
                    ),
                    24,
                ),
            ),
        ),
        Row(
            16,
            (
                Shown(
                    table(
                        "Apps",
                        {
                            "app": each("app", "service.name", "count", 50),
                            "count": count("records"),
                            "errors": count("errors", ERRORS),
                            "tasks": unique("tasks", "orchestrator.resource.id"),
                            "hosts": unique("hosts", "host.name"),
                        },
                    ),
                    24,
                ),
                Shown(
                    table(
                        "Hosts",
                        {
                            "host": each("host", "host.name", "count", 50),
                            "count": count("records"),
                            "errors": count("errors", ERRORS),
                            "apps": unique("apps", "service.name"),
                        },
                    ),
                    24,
                ),
            ),
        ),
    ),
)

_SLOW: Final = Board(
    "slow",
    "Logs: slow requests",
    "Durations that records state (event.duration), by app and path.",
    (
        Row(
            14,
            (
                Shown(
                    chart(
                        "Duration",
                        {
                            "time": over_time(),
                            "half": percentile("half below", "event.duration", 50),
                            "most": percentile("95 % below", "event.duration", 95),
                            "nearly": percentile("99 % below", "event.duration", 99),
                        },
                        "line",
                        "event.duration : *",
                    ),
                    48,
                ),
            ),
        ),
        Row(
            16,
            (
                Shown(
                    table(
                        "Apps, slowest first",
                        {
                            "app": each("app", "service.name", "most", 20),
                            "most": percentile("95 % below", "event.duration", 95),
                            "longest": maximum("longest", "event.duration"),
                            "slow": count("of 1 s or more", SLOW),
                            "count": count("requests"),
                        },
                        "event.duration : *",
                    ),
                    24,
                ),
                Shown(
                    table(
                        "Paths, slowest first",
                        {
                            "path": each("path", "url.path", "most", 20),
                            "most": percentile("95 % below", "event.duration", 95),
                            "longest": maximum("longest", "event.duration"),
                            "count": count("requests"),
                        },
                        "event.duration : *",
                    ),
                    24,
                ),
            ),
        ),
        Row(20, (Shown("slow", 48),)),
    ),
)

_VERSION: Final = each("version", "marathon.app.version", "count", 20)

_DEPLOYS: Final = Board(
    "deploys",
    "Logs: deploys against errors",
    "Versions of Marathon apps as their records show them: a new colour is a deploy. Filter by app "
    "(orchestrator.resource.name) to compare one app's versions.",
    (
        Row(
            12,
            (
                Shown(
                    chart("Records by version", {"time": over_time(), "version": _VERSION, "count": count("records")}),
                    48,
                ),
            ),
        ),
        Row(
            12,
            (
                Shown(
                    chart(
                        "Errors by version",
                        {"time": over_time(), "version": _VERSION, "count": count("errors")},
                        kql=ERRORS,
                    ),
                    48,
                ),
            ),
        ),
        Row(
            18,
            (
                Shown(
                    table(
                        "Versions",
                        {
                            "app": each("app", "orchestrator.resource.name", "count", 20),
                            "version": each("version", "marathon.app.version", "first", 5),
                            "first": earliest("first seen", "@timestamp"),
                            "last": maximum("last seen", "@timestamp", date=True),
                            "count": count("records"),
                            "errors": count("errors", ERRORS),
                        },
                    ),
                    48,
                ),
            ),
        ),
    ),
    since="now-7d",
)

BOARDS: Final = (_ERRORS, _VOLUME, _SLOW, _DEPLOYS)
