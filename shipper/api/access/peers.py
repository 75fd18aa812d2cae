"""Where a request comes from: its peer, and what a proxy in front may say about who and where the caller is."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from shipper.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_USER: Final = re.compile(r"[^\x00-\x20\x7f-\xa0]{1,128}")
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


class Proxies:
    """The proxies whose word is taken: for the user's name, the caller's address, and https."""

    def __init__(self, trusted: Iterable[str], user_header: str | None) -> None:
        """ConfigError when an address is wrong."""
        self._trusted = networks(trusted)
        self._header = user_header

    def trusts(self, scope: Scope) -> bool:
        """Whether the peer is one of them; never by what a header says."""
        found = _peer(scope)
        return found is not None and any(found in network for network in self._trusted)

    def address(self, scope: Scope) -> str:
        """Return the caller's address: the peer's, or what a trusted peer says it is."""
        peer = _peer(scope)
        if self.trusts(scope):
            said = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).rpartition(",")[2].strip()
            forwarded = address(said)
            if forwarded is not None:
                return str(forwarded)
        return "-" if peer is None else str(peer)

    def secure(self, scope: Scope) -> bool:
        """Whether the caller came by https, here or at a trusted proxy."""
        said = Headers(scope=scope).get("x-forwarded-proto", "") if self.trusts(scope) else ""
        return scope.get("scheme") == "https" or said == "https"

    def user(self, scope: Scope) -> str | None:
        """Return the user that a trusted proxy names; None for no user, or for more than one."""
        if self._header is None or not self.trusts(scope):
            return None
        names = Headers(scope=scope).getlist(self._header)
        return names[0] if len(names) == 1 and _USER.fullmatch(names[0]) else None


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
