"""Blocks of Elasticsearch: a day that is closed for good is one thing, a disk that is full another.

A block stands in an error's text as "[STATUS/number/description]". Those below are of the cluster as a whole or come
and go with the disk, so what they refuse is taken later: it waits, however long that is.
https://www.elastic.co/docs/troubleshoot/elasticsearch/fix-watermark-errors
"""

import re
from typing import Final

_BLOCK: Final = re.compile(r"\[[A-Z_]+/(\d+)/")
_ROOM: Final = "delete old days with `shipper retention`, or give it more disk"
#: Of one index, above the flood-stage watermark; lifted by Elasticsearch as soon as there is room.
_FLOOD: Final = f"the disk of Elasticsearch is full: {_ROOM}"
_LIFT: Final = "somebody set it in the settings of the cluster, and has to take it back"
#: Number of a block to what it means; `IndexMetadata` and `Metadata` of Elasticsearch name them.
_WAITED_FOR: Final = {
    "12": _FLOOD,
    "6": f"Elasticsearch is read-only as a whole (cluster.blocks.read_only): {_LIFT}",
    "13": f"Elasticsearch is read-only as a whole (cluster.blocks.read_only_allow_delete): {_LIFT}",
}


def waited_for(reason: str) -> str | None:
    """Return in words, with what to do, why Elasticsearch as a whole does not take this now; None: it is not that."""
    if "cluster_block_exception" not in reason:
        return None
    return next((_WAITED_FOR[number] for number in _BLOCK.findall(reason) if number in _WAITED_FOR), None)
