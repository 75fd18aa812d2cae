"""A Unix datagram socket, as /dev/log is: one message per datagram; senders wait while the kernel's buffer is full."""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shipper.config import Settings
from shipper.errors import ConfigError
from shipper.sources._datagrams import DatagramSource

EXAMPLE = {"type": "unix", "path": "data/log"}

#: sun_path has 108 bytes, the last one is NUL.
_LONGEST_PATH = 107
#: Everybody may log.
_MODE = 0o666


class Config(Settings):
    """Settings of a source on a Unix datagram socket."""

    type: Literal["unix"] = "unix"
    path: Path = Field(Path("data/log"), description="the socket's file; at most 107 bytes; its folder must exist")
    max_frame_bytes: int = Field(
        256 * 1024, ge=480, le=2**24, description="longest record, in bytes; a longer one is cut"
    )

    def build(self) -> DatagramSource:
        """Return the source."""
        return _Unix(self)


class _Unix(DatagramSource):
    def __init__(self, settings: Config) -> None:
        super().__init__(settings.type, settings.max_frame_bytes)
        self._path = settings.path
        self._inode: tuple[int, int] | None = None

    async def _bind(self) -> socket.socket:
        length = len(os.fsencode(self._path))
        if length > _LONGEST_PATH:
            raise self._impossible(
                f"the path has {length} bytes, a socket's has at most {_LONGEST_PATH}: set a shorter one"
            )
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._remove_stale()
            bound.bind(os.fspath(self._path))
            self._path.chmod(_MODE)
            self._inode = self._inode_of_path()
        except OSError as error:
            bound.close()
            why = os.strerror(error.errno or 0).lower()
            raise self._impossible(f"{why} (its folder must exist and be writable)") from None
        except ConfigError:
            bound.close()
            raise
        bound.setblocking(False)
        return bound

    def _remove_stale(self) -> None:
        """Remove the file that a killed process left; ConfigError when it is not one, or somebody listens on it."""
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise self._impossible("the file exists and is not a socket: remove it or set another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(os.fspath(self._path))
            except ConnectionRefusedError:
                self._path.unlink()
                return
            except OSError as error:
                # EPROTOTYPE: a listener of another kind.
                why = os.strerror(error.errno or 0).lower()
                raise self._impossible(f"in use ({why}): stop the other program or set another path") from None
        raise self._impossible("another program listens on it: stop it or set another path")

    def _impossible(self, why: str) -> ConfigError:
        return ConfigError(f"sources[{self.name}]: cannot listen on {self._path}: {why}")

    def _inode_of_path(self) -> tuple[int, int]:
        found = self._path.lstat()
        return found.st_dev, found.st_ino

    def _name(self, address: Any) -> str:
        """Only we have a name; a peer's socket rarely does."""
        return address if isinstance(address, str) else ""

    def _unbind(self) -> None:
        """Remove our file, unless another process put its own there meanwhile."""
        with suppress(FileNotFoundError):
            if self._inode_of_path() == self._inode:
                self._path.unlink()
