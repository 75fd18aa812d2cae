"""The way in for a browser: a form that takes a token, the cookie that keeps it, and the way out."""

import asyncio
import re
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shipper.api.access.entrance import COOKIE, Entrance
from shipper.api.html import render

#: A day at work; after it the token is asked for again.
_COOKIE_SECONDS: Final = 12 * 3600
_MOST_FORM: Final = 16 * 1024
_FORM_SECONDS: Final = 10.0
#: A path of ours, as a browser cannot read it otherwise: `//x` and `/\x` are other hosts, a newline is dropped by it.
_LOCAL: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,4000}")


def local(link: str) -> str:
    """Return a link when it leads to a page of ours, else the first page."""
    return link if _LOCAL.fullmatch(link) else "/"


def login_routes(entrance: Entrance) -> list[Route]:
    """Return the routes of the way in and out."""

    async def show(request: Request) -> Response:
        back = local(request.query_params.get("next", "/"))
        if entrance.open or entrance.of_text(request.cookies.get(COOKIE, "")) is not None:
            return RedirectResponse(back, 303)
        page = render("login.html", next=back, error=None)
        if request.headers.get("sec-fetch-site") == "cross-site":
            # With a link from elsewhere our cookie is not sent (SameSite=Strict), though this browser may have it; it
            # is sent when this page itself leads here.
            page.headers["Refresh"] = f"0; url=/login?{urlencode({'next': back})}"
        return page

    async def enter(request: Request) -> Response:
        _refuse_foreign(request)
        form = await _form(request)
        back = local(form.get("next", "/"))
        text = form.get("token", "").strip()
        if entrance.of_text(text) is None:
            return render("login.html", 401, next=back, error="This token is not known, or no longer.")
        response = RedirectResponse(back, 303)
        response.set_cookie(
            COOKIE,
            text,
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def leave(request: Request) -> Response:
        _refuse_foreign(request)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", enter, methods=["POST"]),
        Route("/logout", leave, methods=["POST"]),
    ]


def _refuse_foreign(request: Request) -> None:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this form was sent from another site")


async def _form(request: Request) -> dict[str, str]:
    """Read a form; HTTPException 413 when it is longer than a form of ours, 408 when it does not come."""
    body = b""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MOST_FORM:
                    raise HTTPException(413, "no form of ours is that long", {"Connection": "close"})
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408, "the form did not come", {"Connection": "close"}) from None
    if Headers(scope=request.scope).get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "a form is expected")
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=8)
    except ValueError:
        raise HTTPException(400, "not a form") from None
    return {name: values[-1] for name, values in found.items()}
