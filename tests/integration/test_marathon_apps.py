"""Generated apps in use: nginx on the configuration its app carries, the archive, samples and shippers on Marathon."""

import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shipper.errors import ConfigError
from shipper.generate import archive
from tests.emulator.process import Emulator
from tests.servers import ROOT
from tests.servers.process import Process, accepts, free_port, wait_until
from tests.unit.marathon_apps import ELSEWHERE, apps, jobs

_AGENTS = "127.0.1.1,127.0.1.2,127.0.1.3"


@contextmanager
def answering(name: str) -> Iterator[int]:
    """An HTTP server that answers with its name and the path; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = f"{name} {self.path} {self.headers['X-Forwarded-For']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_nginx_in_front_sends_each_path_where_it_belongs(run_dir: Path, nginx: str) -> None:
    with answering("api") as api, answering("kibana") as kibana:
        app = apps(api_port=api, kibana_port=kibana)["marathon-apps/nginx.json"]
        port = free_port()
        path = f"{Path(nginx).parent}:{os.environ['PATH']}"
        mesos = {"PORT0": str(port), "MESOS_SANDBOX": str(run_dir), "PATH": path}
        with Process(["/bin/sh", "-c", app["cmd"]], log=run_dir / "log", env={**app["env"], **mesos}) as process:
            process.wait_until(lambda: accepts(port), 60)
            assert get(f"http://127.0.0.1:{port}/nginx-health") == ""
            assert get(f"http://127.0.0.1:{port}/api/v1/search?q=a%20b") == "api /api/v1/search?q=a%20b 127.0.0.1"
            assert get(f"http://127.0.0.1:{port}/kibana/app/x") == "kibana /kibana/app/x 127.0.0.1"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive."""
    return archive.write(ROOT / "requirements.lock", tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def unpacked(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's folder, unpacked as Mesos does."""
    directory = tmp_path_factory.mktemp("sand box")
    subprocess.run(["tar", "-xzf", packed, "-C", directory], check=True, timeout=120)
    return directory / "shipper"


def run(folder: Path, *arguments: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Call ./run as a task does, with nothing of this test's environment but a PATH that has a Python."""
    env = {"PATH": path if path is not None else f"{Path(sys.base_prefix, 'bin')}:/usr/bin:/bin"}
    argv = [str(folder / "run"), *arguments]
    return subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=120, check=False)


def test_the_archive_runs_where_it_is_unpacked_with_the_hosts_python_alone(unpacked: Path) -> None:
    said = run(unpacked, "shipper", "--version")
    assert (said.returncode, said.stdout, said.stderr) == (0, "shipper 0.1.0\n", "")
    # Everything that `shipper run` imports is there, the libraries with machine code too.
    where = "import sys, shipper.api.app, shipper.stores.elasticsearch, uvloop, aiohttp; print(uvloop.__file__)"
    (unpacked.parent / "probe.py").write_text(where)
    env = {"PATH": f"{Path(sys.base_prefix, 'bin')}:/usr/bin:/bin"}
    program = (unpacked / "run").read_text().replace('-m "$@"', '"$@"')
    script = unpacked / "run-file"
    script.write_text(program)
    script.chmod(0o755)
    said = subprocess.run([script, unpacked.parent / "probe.py"], env=env, capture_output=True, text=True, timeout=120)
    assert said.stdout.startswith(str(unpacked / "site-packages")), said.stderr


def test_the_archive_says_what_it_lacks(unpacked: Path, tmp_path: Path) -> None:
    for tool in ("dirname", "uname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    said = run(unpacked, "shipper", "--version", path=str(tmp_path))
    assert (said.returncode, said.stdout) == (2, "")
    assert re.fullmatch(r"error: this archive needs Python 3\.\d+ on the host \(package python3\.\d+\)\n", said.stderr)
    (tmp_path / "uname").unlink()
    (tmp_path / "uname").write_text("#!/bin/sh\necho strange\n")
    (tmp_path / "uname").chmod(0o755)
    said = run(unpacked, "shipper", "--version", path=f"{tmp_path}:/usr/bin:/bin")
    assert said.returncode == 2
    assert "make one here" in said.stderr


def test_the_archive_holds_nothing_of_this_machine(packed: Path) -> None:
    with tarfile.open(packed) as opened:
        entries = opened.getmembers()
    names = [entry.name for entry in entries]
    assert names[1:] == sorted(names[1:]), "the same versions give the same bytes"
    assert {(entry.mtime, entry.uid, entry.uname) for entry in entries} == {(315_532_800, 0, "")}
    assert not [name for name in names if name.endswith(".pyc") or ".." in name or name.startswith("/")]
    packages = {name.split("/")[2] for name in names[1:]}
    assert {"shipper", "aiohttp", "uvloop", "orjson"} <= packages
    assert not {"pytest", "pip", "setuptools", "mypy"} & packages


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aiohttp==1.0 \\\n", "aiohttp is 1.0 there"),
        ("no-such-package==1.0 \\\n", "no-such-package is not installed"),
        ("", "names no package"),
    ],
)
def test_the_archive_is_made_of_locked_versions_or_not_at_all(tmp_path: Path, text: str, said: str) -> None:
    lock = tmp_path / "lock"
    lock.write_text(text)
    with pytest.raises(ConfigError, match=said):
        archive.write(lock, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def post(url: str, definition: dict[str, Any]) -> int:
    request = urllib.request.Request(url, json.dumps(definition).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        pytest.fail(f"{definition.get('id')}: {error.code} {error.read().decode()}")


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch, nginx: str) -> None:
    """Programs that the images have: tasks of the emulator are processes of this machine."""
    programs = f"{Path(sys.executable).parent}:{Path(nginx).parent}"
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


@contextmanager
def log_sockets(emulator: Emulator) -> Iterator[list[bytes]]:
    """The log socket of every host; what is written to them."""
    heard: list[bytes] = []
    sockets, threads = [], []
    for agent in _AGENTS.split(","):
        path = emulator.root(agent) / "run/shipper/log"
        path.parent.mkdir(parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with _folder(path.parent):  # the address of a Unix socket has at most 108 bytes
            listening.bind(path.name)
        path.chmod(0o666)
        listening.settimeout(0.2)
        sockets.append(listening)
    done = threading.Event()

    def listen(one: socket.socket) -> None:
        while not done.is_set():
            try:
                heard.append(one.recv(65536))
            except TimeoutError:
                continue

    for one in sockets:
        threads.append(threading.Thread(target=listen, args=(one,)))
        threads[-1].start()
    try:
        yield heard
    finally:
        done.set()
        for thread, one in zip(threads, sockets, strict=True):
            thread.join()
            one.close()


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def answers(emulator: Emulator, app: str, port: int, path: str) -> bool:
    """Whether the first task of an app answers on one of its ports."""
    found = json.loads(get(f"{emulator.marathon}/v2/apps//shipper/{app}"))["app"]["tasks"]
    try:
        return bool(found) and bool(get(f"http://{found[0]['host']}:{found[0]['ports'][port]}{path}"))
    except (OSError, IndexError):  # not yet
        return False


def _ids(heard: list[bytes], service: str) -> set[str]:
    text = b"\n".join(line for line in heard if f" {service}[".encode() in line).decode()
    return set(re.findall(r"request_id\"?[=:] ?\"?([0-9a-f]{12})", text))


@pytest.mark.usefixtures("on_path")
def test_samples_log_on_their_hosts_and_tell_the_same_stories(run_dir: Path) -> None:
    with Emulator(run_dir, agents=_AGENTS) as emulator, log_sockets(emulator) as heard:
        made = apps()
        for name in ("gateway", "orders", "payments", "nginx"):
            assert post(f"{emulator.marathon}/v2/apps", made[f"marathon-apps/samples/{name}.json"]) == 201

        def stories() -> set[str]:
            return _ids(heard, "gateway") & _ids(heard, "orders") & _ids(heard, "payments")

        wait_until(stories, 60, "a request that all three services tell of")
        wait_until(partial(answers, emulator, "samples/nginx", 0, "/shown"), 60, "the web server answers")
        wait_until(lambda: [line for line in list(heard) if b"GET /shown" in line], 30, "a line of the access log")


@pytest.mark.usefixtures("on_path")
def test_nginx_in_front_runs_with_a_password_and_logs_on_its_host(run_dir: Path) -> None:
    run_dir.chmod(0o755)  # its workers are another user
    with Emulator(run_dir, agents=_AGENTS) as emulator, log_sockets(emulator) as heard:
        for agent in _AGENTS.split(","):
            secrets = emulator.root(agent) / "etc/shipper/front"
            secrets.mkdir(parents=True)
            (secrets / "secret").write_text("0123456789abcdef0123456789abcdef\n")
            (secrets / "htpasswd").write_text("")
        app = apps(front_auth="basic", secrets_directory="/etc/shipper")["marathon-apps/nginx.json"]
        del app["dependencies"]
        app["env"]["TMPDIR"] = str(run_dir)
        assert post(f"{emulator.marathon}/v2/apps", app) == 201

        def asked() -> bool:
            tasks = json.loads(get(f"{emulator.marathon}/v2/apps//shipper/nginx"))["app"]["tasks"]
            try:
                get(f"http://{tasks[0]['host']}:{tasks[0]['ports'][0]}/kibana/app/x")
            except urllib.error.HTTPError as error:
                return error.code == 401
            except (OSError, IndexError):  # not yet
                return False
            return False

        wait_until(asked, 60, "nginx asks for a password")
        wait_until(lambda: [line for line in list(heard) if b'"GET /kibana/app/x 401"' in line], 30, "its access log")


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("profile", ["0.9.1", "1.10"])
def test_marathon_takes_every_app_and_runs_shipper_and_api(run_dir: Path, profile: str) -> None:
    quiet: dict[str, object] = {
        **ELSEWHERE, "elasticsearch_urls": f"http://127.0.0.1:{free_port()}", "marathon": profile, "shippers": 1,
        "apis": 1, "kibana": False, "state_directory": "", "marathon_urls": "", "mesos_urls": "",
    }  # fmt: skip
    with Emulator(run_dir, agents=_AGENTS, profile=profile) as emulator:
        for path, app in apps(**quiet).items():
            if "/samples/" not in path:
                assert post(f"{emulator.marathon}/v2/apps", app) == 201, path
        base = "scheduler" if profile == "0.9.1" else "v1/scheduler"
        for job in jobs(**quiet).values():
            assert post(f"{emulator.chronos}/{base}/iso8601", {**job, "disabled": True}) == 204

        for name, port in (("shipper", 1), ("api", 0)):
            wait_until(partial(answers, emulator, name, port, "/health"), 90, f"{name} is up")
