"""API keys: made, filed, rotated while a store writes, and never shown."""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.cli import main
from shipper.record import STORED
from shipper.setup.elasticsearch_roles import PURPOSES, descriptor
from shipper.stores.elasticsearch import Config
from tests.contract.test_stores import record
from tests.unit.elasticsearch_world import PASSWORD, USER, Fake, elasticsearch


async def keys(fake: Fake, folder: Path, *options: str) -> int:
    config, password = folder / "shipper.yaml", folder / "password"
    config.write_text(yaml.safe_dump({"cluster": "prod", "store": {"type": "elasticsearch", "urls": [fake.url]}}))
    password.write_text(PASSWORD)
    login = ["--username", USER, "--password-file", str(password), "--directory", str(folder / "keys")]
    return await asyncio.to_thread(main, ["setup", "keys", "--config", str(config), *login, *options])


def held(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text().strip() for path in (folder / "keys").iterdir()}


async def test_made_once_each_with_its_own_privileges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--dry-run") == 1
        assert not fake.keys
        assert await keys(fake, tmp_path) == 2
        assert "nobody can be asked here" in capsys.readouterr().err
        assert await keys(fake, tmp_path, "--yes") == 0
        files = held(tmp_path)
        assert files == {str(key["metadata"]["purpose"]): fake.encoded(name) for name, key in fake.keys.items()}
        assert set(files) == set(PURPOSES)
        for key in fake.keys.values():
            purpose = key["metadata"]["purpose"]
            assert key["role_descriptors"] == {f"shipper-{purpose}.prod": descriptor(purpose, "prod")}
            path = tmp_path / "keys" / f"{purpose}.key"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await keys(fake, tmp_path, "--yes") == 0
        assert held(tmp_path) == files
        assert len(fake.keys) == len(PURPOSES)
        seen = capsys.readouterr()
        assert "nothing to change" in seen.err
        assert "canary" not in seen.out + seen.err
        assert not any(encoded in seen.out + seen.err for encoded in files.values())


async def test_a_key_that_is_not_accepted_any_more_is_made_again(tmp_path: Path) -> None:
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes", "--only", "writing", "--only", "reading") == 0
        before = held(tmp_path)
        assert set(before) == {"writing", "reading"}
        next(iter(fake.keys.values()))["invalidated"] = True
        assert await keys(fake, tmp_path, "--yes", "--only", "writing", "--only", "reading") == 0
        after = held(tmp_path)
        assert (after["reading"], after["writing"] == before["writing"]) == (before["reading"], False)


async def test_rotated_in_two_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes") == 0
        old = set(fake.keys)
        stranger = {"id": "x" * 20, "name": "shipper-writing.prod", "invalidated": False, "metadata": {}}
        fake.keys["x" * 20] = stranger
        assert await keys(fake, tmp_path, "--yes", "--rotate") == 0
        assert "--finish invalidates them, once every machine has the new files" in capsys.readouterr().err
        assert not any(key["invalidated"] for key in fake.keys.values())
        assert await keys(fake, tmp_path, "--finish", "--dry-run") == 1
        assert await keys(fake, tmp_path, "--finish", "--yes") == 0
        assert {name for name, key in fake.keys.items() if key["invalidated"]} == old
        assert await keys(fake, tmp_path, "--finish") == 0
        assert "no key is accepted but those in the files" in capsys.readouterr().err


async def test_nothing_is_invalidated_when_a_file_holds_no_good_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes") == 0
        (tmp_path / "keys" / "reading.key").unlink()
        (tmp_path / "keys" / "writing.key").write_text("no key\n")
        assert await keys(fake, tmp_path, "--finish", "--yes") == 2
        assert "no key was invalidated; make one first, without --finish" in capsys.readouterr().err
        assert not any(key["invalidated"] for key in fake.keys.values())


async def test_rotated_with_a_grace(tmp_path: Path) -> None:
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes") == 0
        old = set(fake.keys)
        assert await keys(fake, tmp_path, "--yes", "--rotate", "--grace", "0") == 0
        assert {name for name, key in fake.keys.items() if key["invalidated"]} == old


async def test_a_folder_that_takes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keys").write_text("a file")
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes") == 2
        assert not fake.keys
    assert "error: " in (error := capsys.readouterr().err)
    assert len(error.splitlines()) == 1


REFUSED: dict[str, tuple[list[str], str]] = {
    "nobody named": ([], "keys are made by a user: give --username"),
    "a password alone": (["--password-file", "x"], "--password-file needs --username"),
    "grace alone": (["--grace", "5", "--username", "y"], "--grace belongs to --rotate"),
    "nobody to ask": (["--username", "y"], "nobody can be asked for the password here: give --password-file"),
    "no such file": (
        ["--username", "y", "--password-file", "/none"],
        "--password-file: cannot read /none (No such file or directory)",
    ),
}


@pytest.mark.parametrize(("options", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    config = tmp_path / "shipper.yaml"
    config.write_text("store: {type: elasticsearch}\n")
    assert main(["setup", "keys", "--config", str(config), "--directory", str(tmp_path / "keys"), *options]) == 2
    assert said in capsys.readouterr().err


def with_file(fake: Fake, path: Path, **more: Any) -> Config:
    return Config.model_validate({"type": "elasticsearch", "urls": [fake.url], "api_key_file": str(path), **more})


async def test_a_running_store_follows_its_file(tmp_path: Path) -> None:
    """While a store writes, keys are rotated and the old ones invalidated: nothing is lost, nothing comes twice."""
    path = tmp_path / "keys" / "writing.key"
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes", "--only", "writing") == 0
        async with with_file(fake, path).build("prod") as store:
            store._prepared = True
            written, stop, stored = 0, asyncio.Event(), asyncio.Event()

            async def write() -> None:
                nonlocal written
                while not stop.is_set():
                    assert await store.put([record(written + n) for n in (1, 2, 3)]) == [STORED] * 3
                    written += 3
                    stored.set()

            async with asyncio.TaskGroup() as group:
                group.create_task(write())
                for _ in range(3):
                    assert await keys(fake, tmp_path, "--yes", "--only", "writing", "--rotate", "--grace", "0") == 0
                    for _ in range(10):
                        stored.clear()
                        await stored.wait()
                stop.set()
        assert sum(key["invalidated"] for key in fake.keys.values()) == 3
        assert len(fake.documents) == written
        assert fake.duplicates == 0


async def test_a_key_that_is_refused_is_looked_for_again(tmp_path: Path) -> None:
    """A file that changed without its times showing it (some mounts), read again after a 401: also for repairs."""
    path = tmp_path / "keys" / "writing.key"
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes", "--only", "writing") == 0
        async with with_file(fake, path, repair_api_key_file=str(path)).build("prod") as store:
            store._prepared = True
            assert await store.put([record(1)]) == [STORED]
            before = path.stat()
            assert await keys(fake, tmp_path, "--yes", "--only", "writing", "--rotate", "--grace", "0") == 0
            logins = (store._server._login, store._server._repair_login)
            for login in logins:
                login._signature = login._sign()  # type: ignore[attr-defined]
            assert path.stat().st_ino != before.st_ino
            shown = logins[0].headers()
            assert await store.put([record(2)]) == [STORED]
            assert logins[0].headers() != shown
            assert (await store._server.send(b"", repair=True))["items"] == []
        assert [one for one in fake.asked if one == "POST /_bulk"] == ["POST /_bulk"] * 5


async def test_a_file_that_is_gone_or_damaged_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "writing.key"
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--yes", "--only", "writing") == 0
        async with with_file(fake, path).build("prod") as store:
            store._prepared = True
            path.write_text("half a k")
            os.utime(path, ns=(1, 1))
            assert await store.put([record(1)]) == [STORED]
            path.unlink()
            assert await store.put([record(2)]) == [STORED]
        assert len(fake.documents) == 2


async def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with elasticsearch() as fake:
        assert await keys(fake, tmp_path, "--json", "--yes", "--only", "reading") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["step"], one["what"], one["name"]) for one in found] == [
        ("create", "key", "reading"),
        ("created", "key", "reading"),
    ]
