"""How errors are told: JSON for programs, a page for people, never a traceback."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shipper.api.answers import encode
from shipper.api.html import render
from shipper.api.question import explain
from shipper.api.security import HEADERS
from shipper.errors import QueryError, ShipperError, StoreBusy, StoreRejected

RETRY_SECONDS = 2
_log = logging.getLogger(__name__)
_TITLES = {
    400: "This question cannot be answered",
    401: "Who asks?",
    403: "Not for you",
    404: "Not found",
    405: "Not that way",
    421: "Not this way",
    429: "Too many questions",
    503: "Not now",
}


def add_handlers(app: FastAPI) -> None:
    """Let `app` answer every exception in our form."""

    async def handle(request: Request, error: Exception) -> Response:
        return answer(request, error)

    for kind in (ShipperError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)


def answer(request: Request, error: Exception) -> Response:
    """Return the answer that tells an error."""
    status, message, position = _told(error)
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers
    if status == 500:  # answered outside of our middleware
        headers |= HEADERS
        _log.error("an answer failed", extra={"path": request.url.path[:200]})
    response: Response
    if wants_page(request):
        response = render("error.html", status=status, title=_TITLES.get(status, "This went wrong"), message=message)
    else:
        body = encode({"error": {"message": message, "position": position}})
        response = Response(body, media_type="application/json")
    response.status_code = status
    response.headers.update(headers)
    return response


def status_of(error: ShipperError) -> int:
    """Return the HTTP status of an error that a person can act on."""
    return 400 if isinstance(error, QueryError | StoreRejected) else 503


def _told(error: Exception) -> tuple[int, str, int | None]:
    if isinstance(error, QueryError):
        return 400, str(error), error.position
    if isinstance(error, RequestValidationError):
        errors = list(error.errors())
        too_long = errors[0]["type"] == "string_too_long"
        return 400, explain(errors), errors[0]["ctx"]["max_length"] if too_long else None
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail), None
    if isinstance(error, StoreRejected):
        return 400, f"the store does not take this question: {error}", None
    if isinstance(error, StoreBusy):
        return 503, f"the store is busy: {error}", None
    if isinstance(error, ShipperError):
        return 503, str(error), None
    return 500, "a bug in shipper; its own log has the details", None


def wants_page(request: Request) -> bool:
    """Whether a person asked with a browser for one of our pages."""
    path = request.url.path
    return not path.startswith(("/api/", "/static/")) and "text/html" in request.headers.get("accept", "")
