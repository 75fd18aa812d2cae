"""What Kibana says when it does not do it, as one clean line that says what to do.

Source: Kibana answers errors as `{statusCode, error, message[, attributes]}`; while it starts, as text with 503.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from shipper.api.visible import visible
from shipper.errors import ShipperError

_LONGEST_TEXT: Final = 400
_MOST_NAMED: Final = 5
_ADVICE: Final = {
    401: "the key, or user and password, is not valid: check --api-key-file",
    403: "ask for the right to do this: the key needs the feature privileges of the space, or all in Kibana",
    413: "raise savedObjects.maxImportPayloadBytes of Kibana, or client_max_body_size of the proxy before it",
    422: "this Kibana is older than the objects: update it",
}


class KibanaError(ShipperError):
    """Kibana did not do what it was asked; the text says what to do."""


class KibanaNotReady(KibanaError):
    """Kibana cannot answer now (starting, away, status 502 to 504); the same call may work later."""


class KibanaRefused(KibanaError):
    """Kibana said no, for good; `status` is the HTTP status, `body` what it said ({} when no JSON object)."""

    def __init__(self, message: str, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


def said(text: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a stranger's text on one line, without what could steer a terminal, and cut."""
    line = " ".join(visible(str(text)[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def document_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; empty when it is something else."""
    try:
        found = orjson.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def refusal(who: str, asked: str, status: int, body: bytes) -> KibanaError:
    """Return the error that a status other than 200 means; `who` is name and address, `asked` method and path."""
    document = document_of(body)
    message = said(document.get("message") or "")
    words = f": {message}" if message else ""
    if status in {502, 503, 504} or (not document and b"not ready yet" in body[:1000]):
        return KibanaNotReady(f"{who} is not ready (status {status}{words}); try again later")
    if 300 <= status < 400:
        return KibanaRefused(f"{who} sends us elsewhere (status {status}): give the address behind that", status, {})
    if not document:
        return KibanaRefused(f"what answers at {who} is not Kibana (status {status} without JSON)", status, {})
    advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
    return KibanaRefused(f"{who} refused {asked} (status {status}{words}){advice}", status, document)


def import_problems(answer: Mapping[str, Any]) -> str:
    """Return what an import's answer says went wrong; "" when all was imported (also failures come with status 200)."""
    errors = answer.get("errors")
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    if answer.get("success") is True and not found:
        return ""
    named = [_import_problem(one) for one in found[:_MOST_NAMED]]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return "; ".join(named + more) or "it does not say why"


def _import_problem(problem: Mapping[str, Any]) -> str:
    name = f"{said(problem.get('type'), 40)} {said(problem.get('id'), 80)}"
    error = problem.get("error")
    known: Mapping[str, Any] = error if isinstance(error, dict) else {}
    match known.get("type"):
        case "conflict" | "ambiguous_conflict":
            return f"{name} is there already"
        case "missing_references":
            references = known.get("references")
            listed = [one for one in references if isinstance(one, dict)] if isinstance(references, list) else []
            wanted = ", ".join(f"{said(one.get('type'), 40)} {said(one.get('id'), 80)}" for one in listed[:_MOST_NAMED])
            return f"{name} needs {wanted or 'something'}, which is not there"
        case "unsupported_type":
            return f"{name}: this Kibana has no objects of that type"
        case other:
            return f"{name}: {said(known.get('message') or other or 'unknown', 200)}"
