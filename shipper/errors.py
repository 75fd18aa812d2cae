"""Everything that can go wrong and is not a bug, sorted by what the reader must do.

ShipperError
  ConfigError        the operator changes a file or a setting     exit 2, names the setting
  WireError          the peer broke its protocol                  that connection is closed, no other
  StoreError
    StoreBusy        may work later                               keep the batch, back off, try again
    StoreRejected    the same request would always fail           split it; a single record becomes a dead letter
    StoreUnusable    the store cannot be opened at all            exit 2, says what to do
  QueryError         the person changes the question              HTTP 400 with the place in the query
"""


class ShipperError(Exception):
    """Base of all errors whose text is meant for a person."""


class ConfigError(ShipperError):
    """The configuration or the machine it describes is wrong; the text says where and what to do."""


class WireError(ShipperError):
    """The peer broke its protocol; only its own connection suffers."""


class StoreError(ShipperError):
    """The store did not do what it was asked."""


class StoreBusy(StoreError):
    """The store cannot take or answer this now; the same call may work later."""


class StoreRejected(StoreError):
    """The store will never take this request as it is."""


class StoreUnusable(StoreError):
    """The store cannot be opened; a person must act."""


class QueryError(ShipperError):
    """The question is not one we can answer; `position` is where in the text it went wrong, if known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position
