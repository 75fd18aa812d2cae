"""Rison: values as Kibana writes its state into an address, read back by npm's rison-node to the same values.

Python's published encoders leave a string unquoted that has a newline before a special character, so this is our own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

#: Read as a string without quotes; rison allows more, but this is all that our names need.
_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_SPECIAL: Final = re.compile(r"[!']")
#: What rison itself is made of may stand in the fragment of an address as it is; a `+` may not.
_PLAIN: Final = "!'()*-._~@:$,"


def encode(value: Any) -> str:
    """Return a value of JSON's kinds as rison."""
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else "'" + _SPECIAL.sub(r"!\g<0>", value) + "'"
    if value is None or isinstance(value, bool):
        return {None: "!n", True: "!t", False: "!f"}[value]
    if isinstance(value, int | float):
        return str(value).replace("e+", "e")
    if isinstance(value, Mapping):
        return f"({','.join(f'{encode(name)}:{encode(inner)}' for name, inner in value.items())})"
    if isinstance(value, Sequence):
        return f"!({','.join(map(encode, value))})"
    raise TypeError(f"rison knows no {type(value).__name__}")


def quoted(value: Any) -> str:
    """Return a value as it stands in the fragment of an address; a lone surrogate, which none can hold, becomes `?`."""
    return quote(encode(value), safe=_PLAIN, errors="replace")
