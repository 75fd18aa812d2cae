"""A cursor is a place in the order of answers, written so that nobody builds on what is in it.

It holds nothing that could not be asked with a time range, so it is not secret; the digest is there so that a cursor
that was cut, changed or made by hand is refused instead of answering from a wrong place.
"""

import base64
import binascii
import hashlib
import re

from shipper.errors import QueryError
from shipper.search.query import Place

#: Longer than any cursor of ours.
MAX_LENGTH = 512

_DIGEST_BYTES = 9
_PURPOSE = b"cursor 1"
_PLACE = re.compile(r"(-?\d{1,19})/(\d{1,19})/(.{0,255})", re.ASCII | re.DOTALL)


def encode(place: Place) -> str:
    """Return the cursor of a place."""
    payload = f"{place.timestamp}/{place.sequence}/{place.series}".encode()
    return base64.urlsafe_b64encode(_digest(payload) + payload).rstrip(b"=").decode()


def decode(text: str) -> Place:
    """Return the place of a cursor; QueryError when it is not one that `encode` returned."""
    if len(text) <= MAX_LENGTH:
        try:
            data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
            found = _PLACE.fullmatch(data[_DIGEST_BYTES:].decode())
        except (binascii.Error, UnicodeError):
            found = None
        if found is not None:
            place = Place(int(found[1]), found[3], int(found[2]))
            if encode(place) == text:  # the digest, and one spelling per place
                return place
    raise QueryError("cursor: not one of ours, or it was changed; start again without it")


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2s(payload, digest_size=_DIGEST_BYTES, person=_PURPOSE).digest()
