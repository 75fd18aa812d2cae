"""Alert rules: created, and brought up to date while nobody has changed them; whether they are on is people's choice.

A rule carries our tag, and a second one: a hash of name, schedule and parameters as Kibana had them when we wrote
them last. While that hash fits, no person has changed it. Source: Kibana's alerting API, `/api/alerting/rule/{id}`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from shipper.generate.kibana import TAG
from shipper.setup.kibana_answers import KibanaRefused
from shipper.setup.kibana_client import Kibana
from shipper.setup.kibana_compare import differences
from shipper.setup.kibana_steps import Part, Step, shortened

_HASH_TAG: Final = "shipper-as-set-"
#: What a person who edits a rule edits; actions are not among them: whom to tell is theirs anyway.
_OURS: Final = ("name", "schedule", "params")
_UPDATE: Final = ("name", "tags", "schedule", "params", "throttle", "notify_when")
_ACTION_KEYS: Final = ("group", "id", "params", "frequency", "uuid", "alerts_filter")


async def plan(kibana: Kibana, space: str, rules: Sequence[Mapping[str, Any]], *, there: bool) -> list[Part]:
    """Return what to do for the rules of a space; `there` says whether the space exists already."""
    parts = []
    try:
        for rule in rules:
            live = await kibana.rule(space, rule["id"]) if there else None
            parts.append(_part(kibana, space, rule, live))
    except KibanaRefused as error:
        if error.status not in {400, 403}:
            raise
        # Alerting is off, or the key may not: the rest is of use without rules.
        return [Part((Step(space, "alert rules", TAG, "left", details=(str(error),)),))]
    return parts


def _part(kibana: Kibana, space: str, rule: Mapping[str, Any], live: Mapping[str, Any] | None) -> Part:
    name, title = str(rule["id"]), str(rule.get("name", ""))

    def step(action: Any, *details: str) -> Step:
        return Step(space, "alert rule", name, action, title, details)

    if live is None:
        return Part((step("create"),), lambda: _create(kibana, space, rule))
    tags = _tags(live)
    if TAG not in tags:
        return Part((step("left", f"it has lost the tag {TAG}: it is a person's now"),))
    off = ("it is off",) if live.get("enabled") is False else ()
    found = [path for key in _OURS for path in differences(rule.get(key), live.get(key), key)]
    if not found:
        return Part((step("left" if off else "unchanged", *off),))
    if _hash_tag(live) not in tags:
        return Part((step("left", "a person changed it", *off, *shortened(found)),))
    return Part((step("change", *shortened(found), *off),), lambda: _update(kibana, space, rule, live))


async def _create(kibana: Kibana, space: str, rule: Mapping[str, Any]) -> None:
    body = {key: value for key, value in rule.items() if key != "id"}
    made = await kibana.create_rule(space, rule["id"], {"actions": [], **body, "tags": _own_tags(rule)})
    await _mark(kibana, space, rule, made)


async def _update(kibana: Kibana, space: str, rule: Mapping[str, Any], live: Mapping[str, Any]) -> None:
    made = await kibana.update_rule(space, rule["id"], _body(rule, live, _with_people_s(rule, live)))
    await _mark(kibana, space, rule, made)


async def _mark(kibana: Kibana, space: str, rule: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Write down how Kibana has it now: it fills in defaults, which are no person's change."""
    tags = [*_with_people_s(rule, made), _hash_tag(made)]
    await kibana.update_rule(space, rule["id"], _body(made, made, tags))


def _body(source: Mapping[str, Any], live: Mapping[str, Any], tags: list[str]) -> dict[str, Any]:
    """What an update takes, with the actions that people have added."""
    listed = live.get("actions")
    actions = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    kept = [{key: action[key] for key in _ACTION_KEYS if key in action} for action in actions]
    known = {key: source[key] for key in _UPDATE if source.get(key) is not None}
    return {**known, "tags": tags, "actions": kept}


def _with_people_s(rule: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    own = _own_tags(rule)
    return own + [tag for tag in _tags(live) if tag not in own and not tag.startswith(_HASH_TAG)]


def _own_tags(rule: Mapping[str, Any]) -> list[str]:
    return [TAG, *(tag for tag in _tags(rule) if tag != TAG)]


def _tags(rule: Mapping[str, Any]) -> list[str]:
    tags = rule.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list | tuple) else []


def _hash_tag(live: Mapping[str, Any]) -> str:
    try:
        text = orjson.dumps([live.get(key) for key in _OURS], option=orjson.OPT_SORT_KEYS)
    except TypeError:  # deeper than any rule is
        text = b""
    return f"{_HASH_TAG}{hashlib.sha256(text).hexdigest()[:12]}"
