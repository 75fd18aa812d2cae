"""What is decided at the start of the process: who has to say who they are, and whose word is taken."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from shipper.api.access.audit import Audit
from shipper.api.access.caller import SCOPES, Caller, including
from shipper.api.access.limits import Bucket, Limits
from shipper.api.access.peers import Hosts, Proxies, is_loopback, networks
from shipper.api.access.token_files import TokenFiles
from shipper.config import AccessSettings, ApiSettings
from shipper.errors import ConfigError

_log = logging.getLogger(__name__)
COOKIE: Final = "shipper_token"
#: What a user may do whom a trusted proxy names; an admin needs a token.
_USER_SCOPES: Final = ("read", "tail")
_THREE_WAYS: Final = (
    "without knowing who asks: set api.access.tokens_file (shipper tokens create) or tokens_directory, or "
    "api.access.user_header with trusted_proxies, or api.access.open: true to let everybody read everything"
)


def check(settings: ApiSettings) -> None:
    """Refuse settings that would let anybody in unsaid, or that contradict each other: ConfigError says the ways."""
    access = settings.access
    networks(access.trusted_proxies)
    if access.user_header is not None and not access.trusted_proxies:
        raise ConfigError("api.access.user_header: set trusted_proxies too: anybody could name a user otherwise")
    if access.open and _asks(access):
        raise ConfigError("api.access.open: true and tokens or user_header contradict each other; leave one out")
    if settings.enabled and not (_asks(access) or access.open or is_loopback(settings.host)):
        raise ConfigError(f"api: would listen on {settings.host} {_THREE_WAYS}")


def _asks(access: AccessSettings) -> bool:
    return bool(access.tokens_file or access.tokens_directory or access.user_header)


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who is let in."""

    settings: AccessSettings = field(default_factory=AccessSettings)
    #: Nobody is asked who they are.
    open: bool = True
    tokens: TokenFiles = field(default_factory=TokenFiles)
    proxies: Proxies = field(default_factory=lambda: Proxies((), None))
    hosts: Hosts = field(default_factory=lambda: Hosts((), checked=False))
    limits: Limits | None = None
    #: Lines in the audit for those who are not let in, a minute.
    strangers: Bucket = field(default_factory=lambda: Bucket(60, time.monotonic()))
    audit: Audit = field(default_factory=Audit)
    #: Nanoseconds since 1970: when tokens expire.
    clock: Callable[[], int] = time.time_ns

    @classmethod
    def of(cls, settings: ApiSettings) -> "Entrance":
        """Return what the configuration says; ConfigError in one line when it does not say enough."""
        check(settings)
        access = settings.access
        is_open = not _asks(access)
        local = is_open and not access.open
        return cls(
            access,
            is_open,
            TokenFiles(access.tokens_file, access.tokens_directory),
            Proxies(access.trusted_proxies, access.user_header, access.proxy_secret_file),
            Hosts(access.hosts, checked=local or bool(access.hosts)),
            None if local else Limits(access),  # whoever is on this machine can harm it in easier ways
            audit=Audit(access.audit_file),
        )

    def say(self) -> None:
        """Say in our log when nobody is asked who they are."""
        if self.open:
            where, level = ("everywhere", logging.WARNING) if self.settings.open else ("this machine", logging.INFO)
            told = "access is open: everybody who reaches the address may read everything"
            _log.log(level, told, extra={"from": where})

    def caller(self, scope: Scope) -> Caller | None:
        """Return who asks, None when that is not known. What is said wrongly is never made good by something else."""
        if self.open:
            return Caller("anybody", frozenset(SCOPES), open=True)
        given = Headers(scope=scope).getlist("authorization")
        if given:
            return self._bearer(given[0]) if len(given) == 1 else None
        user = self.proxies.user(scope)
        if user is not None:
            return Caller(f"user:{user}", including(_USER_SCOPES))
        if scope["method"] not in ("GET", "HEAD"):
            return None  # a foreign page could have sent it
        return self.of_text(HTTPConnection(scope).cookies.get(COOKIE, ""))

    def _bearer(self, header: str) -> Caller | None:
        scheme, _, text = header.partition(" ")
        return self.of_text(text.strip()) if scheme.lower() == "bearer" else None

    def of_text(self, text: str) -> Caller | None:
        """Return whose token this is."""
        found = self.tokens.find(text.encode(errors="replace"), self.clock()) if text else None
        return None if found is None else found.caller
