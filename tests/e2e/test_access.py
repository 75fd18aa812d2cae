"""Who may see what, asked of the installed product: from `shipper tokens` to a closed door."""

import contextlib
import http.client
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.e2e.peers import RelpSession, ended, log_lines, stamped
from tests.servers.process import wait_until
from tests.shipper_process import ShipperProcess

#: In `access.connections` it is 10 s.
HEAD_SECONDS = 15
_SECRET = "mounted-secret-of-prometheus"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shipper", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def create(path: Path, name: str, *more: str) -> str:
    made = command("tokens", "create", name, "--file", str(path), *more)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


class Api:
    """Asks a shipper."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self.port = int(self.address.rpartition(":")[2])

    def ask(self, path: str, token: str | None = None, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            connection.request(method, path, headers=headers)
            with connection.getresponse() as answer:
                return answer.status, answer.read()
        finally:
            connection.close()

    def status(self, path: str, token: str | None = None) -> int:
        return self.ask(path, token)[0]

    def raw(self, data: bytes) -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self.port), 30)
        opened.sendall(data)
        return opened


class World:
    """A shipper on every address of this machine, with tokens, a mounted secret and an audit file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = folder / "tokens.json"
        self.audit = folder / "audit.jsonl"
        self.reader = create(self.tokens, "reader")
        self.shop = create(self.tokens, "shop", "--scope", "tail", "--app", "/shop/*")
        self.admin = create(self.tokens, "admin", "--scope", "admin", "--expires", "90d")
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "prometheus").write_text(f"{_SECRET}\nscopes: admin\n")
        access = {"tokens_file": str(self.tokens), "tokens_directory": str(secrets), "audit_file": str(self.audit)}
        self.shipper = ShipperProcess(
            folder,
            {"type": "sqlite", "path": str(folder / "data")},
            api={"port": 0, "host": "0.0.0.0", "access": access},
        )

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.audit.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("access"))
    with made.shipper:
        yield made


@pytest.fixture
def api(world: World) -> Api:
    return Api(world.shipper.url)


def test_tokens_open_the_door_and_a_revoked_one_closes_it(world: World, api: Api) -> None:
    assert api.status("/health") == 200
    assert api.status("/api/v1/records") == 401
    assert api.status("/api/v1/records", world.reader) == 200
    assert api.status("/metrics", world.reader) == 403
    assert api.status("/metrics", world.admin) == 200
    assert api.status("/metrics", _SECRET) == 200
    new = create(world.tokens, "new")
    wait_until(lambda: api.status("/api/v1/records", new) == 200, 60, "the new token is known")
    assert command("tokens", "revoke", "new", "--file", str(world.tokens)).returncode == 0
    wait_until(lambda: api.status("/api/v1/records", new) == 401, 60, "the revoked token is not")
    assert api.status("/api/v1/records", world.reader) == 200


def test_a_live_tail_shows_only_the_apps_of_the_token(world: World, api: Api) -> None:
    address = ("127.0.0.1", api.port)
    with contextlib.closing(socket.create_connection(address, 30)) as tail:
        tail.sendall(f"GET /api/v1/tail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.shop}\r\n\r\n".encode())
        heard = tail.recv(4096)
        assert b" 200 " in heard
        with RelpSession(world.shipper.port) as session:
            session.deliver(stamped(1, "of no app canary7731"))
            wait_until(lambda: b"canary7731" in api.ask("/api/v1/records", world.reader)[1], 60, "it is stored")
        while b": alive" not in heard:  # what was stored before it was sent before it
            assert select.select([tail], [], [], 20)[0]
            heard += tail.recv(65536)
    assert b"canary7731" not in heard
    assert b"canary7731" not in api.ask("/api/v1/records", world.shop)[1]


def test_so_many_tails_of_one_caller_and_no_more(world: World, api: Api) -> None:
    head = f"GET /api/v1/tail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.admin}\r\n\r\n".encode()
    tails = [api.raw(head) for _ in range(20)]
    assert all(b" 200 " in tail.recv(4096) for tail in tails)
    with contextlib.closing(api.raw(head)) as one_more:
        refused = one_more.recv(4096)
    assert b" 429 " in refused
    assert b"retry-after: 10" in refused.lower()
    for tail in tails:
        tail.close()
    wait_until(lambda: _opens(api, head), 60, "a tail that ended makes room")


def _opens(api: Api, head: bytes) -> bool:
    with contextlib.closing(api.raw(head)) as tail:
        return b" 200 " in tail.recv(4096)


def test_the_audit_says_who_asked_what_and_no_token(world: World, api: Api) -> None:
    path = f"/api/v1/records?text=audit&app={world.reader}"
    assert api.status(path, world.shop) == 200
    assert api.status("/api/v1/ledger?host=%1b%5b2J") == 401
    wait_until(lambda: any("audit" in line["path"] for line in world.lines()), 60, "it is written")
    asked = next(line for line in world.lines() if "audit" in line["path"])
    assert asked == asked | {"caller": "shop", "address": "127.0.0.1", "method": "GET", "status": 200, "records": 0}
    assert asked["path"] == "/api/v1/records?text=audit&app=shp_…"
    refused = next(line for line in world.lines() if "ledger" in line["path"])
    assert (refused["caller"], refused["status"]) == ("-", 401)
    everything = world.audit.read_text() + world.shipper.log.read_text()
    for secret in (world.reader, world.shop, world.admin, _SECRET):
        assert secret not in everything


def test_nothing_raw_is_a_way_in(world: World, api: Api) -> None:
    good = world.admin.encode()
    heads = {
        b"twice": b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nauthorization: Bearer %b"
        % (good, good),
        b"no version": b"GET /metrics",
        b"absolute": b"GET http://127.0.0.1/metrics HTTP/1.1\r\nHost: x",
        b"upgrade": b"GET /api/v1/tail HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\x80",
        b"long": b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"x" * 60_000,
        b"longer": b"GET /metrics?" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x",
        b"smuggled": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"star": b"OPTIONS * HTTP/1.1\r\nHost: x",
    }
    for name, head in heads.items():
        with contextlib.closing(api.raw(head + b"\r\n\r\n")) as peer:
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                answer = peer.recv(100)
        status = answer.split(b" ")[1] if answer.startswith(b"HTTP/") else b""
        assert status in (b"", b"400", b"401", b"403", b"404", b"405", b"415", b"431"), (name, answer)
    assert api.status("/metrics", world.admin) == 200


def test_a_head_that_never_ends_is_not_waited_for(world: World, api: Api) -> None:
    began = time.monotonic()
    slow = [api.raw(b"" if number % 3 == 0 else b"GET /health HTTP/1.1\r\nX-") for number in range(200)]
    again = api.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in again.recv(4096)
    again.sendall(b"GET /health")
    assert api.status("/health") == 200
    while waiting := [peer for peer in (*slow, again) if not ended(peer)]:
        assert time.monotonic() - began < 60, f"{len(waiting)} of 201 are still open"
        for peer in waiting[::7]:  # one that drips wins nothing
            with contextlib.suppress(OSError):
                peer.sendall(b"x")
        select.select([], [], [], 0.5)
    for peer in (*slow, again):
        peer.close()
    assert time.monotonic() - began < HEAD_SECONDS + 15
    assert api.status("/health") == 200


def test_a_body_is_refused_before_it_is_sent(world: World, api: Api) -> None:
    before = world.shipper.memory_mb()
    authorization = f"Authorization: Bearer {world.reader}\r\n".encode()
    bodies = (
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 1073741824\r\n\r\n" + b"x" * 100_000,
        b"GET /api/v1/records HTTP/1.1\r\nHost: x\r\n" + authorization + b"Content-Length: 1073741824\r\n\r\n",
        b"POST /api/v1/records HTTP/1.1\r\nHost: x\r\n" + authorization + b"Transfer-Encoding: chunked\r\n\r\n",
    )
    for body, status in zip(bodies, (b"413", b"413", b"405"), strict=True):
        with contextlib.closing(api.raw(body)) as peer:
            assert peer.recv(100).split(b" ")[1] == status
            with contextlib.suppress(OSError):  # 32 MiB, if anybody took them
                peer.settimeout(1)
                for _ in range(512):
                    peer.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert api.status("/health") == 200
    assert world.shipper.memory_mb() - before < 16


def test_it_does_not_start_open_by_accident(tmp_path: Path) -> None:
    config = tmp_path / "shipper.yaml"
    config.write_text(f"{{sources: [], api: {{port: 0, host: '::'}}, store: {{type: sqlite, path: {tmp_path}}}}}")
    for arguments in (("run",), ("check-config",)):
        refused = command(*arguments, "--config", str(config))
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: api: would listen on :: without knowing who asks")
        assert refused.stderr.count("\n") == 1


def test_on_this_machine_it_is_open_and_says_so(tmp_path: Path) -> None:
    with ShipperProcess(tmp_path, {"type": "sqlite", "path": str(tmp_path / "data")}) as shipper:
        api = Api(shipper.url)
        assert api.status("/api/v1/records") == 200
        assert api.ask("/api/v1/records", Host="evil.example")[0] == 421
        said = [line["message"] for line in log_lines(shipper)]
        assert sum(str(message).startswith("access is open") for message in said) == 1
