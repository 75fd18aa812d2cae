"""The incident bundle: what was answered and nothing else, whole, checkable, and harmless to open."""

import base64
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from shipper.cli import main
from shipper.cli.bundle.package import FILES, INSIDE
from shipper.errors import ShipperError
from tests.unit.api_world import record
from tests.unit.cli_world import Ask, Server, page, server, shipper, story

__all__ = ["server", "shipper"]  # fixtures

HOSTILE = (
    "<script>alert(1)</script>", "{{ 7 * 7 }} {% raw %}", "</style><img src=x onerror=alert(1)>", "\x1b[2J\x00\u202e",
    "=HYPERLINK(1)", "../../etc/passwd", "\ud800",
)  # fmt: skip
_EMPTY_LEDGER: tuple[int, Any] = (200, {"series": [], "hosts": [], "totals": {}, "incomplete": []})


def _records(count: int = 3, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"a-{number:010d}", **record(number, f"line {number}", **fields)} for number in range(1, count + 1)]


def _read(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    with zipfile.ZipFile(path) as whole:
        assert all(name.startswith(f"{INSIDE}/") for name in whole.namelist())
        return {name.removeprefix(f"{INSIDE}/"): whole.read(name) for name in whole.namelist()}


def test_a_bundle_of_a_request(server: Server, shipper: Ask, tmp_path: Path) -> None:
    hop = {"from": "web<", "to": "pay", "how": "span", "offset_ns": 10**7, "duration_ns": 10**9, "status": 500}
    clock = {"host": "web-3", "shift_ns": 5, "told": "web-3 was 5 s behind"}
    told, out = story(hops=[hop], clocks=[clock]), tmp_path / "incident.zip"
    told["records"][0]["shown_time"] = "2026-11-22T14:19:57.000000Z"
    server.answers = [(200, told), page(*told["records"])]
    assert shipper("bundle", "r1", "--out", str(out)) == 0
    assert server.asked == ["/api/v1/requests/r1", "/api/v1/records?request_id=r1&order=oldest&limit=1000"]
    files = _read(out)
    assert tuple(sorted(files)) == FILES
    assert [json.loads(line) for line in files["records.ndjson"].splitlines()] == told["records"]
    assert json.loads(files["story.json"]) == told
    manifest = json.loads(files["manifest.json"])
    assert manifest["asked"] == {"request_id": "r1"}
    assert manifest["verdict"] == {"state": "complete", "reasons": []}
    assert (manifest["records"], manifest["cut"]) == (11, False)
    assert manifest["files"].keys() == set(FILES) - {"manifest.json"}
    html = files["index.html"].decode()
    for shown in ("request r1: 11 records", "charge failed: upstream timed out", "web&lt;", "web-3 was 5 s behind"):
        assert shown in html
    assert "<td>2026-11-22 14:19:57.000</td>" in html
    assert list(tmp_path.iterdir()) == [out]
    assert out.stat().st_mode & 0o077 == 0


def test_a_bundle_of_a_query(server: Server, shipper: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hole = {"first": 7, "last": 9, "since": None, "until": "2026-11-22T14:30:00.000000Z", "reason": "queue \x1b full"}
    elsewhere = {"host": "web-9", "series": "s", "holes": [hole]}
    ledger = {"series": [{"host": "web-3", "series": "an", "holes": [hole]}, elsewhere], "hosts": []}
    pages = [page(*_records(2), cursor="c"), page(*_records(1), cursor="d", incomplete=("day lost",))]
    server.answers = [*pages, (200, ledger)]
    out = tmp_path / "incident"
    assert shipper("bundle", "level:error", "--since", "1h", "--limit", "3", "--out", str(out)) == 0
    assert "query=level%3Aerror&start=1h" in server.asked[0]
    files = _read(out)
    assert "story.json" not in files
    manifest = json.loads(files["manifest.json"])
    assert manifest["cut"]
    assert manifest["verdict"]["state"] == "possibly incomplete"
    reasons = manifest["verdict"]["reasons"]
    assert [reason[:9] for reason in reasons] == ["day lost", "cut: only", "host web-"]
    assert reasons[2].startswith("host web-3, series an: 7 to 9 missing: ")
    said = capsys.readouterr()
    assert said.out.startswith(f"{out}  3 records, possibly incomplete\n")
    assert "\x1b" not in said.err


def test_an_id_that_no_record_carries_is_a_query(server: Server, shipper: Ask, tmp_path: Path) -> None:
    missing = (404, {"error": {"message": "no record carries it", "position": None}})
    server.answers = [missing, page(*_records()), _EMPTY_LEDGER]
    assert shipper("bundle", "timeout", "--out", str(tmp_path / "x.zip")) == 0
    assert server.asked[1] == "/api/v1/records?query=timeout&order=oldest&limit=1000"


def test_nothing_found_leaves_nothing(server: Server, shipper: Ask, tmp_path: Path) -> None:
    server.answers = [page()]
    assert shipper("bundle", "--app", "x", "--out", str(tmp_path / "x.zip")) == 1
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_nothing(server: Server, shipper: Ask, tmp_path: Path) -> None:
    server.answers = [page(*_records(), cursor="c"), (503, {"error": {"message": "busy", "position": None}})]
    with pytest.raises(ShipperError, match="busy"):
        shipper("bundle", "--app", "x", "--limit", "0", "--out", str(tmp_path / "x.zip"))
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(server: Server, shipper: Ask, tmp_path: Path) -> None:
    out = tmp_path / "mine.zip"
    out.write_text("mine")
    with pytest.raises(ShipperError, match="is there already"):
        shipper("bundle", "--app", "x", "--out", str(out))
    with pytest.raises(ShipperError, match="no such folder"):
        shipper("bundle", "--app", "x", "--out", str(tmp_path / "no" / "x.zip"))
    assert (out.read_text(), server.asked) == ("mine", [])


def test_hostile_records(server: Server, shipper: Ask, tmp_path: Path) -> None:
    told = [
        {**record(number, text, host__name=text, service__name=text, log__level=[text]), "id": text, "x": {text: text}}
        for number, text in enumerate(HOSTILE)
    ] + [{"id": 2**70, "message": {"a": [1]}, "http.response.status_code": 2**65, "@timestamp": None}]
    server.answers = [page(*told), _EMPTY_LEDGER]
    out = tmp_path / "x.zip"
    assert shipper("bundle", "x y", "--out", str(out)) == 0
    files = _read(out)
    assert set(files) <= set(FILES)
    html = files["index.html"].decode()
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("</style>") == 1
    assert "49" not in html.partition("<h2>Records</h2>")[2]
    assert "default-src 'none'" in html
    assert "://" not in html.replace(f"http://127.0.0.1:{server.server_port}", "")
    assert not any(char in html for char in "\x1b\x00\u202e")
    assert [json.loads(line) for line in files["records.ndjson"].splitlines()] == told
    (tmp_path / "records.db").write_bytes(files["records.db"])
    with sqlite3.connect(tmp_path / "records.db") as connection:
        rows = connection.execute("SELECT message, document FROM records ORDER BY number").fetchall()
        connection.execute("PRAGMA integrity_check")
    connection.close()
    assert rows[0][0] == HOSTILE[0]
    assert [json.loads(document) for _, document in rows] == told


def test_the_same_answers_give_the_same_bytes(
    server: Server, shipper: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        @staticmethod
        def now(_: object) -> "Clock":
            return Clock()

        def __format__(self, _: str) -> str:
            return "2026-11-22T14:30:00Z"

    monkeypatch.setattr("shipper.cli.bundle.datetime", Clock)
    server.answers = [page(*_records()), _EMPTY_LEDGER] * 2
    for name in ("a.zip", "b.zip"):
        assert shipper("bundle", "--app", "x", "--out", str(tmp_path / name)) == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_page_allows_its_own_style_and_nothing_else(bundle: Path) -> None:
    html = (bundle / "index.html").read_text()
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\"" in html
    assert "url(" not in style


@pytest.fixture
def bundle(server: Server, shipper: Ask, tmp_path: Path) -> Path:
    """A folder that is a bundle."""
    server.answers = [page(*_records()), _EMPTY_LEDGER]
    assert shipper("bundle", "--app", "x", "--out", str(tmp_path / "made")) == 0
    return tmp_path / "made"


def test_verify(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest_hash = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert main(["bundle", "--verify", str(bundle)]) == 0
    assert capsys.readouterr().out == f"{bundle}: unchanged, sha256 of its manifest {manifest_hash}\n"
    with (bundle / "records.ndjson").open("a") as file:
        file.write("{}\n")
    (bundle / "index.html").unlink()
    (bundle / "more\x1b").write_text("")
    assert main(["bundle", "--verify", str(bundle)]) == 1
    said = capsys.readouterr().out
    assert said == "index.html: is missing\nmore\\x1b: does not belong to it\nrecords.ndjson: was changed\n"


def test_verify_a_zip(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def packed(**changes: bytes) -> str:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as whole:
            for name, data in {**_read(bundle), **changes}.items():
                whole.writestr(f"{INSIDE}/{name}", data)
        return str(path)

    assert main(["bundle", "--verify", packed()]) == 0
    assert main(["bundle", "--verify", packed(**{"index.html": b"<p>x"})]) == 1
    assert main(["bundle", "--verify", packed(**{"../../up": b""})]) == 1
    assert main(["bundle", "--verify", packed(**{"manifest.json": b"[]"})]) == 2
    assert "manifest.json cannot be read" in capsys.readouterr().err


def test_a_damaged_zip_is_seen(server: Server, shipper: Ask, tmp_path: Path) -> None:
    server.answers = [page(*_records()), _EMPTY_LEDGER]
    out = tmp_path / "x.zip"
    assert shipper("bundle", "--app", "x", "--out", str(out)) == 0
    whole = out.read_bytes()
    with zipfile.ZipFile(out) as opened:
        places = [(one.header_offset + 30 + len(one.filename), one.compress_size) for one in opened.infolist()]
    assert len(places) == 4
    for start, size in places:
        for place in (start, start + size // 2):
            out.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            assert main(["bundle", "--verify", str(out)]) in (1, 2)
    out.write_bytes(whole)
    assert main(["bundle", "--verify", str(out)]) == 0


@pytest.mark.parametrize("content", [None, b"", b"no zip at all", b"PK\x03\x04" + b"\x00" * 40])
def test_verify_what_is_no_bundle(tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    assert main(["bundle", "--verify", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: ")
    (tmp_path / "empty").mkdir()
    assert main(["bundle", "--verify", str(tmp_path / "empty")]) == 2


def test_a_file_that_is_longer_than_it_says_is_not_read_to_its_end(bundle: Path) -> None:
    with (bundle / "records.db").open("ab") as file:
        file.truncate(2**33)  # sparse: reading all of it would take long
    assert main(["bundle", "--verify", str(bundle)]) == 1


def test_datasette_opens_it(bundle: Path) -> None:
    datasette = Path(sys.executable).with_name("datasette")
    assert datasette.exists() or shutil.which("datasette")
    argv: list[str | Path] = [
        datasette,
        "serve",
        bundle / "records.db",
        "--get",
        "/records/records.json?_shape=array&app=shop-api",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    rows = json.loads(done.stdout)
    assert [row["message"] for row in rows] == ["line 1", "line 2", "line 3"]
    assert json.loads(rows[0]["document"])["event.sequence"] == 1
