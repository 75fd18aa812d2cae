"""What each kind of login may do: the least with which the store works, as role descriptors of Elasticsearch.

The table is tested against real servers with roles of exactly these privileges. Names of actions stand where the
named privilege would allow much more (elastic.co/docs/reference/elasticsearch/security-privileges).
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

Purpose = Literal["writing", "repairing", "reading", "removing", "setting-up"]
PURPOSES: Final[tuple[Purpose, ...]] = ("writing", "repairing", "reading", "removing", "setting-up")
#: What a key of each purpose is for, in a few words.
TOLD: Final[Mapping[Purpose, str]] = {
    "writing": "shippers: api_key_file",
    "repairing": "shippers: repair_api_key_file, fields of records whose task became known late",
    "reading": "API and page: api_key_file",
    "removing": "shipper retention: api_key_file",
    "setting-up": "shipper setup elasticsearch: --api-key-file",
}
#: Goes up with every change of the table, so that a key of an older one is told from those of today.
VERSION: Final = 1

_HEALTH: Final = "cluster:monitor/health"
#: Which templates there are, and which version it is: a shipper says so when they are not what it needs.
_SEEN: Final = ("indices:admin/index_template/get", "cluster:monitor/main")
#: How full the disks are, and from where on indices become read-only.
_DISKS: Final = ("cluster:monitor/nodes/stats", "cluster:monitor/allocation/stats", "cluster:monitor/settings")


def descriptor(purpose: Purpose, cluster: str) -> dict[str, Any]:
    """Return the role descriptor of a purpose: only indices of this cluster, and of no other."""
    on_cluster, on_indices = _table(cluster)[purpose]
    indices = [{"names": [names], "privileges": list(privileges)} for names, privileges in on_indices.items()]
    return {"cluster": list(on_cluster), "indices": indices}


def _table(cluster: str) -> dict[Purpose, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]]:
    """Return privileges on the cluster, and by pattern of indices."""
    records = f"logs-mesos.{cluster}-*"
    letters = f"shipper-dead-letters.{cluster}-*"
    # As an expression: the pattern shipper-*.c would take in a cluster called b.c, too.
    books = rf"/shipper-[a-z-]+\.{cluster.replace('.', '[.]')}/"
    ours = rf"/shipper-[a-z-]+\.{cluster.replace('.', '[.]')}(-[0-9.]+)?/"
    return {
        # read: a record whose id is taken is compared with its twin; the ledger asks which numbers are stored.
        "writing": (
            (_HEALTH, *_SEEN),
            {
                records: ("create_doc", "auto_configure", "read"),
                letters: ("create_doc", "auto_configure", "read"),
                books: ("index", "auto_configure", "read"),
            },
        ),
        # No auto_configure: a repair must not make a day again that was deleted.
        "repairing": ((_HEALTH,), {records: ("index", "read"), letters: ("read",)}),
        "reading": ((_HEALTH,), {records: ("read", "view_index_metadata", "monitor"), ours: ("read", "monitor")}),
        "removing": (
            (_HEALTH, *_DISKS),
            {
                records: ("read", "delete", "delete_index", "monitor", "maintenance"),
                ours: ("read", "index", "create_index", "delete", "delete_index", "monitor", "maintenance"),
            },
        ),
        "setting-up": (
            (
                "monitor",
                "manage_index_templates",
                "manage_slm",
                "cluster:admin/snapshot/*",
                "cluster:admin/repository/*",
            ),
            {
                records: ("view_index_metadata", "monitor", "indices:admin/mapping/put"),
                ours: ("view_index_metadata", "monitor", "indices:admin/mapping/put"),
            },
        ),
    }
