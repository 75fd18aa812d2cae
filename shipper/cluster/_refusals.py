"""What a service of the cluster says when it does not do it, as one clean line that says what to do."""

import orjson

from shipper.errors import ClusterBusy, ClusterError, ClusterLocked, ClusterRefused

_LONGEST_TEXT = 600
_MOST_DETAILS = 8
_MOST_DEPLOYMENTS = 32
_LONGEST_ID = 128

_ADVICE = {
    400: "correct what was asked",
    401: "check user and password_file, or token_file",
    403: "ask for the right to do this, or try again later",
    404: "check the name",
    409: "choose another name, or change the one that exists",
    422: "correct what was asked",
}


def clean(text: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a stranger's text on one line, without what could steer a terminal, and cut."""
    words = " ".join(str(text)[: 4 * longest].split())
    line = "".join(char if char.isprintable() else "?" for char in words)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def error_of(who: str, asked: str, status: int, body: bytes) -> ClusterError:
    """Return the error that an answer with status 400 or more means; `who` is name and address, `asked` the path."""
    try:
        document = orjson.loads(body)
    except ValueError:
        document = None
    said = _said(document, body)
    if status == 500 and said.startswith("URI not found"):  # what Marathon 1.10 says for 404
        status, said = 404, f"it does not know {asked}"
    if status >= 500:
        return ClusterBusy(f"{who} cannot answer now (status {status}{f': {said}' if said else ''}); try again later")
    deployments = _deployments(document) if status == 409 else ()
    if deployments:
        text = f"{who}: {asked} is being changed by deployment {', '.join(deployments)}"
        return ClusterLocked(f"{text}; wait until it is done, or override it (force)", deployments)
    advice = _ADVICE.get(status, "correct what was asked")
    return ClusterRefused(f"{who} refused {asked} (status {status}{f': {said}' if said else ''}); {advice}", status)


def _said(document: object, body: bytes) -> str:
    """Its message and details: of JSON, of plain text, and nothing of a page for people."""
    if isinstance(document, dict):
        details = _details(document.get("details"))
        return clean("; ".join(text for text in (clean(document.get("message") or ""), *details) if text))
    text = body[: 4 * _LONGEST_TEXT].decode(errors="replace").strip()
    return "" if text.startswith("<") else clean(text)


def _details(details: object) -> list[str]:
    """Marathon's three forms: a text, a list of texts, a list of paths with errors."""
    found = []
    for one in (details if isinstance(details, list) else [details] if details else [])[:_MOST_DETAILS]:
        if isinstance(one, dict):
            errors = one.get("errors")
            text = ", ".join(clean(error) for error in errors[:_MOST_DETAILS]) if isinstance(errors, list) else ""
            found.append(f"{clean(one.get('path') or '/')}: {text or clean(errors)}")
        else:
            found.append(clean(one))
    return found


def _deployments(document: object) -> tuple[str, ...]:
    listed = document.get("deployments") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return ()
    ids = [one.get("id") if isinstance(one, dict) else one for one in listed[:_MOST_DEPLOYMENTS]]
    return tuple(clean(one, _LONGEST_ID) for one in ids if isinstance(one, str) and one)
