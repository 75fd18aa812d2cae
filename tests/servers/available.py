"""What a test needs is there, or the test is skipped with the reason; with REQUIRE_SERVERS=1 it fails instead."""

import os
from typing import NoReturn

import pytest

from tests.servers import debian, docker, elasticsearch, node


def require(program: str) -> str:
    """The path of a program tests need: rsyslogd, haproxy, nginx or chromium."""
    return debian.find(program) or unavailable(f"{program} is not in .cache, nor on this machine (make servers)")


def require_elasticsearch(version: str) -> None:
    """Skip or fail unless this version of Elasticsearch can be started."""
    if reason := elasticsearch.missing(version):
        unavailable(reason)


def require_docker() -> None:
    """Skip or fail unless a Docker daemon of our own can be started."""
    if reason := docker.missing():
        unavailable(reason)


def require_node(name: str) -> str:
    """The path of what tests use of a package of Node.js: the program prism, or the folder of rison-node."""
    if reason := node.missing(name):
        unavailable(reason)
    return str(node.PACKAGES[name].found)


def unavailable(reason: str) -> NoReturn:
    """Skip this test, or fail it where servers are required."""
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
