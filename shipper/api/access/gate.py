"""In front of every route and page: who asks, may they, how much already; and one line for the audit."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shipper import telemetry
from shipper.api.access import rules
from shipper.api.access.audit import cleaned
from shipper.api.access.caller import Caller
from shipper.api.access.entrance import Entrance
from shipper.api.access.limits import Account
from shipper.api.access.scoped import OF_ALL_APPS, Scoped, Used
from shipper.api.ask import Asking
from shipper.api.errors import answer, wants_page

#: Nothing is ever sent to us but the login form.
MOST_BODY: Final = 2**20
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="shipper"'}
_NOBODY: Final = "who asks? send a token: Authorization: Bearer shp_…"
_UNKNOWN: Final = "this token is not known here: wrong, revoked or expired (Authorization: Bearer shp_…, once)"
CALLER: Final = "shipper.caller"
ASKING: Final = "shipper.asking"


class Gate:
    """Lets a request in, with `shipper.caller` and `shipper.asking` in its scope, or answers why not."""

    def __init__(self, app: ASGIApp, entrance: Entrance, asking: Asking) -> None:
        self._app, self._entrance, self._asking = app, entrance, asking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        caller = self._entrance.caller(scope)
        scope[CALLER] = caller
        if self._entrance.proxies.secure(scope):
            scope["scheme"] = "https"
        if rules.is_open(path):
            refused = None if self._entrance.hosts.answered(scope) or path in ("/health", "/ready") else _not_ours()
            await (self._app if refused is None else answer(Request(scope), refused))(scope, receive, send)
            return
        await _Question(self._entrance, self._asking, scope, caller).run(self._app, receive, send)


class _Question:
    """One request that needs a caller, from the door to the line in the audit."""

    def __init__(self, entrance: Entrance, asking: Asking, scope: Scope, caller: Caller | None) -> None:
        self._entrance, self._asking, self._scope, self._caller = entrance, asking, scope, caller
        self._address = entrance.proxies.address(scope)
        self._stream = scope["path"] in rules.STREAMS
        self._began = time.monotonic()
        self._used = Used(lambda seconds: None)
        self._status = 0
        self._told = False

    async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        """Answer it, and tell the audit."""
        try:
            await self._answer(app, receive, self._heard(send))
        except Exception:
            self._status = 500  # answered outside of us
            raise
        finally:
            if not self._told:
                self._tell()

    async def _answer(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        caller = self._caller
        if caller is None:
            await self._stranger()(self._scope, receive, send)
        elif (refused := self._refused(caller)) is not None:
            await refused(self._scope, receive, send)
        else:
            await self._let_in(caller, app, receive, send)

    def _refused(self, caller: Caller) -> Response | None:
        """Return the answer to a caller who is known and not let in; None when it is."""
        why = self._reason(caller)
        return None if why is None else answer(Request(self._scope), why)

    def _reason(self, caller: Caller) -> HTTPException | None:
        path = self._scope["path"]
        if not self._entrance.hosts.answered(self._scope):
            return _not_ours()
        if rules.scope_of(path) not in caller.scopes:
            return HTTPException(403, f"this needs the scope {rules.scope_of(path)}, which {caller.name} does not have")
        if caller.apps and rules.of_all_apps(path):
            return HTTPException(403, OF_ALL_APPS)
        if _body_bytes(self._scope) > MOST_BODY:
            return HTTPException(413, "nothing that long is taken", {"Connection": "close"})
        return None

    async def _let_in(self, caller: Caller, app: ASGIApp, receive: Receive, send: Send) -> None:
        account = self._account(caller)
        refusal = account.refusal(time.monotonic(), self._stream) if account is not None else None
        if refusal is not None:
            reason, seconds = refusal
            telemetry.QUESTIONS_REFUSED.labels(reason).inc()
            why = HTTPException(
                429, f"too many {_WORDS[reason]}; ask again in {seconds} s", {"Retry-After": str(seconds)}
            )
            await answer(Request(self._scope), why)(self._scope, receive, send)
            return
        if account is not None:
            self._used.charge = lambda seconds: account.store.take(seconds, time.monotonic())
            account.enter(self._stream)
        reader = Scoped(self._asking.reader, caller.where, self._used)
        self._scope[ASKING] = replace(self._asking, reader=reader, charge=self._used.add)
        try:
            await app(self._scope, receive, send)
        finally:
            if account is not None:
                account.leave(self._stream)

    def _account(self, caller: Caller) -> Account | None:
        if self._entrance.limits is None:
            return None
        key = f"address:{self._address}" if caller.open else caller.name
        return self._entrance.limits.account(key, time.monotonic())

    def _stranger(self) -> Response:
        """Answer somebody who did not say who they are: a page leads to the way in, the API says 401."""
        telemetry.QUESTIONS_REFUSED.labels("caller").inc()
        request = Request(self._scope)
        if not self._entrance.hosts.answered(self._scope):
            return answer(request, _not_ours())
        if request.method in ("GET", "HEAD") and self._entrance.tokens and wants_page(request):
            return RedirectResponse(f"/login?next={quote(_back(self._scope), safe='')}", 303)
        why = _UNKNOWN if "authorization" in request.headers else _NOBODY
        return answer(request, HTTPException(401, why, _CHALLENGE))

    def _heard(self, send: Send) -> Callable[[Message], Any]:
        async def hear(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                if self._stream:  # told when it begins: it may go on for days
                    self._tell()
            await send(message)

        return hear

    def _tell(self) -> None:
        self._told = True
        if self._caller is None and not self._entrance.strangers.spare(time.monotonic()):
            return  # counted; a flood of them shall not fill the disk
        query = self._scope["query_string"].decode("latin-1")
        self._entrance.audit.tell(
            time=datetime.now(UTC).isoformat(),
            caller=self._caller.name if self._caller is not None else "-",
            address=self._address,
            method=cleaned(self._scope["method"])[:32],
            path=cleaned(self._scope["path"] + (f"?{query}" if query else "")),
            status=self._status,
            ms=round((time.monotonic() - self._began) * 1000, 1),
            records=self._used.records,
        )


_WORDS: Final = {
    "questions": "questions in a minute",
    "store_seconds": "questions that keep the store busy",
    "at_once": "questions at a time",
    "tails": "live tails at a time",
}


def _not_ours() -> HTTPException:
    return HTTPException(421, "the name in Host is not one of this machine; allow it with api.access.hosts")


def _body_bytes(scope: Scope) -> int:
    """How long a body is said to be; one whose length is not said is never read."""
    said = Headers(scope=scope).get("content-length", "0")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else MOST_BODY + 1


def _back(scope: Scope) -> str:
    """Return the local link that was asked for."""
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"], safe="/:@+=,~!$&'()*;") + (f"?{query}" if query else "")
