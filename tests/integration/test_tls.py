"""RELP over TLS with a real rsyslogd and both of its libraries, directly and through HAProxy."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.delivery import burst, messages_in_sqlite, numbers, tally, wait_settled
from tests.integration.haproxy import HAProxy
from tests.integration.host import Host
from tests.servers.process import Process, accepts, free_port, wait_until
from tests.shipper_process import ShipperProcess
from tests.tls import Authority, Pair

LIBRARIES = ["openssl", "gnutls"]
RECORDS = 2000


class World:
    """A CA, a shipper that takes its hosts only, and a host; all in one folder."""

    def __init__(self, rsyslogd: str, directory: Path) -> None:
        self.directory = directory
        self._rsyslogd = rsyslogd
        self.ca = Authority(directory / "ca")
        self.port = free_port()

    def shipper(self, pair: Pair | None = None, name: str = "shipper") -> ShipperProcess:
        """A shipper that is called shipper.example, unless `pair` says otherwise; always on the same store and port."""
        pair = pair or self.ca.sign("shipper.example")
        return self._shipper(name, {**pair.source, "client_ca": self.ca.certificate, "client_names": ["web-*.example"]})

    def plain(self) -> ShipperProcess:
        """A shipper without TLS."""
        return self._shipper("plain", None)

    def _shipper(self, name: str, tls: dict[str, Any] | None) -> ShipperProcess:
        store = {"type": "sqlite", "path": str(self.directory / "data")}
        return ShipperProcess(self.directory / name, store, sources=[{"type": "relp", "port": self.port, "tls": tls}])

    def host(self, library: str, port: int = 0, **changes: str) -> Host:
        """The host web-3.example; without a library it sends plain RELP."""
        settings = self.ca.host("web-3.example", library, "shipper.example") | changes
        return Host(self._rsyslogd, self.directory / "host", port or self.port, **settings)

    def stored(self) -> list[int]:
        """The numbers that are stored, sorted."""
        return numbers(messages_in_sqlite(self.directory / "data"))


@pytest.fixture
def world(rsyslogd: str, run_dir: Path) -> World:
    return World(rsyslogd, run_dir)


def refusals(shipper: ShipperProcess) -> list[str]:
    """Why the shipper closed connections, as its log says."""
    return [line for line in shipper.log.read_text().splitlines() if '"reason":"tls"' in line]


@pytest.mark.parametrize("way", ["direct", "HAProxy"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_all_arrive_once(world: World, haproxy: str, library: str, way: str) -> None:
    with world.shipper() as shipper:
        front = HAProxy(haproxy, world.directory / "haproxy", free_port(), [world.port])
        with front, world.host(library, front.port if way == "HAProxy" else world.port) as host:
            burst(host, 1, RECORDS)
            assert wait_settled(shipper, RECORDS).missing == 0
        assert refusals(shipper) == [], "health checks of HAProxy are none"
    assert world.stored() == list(range(1, RECORDS + 1))


@pytest.mark.parametrize("library", ["", *LIBRARIES])
def test_many_arrive_once(world: World, library: str) -> None:
    """Prints the rate (pytest -s), to be compared with plain RELP."""
    with world.shipper() if library else world.plain() as shipper, world.host(library) as host:
        busy, started = shipper.cpu(), time.monotonic()
        burst(host, 1, 10 * RECORDS)
        wait_settled(shipper, 10 * RECORDS)
        took, busy = time.monotonic() - started, shipper.cpu() - busy
    print(f"{library or 'plain'}: {10 * RECORDS / took:,.0f} records/s, {busy:.2f} s of shipper's CPU")
    assert world.stored() == list(range(1, 10 * RECORDS + 1))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_shipper_is_killed_in_the_middle(world: World, library: str) -> None:
    with world.shipper() as shipper:
        with world.host(library) as host:
            burst(host, 1, 500)
            wait_until(lambda: tally(shipper).stored > 0, what="some are stored")
            burst(host, 501, 1000)
            shipper.process.kill9()
            burst(host, 1001, RECORDS)
            shipper.start()
            wait_settled(shipper, RECORDS)
        assert world.stored() == list(range(1, RECORDS + 1))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("other CA", "the peer's certificate is not signed by client_ca"),
        ("expired", "the peer's certificate is refused: certificate has expired"),
        ("other name", "the peer's certificate has 'db.example': none of client_names"),
    ],
)
def test_a_host_that_is_not_let_in_keeps_its_records_until_it_is(
    world: World, library: str, kind: str, why: str
) -> None:
    pairs: dict[str, Callable[[], Pair]] = {
        "other CA": lambda: Authority(world.directory / "other").sign("web-3.example"),
        "expired": lambda: world.ca.sign("web-3.example", file="late", days=-1),
        "other name": lambda: world.ca.sign("db.example"),
    }
    own = Pair(str(world.directory / "own.pem"), str(world.directory / "own.key"))
    put(pairs[kind](), own)
    with world.shipper() as shipper, world.host(library, tls_cert=own.certificate, tls_key=own.key) as host:
        burst(host, 1, 100)
        wait_until(lambda: refusals(shipper), what="the shipper says why")
        assert why in refusals(shipper)[0]
        wait_until(lambda: "could not connect to remote server" in host.log.read_text(), what="the host says so")
        assert tally(shipper).stored == 0
        put(world.ca.sign("web-3.example"), own)
        assert wait_settled(shipper, 100).stored == 100
    assert world.stored() == list(range(1, 101))


@pytest.mark.parametrize(
    ("library", "why"), [("openssl", "showed no certificate"), ("gnutls", "has it a certificate?")]
)
def test_a_host_without_a_certificate(world: World, library: str, why: str) -> None:
    host = world.host(library)
    lines = host.rsyslog_config.read_text().splitlines()
    host.rsyslog_config.write_text("\n".join(line for line in lines if "tls.my" not in line) + "\n")
    with world.shipper() as shipper, host:
        burst(host, 1, 100)
        wait_until(lambda: refusals(shipper), what="the shipper says why")
        assert why in refusals(shipper)[0]
        assert tally(shipper).stored == 0
        host.kill9()  # a stop would wait long for a shipper that will never answer


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_shipper_with_another_name_gets_nothing(world: World, library: str) -> None:
    """rsyslogd gives up for good; started again it sends what it kept, and all that is new.

    It has to cancel the workers of an action that it has disabled, and the batch in their hands may go with them: 2 to
    92 of 100, in 4 of 30 stops.
    """
    host = world.host(library)
    with world.shipper(world.ca.sign("other.example"), name="other") as other:
        host.start()
        burst(host, 1, 100)
        wait_until(lambda: "DISABLING action" in host.log.read_text(), what="the host says so")
        wait_until(lambda: refusals(other), what="the shipper says so")
        assert "does it take our certificate?" in refusals(other)[0]
        assert tally(other).stored == 0
    assert host.stop(90) == 0
    with world.shipper(), host:
        burst(host, 101, 200)
        wait_until(lambda: set(range(101, 201)) <= set(world.stored()), 60, what="what is new is stored")
    assert len(world.stored()) == len(set(world.stored()))


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_one_side_speaks_tls(world: World, library: str) -> None:
    """Each is told so in one line, and the records go out when both sides agree."""
    with world.host(library) as host:
        with world.plain() as shipper:
            burst(host, 1, 100)
            wait_until(lambda: refusals(shipper), what="the shipper says so")
            assert "the peer speaks TLS, this source does not" in refusals(shipper)[0]
            wait_until(lambda: "could not connect to remote server" in host.log.read_text(), what="the host says so")
        with world.shipper() as shipper:
            assert wait_settled(shipper, 100).stored == 100
    with world.shipper() as shipper:
        with world.host("") as host:
            burst(host, 101, 200)
            wait_until(lambda: refusals(shipper), what="the shipper says so")
            assert "the peer does not speak TLS, this source does" in refusals(shipper)[0]
            assert tally(shipper).stored == 100
            host.kill9()


@pytest.mark.parametrize("library", LIBRARIES)
def test_certificates_are_renewed_while_hosts_are_connected(world: World, library: str) -> None:
    own = Pair(str(world.directory / "own.pem"), str(world.directory / "own.key"))
    put(world.ca.sign("shipper.example"), own)
    with world.shipper(own) as shipper, world.host(library) as host:
        burst(host, 1, 500)
        wait_settled(shipper, 500)
        connections = open_connections(shipper)
        put(world.ca.sign("shipper.example", file="newer"), own)
        assert accepts(world.port)  # the next connection finds it
        wait_until(lambda: "changed certificates are in use" in shipper.log.read_text(), what="it is read")
        Path(own.key).write_text("broken")
        assert accepts(world.port)
        wait_until(lambda: "the old ones stay" in shipper.log.read_text(), what="it is refused")
        burst(host, 501, 1000)
        wait_settled(shipper, 1000)
        assert connections <= open_connections(shipper), "nobody had to connect again"
        assert refusals(shipper) == []
        assert shipper.process.stop(60) == 0, "a stop waits for no peer"
    assert world.stored() == list(range(1, 1001))


def test_files_that_cannot_be_used_are_named_at_the_start(world: World) -> None:
    shipper = world.shipper(Pair(world.ca.certificate, str(world.directory / "missing.key")))
    argv = [sys.executable, "-m", "shipper", "run", "--config", str(shipper.config)]
    process = Process(argv, log=shipper.log)
    assert process.wait(60) == 2
    missing = world.directory / "missing.key"
    assert (
        shipper.log.read_text() == f"error: sources[relp]: tls.key: cannot read {missing}: No such file or directory\n"
    )


def open_connections(shipper: ShipperProcess) -> set[tuple[Any, ...]]:
    """The peers that are connected to the RELP port."""
    found = psutil.Process(shipper.process.pid).net_connections("tcp")
    return {tuple(one.raddr) for one in found if one.laddr.port == shipper.port and one.status == "ESTABLISHED"}


def put(pair: Pair, place: Pair) -> None:
    """Replace both files, each at once."""
    for source, target in ((pair.certificate, place.certificate), (pair.key, place.key)):
        shutil.copy(source, f"{target}.new")
        Path(f"{target}.new").replace(target)
