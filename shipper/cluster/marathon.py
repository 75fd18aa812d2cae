"""Marathon's API, versions 0.9.1 to 1.11. Ids of apps may be given with a slash before, or without.

Every call raises ClusterBusy when no address answers, ClusterRefused when Marathon says no; a change of an app that a
deployment changes already raises ClusterLocked.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import orjson

from shipper.cluster._answers import WrongShape, app_of, app_path, apps_of, listed, mapping, number, objects, text
from shipper.cluster._http import Answer, Parameters, Question, Service
from shipper.cluster._refusals import clean
from shipper.cluster.model import App
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterBusy, ClusterRefused

#: Marathon's own rule is narrower (no upper case, no "_"); versions before it had apps of both.
_ID: Final = re.compile(r"/?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*/?")
_LONGEST_ID: Final = 1000
_APPS: Final = (("embed", "apps.tasks"), ("embed", "apps.counts"), ("embed", "apps.deployments"))


@dataclass(frozen=True, slots=True)
class Deployment:
    """A change that Marathon is making: `step` of `steps`."""

    id: str
    app_ids: tuple[str, ...]
    version: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Queued:
    """Tasks of an app that wait to be started: how many, and how long it backs off after failures."""

    app_id: str
    count: int
    delay_seconds: float
    #: It may start them and finds no place that fits.
    overdue: bool


class Marathon:
    """A client of Marathon; one per event loop, to be used in `async with`."""

    def __init__(self, settings: ClusterSettings) -> None:
        """ConfigError when no address is known, or a secret cannot be read."""
        self._service = Service("Marathon", settings.marathon_urls, "marathon_urls", settings)

    async def __aenter__(self) -> Self:
        """Make ready to ask."""
        await self._service.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Close all connections."""
        await self._service.__aexit__(*reason)

    async def apps(self) -> list[App]:
        """Return all apps with their tasks."""
        return await self._service.read(Question("/v2/apps", parameters=_APPS), apps_of)

    async def app(self, app_id: str) -> App | None:
        """Return one app with its tasks; None when there is none of that name."""
        try:
            return await self._service.read(Question(_path(app_id)), lambda answer: app_of(_member(answer, "app")))
        except ClusterRefused as error:
            if error.status == 404:
                return None
            raise

    async def create(self, definition: Mapping[str, Any]) -> App:
        """Create an app; ClusterRefused with status 409 when there is one of that name."""
        return await self._service.read(Question("/v2/apps", "POST", body=dict(definition)), app_of)

    async def update(self, app_id: str, definition: Mapping[str, Any], *, force: bool = False) -> str:
        """Replace the definition of an app and return the deployment's id.

        Versions before 1.5 merge it into the old one: a key that is left out keeps its value there.
        """
        parameters = (*_force(force), ("partialUpdate", "false"))
        return await self._change(Question(_path(app_id), "PUT", parameters, dict(definition)))

    async def scale(self, app_id: str, instances: int, *, force: bool = False) -> str:
        """Change how many tasks an app has, nothing else; return the deployment's id."""
        return await self._change(Question(_path(app_id), "PUT", _force(force), {"instances": instances}))

    async def restart(self, app_id: str, *, force: bool = False) -> str:
        """Replace all tasks of an app by its upgrade strategy; return the deployment's id."""
        return await self._change(Question(f"{_path(app_id)}/restart", "POST", _force(force)))

    async def delete(self, app_id: str, *, force: bool = False) -> str:
        """Remove an app and its tasks; return the deployment's id."""
        return await self._change(Question(_path(app_id), "DELETE", _force(force)))

    async def kill(self, task_ids: Sequence[str], *, scale: bool = False) -> None:
        """Kill tasks; Marathon starts others in their place, or, with `scale`, has that many fewer."""
        if task_ids:
            parameters = (("scale", str(scale).lower()),)
            question = Question("/v2/tasks/delete", "POST", parameters, {"ids": list(task_ids)})
            await self._service.read(question, lambda answer: mapping(answer, "the answer"))

    async def deployments(self) -> list[Deployment]:
        """Return the changes that are being made now."""
        return await self._service.read(
            Question("/v2/deployments"),
            lambda answer: [_deployment_of(one) for one in listed(answer, "the answer")],
        )

    async def cancel(self, deployment_id: str, *, force: bool = False) -> str:
        """Undo a deployment and return the id of the one that does; with `force` it only stops, and that is ""."""
        path = f"/v2/deployments/{quote(deployment_id, safe='')}"
        answer = await self._service.ask(Question(path, "DELETE", _force(force)))
        return _deployment_id(answer)

    async def queue(self) -> list[Queued]:
        """Return what waits to be started; pods are left out."""
        return await self._service.read(
            Question("/v2/queue"),
            lambda answer: [_queued_of(one) for one in objects(_member(answer, "queue")) if "app" in one],
        )

    async def versions(self, app_id: str) -> list[str]:
        """Return the versions of an app's definition, the newest first."""
        found = await self._service.read(
            Question(f"{_path(app_id)}/versions"),
            lambda answer: [text(one) for one in listed(_member(answer, "versions"), "versions")],
        )
        return sorted(filter(None, found), reverse=True)

    async def version(self, app_id: str, version: str) -> Mapping[str, Any]:
        """Return an app's definition as it was in one version."""
        path = f"{_path(app_id)}/versions/{quote(version, safe='')}"
        return await self._service.read(Question(path), lambda answer: mapping(answer, "the answer"))

    async def info(self) -> Mapping[str, Any]:
        """Return what Marathon says of itself: version, leader, settings."""
        return await self._service.read(Question("/v2/info"), lambda answer: mapping(answer, "the answer"))

    async def leader(self) -> str:
        """Return the leader as "host:port"."""
        return await self._service.read(Question("/v2/leader"), lambda answer: text(_member(answer, "leader")))

    @asynccontextmanager
    async def event_stream(self, types: Sequence[str]) -> AsyncIterator[aiohttp.StreamReader]:
        """Give the bytes of the event stream; versions that know the parameters send less."""
        parameters: Parameters = (("plan-format", "light"), *(("event_type", one) for one in types))
        async with self._service.stream(Question("/v2/events", parameters=parameters), "text/event-stream") as stream:
            yield stream

    async def _change(self, question: Question) -> str:
        answer = await self._service.ask(question)
        if not (deployment := _deployment_id(answer)):
            raise ClusterBusy(
                f"Marathon at {answer.address} names no deployment after the change of {question.path}; "
                "it may have been made all the same: look before trying again"
            )
        return deployment


def _path(app_id: str) -> str:
    """The path of an app; what cannot be an id is refused here, since Marathon would take it for other paths."""
    parts = app_id.strip("/").split("/")
    if len(app_id) > _LONGEST_ID or not _ID.fullmatch(app_id) or not {".", ".."}.isdisjoint(parts):
        raise ClusterRefused(f"{clean(app_id, 100)!r} is not the id of an app; one is like /shop/api", 422)
    return f"/v2/apps/{'/'.join(parts)}"


def _force(force: bool) -> Parameters:
    # Always said: a DELETE without it is forced in Marathon 1.10.
    return (("force", str(force).lower()),)


def _member(answer: Any, name: str) -> Any:
    found = mapping(answer, "the answer").get(name)
    if found is None:
        raise WrongShape(f"it has no {name}")
    return found


def _deployment_id(answer: Answer) -> str:
    if known := answer.headers.get("Marathon-Deployment-Id"):
        return known
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        return ""
    return text(document.get("deploymentId")) if isinstance(document, dict) else ""


def _deployment_of(answer: Any) -> Deployment:
    known = mapping(answer, "a deployment")
    return Deployment(
        id=text(known.get("id")),
        app_ids=tuple(text(one) for one in listed(known.get("affectedApps") or [], "affectedApps")),
        version=text(known.get("version")),
        step=number(known.get("currentStep")),
        steps=number(known.get("totalSteps")),
    )


def _queued_of(answer: Any) -> Queued:
    known = mapping(answer, "an entry of the queue")
    delay: Mapping[str, Any] = next(iter(objects([known.get("delay")])), {})
    return Queued(
        app_id=app_path(mapping(known.get("app"), "app").get("id")),
        count=number(known.get("count")),
        delay_seconds=float(number(delay.get("timeLeftSeconds"))),
        overdue=delay.get("overdue") is True,
    )
