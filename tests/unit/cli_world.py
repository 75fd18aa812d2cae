"""What tests of the command line share: a server that answers what a test says, and the commands against it."""

import argparse
import json
import threading
import unicodedata
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from shipper.cli import PARTS, parser_of
from tests.unit.api_world import request_story

_BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def harmless(text: str) -> bool:
    """No control character but a newline, no bidi control, nothing that cannot be encoded."""
    text.encode()
    return not any(char in _BIDI or (unicodedata.category(char) == "Cc" and char != "\n") for char in text)


class Server(HTTPServer):
    """Answers each path with what it was told to, and remembers what was asked."""

    def __init__(self, answers: list[tuple[int, Any]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.retry_seconds = 0
        #: Of the last question.
        self.headers: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers = dict(self.headers)
        status, body = self.server.answers.pop(0)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        if status == 429:
            self.send_header("Retry-After", str(self.server.retry_seconds))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


Ask = Callable[..., int]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server([]) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def shipper(server: Server) -> Ask:
    """The commands, against the server that the test tells what to answer."""

    def run(*arguments: str) -> int:
        options = parse(*arguments, "--url", f"http://127.0.0.1:{server.server_port}")
        return int(options.function(options))

    return run


def parse(*arguments: str) -> argparse.Namespace:
    return parser_of(PARTS).parse_args(arguments)


def page(*records: dict[str, Any], cursor: str | None = None, incomplete: tuple[str, ...] = ()) -> tuple[int, Any]:
    searched = {"start": "2026-11-22T13:30:00.000000Z", "end": None}
    return 200, {"records": records, "next_cursor": cursor, "incomplete": incomplete, "searched": searched}


def story(**changes: Any) -> dict[str, Any]:
    """The answer of /api/v1/requests/r1: 11 records, two of its services told."""
    records = request_story("r1")
    web = _service("shop-web", 1_200_000, 4_021_800_000, count=2, errors=1, worst_level="error", hosts=["web-3"])
    mail = _service("shop-mail", 4_090_000_000, 0, lane=1, clock_shift_ns=-2_000_000_000, status=200)
    return {
        "request_id": "r1",
        "records": records,
        "entry": {"service": "shop-web", "method": "POST", "path": "/checkout", "status": 502},
        "began": records[0]["@timestamp"],
        "duration_ns": 4_090_000_000,
        "services": [web, mail],
        "hops": [],
        "first_error": records[6],
        "related": [],
        "silent": [],
        "clocks": [],
        "holes": [],
        "cut": False,
        "verdict": {"state": "complete", "reasons": []},
        "complete": True,
        "incomplete": [],
        **changes,
    }


def _service(name: str, offset_ns: int, duration_ns: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "first": "", "last": "", "count": 1, "errors": 0, "worst_level": None, "hosts": [], "lane": 0,
        "offset_ns": offset_ns, "duration_ns": duration_ns, "status": None, "clock_shift_ns": 0, **changes,
    }  # fmt: skip
