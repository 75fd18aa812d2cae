"""Answers that refuse, in Marathon's shape."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


class Refused(Exception):
    """A request that is answered with this status and this body."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **more}

    @property
    def text(self) -> str:
        """The body as JSON."""
        return json.dumps(self.body)


def not_valid(problems: Sequence[tuple[str, str]]) -> Refused:
    """422: what is wrong, path by path."""
    by_path: dict[str, list[str]] = {}
    for path, error in problems:
        by_path.setdefault(path, []).append(error)
    details = [{"path": path, "errors": errors} for path, errors in by_path.items()]
    return Refused(422, "Object is not valid", details=details)


def locked(deployments: Sequence[str]) -> Refused:
    """409: another deployment has the app; told from the other 409 by `deployments`."""
    message = (
        "App is locked by one or more deployments. Override with the option '?force=true'. "
        "View details at '/v2/deployments/<DEPLOYMENT_ID>'."
    )
    return Refused(409, message, deployments=[{"id": id_} for id_ in deployments])


def no_app(app_id: str) -> Refused:
    """404: no such app."""
    return Refused(404, f"App '{app_id}' does not exist")


def no_json(details: str) -> Refused:
    """400: the body is not JSON, or not of the right kind."""
    return Refused(400, "Invalid JSON", details=[{"path": "", "errors": [details]}])


def flag(query: Mapping[str, str], name: str, default: bool = False) -> bool:
    """A yes or no of the query; clients in Python write it with a capital letter."""
    return query.get(name, str(default)).lower() == "true"
