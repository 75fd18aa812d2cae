"""Elasticsearch made ready for a cluster: what is there is read, compared with what we want, and changed when agreed.

Only what carries our mark is changed. The same twice changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from shipper.errors import StoreUnusable
from shipper.setup import elasticsearch_indices, elasticsearch_snapshots
from shipper.setup.elasticsearch_asking import Asked
from shipper.setup.elasticsearch_differences import fields, template_lines
from shipper.setup.elasticsearch_plan import Request, Step
from shipper.stores._elasticsearch_templates import VERSION, version_of

#: A day that stands for any: what matches an index of it matches our indices.
_SOME_DAY: Final = "2026.11.22"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Elasticsearch is to be told."""

    cluster: str
    #: Index templates by name, as they are put.
    templates: Mapping[str, Mapping[str, Any]]
    #: Snapshot repository for a daily policy; None: no policy.
    repository: str | None = None
    #: Days that records are kept; 0 for ever.
    retention_days: int = 0


async def survey(asked: Asked, wanted: Wanted, tell: Callable[[str], None] = lambda text: None) -> list[Step]:
    """Return what must be done, in order; nothing is changed. `tell` hears what is being read."""
    tell("reading templates")
    answer = await asked.get("/_index_template")
    there = {one["name"]: one["index_template"] for one in (answer or {}).get("index_templates", ())}
    found: list[Step] = []
    for name, template in wanted.templates.items():
        found.append(_of_template(name, template, there.get(name)))
        found += _above(name, template, there)
    for name, template in wanted.templates.items():
        tell(f"reading the indices of {name}")
        found += elasticsearch_indices.steps(template, await asked.get(elasticsearch_indices.question(template)))
    if wanted.repository is not None:
        tell(f"verifying the snapshot repository {wanted.repository}")
        patterns = [pattern for template in wanted.templates.values() for pattern in template["index_patterns"]]
        found += await elasticsearch_snapshots.survey(
            asked, wanted.cluster, wanted.repository, wanted.retention_days, patterns
        )
    return found


async def carry_out(asked: Asked, steps: list[Step], tell: Callable[[Step], None]) -> None:
    """Do the steps one after the other; `tell` hears of each that is done. StoreUnusable at the first that fails."""
    for step in steps:
        for request in step.requests:
            answer = await asked.change(request.method, request.target, request.body)
            if answer.get("acknowledged") is False:
                raise StoreUnusable(f"{step.what} {step.name}: not every node knows of it yet; run this again")
        tell(step)


def _of_template(name: str, wanted: Mapping[str, Any], current: Mapping[str, Any] | None) -> Step:
    put = (Request("PUT", f"/_index_template/{name}", dict(wanted)),)
    if current is None:
        return Step("create", "template", name, (_summary(wanted),), put)
    theirs = version_of(dict(current))
    if theirs is None:
        line = (
            "somebody else made a template of this name (no mark _meta.managed_by: shipper): rename or delete it first"
        )
        return Step("blocked", "template", name, (line,))
    if theirs > VERSION:
        line = f"a newer shipper made it (version {theirs}, ours is {VERSION}): run the set-up of that one"
        return Step("blocked", "template", name, (line,))
    changes = template_lines(wanted, current)
    return Step("change", "template", name, tuple(changes), put) if changes else Step("unchanged", "template", name)


def _above(name: str, wanted: Mapping[str, Any], there: Mapping[str, Mapping[str, Any]]) -> list[Step]:
    """Return the templates of others that would be taken in place of ours for the same indices."""
    index = str(wanted["index_patterns"][0]).replace("*", _SOME_DAY)
    priority = int(wanted.get("priority", 0))
    found = []
    for other, one in there.items():
        its_priority = int(one.get("priority") or 0)
        patterns = [str(pattern) for pattern in one.get("index_patterns", ())]
        if other != name and its_priority >= priority and any(fnmatchcase(index, pattern) for pattern in patterns):
            line = (
                f"its priority {its_priority} beats ours, {priority}, for {wanted['index_patterns'][0]}: "
                "lower it, or narrow its patterns"
            )
            found.append(Step("blocked", "template", other, (line,)))
    return found


def _summary(template: Mapping[str, Any]) -> str:
    settings = template["template"]["settings"]["index"]
    count = sum(1 for _ in fields(template["template"]["mappings"]["properties"]))
    patterns = ", ".join(template["index_patterns"])
    shards, replicas = settings["number_of_shards"], settings["number_of_replicas"]
    return f"for {patterns}: {count} fields, shards {shards}, replicas {replicas}, mode {settings['mode']}"
