"""The alert rules of the fake Kibana; the contract that Prism knows has none, so these calls do not go through it."""

import copy
import re
from typing import Any

Json = dict[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UPDATE_KEYS = {"name", "tags", "schedule", "params", "actions", "throttle", "notify_when"}


class Rules:
    """Rules by id; as Kibana does, it fills in parameters that were not given."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, Json]] = {}
        #: Said to everybody who asks for rules, when set: status and message.
        self.refusal: tuple[int, str] | None = None

    def get(self, name: str) -> Json:
        """A rule as it is."""
        return self.known[name][1]

    def answer(self, method: str, space: str, name: str, body: Json | None) -> tuple[int, Json | str]:
        """The status and the rule, or the message."""
        if self.refusal is not None:
            return self.refusal
        if body is None or method == "PUT":
            if name not in self.known or self.known[name][0] != space:
                return 404, f"Saved object [alert/{name}] not found"
            return self._update(name, body) if body is not None else (200, self.get(name))
        return self._create(space, name, body)

    def _create(self, space: str, name: str, body: Json) -> tuple[int, Json | str]:
        if not _UUID.fullmatch(name):
            return 400, "Predefined IDs are not allowed for saved objects with encrypted attributes unless it is a UUID"
        if name in self.known:
            return 409, f"Saved object [alert/{name}] conflict"
        if missing := {"name", "rule_type_id", "consumer", "schedule", "params"} - set(body):
            return 400, f"[request body.{min(missing)}]: expected value"
        filled = {"enabled": True, "tags": [], "actions": [], **copy.deepcopy(body), "id": name}
        filled["params"] = {"filledInByKibana": 1, **filled["params"]}
        self.known[name] = (space, filled)
        return 200, filled

    def _update(self, name: str, body: Json) -> tuple[int, Json | str]:
        if unknown := set(body) - _UPDATE_KEYS:
            return 400, f"[request body.{min(unknown)}]: definition for this key is missing"
        if any("connector_type_id" in action for action in body.get("actions", [])):
            return 400, "[request body.actions.0.connector_type_id]: definition for this key is missing"
        filled = {**self.get(name), **copy.deepcopy(body)}
        filled["params"] = {"filledInByKibana": 1, **filled["params"]}
        self.known[name] = (self.known[name][0], filled)
        return 200, filled
