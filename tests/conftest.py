"""Fixtures for every test: real servers, real data, a short folder; and a last word on what was skipped."""

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import ROOT, debian, elasticsearch
from tests.servers import docker as docker_daemon
from tests.servers.available import require, require_docker, require_elasticsearch, require_node
from tests.servers.docker import Docker
from tests.servers.reading import read_whole

#: Where tests keep their files when there is room: on a slow disk each waits for what the others write.
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 6 * 2**30
DATA = ROOT.parent / "shared" / "data"


def pytest_configure() -> None:
    """Let tests and what they start find the servers in .cache first; a SIGTERM stops them as Ctrl-C does.

    An example of Hypothesis may take as long as it takes: others run beside it.
    """
    settings.register_profile("beside others", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
    settings.load_profile("beside others")
    os.environ["PATH"] = debian.search_path()
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        tempfile.tempdir = str(MEMORY)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _has_room(path: Path) -> bool:
    """Whether much may be written there, and programs may be run from there, as tasks are."""
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        return False
    return not os.statvfs(path).f_flag & os.ST_NOEXEC and shutil.disk_usage(path).free > ENOUGH_BYTES


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files without a test that runs alone when those are asked for: most of the time is their import."""
    asked = config.getoption("markexpr") == "alone" and collection_path.suffix == ".py"
    return True if asked and b"mark.alone" not in collection_path.read_bytes() else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side run files, never tests of one file; what shares an Elasticsearch or Docker stays in one process."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    needed = {*getattr(item, "fixturenames", ()), *map(str, parameters.values())}
    return next((name for name in ("elasticsearch_8", "elasticsearch_9", "docker") if name in needed), item.path.name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per reason for which tests were skipped."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    if reasons:
        terminalreporter.section("not tested here")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} x {reason}")


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """An empty folder with a short path (a Unix socket's has at most 108 bytes), removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="shipper-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture(scope="session")
def rsyslogd() -> str:
    """The path of rsyslogd; it has imuxsock, omrelp, mmsequence, impstats."""
    return require("rsyslogd")


@pytest.fixture(scope="session")
def haproxy() -> str:
    """The path of HAProxy."""
    return require("haproxy")


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of nginx; name every folder it writes to (`-p`, `-e`, *_temp_path) in the test."""
    return require("nginx")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; call it with --headless --no-sandbox and a --user-data-dir of the test's own."""
    path = require("chromium")
    read_whole(debian.TREE / debian.PROGRAMS["chromium"].binary)
    return path


@pytest.fixture(scope="session")
def prism() -> str:
    """The path of Prism; `prism proxy SPEC URL --errors` takes ten seconds to start, so tests share one."""
    return require_node("prism")


@pytest.fixture(scope="session")
def rison_node() -> str:
    """The folder of the library rison-node: `node -e "require(process.argv[1])" FOLDER`."""
    return require_node("rison_node")


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A Docker daemon all tests share; remove your containers: `with docker.run("sleep", "60") as container`."""
    require_docker()
    with docker_daemon.running() as daemon:
        yield daemon


Servers = dict[str, elasticsearch.Elasticsearch]


@pytest.fixture(scope="session")
def _elasticsearch_servers() -> Servers:
    """The shared servers that run, by their addresses."""
    return {}


def _elasticsearch(version: str, servers: Servers) -> Iterator[str]:
    require_elasticsearch(version)
    with elasticsearch.running(version) as server:
        servers[server.url] = server
        yield server.url


@pytest.fixture(scope="session")
def elasticsearch_8(_elasticsearch_servers: Servers) -> Iterator[str]:
    """The address of an Elasticsearch 8 all tests share: use index names of your own."""
    yield from _elasticsearch("8.19.9", _elasticsearch_servers)


@pytest.fixture(scope="session")
def elasticsearch_9(_elasticsearch_servers: Servers) -> Iterator[str]:
    """The address of an Elasticsearch 9 all tests share: use index names of your own."""
    yield from _elasticsearch("9.2.0", _elasticsearch_servers)


@pytest.fixture
def killable(_elasticsearch_servers: Servers) -> Iterator[Callable[[str], elasticsearch.Elasticsearch]]:
    """`killable(elasticsearch_9)` is the server at that address, to be killed; afterwards it runs with all it had."""
    asked: list[elasticsearch.Elasticsearch] = []

    def server_at(url: str) -> elasticsearch.Elasticsearch:
        asked.append(_elasticsearch_servers[url])
        return asked[-1]

    yield server_at
    for server in asked:
        if not server.process.running:
            server.start()
        server.wait_recovered()


@pytest.fixture(scope="session", params=["elasticsearch_8", "elasticsearch_9"])
def elasticsearch_url(request: pytest.FixtureRequest) -> str:
    """The addresses of both, one after the other."""
    return str(request.getfixturevalue(request.param))


def _data(name: str) -> Path:
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"no data folder ../shared/data/{name} beside this checkout")
    return path


@pytest.fixture(scope="session")
def kibana_contract() -> Path:
    """The calls of Kibana's API that we use, as OpenAPI, which is not part of this repository."""
    return _data("kibana") / "openapi-subset.yaml"


@pytest.fixture(scope="session")
def loghub() -> Path:
    """The folder of real logs, which is not part of this repository."""
    return _data("loghub")


@pytest.fixture(scope="session")
def hostile() -> Path:
    """The folder of hostile input, which is not part of this repository."""
    return _data("hostile")
