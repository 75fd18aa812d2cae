"""TLS as bytes: who is let in, what a refusal says, which files are refused, and what a change of them does."""

import random
import re
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from shipper.errors import ConfigError
from shipper.generate import host_readme
from shipper.generate.rsyslog import read
from shipper.sources import relp
from shipper.sources._certificates import Certificates, TlsSettings
from shipper.sources._tls import Tunnel, begins_tls
from tests.tls import Authority, Pair


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "test CA")


@pytest.fixture(scope="module")
def shipper(ca: Authority) -> Pair:
    return ca.sign("shipper.example")


class Client:
    """The other end, on OpenSSL as any client is; it trusts `ca`."""

    def __init__(
        self, ca: Authority | ssl.SSLContext, pair: Pair | None = None, newest: ssl.TLSVersion | None = None
    ) -> None:
        context = ca if isinstance(ca, ssl.SSLContext) else ssl.create_default_context(cafile=ca.certificate)
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        if newest is not None:
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = newest
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._received, self._to_send, server_hostname="shipper.example")

    def shake(self, tunnel: Tunnel, step: int = 2**20) -> None:
        """Shake hands, in pieces of `step` bytes."""
        for _ in range(4):
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.pump(tunnel, step)

    def pump(self, tunnel: Tunnel, step: int = 2**20) -> bytes:
        """Bring what waits to the other side, both ways; return what the server read in plain."""
        octets = self._to_send.read()
        plain = b"".join(tunnel.receive(octets[at : at + step]) for at in range(0, len(octets), step))
        self._received.write(tunnel.outgoing())
        return plain


def certificates(ca: Authority, shipper: Pair, *names: str) -> Certificates:
    return Certificates("relp", TlsSettings(**shipper.source, client_ca=ca.certificate, client_names=list(names)))


@pytest.mark.parametrize("newest", [None, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("step", [1, 7, 2**20])
def test_both_ways(ca: Authority, shipper: Pair, newest: ssl.TLSVersion | None, step: int) -> None:
    tunnel = certificates(ca, shipper).tunnel()
    client = Client(ca, ca.sign("web-3.example"), newest)
    client.shake(tunnel, step)
    assert (tunnel.ready, tunnel.error, tunnel.ended) == (True, None, False)
    text = random.Random(1).randbytes(100_000)
    client.tls.write(text)
    assert client.pump(tunnel, step * 100) == text
    tunnel.send(text)
    client.pump(tunnel)
    got = b""
    while len(got) < len(text):
        got += client.tls.read(2**16)
    assert got == text
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert client.pump(tunnel) == b""
    assert (tunnel.ended, tunnel.error) == (True, None)
    tunnel.send(b"still heard")  # who will say no more may still listen
    tunnel.end()
    assert tunnel.outgoing()


@pytest.mark.parametrize(
    ("names", "shown", "alternative", "welcome"),
    [
        ([], "web-3.example", True, True),
        (["web-3.example"], "web-3.example", True, True),
        (["WEB-3.example"], "web-3.Example", True, True),
        (["web-3.example"], "web-3.example", False, True),  # the common name of a certificate without other names
        (["db.example", "web-*.example"], "web-3.example", True, True),
        (["*"], "web-3.example", True, True),
        (["web-3.example"], "web-33.example", True, False),
        (["web-3.example"], "aweb-3.example", True, False),
        (["web-3.example"], "web-3xexample", True, False),
        (["web-*"], "db.example", True, False),
        (["db.example", "web.example"], "web.example.org", True, False),
    ],
)  # fmt: skip
def test_names(ca: Authority, shipper: Pair, names: list[str], shown: str, alternative: bool, welcome: bool) -> None:
    tunnel = certificates(ca, shipper, *names).tunnel()
    client = Client(ca, ca.sign(shown, alternative=alternative))
    client.shake(tunnel)
    assert tunnel.ready == welcome
    if not welcome:
        assert str(tunnel.error) == f"the peer's certificate has {shown!r}: none of client_names"
        client.tls.write(b"1 open 0\n")
        assert client.pump(tunnel) == b""
        tunnel.send(b"no answer")
        assert tunnel.outgoing() == b""


def test_the_common_name_counts_only_without_other_names(ca: Authority, shipper: Pair, tmp_path: Path) -> None:
    pair = ca.sign("web-3.example", file="both")
    request = Path(pair.certificate).with_suffix(".csr")
    extensions = tmp_path / "ext"
    extensions.write_text("subjectAltName=DNS:other.example\nbasicConstraints=CA:FALSE\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", request, "-CA", ca.certificate, "-CAkey", ca.key, "-CAcreateserial",
         "-extfile", extensions, "-out", pair.certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    tunnel = certificates(ca, shipper, "web-3.example").tunnel()
    Client(ca, pair).shake(tunnel)
    assert "'other.example'" in str(tunnel.error)


@pytest.mark.parametrize("newest", [None, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("none", "the peer showed no certificate"),
        ("other CA", "the peer's certificate is not signed by client_ca"),
        ("expired", "the peer's certificate is refused: certificate has expired"),
    ],
)
def test_who_is_not_let_in(
    ca: Authority, other_ca: Authority, shipper: Pair, kind: str, why: str, newest: ssl.TLSVersion | None
) -> None:
    pairs = {
        "none": None,
        "other CA": other_ca.sign("web-3.example"),
        "expired": ca.sign("web-3.example", file="expired", days=-1),
    }
    tunnel = certificates(ca, shipper).tunnel()
    client = Client(ca, pairs[kind], newest)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert|certificate"):  # noqa: PT012
        client.shake(tunnel)
        client.tls.read(1)  # with TLS 1.3 a client hears of it only here
    assert str(tunnel.error) == why
    assert not tunnel.ready
    tunnel.end()
    assert tunnel.outgoing() == b""


def test_a_client_that_does_not_know_our_ca(ca: Authority, other_ca: Authority, shipper: Pair) -> None:
    tunnel = certificates(ca, shipper).tunnel()
    client = Client(other_ca, ca.sign("web-3.example"))
    with pytest.raises(ssl.SSLCertVerificationError):
        client.shake(tunnel)
    client.pump(tunnel)
    assert "our certificate" in str(tunnel.error)


def test_old_tls(ca: Authority, shipper: Pair) -> None:
    hello = bytes.fromhex("16030100310100002d0301") + bytes(32) + bytes.fromhex("000006002f0035000a0100")
    tunnel = certificates(ca, shipper).tunnel()
    tunnel.receive(hello)
    assert str(tunnel.error) == "the peer speaks no TLS of version 1.2 or newer"


@pytest.mark.parametrize("octets", [b"1 open 0\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16<14>", b"\0", b"<14>hello\n"])
def test_plain_text(ca: Authority, shipper: Pair, octets: bytes) -> None:
    tunnel = certificates(ca, shipper).tunnel()
    assert tunnel.receive(octets) == b""
    assert str(tunnel.error) == "the peer does not speak TLS, this source does (set tls on the sender)"
    assert not begins_tls(octets)


def test_a_handshake_without_end(ca: Authority, shipper: Pair) -> None:
    """A hello said to be of 16 MB, sent in good records."""
    tunnel = certificates(ca, shipper).tunnel()
    octets = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(2**14 - 4)
    for _ in range(100):
        tunnel.receive(octets)
    assert tunnel.error is not None
    assert tunnel.begun <= 50_000


def test_garbage_never_raises(ca: Authority, shipper: Pair) -> None:
    pair, made = ca.sign("web-3.example"), certificates(ca, shipper)
    for seed in range(200):
        chance = random.Random(seed)
        tunnel, client = made.tunnel(), Client(ca, pair)
        if seed % 2:
            client.shake(tunnel)
            assert tunnel.ready
        tunnel.receive(chance.choice([b"", b"\x16\x03\x01", b"\x17\x03\x03\x00\x40"]) + chance.randbytes(300))
        tunnel.send(b"x" * 100)
        tunnel.end()
        tunnel.receive(chance.randbytes(300))
        assert tunnel.error is not None or not seed % 2


def _settings(pair: Pair, **changes: object) -> TlsSettings:
    return TlsSettings.model_validate({**pair.source, **changes})


def test_files_that_cannot_be_used(ca: Authority, shipper: Pair, tmp_path: Path) -> None:
    other, expired = ca.sign("other.example"), ca.sign("shipper.example", file="late", days=-1)
    locked, damaged, missing = tmp_path / "locked.key", tmp_path / "damaged.pem", tmp_path / "missing.pem"
    encrypt = ["openssl", "pkcs8", "-topk8", "-in", shipper.key, "-out", str(locked), "-passout", "pass:x"]
    subprocess.run(encrypt, check=True, capture_output=True)
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    stale = tmp_path / "stale.pem"
    request = ["openssl", "x509", "-in", ca.certificate, "-signkey", ca.key, "-days", "-1", "-out", str(stale)]
    subprocess.run(request, check=True, capture_output=True)
    where = "sources[relp]: tls"
    cases = [
        (_settings(shipper, certificate=str(missing)), f"{where}.certificate: cannot read {missing}: No such file"),
        (_settings(shipper, key=str(missing)), f"{where}.key: cannot read {missing}: No such file or directory"),
        (_settings(shipper, client_ca=str(tmp_path)), f"{where}.client_ca: cannot read {tmp_path}: Is a directory"),
        (_settings(shipper, key=other.key), f"{where}.key: {other.key}: does not match the certificate"),
        (_settings(shipper, key=shipper.certificate), "no private key in PEM form"),
        (_settings(shipper, certificate=shipper.key), "no certificate in PEM form"),
        (_settings(shipper, certificate=str(damaged)), f"{where}: {damaged} and {shipper.key} cannot be used: "),
        (_settings(shipper, key=str(locked)), f"{where}.key: {locked}: needs a password"),
        (_settings(expired), f"{where}.certificate: {expired.certificate}: certificate has expired (make a new one)"),
        (_settings(shipper, client_ca=shipper.key), "no certificate in PEM form"),
        (_settings(shipper, client_ca=str(damaged)), f"{where}.client_ca: {damaged}: "),
        (_settings(shipper, client_ca=other.certificate), f"{other.certificate}: not the certificate of a CA"),
        (_settings(shipper, client_ca=str(stale)), f"{where}.client_ca: {stale}: expired on "),
    ]
    for settings, why in cases:
        with pytest.raises(ConfigError) as refused:
            relp.Config.model_validate({"port": 0, "tls": settings}).build()
        assert why in str(refused.value)
        assert str(refused.value).startswith(where)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"client_names": ["a"]}, "client_names needs client_ca"),
        ({"client_ca": "ca.pem", "client_names": ["a b"]}, "is no name of a host"),
        ({"client_ca": "ca.pem", "client_names": [""]}, "is no name of a host"),
        ({"ca": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        TlsSettings.model_validate({"certificate": "a", "key": "b", **changes})


def test_changed_files(ca: Authority, shipper: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "shipper")
    place = Pair(str(tmp_path / "own.pem"), str(tmp_path / "own.key"))
    _put(shipper, place)
    made = certificates(ca, place)
    old = made.tunnel()
    half = Client(ca, ca.sign("web-3.example"))

    assert _shown(ca, made) == _of(shipper)
    Path(place.certificate).write_text("nothing")
    for _ in range(3):
        assert _shown(ca, made) == _of(shipper), "a file that cannot be used changes nothing"
    assert [entry.getMessage() for entry in caplog.records] == [
        "changed certificates cannot be used, the old ones stay"
    ]
    assert "no certificate in PEM form" in str(caplog.records[0].__dict__["why"])

    newer = ca.sign("shipper.example", file="newer")
    _put(newer, place)
    assert _shown(ca, made) == _of(newer)
    assert caplog.records[1].getMessage() == "changed certificates are in use"
    assert len(caplog.records) == 2
    half.shake(old)
    assert old.ready, "a connection goes on with what it began with"
    assert half.tls.getpeercert(True) == _of(shipper)


def test_the_commands_of_the_readme_make_certificates_that_strict_clients_take(tmp_path: Path) -> None:
    (text,) = host_readme.generate(read({})).values()
    (block,) = [
        found for found in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) if "openssl req -x509" in found
    ]
    done = subprocess.run(["sh", "-eu"], input=block, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (said,) = re.findall(r"    tls: ({.*})", text)
    names = {key: str(tmp_path / name) for key, name in yaml.safe_load(said).items()}
    tunnel = Certificates("relp", TlsSettings.model_validate(names)).tunnel()
    strict = ssl.create_default_context(cafile=names["client_ca"])
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    strict.load_cert_chain(tmp_path / "web-3.example.crt", tmp_path / "web-3.example.key")
    client = Client(strict)
    client.shake(tunnel)
    assert (tunnel.ready, tunnel.error) == (True, None)


def _put(pair: Pair, place: Pair) -> None:
    for source, target in ((pair.certificate, place.certificate), (pair.key, place.key)):
        new = Path(f"{target}.new")
        new.write_bytes(Path(source).read_bytes())
        new.replace(target)


def _of(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(pair.certificate).read_text())


def _shown(ca: Authority, made: Certificates) -> bytes | None:
    client = Client(ca, ca.sign("web-3.example"))
    client.shake(made.tunnel())
    return client.tls.getpeercert(True)
