"""A daily snapshot of our indices, in a repository that the operator made.

Every snapshot holds all days that there are, as references to what the repository has already, so a few of them are
enough: they are kept a week at most, and so what retention deleted is gone from them a week later.
Shapes: elastic.co/docs/api/doc/elasticsearch, operations slm-put-lifecycle, slm-get-lifecycle and
snapshot-verify-repository.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from shipper.setup.elasticsearch_asking import Asked, refusal
from shipper.setup.elasticsearch_differences import flat_settings, lines
from shipper.setup.elasticsearch_plan import MARK, US, Request, Step, marked

_LONGEST_KEPT_DAYS: Final = 7
_FEWEST: Final = 3
#: Every day at 01:30 UTC: before the removal of what is too old, so that a day is in one snapshot more.
_SCHEDULE: Final = "0 30 1 * * ?"
#: What an unknown address is answered with.
_NO_SUCH_ADDRESS: Final = (400, 405)


def policy(cluster: str, repository: str, retention_days: int, patterns: Sequence[str]) -> dict[str, Any]:
    """Return the policy that takes and deletes snapshots of a cluster's indices."""
    kept = min(retention_days or _LONGEST_KEPT_DAYS, _LONGEST_KEPT_DAYS)
    return {
        "schedule": _SCHEDULE,
        "name": f"<shipper.{cluster}-{{now/d}}>",
        "repository": repository,
        "config": {
            "indices": list(patterns),
            "ignore_unavailable": True,
            "include_global_state": False,
            "metadata": {MARK: US, "cluster": cluster},
        },
        "retention": {"expire_after": f"{kept}d", "min_count": _FEWEST},
    }


async def survey(
    asked: Asked, cluster: str, repository: str, retention_days: int, patterns: Sequence[str]
) -> list[Step]:
    """Return what becomes of repository and policy; nothing is changed but a test file of the repository's own."""
    trouble = await _trouble(asked, repository)
    if trouble:
        return [Step("blocked", "snapshot repository", repository, (trouble,))]
    verified = Step("unchanged", "snapshot repository", repository)
    return [verified, await _policy(asked, f"shipper.{cluster}", policy(cluster, repository, retention_days, patterns))]


async def _trouble(asked: Asked, repository: str) -> str:
    """Return why a repository cannot be used; "" when every node can write to it."""
    status, answer = await asked.attempt("POST", f"/_snapshot/{quote(repository, safe='')}/_verify")
    if status == 200:
        return ""
    if status == 404:
        return "there is none of this name: register it first (PUT _snapshot/NAME, or Kibana's Snapshot and Restore)"
    return refusal(status, answer, "it does not verify")


async def _policy(asked: Asked, name: str, wanted: dict[str, Any]) -> Step:
    target = f"/_slm/policy/{name}"
    put = (Request("PUT", target, wanted),)
    status, answer = await asked.attempt("GET", target)
    if status in _NO_SUCH_ADDRESS:
        line = "this server has no snapshot lifecycle management: take snapshots by other means (PUT _snapshot)"
        return Step("blocked", "snapshot policy", name, (line,))
    if status not in (200, 404):
        return Step("blocked", "snapshot policy", name, (refusal(status, answer, "read it"),))
    found = answer.get(name) if status == 200 and isinstance(answer, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("policy"), dict):
        kept = wanted["retention"]["expire_after"]
        line = f"daily at 01:30 UTC to {wanted['repository']}, kept {kept}, at least {_FEWEST} of them"
        return Step("create", "snapshot policy", name, (line,), put)
    current = found["policy"]
    if not marked(current.get("config", {}).get("metadata")):
        line = "somebody else made a policy of this name (no mark config.metadata.managed_by: shipper): rename it first"
        return Step("blocked", "snapshot policy", name, (line,))
    changes = lines(flat_settings(wanted), flat_settings(current))
    return Step("change" if changes else "unchanged", "snapshot policy", name, tuple(changes), put if changes else ())
