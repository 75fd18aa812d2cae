"""nginx in front, the real one: every place, what is passed on and what is not, limits, and nobody behind it."""

import contextlib
import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.integration.front import Front, heard, telling
from tests.servers.process import Process, accepts, free_port


@pytest.fixture(scope="module")
def front(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx without passwords, API and Kibana behind it."""
    with telling("api") as api, telling("kibana") as kibana:
        folder = tmp_path_factory.mktemp("front")
        folder.parent.chmod(0o755)
        with Front(nginx, folder, api_port=api, kibana_port=kibana, front_tails=3).running() as running:
            yield running


@pytest.mark.parametrize(
    ("path", "server"),
    [
        ("/", "api"),
        ("/api/v1/records?q=a%20b", "api"),
        ("/api/v1/tail", "api"),
        ("/api/v1/feed", "api"),
        ("/static/page.css", "api"),
        ("/metrics", "api"),
        ("/kibanas", "api"),
        ("/kibana/", "kibana"),
        ("/kibana/app/discover", "kibana"),
        ("/kibana/s/shop/app/r/s/x", "kibana"),
        ("/kibana/s/shop/", "kibana"),
        ("/kibana/api/status", "kibana"),
        ("/kibana/../x", "api"),
    ],
)
def test_each_path_goes_where_it_belongs(front: Front, path: str, server: str) -> None:
    answer = front.ask(path)
    assert (answer.status, answer.told["name"], answer.told["path"]) == (200, server, path)


def test_what_nginx_says_itself(front: Front) -> None:
    assert (front.ask("/nginx-health").status, front.ask("/nginx-health").body) == (200, b"")
    assert front.ask("/nginx-ready").told["path"] == "/ready"
    moved = front.ask("/kibana")
    assert (moved.status, moved.headers["location"]) == (308, "/kibana/")


def test_what_a_client_says_of_itself_is_not_passed_on(front: Front) -> None:
    forged = {
        "X-Forwarded-User": "root", "X-Forwarded-For": "1.2.3.4", "X-Real-IP": "1.2.3.4", "Forwarded": "for=1.2.3.4",
        "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Shipper-Proxy-Secret": "guessed",
        "X_Forwarded_User": "root", "Connection": "X-Forwarded-For, close",
    }  # fmt: skip
    for path in ("/", "/api/v1/tail", "/kibana/", "/kibana/app/x", "/nginx-ready"):
        answer = front.ask(path, headers=forged)
        found = {name: heard(answer, name.lower()) for name in forged}
        assert found == {
            "X-Forwarded-User": [], "X-Forwarded-For": ["127.0.0.1"], "X-Real-IP": [], "Forwarded": [],
            "X-Forwarded-Proto": ["http"], "X-Forwarded-Host": [f"127.0.0.1:{front.port}"],
            "X-Shipper-Proxy-Secret": [], "X_Forwarded_User": [], "Connection": [],
        }, path  # fmt: skip
        assert heard(answer, "host") == [f"127.0.0.1:{front.port}"]


def test_a_request_keeps_its_id_or_gets_one(front: Front) -> None:
    answer = front.ask("/", headers={"X-Request-ID": "7b1f9c2e40aa"})
    assert heard(answer, "x-request-id") == [answer.headers["x-request-id"]] == ["7b1f9c2e40aa"]
    for hostile in ("a b", '"}', "x" * 129, "é", "\tabc\x7f"):
        answer = front.ask("/kibana/", headers={"X-Request-ID": hostile})
        (given,) = heard(answer, "x-request-id")
        assert len(given) == 32
        assert given.isalnum()
        assert answer.headers["x-request-id"] == given


def test_headers_that_every_answer_has(front: Front) -> None:
    for path in ("/", "/kibana/", "/api/v1/tail", "/kibana/app/busy"):
        headers = front.ask(path).headers
        assert headers["server"] == "nginx", "without its version"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"


def test_only_files_whose_link_changes_with_them_are_kept(front: Front) -> None:
    kept = "public, max-age=31536000, immutable"
    assert front.ask("/static/page.css?v=0123456789").headers["cache-control"] == kept
    for path in ("/static/page.css", "/static/page.css?v=1", "/static/busy?v=0123456789", "/?v=0123456789", "/kibana/"):
        assert front.ask(path).headers["cache-control"] == "no-store", path


def test_long_answers_are_compressed(front: Front) -> None:
    answer = front.ask(f"/api/v1/records?q={'a' * 2000}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body))["name"] == "api"


def test_a_long_link_goes_through_and_a_longer_one_does_not(front: Front) -> None:
    for path in ("/api/v1/records?q=", "/kibana/app/r?p="):
        long = path + "x" * (16_000 - len(path))
        assert front.ask(long).told["path"] == long
        assert front.ask(path + "x" * 16_400).status == 414


def test_an_import_goes_to_kibana_and_nowhere_else(front: Front) -> None:
    file = b"x" * 26_214_400
    taken = front.ask("/kibana/api/saved_objects/_import", method="POST", body=file)
    assert (taken.status, taken.told["size"]) == (200, len(file))
    assert not [path for path in (front.folder / "body").rglob("*") if path.is_file()]
    for path in ("/login", "/api/v1/records", "/api/v1/tail", "/kibana/app/x"):
        assert _said_length(front, path, 100_000) == 413, path
    assert _said_length(front, "/kibana/api/saved_objects/_import", 32_000_000) == 413
    assert front.ask("/login", method="POST", body=b"x" * 60_000).told["size"] == 60_000


def _said_length(front: Front, path: str, size: int) -> int:
    """The answer to a request that says how long it will be."""
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/%0d%0aX-Forwarded-User:%20root",
        "/a%0aSet-Cookie:%20a=b",
        "/kibana/%0d%0aX-Evil:1",
        "/static/%0d%0a?v=0123456789",
    ],
)
def test_line_breaks_in_a_link_make_no_header(front: Front, path: str) -> None:
    answer = front.ask(path)
    assert answer.told["path"] == path, "as it came, still escaped"
    assert not {"x-evil", "set-cookie"} & answer.headers.keys()
    assert heard(answer, "x-forwarded-user") == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(front: Front, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_server_that_is_busy_says_so_itself_but_a_page_of_kibana_does_not(front: Front) -> None:
    for path in ("/busy", "/api/v1/busy", "/kibana/api/busy"):
        assert (front.ask(path).status, front.ask(path).told["path"]) == (503, path)
    for path in ("/kibana/app/busy", "/kibana/s/shop/app/busy", "/kibana/?busy"):
        page = front.ask(path)
        assert (page.status, page.headers["content-type"]) == (503, "text/html")
        assert b"Kibana is not running" in page.body


def test_nobody_behind_is_said_in_words(nginx: str, run_dir: Path) -> None:
    with Front(nginx, run_dir, api_port=free_port(), kibana_port=free_port()).running() as front:
        for path, text in (("/", b"search page is not running"), ("/kibana/", b"Kibana is not running")):
            answer = front.ask(path)
            assert (answer.status, answer.headers["content-type"]) == (503, "text/html")
            assert text in answer.body
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        for path in ("/api/v1/records", "/api/v1/tail", "/nginx-ready"):
            answer = front.ask(path)
            assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
            assert "not running" in answer.told["error"]["message"]
        assert front.ask("/nginx-health").status == 200


def test_no_task_behind_haproxy_is_said_in_words(nginx: str, haproxy: str, run_dir: Path) -> None:
    api, kibana, config = free_port(), free_port(), run_dir / "haproxy.cfg"
    empty = "".join(f"listen on{port}\n  bind 127.0.0.1:{port}\n" for port in (api, kibana))
    config.write_text(f"defaults\n  mode http\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n{empty}")
    with Process([haproxy, "-f", str(config)], log=run_dir / "haproxy.log") as process:
        process.wait_until(lambda: accepts(api) and accepts(kibana), 60)
        with Front(nginx, run_dir, api_port=api, kibana_port=kibana).running() as front:
            for path, text in (("/", b"search page is not running"), ("/kibana/", b"Kibana is not running")):
                answer = front.ask(path)
                assert (answer.status, answer.headers["content-type"]) == (503, "text/html")
                assert text in answer.body
                assert b"No server is available" not in answer.body
                assert int(answer.headers["retry-after"]) in {10, 30}
            for path in ("/api/v1/records", "/api/v1/tail", "/nginx-ready"):
                answer = front.ask(path)
                assert (answer.status, answer.headers["retry-after"]) == (503, "10")
                assert "not running" in answer.told["error"]["message"]


def test_without_kibana_its_place_says_so(nginx: str, run_dir: Path) -> None:
    with telling("api") as api, Front(nginx, run_dir, api_port=api, kibana=False).running() as front:
        for path in ("/kibana", "/kibana/app/x"):
            assert front.ask(path).status == 404
            assert b"no Kibana here" in front.ask(path).body
        assert front.ask("/kibanas").told["name"] == "api"


class Dripping:
    """A server of live tails that sends one event to each of them when told to."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.tails: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for opened in (self._listening, *self.tails):
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                tail = self._listening.accept()[0]
                self.tails.append(tail)
                tail.recv(65536)
                tail.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    def drip(self) -> None:
        """Send one event to each."""
        for tail in self.tails:
            tail.sendall(b"data: one\n\n")


def test_a_live_tail_comes_line_by_line_and_only_so_many_at_a_time(nginx: str, run_dir: Path) -> None:
    with Dripping() as api, Front(nginx, run_dir, api_port=api.port, front_tails=2).running() as front:
        with contextlib.ExitStack() as open_tails:
            tails = []
            for path in ("/api/v1/tail?q=x", "/api/v1/feed"):
                connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=60)
                open_tails.callback(connection.close)
                connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
                tails.append(connection.getresponse())  # the head comes before any event
            for _ in range(3):
                api.drip()
                assert [tail.readline() for tail in tails] == [b"data: one\n"] * 2, "before the next event exists"
                assert [tail.readline() for tail in tails] == [b"\n"] * 2
            refused = front.ask("/api/v1/tail")
            assert (refused.status, refused.headers["retry-after"]) == (429, "10")
            assert "too many" in refused.told["error"]["message"]
            assert len(api.tails) == 2


def test_the_access_log_is_a_record_with_the_id(nginx: str, run_dir: Path) -> None:
    run_dir.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log, telling("api") as api:
        log.bind(str(run_dir / "log.socket"))
        (run_dir / "log.socket").chmod(0o666)
        log.settimeout(30)
        with Front(nginx, run_dir, api_port=api).running() as front:
            front.ask("/nginx-health")
            front.ask('/api/v1/x?q="%0a', headers={"X-Request-ID": "7b1f9c2e40aa", "User-Agent": '"},{\\'})
            line = log.recv(65536)
    head, _, text = line.partition(b"{")
    assert head.startswith(b"<142>")
    assert head.endswith(b" nginx: ")
    told = json.loads(b"{" + text)
    assert (told["path"], told["request_id"], told["status"]) == ("/api/v1/x", "7b1f9c2e40aa", "200")
    assert told["user_agent"] == '"},{\\'


def test_it_ends_when_mesos_asks_it_to(nginx: str, run_dir: Path) -> None:
    front = Front(nginx, run_dir)
    with front.started() as process:
        process.wait_until(lambda: accepts(front.port), 60)
        assert process.stop(30) == 0
