"""The fixture `world`: every store, one after the other, where its server is to be had."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.config import component
from tests.contract.store_world import World, http, indices

_clusters = (f"t{random.randrange(16**8):08x}{number}" for number in itertools.count())


@pytest.fixture(params=["sqlite", "elasticsearch_8", "elasticsearch_9"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    cluster = next(_clusters)
    if request.param == "sqlite":
        config = component("stores", "sqlite").Config(path=str(tmp_path / "data"))
        yield World(config, cluster, lambda: None)
        return
    url = request.getfixturevalue(request.param)
    config = component("stores", "elasticsearch").Config(urls=[url], replicas=0)
    yield World(config, cluster, lambda: http("POST", f"{url}/*.{cluster}*/_refresh"))
    for index in indices(url, cluster):
        http("DELETE", f"{url}/{index}")
