"""Tokens: made once, kept as hashes, valid until revoked or expired, read again when their files change."""

import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.api.access import token_files, tokens
from shipper.api.access.caller import APP_FIELD, app_pattern, including, visible
from shipper.api.access.token_files import TokenFiles
from shipper.cli import main
from shipper.errors import ConfigError
from shipper.search.expression import Equals, Everything, Like, Or
from tests.unit.api_world import NOW, SECOND

_TEXT = "shp_" + "a" * 43


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(name: str = "ops", text: str = _TEXT, **more: Any) -> tokens.Token:
    return tokens.token(name, tokens.digest(text.encode()), more.pop("scopes", ["read"]), **more)


def _command(*arguments: str) -> Callable[[Path], int]:
    return lambda path: main(["tokens", arguments[0], "--file", str(path), *arguments[1:]])


def test_create_list_revoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep" / "tokens.json"
    assert _command("list")(path) == 2  # a file that is not there is not one without tokens
    assert _command("create", "shop", "--scope", "tail", "--app", "/shop/*", "--expires", "90d")(path) == 0
    text = capsys.readouterr().out.strip()
    assert text.startswith("shp_")
    assert len(text) == 47
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text not in path.read_text()
    assert _command("create", "shop")(path) == 2
    assert _command("create", "x", "--scope", "admin", "--app", "/shop/*")(path) == 2
    assert _command("create", "\x1b[31m")(path) == 2
    assert _command("create", "x", "--app", "shop?")(path) == 2
    assert "\x1b" not in capsys.readouterr().err
    assert _command("create", "ops")(path) == 0
    capsys.readouterr()
    assert _command("list")(path) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == ["NAME", "shop", "ops"]
    assert text not in listed
    found = TokenFiles(str(path)).find(text.encode(), NOW)
    assert found is not None
    assert (found.scopes, found.apps) == (("tail",), ("/shop/*",))
    assert found.expires is not None
    assert found.created is not None
    assert found.expires - found.created == 90 * 86400 * SECOND
    assert _command("revoke", "shop")(path) == 0
    assert _command("revoke", "shop")(path) == 2
    assert TokenFiles(str(path)).find(text.encode(), NOW) is None


def test_the_command_needs_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "shipper.yaml"
    config.write_text("{}")
    assert main(["tokens", "list", "--config", str(config)]) == 2
    assert "api.access.tokens_file" in capsys.readouterr().err


def test_a_revoked_token_is_worthless_within_a_second(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "tokens.json"
    tokens.write(path, [made("ops"), made("other", "x" * 40)])
    known = TokenFiles(str(path), clock=clock)
    assert known.find(_TEXT.encode(), NOW) is not None
    tokens.write(path, [made("other", "x" * 40)])
    clock.now += 1.01
    assert known.find(_TEXT.encode(), NOW) is None
    assert known.find(b"x" * 40, NOW) is not None


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"tokens": 1}', b'{"tokens": [1]}', b"\xff", None])
def test_a_broken_file_lets_nobody_in(tmp_path: Path, broken: bytes | None) -> None:
    clock, path = Clock(), tmp_path / "tokens.json"
    tokens.write(path, [made()])
    known = TokenFiles(str(path), clock=clock)
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    clock.now += 1.01
    assert known.find(_TEXT.encode(), NOW) is None
    with pytest.raises(ConfigError, match=r"api\.access\.tokens_file.*tokens\.json") as told:
        TokenFiles(str(path))
    assert "\n" not in str(told.value)
    tokens.write(path, [made()])
    clock.now += 1.01
    assert known.find(_TEXT.encode(), NOW) is not None


@pytest.mark.parametrize(
    "change",
    [{"name": "a/b"}, {"name": ""}, {"name": 1}, {"sha256": "00"}, {"sha256": "x" * 64}, {"scopes": []},
     {"scopes": ["root"]}, {"scopes": "read"}, {"apps": ["shop"]}, {"apps": ["/a?b"]}, {"apps": ["/a\\"]},
     {"apps": ["/x"], "scopes": ["admin"]}, {"expires": "soon"}, {"expires": 1}, {"more": 1}],
)  # fmt: skip
def test_a_wrong_entry_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "tokens.json"
    tokens.write(path, [made()])
    entries = orjson.loads(path.read_bytes())
    entries["tokens"][0] |= change
    path.write_bytes(orjson.dumps(entries))
    with pytest.raises(ConfigError):
        tokens.read(path)


def test_mounted_secrets(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "bare").write_text(_TEXT + "\n")
    said = "scopes: read tail\napps: /shop/* /cart\nexpires: 2027-02-01T00:00:00Z\n"
    (tmp_path / "shop").write_text(f"{'b' * 40}\r\n{said}")
    (tmp_path / "..data").mkdir()
    (tmp_path / ".hidden").write_text("no token")
    known = TokenFiles(directory=str(tmp_path), clock=clock)
    bare, shop = known.find(_TEXT.encode(), NOW), known.find(b"b" * 40, NOW)
    assert bare is not None
    assert shop is not None
    assert (bare.name, bare.scopes, bare.apps, bare.expires) == ("bare", ("read",), (), None)
    assert (shop.name, shop.scopes, shop.apps) == ("shop", ("read", "tail"), ("/shop/*", "/cart"))
    assert known.find(b"b" * 40, NOW + 365 * 86400 * SECOND) is None
    (tmp_path / "bare").unlink()
    clock.now += 1.01
    assert known.find(_TEXT.encode(), NOW) is None
    (tmp_path / "new").write_text(_TEXT)
    clock.now += 1.01
    assert known.find(_TEXT.encode(), NOW) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "a" * 300,
        "with space " * 3,
        "ü" * 30,
        f"{_TEXT}\nscope: read",
        f"{_TEXT}\nscopes: root",
        f"{_TEXT}\n{_TEXT}",
    ],
)
def test_a_wrong_secret_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "ops").write_text(text)
    with pytest.raises(ConfigError) as told:
        TokenFiles(directory=str(tmp_path))
    assert str(tmp_path / "ops") in str(told.value)
    assert _TEXT not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tokens_directory"):
        TokenFiles(directory=str(tmp_path / "no"))


def test_every_token_is_compared_and_as_hashes_of_one_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Time itself is not measured: what is compared is the SHA-256 of what was sent, always with all tokens, by a
    # function made for it. So how long it takes can say nothing about any token's text, and that is what is held here.
    path = tmp_path / "tokens.json"
    tokens.write(path, [made(f"t{number}", f"{number:040d}") for number in range(20)])
    known = TokenFiles(str(path))
    seen: list[tuple[int, int]] = []

    class Watched:
        """`hmac` that is watched."""

        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            seen.append((len(one), len(other)))
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(token_files, "hmac", Watched)
    for text in (b"", b"x", b"0" * 40, "ü".encode(), b"\xff" * 200):
        known.find(text, NOW)
    assert seen == [(32, 32)] * 20 * 5


def test_scopes_include_those_before_them() -> None:
    assert including(["read"]) == {"read"}
    assert including(["tail"]) == {"read", "tail"}
    assert including(["admin"]) == {"read", "tail", "admin"}
    assert including([]) == set()
    with pytest.raises(ValueError, match="known: read tail admin"):
        including(["root"])


def test_apps_become_a_filter() -> None:
    assert visible(()) == Everything()
    assert visible(("/cart",)) == Equals(APP_FIELD, "/cart")
    assert visible(("/shop/*", "/cart")) == Or((Like("/shop/*", APP_FIELD), Equals(APP_FIELD, "/cart")))
    for wrong in ("", "shop", "/a?", "/a\\", "/a b", "/\n", "/" + "a" * 300, "*"):
        with pytest.raises(ValueError, match="not a Marathon id"):
            app_pattern(wrong)


def test_two_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            with tokens.changing(path) as known:
                known.append(made(f"t{number}"))
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    assert sorted(one.name for one in tokens.read(path)) == [f"t{number}" for number in range(6)]
