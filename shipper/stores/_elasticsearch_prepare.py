"""The templates of a cluster, put before its first record: a newer version that is there already is never replaced.

Several shippers of different versions run side by side during an upgrade; the newest template wins and stays.
"""

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from shipper.errors import StoreBusy, StoreRejected, StoreUnusable
from shipper.stores._elasticsearch_server import Server
from shipper.stores._elasticsearch_templates import VERSION, TemplateSettings, shards_for, templates, version_of

if TYPE_CHECKING:
    from shipper.stores.elasticsearch import Config

#: The first version that takes `index.seq_no.index_options`.
_WITHOUT_SEQ_NO_INDEX: Final = (9, 2)

_log = logging.getLogger(__name__)


async def template_settings(server: Server, config: "Config", cluster: str) -> TemplateSettings:
    """Return what the configuration says of new indices; where it leaves the shards open, by the days that are there.

    Who may not see how large they are gets one shard. StoreBusy when Elasticsearch does not answer.
    """
    shards = config.shards or shards_for(await _largest_day(server, cluster))
    seq_no_index = await _version(server) < _WITHOUT_SEQ_NO_INDEX
    return TemplateSettings(config.replicas, config.index_mode, shards, seq_no_index)


async def put_templates(server: Server, config: "Config", cluster: str) -> None:
    """Write the templates that are absent or older than ours; StoreUnusable when a person must act, StoreBusy."""
    settings = await template_settings(server, config, cluster)
    for name, template in templates(cluster, settings).items():
        try:
            if await _is_wanted(server, name):
                await server.ask("PUT", f"/_index_template/{name}", template)
        except StoreRejected as error:
            raise StoreUnusable(f"template {name}: {error}") from None
        except StoreBusy as error:
            if not _forbidden(error):
                raise
            _log.warning("may not write index templates; they must be there already", extra={"reason": str(error)})
            return


async def _is_wanted(server: Server, name: str) -> bool:
    """Say whether a template is to be written; StoreUnusable when somebody else's has its name."""
    there = await server.ask("GET", f"/_index_template/{name}")
    found = there.get("index_templates") if there else None
    if not found:
        return True
    version = version_of(found[0]["index_template"])
    if version is None:
        raise StoreUnusable(
            f"template {name}: another program's template has this name (no `managed_by: shipper` in its _meta);"
            " delete or rename it, or choose another name for this cluster"
        )
    return version < VERSION


async def _largest_day(server: Server, cluster: str) -> int:
    """Return the bytes of the largest day, without replicas; 0 when there is none or we may not know."""
    try:
        answer: Any = await server.ask("GET", f"/logs-mesos.{cluster}-*/_stats/store?expand_wildcards=open")
    except StoreBusy as error:
        if not _forbidden(error):
            raise
        return 0
    days = (answer or {}).get("indices", {}).values()
    return max((day["primaries"]["store"]["size_in_bytes"] for day in days), default=0)


async def _version(server: Server) -> tuple[int, int]:
    """Return major and minor version of Elasticsearch; (0, 0) when it does not say or we may not know."""
    try:
        answer: Any = await server.ask("GET", "/")
    except StoreRejected:
        return 0, 0
    except StoreBusy as error:
        if not _forbidden(error):
            raise
        return 0, 0
    version = answer.get("version") if answer else None
    found = re.match(r"(\d{1,4})\.(\d{1,4})\.", str(version.get("number"))) if isinstance(version, dict) else None
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _forbidden(error: StoreBusy) -> bool:
    return "security_exception" in str(error) and "unauthorized" in str(error)
