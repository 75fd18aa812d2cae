"""Which scope a path needs; a path that is not named here needs `read`, so a new route is never open by accident."""

from typing import Any, Final

#: Answered to anybody: what a load balancer asks, our own files, and the way in.
OPEN_PATHS: Final = frozenset({"/health", "/ready", "/login", "/logout", "/favicon.ico"})
_OPEN_FOLDER: Final = "/static/"
TAIL: Final = "/api/v1/tail"
FEED: Final = "/api/v1/feed"
RECENT: Final = "/api/v1/feed/recent"
#: Answers that last as long as the caller likes.
STREAMS: Final = frozenset({TAIL, FEED})
_NEEDS: Final = {TAIL: "tail", FEED: "admin", RECENT: "admin", "/metrics": "admin"}
#: Not for callers that may see some apps only: it cannot be said whose text is in there.
_OF_ALL_APPS: Final = frozenset({"/dead-letters", "/api/v1/dead-letters"})
_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of `shipper tokens`."},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "shipper_token",
        "description": "The same token, set by /login; for GET and HEAD only.",
    },
}
_REFUSALS: Final = {
    "401": "No token, or not one of ours.",
    "403": "The token's scope does not include this.",
    "421": "Listening for this machine only, and the name in Host is not one of its own.",
    "429": "Too many questions of this caller; Retry-After says when to ask again.",
}


def is_open(path: str) -> bool:
    """Whether a path is answered to anybody."""
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def scope_of(path: str) -> str:
    """Return the scope that a path needs."""
    return _NEEDS.get(path, "read")


def of_all_apps(path: str) -> bool:
    """Whether the answer cannot be cut to some apps."""
    return path in _OF_ALL_APPS


def describe(described: dict[str, Any]) -> dict[str, Any]:
    """Add to an OpenAPI description who may ask what; return it."""
    parts = described.setdefault("components", {})
    parts["securitySchemes"] = _SCHEMES
    error = {"$ref": "#/components/schemas/ErrorAnswer"}
    for path, methods in described["paths"].items():
        for operation in methods.values():
            if is_open(path):
                operation["security"] = []
                continue
            operation["security"] = [{"token": []}, {"cookie": []}]
            operation["description"] = f"{operation.get('description', '').rstrip()} Scope: {_told(path)}."
            for status, meaning in _REFUSALS.items():
                told = {"description": meaning, "content": {"application/json": {"schema": error}}}
                operation["responses"].setdefault(status, told)
    return described


def _told(path: str) -> str:
    return scope_of(path) + (", and no limit to some apps" if of_all_apps(path) else "")
