"""Behind proxies: the caller's address over several of them, and the secret that proves which one speaks."""

from pathlib import Path
from typing import Any

import pytest

from shipper.api.access.peers import Proxies
from shipper.errors import ConfigError

_SECRET = "0123456789abcdef0123456789abcdef"


def scope(*headers: tuple[str, str], client: str = "10.0.0.1") -> dict[str, Any]:
    listed = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "client": (client, 1), "headers": listed, "scheme": "http"}


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.7, 127.0.0.1", "192.0.2.7"),
        ("1.1.1.1, 192.0.2.7, 127.0.0.1", "192.0.2.7"),
        ("10.0.0.9, 127.0.0.1", "10.0.0.9"),
        ("1.1.1.1, x, 127.0.0.1", "127.0.0.1"),
        ("", "10.0.0.1"),
        (",,,", "10.0.0.1"),
    ],
)
def test_each_trusted_proxy_says_who_was_before_it(forwarded: str, address: str) -> None:
    proxies = Proxies(["10.0.0.0/8", "127.0.0.0/8"], None)
    assert proxies.address(scope(("x-forwarded-for", forwarded))) == address
    halves = forwarded.rpartition(", ")[::2]
    assert proxies.address(scope(*(("x-forwarded-for", half) for half in halves))) == address
    assert proxies.address(scope(("x-forwarded-for", forwarded), client="192.0.2.9")) == "192.0.2.9"


def test_a_user_is_believed_with_the_secret_only(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{_SECRET}\nmore\n")
    proxies = Proxies(["10.0.0.0/8"], "x-user", str(file))
    user, proof = ("x-user", "ann"), ("x-shipper-proxy-secret", _SECRET)
    assert proxies.user(scope(user, proof)) == "ann"
    assert proxies.user(scope(user, proof, client="192.0.2.1")) is None
    wrong = ("x-shipper-proxy-secret", f"{_SECRET}x")
    for others in ((), (wrong,), (proof, proof), (wrong, proof), (("x-shipper-proxy-secret", "é"),)):
        assert proxies.user(scope(user, *others)) is None


@pytest.mark.parametrize("text", [None, "", "short\n", "x" * 31, "x" * 201, 'x"' * 20, "ä" * 40])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=r"^api\.access\.proxy_secret_file: .*secret: [^\n]*$"):
        Proxies([], "x-user", str(file))
