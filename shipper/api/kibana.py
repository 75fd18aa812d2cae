"""The link to the same question in Kibana's Discover, in the locator form, which Kibana itself turns into its state.

Source: Kibana's share plugin, `/app/r?l=LOCATOR&v=VERSION&p=PARAMETERS`; `l`, `v` and `p` are all required.
"""

from urllib.parse import quote

import orjson

from shipper.record.times import from_ns

#: The data view of our indices, as `kibana/` sets it up.
DATA_VIEW = "logs-mesos"
#: The version that the parameters below are of; newer ones read them too.
_VERSION = "8.9.0"
_COLUMNS = ("log.level", "service.name", "message")


def discover_url(base: str | None, kql: str, start: int | None, end: int | None, oldest_first: bool = False) -> str:
    """Return the link to a question (KQL, and a time range in nanoseconds since 1970); "" when there is no Kibana."""
    if not base:
        return ""
    parameters = {
        "dataViewId": DATA_VIEW,
        "timeRange": {
            "from": "now-7d" if start is None else from_ns(start),
            "to": "now" if end is None else from_ns(end),
        },
        "query": {"language": "kuery", "query": kql},
        "columns": _COLUMNS,
        "sort": [["@timestamp", "asc" if oldest_first else "desc"]],
        "filters": [],
    }
    return f"{base.rstrip('/')}/app/r?l=DISCOVER_APP_LOCATOR&v={_VERSION}&p={quote(orjson.dumps(parameters), safe='')}"
