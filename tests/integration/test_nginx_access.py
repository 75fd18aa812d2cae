"""nginx in front asks who is there: TLS, passwords, an outer proxy; and the API behind it knows who asked."""

import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.front import SECRET, Answer, Front, basic, heard, telling
from tests.integration.haproxy import HAProxy
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess
from tests.tls import Authority
from tests.unit.marathon_apps import apps

TOKEN = "shp_" + "k" * 40
ANN = basic("ann", "good password")


def secrets(front: Front) -> None:
    """What an operator writes: the secret, and the password of ann."""
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "-stdin"], input="good password\n", capture_output=True, text=True, check=True
    )
    (front.secrets / "front/secret").write_text(SECRET + "\n")
    (front.secrets / "front/htpasswd").write_text(f"ann:{hashed.stdout}")


def named(answer: Answer) -> list[str]:
    """The user that the server behind was told."""
    assert heard(answer, "x-shipper-proxy-secret") == [SECRET]
    return heard(answer, "x-forwarded-user")


FORGED = {"X-Forwarded-User": "root", "X-Shipper-Proxy-Secret": "guessed", "X_Forwarded_User": "root"}


def test_a_password_names_the_user_and_goes_no_further(nginx: str, run_dir: Path) -> None:
    with telling("api") as api, telling("kibana") as kibana:
        front = Front(nginx, run_dir, api_port=api, kibana_port=kibana, front_auth="basic")
        secrets(front)
        with front.running():
            for path in ("/", "/api/v1/tail", "/static/page.css", "/kibana/", "/kibana/app/x", "/kibana/s/a/app/x"):
                asked = front.ask(path, headers=FORGED)
                assert (asked.status, asked.headers["www-authenticate"]) == (401, 'Basic realm="shipper"'), path
                assert front.ask(path, headers={**FORGED, **basic("ann", "bad")}).status == 401
                assert front.ask(path, headers={**FORGED, **basic("root", "")}).status == 401
                answer = front.ask(path, headers={**FORGED, **ANN})
                assert (answer.status, named(answer), heard(answer, "authorization")) == (200, ["ann"], []), path
            assert front.ask("/nginx-health").status == 200
            assert front.ask("/nginx-ready").status == 200
            assert _logged(front, "/kibana/app/x") == "ann"
            (front.secrets / "front/htpasswd").write_text("")
            assert front.ask("/", headers=ANN).status == 401, "read again"


def _logged(front: Front, path: str) -> str:
    """Who asked for a path, as the access log says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(front.socket))
        front.socket.chmod(0o666)
        log.settimeout(30)
        front.ask(path, headers={**FORGED, **ANN})
        line = log.recv(65536)
    return str(json.loads(line[line.index(b"{") :])["user_id"])


def test_a_token_of_the_api_needs_no_password_and_opens_nothing_else(nginx: str, run_dir: Path) -> None:
    with telling("api") as api, telling("kibana") as kibana:
        front = Front(nginx, run_dir, api_port=api, kibana_port=kibana, front_auth="basic")
        secrets(front)
        with front.running():
            for path in ("/", "/api/v1/tail"):
                for scheme in ("Bearer", "bearer"):
                    answer = front.ask(path, headers={**FORGED, "Authorization": f"{scheme} {TOKEN}"})
                    assert (named(answer), heard(answer, "authorization")) == ([], [f"{scheme} {TOKEN}"])
            for path in ("/kibana/", "/kibana/app/x", "/kibana/s/a/app/x", "/kibana/api/status", "/x/../kibana/"):
                assert front.ask(path, headers={"Authorization": f"Bearer {TOKEN}"}).status == 401, path
            for given in (
                "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN} x", f"Bearer {TOKEN}, Basic x", "off",
                "ApiKey x",
            ):  # fmt: skip
                assert front.ask("/", headers={"Authorization": given}).status == 401, given


@pytest.mark.parametrize("trusted", ["127.0.0.0/8", "10.0.0.7,fd00::/8"])
def test_an_outer_proxy_names_the_user_and_nobody_else_can(nginx: str, run_dir: Path, trusted: str) -> None:
    with telling("api") as api, telling("kibana") as kibana:
        front = Front(
            nginx, run_dir, api_port=api, kibana_port=kibana, front_auth="header", front_trusted=trusted
        )  # fmt: skip
        secrets(front)
        said = {"X-Forwarded-User": "ann", "X-Forwarded-For": "10.0.0.7, 10.1.2.3", "X-Forwarded-Proto": "https"}
        with front.running():
            answer = front.ask("/", headers={**FORGED, **said})
            believed = trusted == "127.0.0.0/8"
            assert named(answer) == (["ann"] if believed else [])
            assert heard(answer, "x-forwarded-for") == ["10.1.2.3" if believed else "127.0.0.1"]
            assert heard(answer, "x-forwarded-proto") == ["https" if believed else "http"]
            for path in ("/kibana/", "/kibana/app/x"):
                assert front.ask(path, headers=said).status == (200 if believed else 403)
                assert front.ask(path, headers={"Authorization": f"Bearer {TOKEN}"}).status == 403
            for hostile in ("", "a b", "a,b", "a" * 129, "é", "ann\t"):
                given = {**said, "X-Forwarded-User": hostile}
                assert named(front.ask("/", headers=given)) in ([], ["ann"] if believed and hostile == "ann\t" else [])
            assert heard(front.ask("/", headers={"Authorization": f"Bearer {TOKEN}"}), "authorization")
            assert not heard(front.ask("/", headers=ANN), "authorization")


@pytest.mark.parametrize("secret", [None, "", "a b\n", '";}\n', "$(id)\n"])
def test_without_its_secret_it_does_not_start(nginx: str, run_dir: Path, secret: str | None) -> None:
    front = Front(nginx, run_dir, front_auth="basic")
    if secret is not None:
        (front.secrets / "front/secret").write_text(secret)
    with front.started() as process:
        assert process.wait(60) != 0
        assert "front/secret" in process.tail()
    assert not (front.folder / "nginx.conf").exists()


def test_the_secret_is_not_in_the_sandbox_nor_in_the_app(nginx: str, run_dir: Path) -> None:
    front = Front(nginx, run_dir, front_auth="basic")
    secrets(front)
    with front.running():
        assert SECRET not in (run_dir / "nginx.conf").read_text()
        assert SECRET not in json.dumps(front.app)
        (private,) = (path for path in run_dir.glob("tmp.*") if path.is_dir())
        assert private.stat().st_mode & 0o077 == 0


def test_tls_with_a_certificate_of_its_own(nginx: str, run_dir: Path) -> None:
    authority = Authority(run_dir / "ca")
    pair = authority.sign("localhost")
    files = {"front_tls_certificate": pair.certificate, "front_tls_key": pair.key}
    with telling("api") as api:
        front = Front(nginx, run_dir, api_port=api, kibana=False, front_tls_port=443, **files)
        with front.running():
            context = ssl.create_default_context(cafile=authority.certificate)
            context.check_hostname = False  # asked by address
            answer = front.ask("/", tls=context, headers={"Host": "logs.example"})
            assert heard(answer, "x-forwarded-proto") == ["https"]
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert front.ask("/nginx-health", tls=context).status == 200
            moved = front.ask("/kibana/app?a=%0d%0ab", headers={"Host": "logs.example:80"})
            assert moved.status == 308
            assert moved.headers["location"] == "https://logs.example/kibana/app?a=%0d%0ab"
            assert "strict-transport-security" not in moved.headers
            assert front.ask("/nginx-health").status == 200
            with pytest.raises(ssl.SSLError):
                front.ask("/", tls=ssl.create_default_context())
            old = ssl.create_default_context(cafile=authority.certificate)
            old.check_hostname = False
            with pytest.warns(DeprecationWarning, match="TLSv1"):
                old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            with pytest.raises(ssl.SSLError):
                front.ask("/", tls=old)


def test_the_audit_knows_who_asked_what_through_nginx_and_haproxy(nginx: str, haproxy: str, run_dir: Path) -> None:
    front = Front(nginx, run_dir, api_port=(port := free_port()), kibana=False, front_auth="basic")
    secrets(front)
    tokens = front.secrets / "tokens"
    tokens.mkdir()
    (tokens / "script").write_text(f"{TOKEN}\nscopes: read\n")
    audit = run_dir / "audit"
    with ShipperProcess(run_dir / "shipper", _store(run_dir), api=_api(front, audit)) as shipper:
        with _http(HAProxy(haproxy, run_dir / "haproxy", port, [int(shipper.url.rpartition(":")[2])])), front.running():
            assert front.ask("/api/v1/records?text=one", headers={**FORGED, **ANN}).status == 200
            token = {**FORGED, "Authorization": f"Bearer {TOKEN}"}
            assert front.ask("/api/v1/records?text=two", headers=token).status == 200
            wrong = {"Authorization": f"Bearer {TOKEN}x"}
            assert front.ask("/api/v1/records?text=three", headers=wrong).status == 401
            # Past nginx, through the same HAProxy: a name alone is no proof.
            front.port = port
            assert front.ask("/api/v1/records?text=four", headers=FORGED).status == 401
            wait_until(lambda: audit.exists() and audit.read_bytes().count(b"\n") >= 4, 30)
    told = [json.loads(line) for line in audit.read_bytes().splitlines()]
    asked = {line["path"].rpartition("=")[2]: (line["caller"], line["address"]) for line in told}
    assert asked == {
        "one": ("user:ann", "127.0.0.1"), "two": ("script", "127.0.0.1"),
        "three": ("-", "127.0.0.1"), "four": ("-", "127.0.0.1"),
    }  # fmt: skip


def _store(folder: Path) -> dict[str, Any]:
    return {"type": "sqlite", "path": str(folder / "data")}


def _api(front: Front, audit: Path) -> dict[str, Any]:
    """The API's settings as its generated app has them, on a free port."""
    settings = {"front_auth": "basic", "secrets_directory": str(front.secrets), "kibana": False}
    environment = apps(**settings)["marathon-apps/api.json"]["env"]
    prefix = "SHIPPER_API__ACCESS__"
    access = {name.removeprefix(prefix).lower(): yaml.safe_load(text) for name, text in environment.items()
              if name.startswith(prefix)}  # fmt: skip
    assert access.keys() == {"tokens_directory", "trusted_proxies", "user_header", "proxy_secret_file"}
    return {"port": 0, "access": {**access, "audit_file": str(audit)}}


def _http(haproxy: HAProxy) -> HAProxy:
    """The same HAProxy as it stands before the API: it adds where a request came from."""
    text = haproxy.config.read_text().replace("mode tcp", "mode http").replace("option tcplog", "option forwardfor")
    haproxy.config.write_text(text)
    return haproxy
