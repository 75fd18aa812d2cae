"""Alert rules of the kinds that the free licence has: index threshold and Elasticsearch query.

What they do when they fire is the operator's choice: with the free licence, write to an index or to Kibana's own log.
Records come late: what asks for silence looks at a span that ends before now, what counts looks that much further back.
"""

import json
from typing import Any, Final

from shipper.generate._kibana_objects import object_id
from shipper.generate._kibana_searches import ERRORS
from shipper.generate._kibana_settings import Settings

#: How the set-up, and people, find ours.
TAG: Final = "managed-by:shipper"
#: Most apps that one rule looks at, the noisiest first.
_MOST_APPS: Final = 100
#: The job that writes the ledger comes once an hour: its account counts until after the next one.
_LEDGER_HOURS: Final = 2


def rules(settings: Settings) -> list[dict[str, Any]]:
    """Return the rules as `{"id": …, "rule": body}`, for `POST /api/alerting/rule/{id}`; without actions."""
    found = [_errors(settings), _nothing(settings), _holes(settings), _letters(settings)]
    return found + [_silence(settings, app) for app in settings.silent_apps]


def _errors(settings: Settings) -> dict[str, Any]:
    parameters = {
        "index": [_records(settings)],
        "timeField": "@timestamp",
        "aggType": "count",
        "groupBy": "top",
        "termField": "service.name",
        "termSize": _MOST_APPS,
        "thresholdComparator": ">=",
        "threshold": [settings.errors],
        "timeWindowSize": settings.window_minutes + settings.delay_minutes,
        "timeWindowUnit": "m",
        "filterKuery": ERRORS,
    }
    return _rule("errors", "Shipper: an app writes many errors", ".index-threshold", "1m", parameters)


def _nothing(settings: Settings) -> dict[str, Any]:
    parameters = _silent(settings, {"match_all": {}})
    return _rule("nothing", "Shipper: no record of any app", ".es-query", "1m", parameters)


def _silence(settings: Settings, app: str) -> dict[str, Any]:
    parameters = _silent(settings, {"term": {"service.name": app}})
    return _rule(f"silence/{app}", f"Shipper: {app} is silent", ".es-query", "1m", parameters)


def _silent(settings: Settings, asked: dict[str, Any]) -> dict[str, Any]:
    """Fewer than one record in the span that ended `delay_minutes` ago."""
    before = {"range": {"@timestamp": {"lt": f"now-{settings.delay_minutes}m"}}}
    minutes = settings.window_minutes + settings.delay_minutes
    return _query(_records(settings), "@timestamp", [asked, before], ("<", 1), (minutes, "m"))


def _holes(settings: Settings) -> dict[str, Any]:
    """What the job `shipper-ledger` writes: one line per series and host, which says whether it is one for an alarm."""
    asked = [{"term": {"orchestrator.resource.name": "shipper-ledger"}}, {"term": {"labels.alarm": "true"}}]
    parameters = _query(_records(settings), "@timestamp", asked, (">", 0), (_LEDGER_HOURS, "h"))
    return _rule("holes", "Shipper: records are missing", ".es-query", "15m", parameters)


def _letters(settings: Settings) -> dict[str, Any]:
    index = f"shipper-dead-letters.{settings.cluster or '*'}-*"
    span = (settings.window_minutes + settings.delay_minutes, "m")
    parameters = _query(index, "received_at", [{"match_all": {}}], (">", 0), span)
    return _rule("letters", "Shipper: records became dead letters", ".es-query", "1m", parameters)


def _query(
    index: str, time_field: str, asked: list[dict[str, Any]], limit: tuple[str, int], span: tuple[int, str]
) -> dict[str, Any]:
    return {
        "searchType": "esQuery",
        "index": [index],
        "timeField": time_field,
        "esQuery": json.dumps({"query": {"bool": {"filter": asked}}}),
        "size": 10,
        "aggType": "count",
        "groupBy": "all",
        "thresholdComparator": limit[0],
        "threshold": [limit[1]],
        "timeWindowSize": span[0],
        "timeWindowUnit": span[1],
        # Else a run counts only what came after the one before: steady traffic would look like silence.
        "excludeHitsFromPreviousRun": False,
    }


def _rule(name: str, title: str, kind: str, interval: str, parameters: dict[str, Any]) -> dict[str, Any]:
    body = {
        "name": title,
        "rule_type_id": kind,
        "consumer": "stackAlerts",
        "schedule": {"interval": interval},
        "tags": [TAG],
        "params": parameters,
        "actions": [],
    }
    return {"id": object_id("rule", name), "rule": body}


def _records(settings: Settings) -> str:
    return f"logs-mesos.{settings.cluster or '*'}-*"
