"""API keys made, written into files of their own and rotated; a key is never printed and lies in memory for a moment.

Shapes: elastic.co/docs/api/doc/elasticsearch, operations security-create-api-key, security-get-api-key,
security-invalidate-api-key and security-authenticate. Only keys with our mark in their metadata are seen.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shipper.errors import ConfigError, StoreUnusable
from shipper.setup import elasticsearch_key_files as files
from shipper.setup.elasticsearch_asking import Asked, refusal
from shipper.setup.elasticsearch_plan import MARK, US
from shipper.setup.elasticsearch_roles import VERSION, Purpose, descriptor
from shipper.stores._elasticsearch_login import read_key

#: What names a key in a file that cannot be read as one.
_UNKNOWN: Final = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The keys of one purpose: which one its file holds, and which ones Elasticsearch accepts."""

    purpose: Purpose
    path: Path
    #: Id of the key in the file; None when there is no file.
    filed: str | None
    #: Ids that are accepted, each with the version of the privileges it was made with.
    active: dict[str, int]

    @property
    def current(self) -> bool:
        """Whether the key in the file is accepted."""
        return self.filed is not None and self.filed in self.active

    @property
    def outdated(self) -> bool:
        """Whether the key in the file has other privileges than one made today."""
        return self.filed is not None and self.active.get(self.filed, VERSION) != VERSION

    @property
    def old(self) -> list[str]:
        """Ids that are accepted and in no file."""
        return sorted(self.active.keys() - {self.filed})


async def survey(asked: Asked, cluster: str, directory: Path, purposes: Sequence[Purpose]) -> list[Held]:
    """Return what is there, nothing is changed; ConfigError when a file cannot be read."""
    return [
        Held(purpose, path, _filed(path), await _active(asked, cluster, purpose))
        for purpose in purposes
        for path in (directory / f"{purpose}.key",)
    ]


async def make(asked: Asked, cluster: str, held: Held) -> str:
    """Make a key and write it into its file; return its id. A key that could not be written is invalidated again."""
    body = {
        "name": _name(cluster, held.purpose),
        "role_descriptors": {_name(cluster, held.purpose): descriptor(held.purpose, cluster)},
        "metadata": {MARK: US, "cluster": cluster, "purpose": held.purpose, "privileges": VERSION},
    }
    with files.replacing(held.path) as write:
        answer = await asked.change("POST", "/_security/api_key", body)
        try:
            write(str(answer["encoded"]))
        except KeyError:
            raise StoreUnusable("Elasticsearch made an API key and did not show it: it is too old") from None
        except OSError as error:
            await invalidate(asked, [str(answer["id"])])
            raise ConfigError(f"{held.path}: cannot write the key ({error.strerror}); it was invalidated") from None
    return str(answer["id"])


async def invalidate(asked: Asked, ids: Sequence[str]) -> None:
    """Make Elasticsearch refuse these keys from now on; StoreUnusable when one of them could not be."""
    if not ids:
        return
    answer = await asked.change("DELETE", "/_security/api_key", {"ids": list(ids)})
    if answer.get("error_count"):
        raise StoreUnusable(f"{answer['error_count']} of {len(ids)} API keys could not be invalidated: run this again")


async def proven(asked: Asked, held: Held) -> str:
    """Return why the key in a file does not work, asked with that very key; "" when it does."""
    status, answer = await asked.attempt("GET", "/_security/_authenticate")
    return "" if status == 200 else refusal(status, answer, f"{held.path}")


async def _active(asked: Asked, cluster: str, purpose: Purpose) -> dict[str, int]:
    """Return the keys of ours that are accepted; two clusters may share an Elasticsearch."""
    answer = await asked.get(f"/_security/api_key?name={_name(cluster, purpose)}&active_only=true")
    found = {}
    for key in (answer or {}).get("api_keys", ()):
        meta = key.get("metadata") or {}
        if meta.get(MARK) == US and meta.get("cluster") == cluster and not key.get("invalidated"):
            found[str(key["id"])] = _version(meta)
    return found


def _version(meta: dict[str, Any]) -> int:
    version = meta.get("privileges")
    return version if isinstance(version, int) else 0


def _name(cluster: str, purpose: Purpose) -> str:
    return f"shipper-{purpose}.{cluster}"


def _filed(path: Path) -> str | None:
    """Return the id in a file: `encoded` is base64 of id:key."""
    try:
        text = read_key(path)
    except FileNotFoundError:
        return None
    except ValueError:
        return _UNKNOWN
    except OSError as error:
        raise ConfigError(f"{path}: cannot read it ({error.strerror})") from None
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return _UNKNOWN
