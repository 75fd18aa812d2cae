"""A store of one kind under a cluster name of its own, for tests that every store has to pass."""

import dataclasses
import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from shipper.stores import Keeper, Reader, Store


class Settings(Protocol):
    def build(self, cluster: str) -> Store: ...

    def reader(self, cluster: str) -> Reader: ...

    def keeper(self, cluster: str) -> Keeper: ...

    def model_copy(self, *, update: Mapping[str, Any]) -> Any: ...


@dataclasses.dataclass
class World:
    """A store of one kind, with a cluster name that no other test has."""

    settings: Settings
    cluster: str
    #: Make what was written visible to questions now.
    settle: Callable[[], None]

    def store(self) -> Store:
        return self.settings.build(self.cluster)

    def reader(self) -> Reader:
        return self.settings.reader(self.cluster)


def http(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def indices(url: str, cluster: str) -> list[str]:
    found = http("GET", f"{url}/_cat/indices/*.{cluster}*?format=json&h=index&expand_wildcards=all")
    return [row["index"] for row in found]
