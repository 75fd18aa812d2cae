"""The helpers that start servers, and each server once: it runs here, and is really gone afterwards."""

import json
import os
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers import java
from tests.servers.process import Process, ServerFailed, accepts, free_port, free_udp_port, wait_until

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]

RSYSLOG = """
global(workDirectory="{run_dir}")
module(load="imuxsock" SysSock.Use="off")
module(load="impstats" interval="1" format="json" log.syslog="off" log.file="{run_dir}/stats")
module(load="omrelp")
module(load="mmsequence")
input(type="imuxsock" Socket="{run_dir}/log")
action(type="mmsequence" mode="instance" from="1" to="2147483647" var="$!seq")
action(type="omfile" file="{run_dir}/out" template="line")
action(type="omrelp" target="127.0.0.1" port="{port}" action.resumeRetryCount="0")
"""
TEMPLATE = 'template(name="line" type="string" string="%$!seq% %msg%\\n")\n'


def test_process_stops_and_says_what_it_printed(run_dir: Path) -> None:
    with Process(SLEEPER, log=run_dir / "log") as process:
        process.wait_until(lambda: "up" in process.tail(), 60, "prints up")
        assert process.running
    assert process.wait() == -signal.SIGTERM
    assert process.tail() == "up"


def test_process_kill9_ends_what_it_started(run_dir: Path) -> None:
    child = run_dir / "child"
    process = Process(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], log=run_dir / "log")
    process.wait_until(lambda: child.exists() and child.read_text(), 60, "has a child")
    assert process.kill9() == -signal.SIGKILL
    wait_until(lambda: not _alive(int(child.read_text())), 60, "the child is gone")


def test_wait_until_shows_the_end_of_the_log_of_a_process_that_ended(run_dir: Path) -> None:
    process = Process(["sh", "-c", "echo no such setting; exit 3"], log=run_dir / "log")
    with pytest.raises(ServerFailed, match=r"sh: ended with 3, before: ready\nno such setting"):
        process.wait_until(lambda: False, 60)


def test_wait_until_has_a_deadline() -> None:
    with pytest.raises(ServerFailed, match=r"not in 0.05 s: never"):
        wait_until(lambda: False, 0.05, "never")


def test_free_ports_can_be_bound() -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", free_port()))
        udp.bind(("127.0.0.1", free_udp_port()))


def test_rsyslogd(rsyslogd: str, run_dir: Path) -> None:
    config = run_dir / "rsyslog.conf"
    config.write_text(TEMPLATE + RSYSLOG.format(run_dir=run_dir, port=free_port()))
    check = Process([rsyslogd, "-N1", "-f", config], log=run_dir / "check.log")
    assert check.wait() == 0, check.tail()
    argv: list[str | Path] = [rsyslogd, "-n", "-f", config, "-iNONE"]
    with Process(argv, log=run_dir / "rsyslogd.log") as process:
        process.wait_until((run_dir / "log").exists, 60, "its socket is there")
        assert Path(f"/proc/{process.pid}/comm").read_text() == "rsyslogd\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.sendto(b"<13>Nov 22 10:00:00 web: hello", str(run_dir / "log"))
        out, stats = run_dir / "out", run_dir / "stats"
        process.wait_until(lambda: out.exists() and " hello\n" in out.read_text(), 60, "the record is written")
        process.wait_until(lambda: stats.exists() and "impstats" in stats.read_text(), 60, "it counts")
    assert "could not load module" not in process.tail()


def test_haproxy(haproxy: str, run_dir: Path) -> None:
    port = free_port()
    config = run_dir / "haproxy.cfg"
    config.write_text(
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
        f"frontend f\n bind 127.0.0.1:{port}\n http-request return status 200 content-type text/plain string up\n"
    )
    with Process([haproxy, "-db", "-f", config], log=run_dir / "log") as process:
        process.wait_until(lambda: accepts(port), 60, "accepts connections")
        assert _get(f"http://127.0.0.1:{port}/") == b"up"


def test_nginx(nginx: str, run_dir: Path) -> None:
    port = free_port()
    folders = "".join(f"{kind}_temp_path {run_dir}/{kind}; " for kind in ("client_body", "proxy", "fastcgi"))
    folders += "".join(f"{kind}_temp_path {run_dir}/{kind}; " for kind in ("uwsgi", "scgi"))
    config = run_dir / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {run_dir}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {folders} server {{ listen 127.0.0.1:{port}; return 200 up; }} }}\n"
    )
    with Process([nginx, "-p", run_dir, "-e", "stderr", "-c", config], log=run_dir / "log") as process:
        process.wait_until(lambda: accepts(port), 60, "accepts connections")
        assert _get(f"http://127.0.0.1:{port}/") == b"up"


def test_chromium(chromium: str, run_dir: Path) -> None:
    page, picture = run_dir / "page.html", run_dir / "page.png"
    page.write_text("<h1>up</h1>")
    argv = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={run_dir}/profile"]
    browser = Process([*argv, f"--screenshot={picture}", page.as_uri()], log=run_dir / "log")
    assert browser.wait(60) == 0, browser.tail()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_elasticsearch(elasticsearch_url: str) -> None:
    health = json.loads(_get(f"{elasticsearch_url}/_cluster/health"))
    assert health["status"] == "green"


def test_a_java_for_maven_trusts_a_store_we_wrote(tmp_path: Path) -> None:
    runtime = java.lowest(17)
    keytool = runtime and runtime / "bin" / "keytool"
    if keytool is None or not os.access(keytool, os.X_OK):
        pytest.skip("no Java 17 or newer with a keytool")
    (tmp_path / "store").write_bytes(java._jks([]))
    tool = Process(
        [keytool, "-list", "-storetype", "JKS", "-storepass", "changeit", "-keystore", tmp_path / "store"],
        log=tmp_path / "log",
    )
    assert tool.wait(60) == 0, tool.tail()


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # ended, and nobody has asked how
