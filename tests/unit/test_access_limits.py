"""Who listens where, whose word is taken, how much one may ask, and what the audit says."""

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.api.access.audit import Audit, cleaned
from shipper.api.access.entrance import Entrance, check
from shipper.api.access.limits import AT_ONCE, MOST_CALLERS, Account, Bucket, Limits
from shipper.api.access.peers import Hosts, Proxies
from shipper.api.app import build
from shipper.config import AccessSettings, ApiSettings
from shipper.errors import ConfigError
from tests.servers.process import wait_until
from tests.unit.access_world import bearer, client, web
from tests.unit.api_world import MemoryReader, shop


def settings(host: str = "127.0.0.1", **access: Any) -> ApiSettings:
    return ApiSettings(host=host, access=AccessSettings(**access))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_only_needs_nothing(host: str) -> None:
    check(settings(host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "web-3", "::ffff:10.0.0.7", ""])
def test_anywhere_else_it_must_be_said_who_may_ask(host: str) -> None:
    with pytest.raises(ConfigError) as told:
        check(settings(host))
    for way in ("tokens_file", "user_header", "open: true"):
        assert way in str(told.value)
    assert "\n" not in str(told.value)
    check(settings(host, open=True))
    check(settings(host, tokens_file="x"))
    check(settings(host, user_header="X-User", trusted_proxies=["10.0.0.1"]))
    check(ApiSettings(host=host, enabled=False))


@pytest.mark.parametrize(
    ("access", "part"),
    [
        ({"open": True, "tokens_file": "x"}, "contradict"),
        ({"user_header": "X-User"}, "trusted_proxies"),
        ({"user_header": "X-User", "trusted_proxies": ["web-3"]}, "web-3"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "10.0.0.0/99"),
    ],
)
def test_what_cannot_be_meant_is_refused(access: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        check(settings(**access))


def test_it_says_once_that_it_is_open(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Entrance.of(settings()).say()
    Entrance.of(settings("::", open=True)).say()
    said = [record for record in caplog.records if record.message.startswith("access is open")]
    assert [(record.levelname, record.__dict__["from"]) for record in said] == [
        ("INFO", "this machine"),
        ("WARNING", "everywhere"),
    ]


def scope(client: str = "127.0.0.1", **headers: str | list[str]) -> dict[str, Any]:
    listed = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return {"type": "http", "client": (client, 1), "headers": listed, "scheme": "http"}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1:80", "[::1]:8080", "[::1]", "10.0.0.7", 
             "logs.example", "shipper.localhost:80"]
)  # fmt: skip
def test_own_names(host: str) -> None:
    assert Hosts(["logs.example"], checked=True).answered(scope(host=host))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "",
             "evil@localhost", "localhost, evil.example", "0x7f.1", "localhost:80:80"]
)  # fmt: skip
def test_names_of_others(host: str) -> None:
    assert not Hosts(["logs.example"], checked=True).answered(scope(host=host))
    assert Hosts([], checked=False).answered(scope(host=host))


async def test_a_foreign_name_reads_nothing_on_this_machine() -> None:
    app = build(MemoryReader(*shop(5)), entrance=Entrance.of(settings()))
    async with client(app, "127.0.0.1") as somebody:
        for path in ("/", "/api/v1/records", "/metrics", "/login"):
            assert (await somebody.get(path, headers={"Host": "evil.example"})).status_code == 421
        assert (await somebody.get("/health", headers={"Host": "evil.example"})).status_code == 200
        assert (await somebody.get("/api/v1/records", headers={"Host": "localhost:8080"})).status_code == 200


def test_only_a_trusted_peer_is_believed() -> None:
    proxies = Proxies(["10.0.0.0/8"], "x-user")
    forged = scope("10.0.0.1", x_forwarded_for="1.1.1.1, 2.2.2.2", x_user="ann", x_forwarded_proto="https")
    assert (proxies.address(forged), proxies.user(forged), proxies.secure(forged)) == ("2.2.2.2", "ann", True)
    forged["client"] = ("127.0.0.1", 1)
    assert (proxies.address(forged), proxies.user(forged), proxies.secure(forged)) == ("127.0.0.1", None, False)
    assert proxies.address(scope("10.0.0.1", x_forwarded_for="<script>")) == "10.0.0.1"
    assert proxies.address({"type": "http", "client": None, "headers": []}) == "-"


def test_a_bucket_fills_with_time() -> None:
    bucket = Bucket(60, 0)
    assert all(bucket.spare(0) for _ in range(60))
    assert not bucket.spare(0)
    assert bucket.wait(1, 0) == pytest.approx(1)
    assert bucket.spare(1.01)
    bucket.take(100, 1.01)
    assert bucket.wait(0, 1.01) == pytest.approx(100, abs=1)
    assert bucket.wait(60, 100_000) == 0
    assert bucket.wait(61, 200_000) > 0


def test_an_account_says_why_and_how_long() -> None:
    account = Account(AccessSettings(requests_per_minute=2, store_seconds_per_minute=6, tails=1), 0)
    assert account.refusal(0, False) is None
    assert account.refusal(0, False) is None
    assert account.refusal(0, False) == ("questions", 30)
    assert account.refusal(30.1, False) is None
    account.store.take(12, 30.1)
    assert account.refusal(60.2, False) == ("store_seconds", 30)
    account.enter(True)
    assert account.refusal(300, True) == ("tails", 10)
    account.leave(True)
    assert account.refusal(300, True) is None
    for _ in range(AT_ONCE):
        account.enter(False)
    assert account.refusal(300, False) == ("at_once", 1)


def test_callers_are_forgotten() -> None:
    limits = Limits(AccessSettings(requests_per_minute=1))
    for number in range(MOST_CALLERS + 100):
        limits.account(f"address:{number}", 0)
        assert limits.account("busy", 0) is limits.account("busy", 0)
    assert len(limits) == MOST_CALLERS


async def test_too_many_questions_of_one_caller(tmp_path: Path) -> None:
    app = web(tmp_path, requests_per_minute=3)
    async with client(app) as somebody:
        answers = [await somebody.get("/api/v1/records", headers=bearer("reader")) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert "questions in a minute" in answers[-1].json()["error"]["message"]
        assert (await somebody.get("/api/v1/records", headers=bearer("shop"))).status_code == 200
        assert (await somebody.get("/health")).status_code == 200
        told = (await somebody.get("/metrics", headers=bearer("admin"))).text
        assert 'shipper_questions_refused_total{reason="questions"}' in told


async def test_questions_that_keep_the_store_busy(tmp_path: Path) -> None:
    app = web(tmp_path, store_seconds_per_minute=1e-6)
    async with client(app) as somebody:
        assert (await somebody.get("/api/v1/records", headers=bearer("reader"))).status_code == 200
        assert (await somebody.get("/api/v1/records", headers=bearer("reader"))).status_code == 429


def _lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_the_audit_file_is_opened_again_when_it_was_renamed(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    with Audit(str(path)) as audit:
        audit.tell(number=1)
        wait_until(lambda: path.stat().st_size > 0)
        path.rename(old)
        audit.tell(number=2)
        audit.tell(number=3)
    assert (_lines(old), _lines(path)) == ([{"number": 1}], [{"number": 2}, {"number": 3}])


def test_an_audit_file_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit_file.*no such file"):
        Audit(str(tmp_path / "no" / "audit.log"))


def test_without_a_file_it_is_in_our_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shipper.audit")
    with Audit() as audit:
        audit.tell(caller="ops", path="/")
    found = [record for record in caplog.records if record.name == "shipper.audit"]
    assert [(record.__dict__["caller"], record.__dict__["path"]) for record in found] == [("ops", "/")]


def test_what_strangers_write_is_cleaned() -> None:
    said = cleaned("/x?a=\x1b[2J\u202e\n\t&token=shp_AbC-_9&" + "y" * 5000)
    assert said.startswith("/x?a=\\x1b[2J\\u202e\\n\\t&token=shp_…&yyy")
    assert len(said) == 2001
