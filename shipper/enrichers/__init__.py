"""What the record did not say. One file per enricher, each with `Config`, `EXAMPLE` and a class.

`Config` are its settings, with `build()`; `EXAMPLE` those settings as a dict. `enrich(record)` works from memory only:
it never waits and never fails a record.
"""

from typing import Protocol

from shipper.record import Record


class Enricher(Protocol):
    """Adds fields to a record."""

    def enrich(self, record: Record) -> None:
        """Add what is known; leave what the record itself said."""
