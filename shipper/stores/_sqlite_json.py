"""Where a field is in a stored document, in the words of SQLite's JSON functions."""

from typing import Final

from shipper.search.names import split_key

#: Signs that a quoted part of a path cannot hold.
_UNQUOTABLE: Final = frozenset('"\\') | frozenset(map(chr, range(32)))


def path(field: str) -> str:
    """Return the path of a field of the field table: documents are flat, names hold their dots."""
    return f'$."{field}"'


def key_path(field: str) -> str | None:
    """Return the path of a key below a flattened field; None when there may be several, or it cannot be written."""
    found = split_key(field)
    if found is None or "." in found[1] or not _UNQUOTABLE.isdisjoint(found[1]):
        return None
    return f'$."{found[0]}"."{found[1]}"'
