"""Links to the same question in Kibana's Discover: by locator, which Kibana turns into its state, and as that state.

Source: Kibana's share plugin, `/app/r?l=LOCATOR&v=VERSION&p=PARAMETERS`; `l`, `v` and `p` are all required.
"""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from shipper.api import rison
from shipper.record.times import from_ns

#: The data view of our indices in the default space, as `kibana/` sets it up.
DATA_VIEW: Final = "logs-mesos"
LOCATOR: Final = "DISCOVER_APP_LOCATOR"
#: nginx takes a request line of 8 kB unless told otherwise, and chats cut links that are longer.
MOST_URL: Final = 8000
#: The version that the parameters below are of; newer ones read them too.
_VERSION: Final = "8.9.0"
_COLUMNS: Final = ("log.level", "service.name", "message")
#: Discover has no question without a beginning.
_EVER: Final = "now-10y"
_MS: Final = 1_000_000
_SPACE: Final = re.compile(r"/s/([a-z0-9_-]+)\Z")
#: UTF-8 has none, so no address can.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Discover:
    """A question as Discover asks it: KQL, and a time range in nanoseconds since 1970 (None: no bound)."""

    kql: str
    start: int | None = None
    end: int | None = None
    oldest_first: bool = False
    columns: tuple[str, ...] = _COLUMNS
    #: Keyword field by which the chart is divided.
    breakdown: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What the locator takes, and so what a short link stands for."""
        times = self._times
        return {"dataViewId": DATA_VIEW, "timeRange": times, **self._state}

    def parameters_in(self, base: str) -> dict[str, Any]:
        """Return `parameters` for the space that Kibana's address ends with."""
        return {**self.parameters, "dataViewId": data_view_of(base)}

    def url(self, base: str) -> str:
        """Return the link by locator, which lasts longest; `base` is Kibana's address, with its space."""
        parameters = quote(orjson.dumps(self.parameters_in(base)), safe="")
        return f"{base}/app/r?l={LOCATOR}&v={_VERSION}&p={parameters}"

    def edit_url(self, base: str) -> str:
        """Return the link that a person can read and change; the old name `index` serves Kibana 8 and 9."""
        paused = {"pause": True, "value": 60_000}
        shared = rison.quoted({"filters": [], "refreshInterval": paused, "time": self._times})
        own = rison.quoted({**self._state, "index": data_view_of(base)})
        return f"{base}/app/discover#/?_g={shared}&_a={own}"

    @property
    def _state(self) -> dict[str, Any]:
        divided = {"breakdownField": self.breakdown} if self.breakdown else {}
        return {
            "query": {"language": "kuery", "query": _SURROGATE.sub("\ufffd", self.kql)},
            "columns": list(self.columns),
            "sort": [["@timestamp", "asc" if self.oldest_first else "desc"]],
            "filters": [],
            "interval": "auto",
            **divided,
        }

    @property
    def _times(self) -> dict[str, str]:
        """Kibana knows milliseconds, both ends included: never later than the start, never earlier than the end."""
        return {
            "from": _EVER if self.start is None else _milliseconds(self.start // _MS),
            "to": "now" if self.end is None else _milliseconds(-(-self.end // _MS)),
        }


def data_view_of(base: str) -> str:
    """Return the id of our data view in the space that Kibana's address ends with: each space has a view of its own."""
    space = _SPACE.search(base)
    return DATA_VIEW if space is None or space[1] == "default" else f"{DATA_VIEW}-{space[1]}"


def base_url(url: str, space: str | None = None) -> str:
    """Return what all links to a space of Kibana begin with."""
    return f"{url.rstrip('/')}/s/{space}" if space else url.rstrip("/")


def links_to(base: str | None, asked: Discover) -> dict[str, str]:
    """Return `kibana` and `kibana_edit` for a question, and `note` when it is too long for them; {} without a base."""
    if base is None:
        return {}
    both = {"kibana": asked.url(base), "kibana_edit": asked.edit_url(base)}
    found = {name: url for name, url in both.items() if len(url) <= MOST_URL}
    if len(found) < len(both):
        found["note"] = f"the question is too long for a link of {MOST_URL:,} characters: ask with short=1, or for less"
    return found


def _milliseconds(at: int) -> str:
    return f"{from_ns(at * _MS)[:23]}Z"
