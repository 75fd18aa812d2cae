"""The commands that ask, against a running shipper and against the files of its store: the same answers."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipper.cli import main
from tests.e2e.story_world import Machine, Wire
from tests.shipper_process import ShipperProcess

REQUEST = "r-4970aa75a647"


def line(level: str, message: str, request: str = REQUEST) -> str:
    return json.dumps({"level": level, "message": message, "request_id": request})


def store(folder: Path) -> dict[str, Any]:
    return {"type": "sqlite", "path": str(folder / "data")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShipperProcess]:
    """A shipper that has stored a request over three services, and a hundred other lines."""
    folder = tmp_path_factory.mktemp("cli")
    with ShipperProcess(folder, store(folder), cluster="prod") as shipper:
        wire = Wire(shipper.port)
        web, pay = Machine(wire, "web-1"), Machine(wire, "pay-1")
        for number in range(50):
            web.write("gateway", line("info", f"GET /cart/{number} in {number} ms", f"r-{number}"))
            pay.write("stock", line("debug", f"level of item {number} is {number + 2}", f"r-{number}"))
        web.write("gateway", line("info", "POST /orders"))
        pay.write("payments", line("info", "charging 153.77 EUR"))
        pay.write("payments", line("error", "charge failed \x1b[31m=1+1"))
        web.write("gateway", line("error", "POST /orders failed"))
        wire.settle()
        wire.close()
        yield shipper


@pytest.fixture(params=["server", "store"])
def source(world: ShipperProcess, request: pytest.FixtureRequest) -> list[str]:
    """Options that say where answers come from."""
    return ["--url", world.url] if request.param == "server" else ["--store", str(world.config.parent / "data")]


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_search(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "app:payments and level:error", "--json", *source]) == 0
    (found,) = records(capsys.readouterr().out)
    assert found["message"] == "charge failed \x1b[31m=1+1"
    assert (
        main(["search", "cart", "--limit", "0", "--csv", "--columns", "message,request", "--order", "oldest", *source])
        == 0
    )
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["message", "request"]
    assert rows[1:] == [[f"GET /cart/{number} in {number} ms", f"r-{number}"] for number in range(50)]
    assert main(["search", "charge", *source]) == 0
    assert "charge failed \\x1b[31m=1+1" in capsys.readouterr().out
    assert main(["search", "nothing like this", *source]) == 1
    assert main(["search", "level:error and (app:x", *source]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == ["  level:error and (app:x", "                  ^"]


def test_request(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", REQUEST, *source]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"request {REQUEST}  4 records, ")
    assert any(line.startswith("first error  +") and "payments: charge failed \\x1b[31m=1+1" in line for line in said)
    assert main(["request", REQUEST, "--story-json", *source]) == 0
    story = json.loads(capsys.readouterr().out)
    assert [service["name"] for service in story["services"]] == ["gateway", "payments"]
    assert main(["request", "r-never", *source]) == 1


def test_context(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "failed", "--app", "payments", "--json", *source]) == 0
    (found,) = records(capsys.readouterr().out)
    assert main(["context", found["id"], "--kind", "host", "-B", "2", "-A", "5", "--json", *source]) == 0
    told = [record["message"] for record in records(capsys.readouterr().out)]
    assert told == ["level of item 49 is 51", "charging 153.77 EUR", "charge failed \x1b[31m=1+1"]
    assert main(["context", "aaaaaaaaaaaan-0000000001", *source]) == 1


def test_top_and_patterns(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "app", "--json", *source]) == 0
    assert {value["value"]: value["count"] for value in records(capsys.readouterr().out)} == {
        "gateway": 52, "payments": 2, "stock": 50
    }  # fmt: skip
    assert main(["top", "--patterns", "app:stock", "--json", *source]) == 0
    (pattern,) = records(capsys.readouterr().out)
    assert (pattern["template"], pattern["count"]) == ("level of item <n> is <n>", 50)
    assert main(["compare", "--since", "1h", "--before", "2h", "--limit", "3", *source]) == 0
    assert "new " in capsys.readouterr().out


def test_ledger_and_dead_letters(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--csv", *source]) == 0
    assert sorted(row[0] for row in csv.reader(io.StringIO(capsys.readouterr().out))) == ["host", "pay-1", "web-1"]
    assert main(["dead-letters", *source]) == 1


def test_bundle(source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for asked, count in ((REQUEST, 4), ("app:stock or app:payments", 52)):
        out = tmp_path / f"incident-{count}"
        assert main(["bundle", asked, "--out", str(out), *source]) == 0
        assert main(["bundle", "--verify", str(out)]) == 0
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["records"] == count == len((out / "records.ndjson").read_text().splitlines())
        assert manifest["verdict"] == {"state": "complete", "reasons": []}
        assert (out / "story.json").exists() is (asked == REQUEST)
        assert manifest["understood"]["kql"]


def test_completion_values(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "values", "app", "p", *source]) == 0
    assert capsys.readouterr().out == "payments\n"
    assert main(["completion", "values", "field", "http.req", *source]) == 0
    assert "http.request.id" in capsys.readouterr().out.split()


def test_choosing_the_files(world: ShipperProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = world.config.parent / "data"

    def error(*arguments: str) -> str:
        assert main(["search", "charge", *arguments]) == 2
        return capsys.readouterr().err

    assert main(["search", "charge", "--store", str(data / "prod")]) == 0
    assert main(["search", "charge", "--store", str(data), "--cluster", "prod"]) == 0
    assert "not in" in error("--store", str(data), "--cluster", "../prod")
    assert "no files of an SQLite store" in error("--store", str(tmp_path))
    assert "No such file" in error("--store", str(tmp_path / "none"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.db").touch()
    assert "choose one with --cluster (one, two)" in error("--store", str(tmp_path))


def test_the_installed_command(world: ShipperProcess) -> None:
    argv: list[str | Path] = [Path(sys.executable).with_name("shipper"), "search", "charge", "--url", world.url]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_a_bundle_has_only_what_its_token_may_see(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, apps in (("all", []), ("team", ["--app", "/payments"])):
        assert main(["tokens", "create", name, "--file", str(run_dir / "tokens"), *apps]) == 0
        (run_dir / name).write_text(capsys.readouterr().out.split()[-1])
    with ShipperProcess(
        run_dir, store(run_dir), api={"port": 0, "access": {"tokens_file": str(run_dir / "tokens")}}
    ) as shipper:
        wire = Wire(shipper.port)
        host = Machine(wire, "web-1")
        for app in ("gateway", "payments", "gateway"):
            host.write(app, line("info", f"secret of {app}"))
        wire.settle()
        wire.close()

        def bundle(name: str, *token: str) -> int:
            return main(["bundle", REQUEST, "--out", str(run_dir / f"bundle-{name}"), "--url", shipper.url, *token])

        assert bundle("none") == 2
        assert "$SHIPPER_TOKEN or --token-file" in capsys.readouterr().err
        for name in ("all", "team"):
            assert bundle(name, "--token-file", str(run_dir / name)) == 0
    for name, seen in (("all", True), ("team", False)):
        files = list((run_dir / f"bundle-{name}").iterdir())
        assert len(files) == 5
        assert any(b"secret of gateway" in file.read_bytes() for file in files) is seen
        assert all(b"secret of payments" in file.read_bytes() for file in files if file.name != "manifest.json")
    assert not list(run_dir.glob("bundle-none*"))
