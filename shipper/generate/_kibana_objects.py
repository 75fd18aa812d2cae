"""What all saved objects share: ids that never change, versions that Kibana 8.9 and newer import, references.

Kibana brings an object of an older version up to its own and refuses one of a newer; one without a version it takes
for one of Kibana 6. So each type says the lowest version whose shape it has.
"""

import json
import uuid
from typing import Any, Final

SavedObject = dict[str, Any]

#: Of our objects alone: an import replaces what came from us before, and nothing else.
_NAMESPACE: Final = uuid.UUID("6f0c5e0a-54f3-5d0a-9d3c-8f7a2b1c4e60")
CORE_VERSION: Final = "8.8.0"
#: Lowest version of each type whose shape ours is.
TYPE_VERSIONS: Final = {"index-pattern": "8.0.0", "search": "8.0.0", "dashboard": "8.9.0"}

SEARCH_INDEX: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"


def object_id(kind: str, name: str) -> str:
    """Return the id of one of our objects; the same name, the same id."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def saved(kind: str, id: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> SavedObject:
    """Return an object as Kibana imports it. Searches and dashboards are ours to change; people clone them."""
    return {
        "attributes": attributes,
        "coreMigrationVersion": CORE_VERSION,
        "id": id,
        "managed": kind != "index-pattern",
        "references": references,
        "type": kind,
        "typeMigrationVersion": TYPE_VERSIONS[kind],
    }


def text(value: Any) -> str:
    """Return JSON as a string, which many attributes are; the same value, the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def query(kql: str) -> dict[str, str]:
    """Return a question in Kibana's language."""
    return {"language": "kuery", "query": kql}
