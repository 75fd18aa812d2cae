"""Kibana: data views, saved searches, dashboards and alert rules, as `kibana/` and as what `shipper setup` sends."""

import json
from collections.abc import Iterable
from typing import Any

from shipper.generate._kibana_dashboards import dashboards
from shipper.generate._kibana_objects import SavedObject, text
from shipper.generate._kibana_readme import readme
from shipper.generate._kibana_rules import TAG, rules
from shipper.generate._kibana_searches import searches
from shipper.generate._kibana_settings import Settings, read
from shipper.generate._kibana_views import DATA_VIEW_ID, data_view_objects, data_views

__all__ = ["DATA_VIEW_ID", "TAG", "Settings", "data_view_objects", "data_views", "generate", "ndjson", "objects"]
__all__ += ["read", "rules"]


def objects(settings: Settings) -> list[SavedObject]:
    """Return the searches and dashboards, which refer to the data views: these must be there before."""
    return [*searches(), *dashboards()]


def ndjson(found: Iterable[dict[str, Any]]) -> bytes:
    """Return objects as Kibana imports them, one a line; the same objects, the same bytes."""
    return b"".join(text(one).encode() + b"\n" for one in found)


def generate(settings: Settings) -> dict[str, str]:
    """Return the files by path; the same settings give the same bytes."""
    checked = read(settings.model_dump())  # nothing unchecked reaches a file, however the settings were made
    views, shown, alerts = data_view_objects(checked), objects(checked), rules(checked)
    return {
        "kibana/README.md": readme(checked, views, shown, alerts),
        "kibana/rules.json": json.dumps(alerts, indent=2) + "\n",
        "kibana/shipper.ndjson": ndjson([*views, *shown]).decode(),
    }
