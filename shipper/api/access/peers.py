"""Where a request comes from: its peer, and what a proxy in front may say about who and where the caller is."""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from shipper.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_USER: Final = re.compile(r"[^\x00-\x20\x7f-\xa0]{1,128}")
_SECRET: Final = re.compile(rb"[A-Za-z0-9_-]{32,200}")
#: In which a proxy proves that it is the one, when others reach us from its address.
PROOF_HEADER: Final = "X-Shipper-Proxy-Secret"
_PORT: Final = re.compile(r":\d{1,5}\Z")


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read `api.access.trusted_proxies`; ConfigError names the one that is wrong."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise ConfigError(
                f"api.access.trusted_proxies: not an address or a network: {text!r:.80} (10.0.0.7, 10.0.0.0/24)"
            ) from None
    return tuple(found)


def address(text: str) -> Address | None:
    """Return the address that a text is; an IPv4 address that came over an IPv6 socket is IPv4 again."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def is_loopback(host: str) -> bool:
    """Whether what listens at a host can be reached from this machine only."""
    found = address(host.strip("[]"))
    return host == "localhost" or (found is not None and found.is_loopback)


def proxy_secret(file: str) -> bytes:
    """Return the secret in the first line of a file; ConfigError when there is none of 32 to 200 `A-Za-z0-9_-`."""
    try:
        with Path(file).open("rb") as opened:
            secret = opened.readline(202).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"api.access.proxy_secret_file: {file}: cannot be read ({error.strerror})") from None
    if not _SECRET.fullmatch(secret):
        raise ConfigError(
            f"api.access.proxy_secret_file: {file}: must be one line of 32 to 200 of A-Za-z0-9_-: openssl rand -hex 32"
        )
    return secret


class Proxies:
    """The proxies whose word is taken: for the user's name, the caller's address, and https."""

    def __init__(self, trusted: Iterable[str], user_header: str | None, secret_file: str | None = None) -> None:
        """ConfigError when an address is wrong, or the file with the secret."""
        self._trusted = networks(trusted)
        self._header = user_header
        self._secret = None if secret_file is None else proxy_secret(secret_file)

    def trusts(self, scope: Scope) -> bool:
        """Whether the peer is one of them; never by what a header says."""
        return self._is_proxy(_peer(scope))

    def _is_proxy(self, found: Address | None) -> bool:
        return found is not None and any(found in network for network in self._trusted)

    def address(self, scope: Scope) -> str:
        """Return the caller's address: the peer's, or what trusted proxies say it is, each of the one before it."""
        found = _peer(scope)
        said = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        while said and self._is_proxy(found):
            forwarded = address(said.pop().strip())
            if forwarded is None:
                break
            found = forwarded
        return "-" if found is None else str(found)

    def secure(self, scope: Scope) -> bool:
        """Whether the caller came by https, here or at a trusted proxy."""
        said = Headers(scope=scope).get("x-forwarded-proto", "") if self.trusts(scope) else ""
        return scope.get("scheme") == "https" or said == "https"

    def user(self, scope: Scope) -> str | None:
        """Return the user that a trusted proxy names; None for no user, or for more than one."""
        if self._header is None or not self.trusts(scope) or not self._proved(scope):
            return None
        names = Headers(scope=scope).getlist(self._header)
        return names[0] if len(names) == 1 and _USER.fullmatch(names[0]) else None

    def _proved(self, scope: Scope) -> bool:
        if self._secret is None:
            return True
        given = Headers(scope=scope).getlist(PROOF_HEADER)
        return len(given) == 1 and hmac.compare_digest(given[0].encode(errors="replace"), self._secret)


def _peer(scope: Scope) -> Address | None:
    client = HTTPConnection(scope).client
    return None if client is None else address(client.host)


class Hosts:
    """The names in `Host` that are answered, so that a foreign page cannot reach us under a name of its own.

    A page that had its name pointed at our address sends that name. An address in `Host` cannot be such a name, and
    `….localhost` always is this machine.
    """

    def __init__(self, names: Iterable[str], *, checked: bool) -> None:
        self._names = frozenset(name.lower().rstrip(".") for name in names) | {"localhost"}
        self._checked = checked

    def answered(self, scope: Scope) -> bool:
        """Whether the request was meant for us. HTTP/1.0 may name no host; browsers always do."""
        if not self._checked:
            return True
        given = Headers(scope=scope).getlist("host")
        if not given:
            return True
        host = _PORT.sub("", given[0]).lower().rstrip(".")
        ours = host in self._names or host.endswith(".localhost") or address(host.strip("[]")) is not None
        return ours and len(given) == 1
