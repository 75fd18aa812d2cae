"""Everything that can go wrong and is not a bug, sorted by what the reader must do.

ShipperError
  ConfigError        the operator changes a file or a setting     exit 2, names the setting
  WireError          the peer broke its protocol                  that connection is closed, no other
  StoreError
    StoreBusy        may work later                               keep the batch, back off, try again
      StoreFull      its disk is full                             the same; somebody makes room meanwhile
    StoreRejected    the same request would always fail           split it; a single record becomes a dead letter
    StoreUnusable    the store cannot be opened at all            exit 2, says what to do
  ClusterError       Marathon, Mesos or Chronos did not do it     the text says which one, and what to do
    ClusterBusy      nobody answers, or no leader yet             try again
    ClusterLocked    another deployment changes that app          wait for it, or override it
    ClusterRefused   it answered no                               change what was asked
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


class StoreFull(StoreBusy):
    """The store takes nothing for lack of disk, or is read-only as a whole; whole days may still be deleted."""


class StoreRejected(StoreError):
    """The store will never take this request as it is."""


class StoreUnusable(StoreError):
    """The store cannot be opened; a person must act."""


class ClusterError(ShipperError):
    """Marathon, Mesos or Chronos did not do what it was asked."""


class ClusterBusy(ClusterError):
    """None of the addresses gives a usable answer now (away, no leader, status 5xx); the same call may work later."""


class ClusterLocked(ClusterError):
    """An app is being changed by other deployments (status 409); `deployments` are their ids."""

    def __init__(self, message: str, deployments: tuple[str, ...]) -> None:
        super().__init__(message)
        self.deployments = deployments


class ClusterRefused(ClusterError):
    """It answered no, for good; `status` is the HTTP status (400, 401, 403, 404, 409 for an app that exists, 422)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class QueryError(ShipperError):
    """The question is not one we can answer; `position` is where in the text it went wrong, if known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position
