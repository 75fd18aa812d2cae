"""Real Elasticsearch with security and TLS of our own CA: each role does its work with exactly its privileges."""

import base64
import json
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.cli import main
from shipper.errors import StoreBusy, StoreUnusable
from shipper.record import DUPLICATE, STORED, Fate, Repair
from shipper.search.query import Query
from shipper.search.retention import Deletion, Removal
from shipper.setup.elasticsearch_asking import Asked
from shipper.setup.elasticsearch_roles import PURPOSES, descriptor
from shipper.stores.elasticsearch import Config
from tests.contract.test_reports import report
from tests.contract.test_stores import NOON, _entry, _letter, record
from tests.servers.available import require_elasticsearch
from tests.servers.elasticsearch import Elasticsearch
from tests.tls import Authority

#: A name with a dot, and one that ends alike: no role may reach the other cluster.
CLUSTER, OTHER = "b.access", "access"
PASSWORD = "shipper-test"
#: Of that password, as `elasticsearch-users` writes it.
_HASH = "$2b$05$hKi3WdzJGH4IQWUP2AkP6.lKS4lK2pJB82e8ESszsXTYD88Z7WuRq"
DAY = record(1).day


class Secured(Elasticsearch):
    """A server that asks for a password, over TLS; its users are called as the purposes, and admin."""

    def __init__(self, version: str, directory: Path) -> None:
        certificates = directory / "config" / "certificates"
        tls = "xpack.security.http.ssl"
        super().__init__(version, directory, {
            "xpack.security.enabled": "true",
            "xpack.security.transport.ssl.enabled": "false",
            f"{tls}.enabled": "true",
            f"{tls}.certificate": str(certificates / "localhost.pem"),
            f"{tls}.key": str(certificates / "localhost.key"),
        })  # fmt: skip
        self.url = f"https://localhost:{self.port}"
        authority = Authority(certificates)
        authority.sign("localhost")
        self.ca = authority.certificate
        self._trust = ssl.create_default_context(cafile=self.ca)
        roles = {purpose: descriptor(purpose, CLUSTER) for purpose in PURPOSES}
        (self.config / "roles.yml").write_text(yaml.safe_dump(roles))
        (self.config / "users").write_text("".join(f"{name}:{_HASH}\n" for name in ("admin", *PURPOSES)))
        of = "".join(f"{purpose}:{purpose}\n" for purpose in PURPOSES)
        (self.config / "users_roles").write_text(f"superuser:admin\n{of}")

    def _answers(self) -> bool:
        try:
            return self.http("GET", "/_cluster/health") is not None
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 401
        except OSError:
            return False

    def http(self, method: str, target: str, body: Any = None) -> Any:
        pair = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"content-type": "application/json", "authorization": f"Basic {pair}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{target}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60, context=self._trust) as answer:
            return json.loads(answer.read() or b"null")

    def login(self, user: str, **more: Any) -> Config:
        return Config.model_validate({
            "type": "elasticsearch", "urls": [self.url], "ca_certs": self.ca, "username": user, "password": PASSWORD,
            "replicas": 0, **more,
        })  # fmt: skip


@pytest.fixture(scope="module", params=["8.19.9", "9.2.0"])
def secured(request: pytest.FixtureRequest) -> Iterator[Secured]:
    require_elasticsearch(request.param)
    with tempfile.TemporaryDirectory(prefix="shipper-es-", ignore_cleanup_errors=True) as directory:
        server = Secured(request.param, Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def run(server: Secured, folder: Path, user: str, *options: str, cluster: str = CLUSTER) -> int:
    password, config = folder / "password", folder / "shipper.yaml"
    password.write_text(f"{PASSWORD}\n")
    store = {"type": "elasticsearch", "urls": [server.url], "ca_certs": server.ca, "replicas": 0}
    config.write_text(yaml.safe_dump({"cluster": cluster, "store": store}))
    login = ("--username", user, "--password-file", str(password))
    return main(["setup", "elasticsearch", "--config", str(config), *login, *options])


def test_setting_up(secured: Secured, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secured.http("PUT", "/_snapshot/backup", {"type": "fs", "settings": {"location": "backup"}})
    old = {"dynamic": False, "properties": {"message": {"type": "text", "norms": False}}}
    secured.http("PUT", f"/logs-mesos.{CLUSTER}-2026.01.01", {"mappings": old})
    assert run(secured, tmp_path, "setting-up", "--yes") == 0
    assert f"changed      index logs-mesos.{CLUSTER}-2026.01.01" in capsys.readouterr().out
    assert run(secured, tmp_path, "setting-up", "--snapshots", "backup") == 2  # this build has no policies
    assert "unchanged    snapshot repository backup" in capsys.readouterr().out
    assert run(secured, tmp_path, "admin", "--yes", cluster=OTHER) == 0
    secured.http("PUT", f"/shipper-ledger.{OTHER}/_doc/1?refresh=true", {"host": "other"})
    capsys.readouterr()
    assert run(secured, tmp_path, "writing", "--yes") == 2
    error = capsys.readouterr().err
    assert "the login lacks the cluster privilege " in error or "the login lacks the index privilege " in error
    assert len(error.splitlines()) == 1


async def test_writing(secured: Secured) -> None:
    async with secured.login("writing").build(CLUSTER) as store:
        assert await store.put([record(1), record(2)]) == [STORED] * 2
        different = record(1, "something else")
        outcomes = await store.put([record(2), different, record(3)])
        assert (outcomes[0], outcomes[1].fate, outcomes[2]) == (DUPLICATE, Fate.REJECTED, STORED)
        for _ in range(2):
            await store.put_dead_letters([_letter(1)])
            await store.put_ledger([_entry("a", 1, 2)])
            await store.put_reports([report("a")])
        secured.http("POST", f"/*.{CLUSTER}*/_refresh")
        assert await store.present(record(1).series, (1, 10)) == [(1, 3)]
        assert len(await store.ledger()) == len(await store.reports()) == len(await store.dead_letters(10)) == 1
        assert await store.healthy() is None
        with pytest.raises(StoreBusy, match="unauthorized"):
            await store.repair([Repair(record(1).series, 1, DAY, {"service.name": "shop"})])
        with pytest.raises(StoreBusy, match="unauthorized"):
            await store._server.ask("DELETE", f"/logs-mesos.{CLUSTER}-{DAY}")
        with pytest.raises(StoreBusy, match="unauthorized"):
            await store._server.ask("POST", f"/shipper-ledger.{OTHER}/_search")


async def test_repairing(secured: Secured) -> None:
    async with secured.login("repairing").build(CLUSTER) as store:
        await store.repair([Repair(record(1).series, 1, DAY, {"service.name": "shop"})])
        await store.repair([Repair(record(1).series, 1, "2025.01.01", {"service.name": "shop"})])
        secured.http("POST", f"/logs-mesos.{CLUSTER}-*/_refresh")
        found = (await store.search(Query(app="shop"))).records
        assert [one["event.sequence"] for one in found] == [1]
        assert len(await store.dead_letters(10)) == 1
        with pytest.raises(StoreBusy, match="unauthorized"):
            await store.put_ledger([_entry("b", 1, 2)])
        with pytest.raises(StoreBusy, match="unauthorized"):
            await store._server.ask("PUT", f"/logs-mesos.{CLUSTER}-2025.01.01/_doc/1", {"a": 1})


async def test_reading(secured: Secured) -> None:
    async with secured.login("reading").reader(CLUSTER) as reader:
        assert len((await reader.search(Query())).records) == 3
        assert len(await reader.ledger()) == len(await reader.reports()) == len(await reader.dead_letters(10)) == 1
        assert await reader.healthy() is None
    async with secured.login("reading").build(CLUSTER) as store:
        with pytest.raises(StoreBusy, match="unauthorized"):
            await store.put([record(9)])


async def test_removing(secured: Secured) -> None:
    async with secured.login("removing").keeper(CLUSTER) as keeper:
        days = [one.day for one in await keeper.days()]
        assert DAY in days
        assert sum([count async for count in keeper.remove(Removal(DAY, ("/none",)))]) == 3
        assert [count async for count in keeper.remove(Removal(DAY))] == [0]
        await keeper.note(Deletion(NOON, "test", Removal(DAY), 3, 0, "too old"))
        assert len(await keeper.history(10)) == 1
        assert await keeper.disk() is not None
        await keeper.forget(NOON + 10**18)
        assert DAY not in [one.day for one in await keeper.days()]
        with pytest.raises(StoreBusy, match="unauthorized"):
            await keeper._server.ask("DELETE", f"/shipper-ledger.{OTHER}")
    assert secured.http("GET", f"/shipper-ledger.{OTHER}/_count")["count"] == 1


async def test_a_ca_that_is_not_trusted_and_a_name_that_does_not_fit(secured: Secured, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").certificate
    wrong_name = secured.url.replace("localhost", "127.0.0.1")
    for more in ({"ca_certs": other}, {"urls": [wrong_name]}):
        async with Asked(secured.login("admin", **more)) as asked:
            with pytest.raises(StoreBusy, match="certificate") as raised:
                await asked.version()
        assert "\n" not in str(raised.value)


async def test_a_wrong_password(secured: Secured) -> None:
    async with Asked(secured.login("admin", password="wrong")) as asked:
        with pytest.raises(StoreUnusable, match="the login is not accepted: check the key, or user name and password"):
            await asked.version()
