"""The API of Chronos, 2.x (`/scheduler/…`) and 3.x (`/v1/scheduler/…`); which one it is, is asked once."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import quote

from shipper.cluster._answers import listed, mapping, text
from shipper.cluster._http import Question, Service
from shipper.cluster._refusals import clean
from shipper.cluster.settings import ClusterSettings
from shipper.errors import ClusterRefused

#: 3.x first; 2.x does not know its path.
_BASES: Final = ("/v1/scheduler", "/scheduler")


class Chronos:
    """A client of Chronos; one per event loop, to be used in `async with`."""

    def __init__(self, settings: ClusterSettings) -> None:
        """ConfigError when no address is known, or a secret cannot be read."""
        self._service = Service("Chronos", settings.chronos_urls, "chronos_urls", settings)
        self._base = ""

    async def __aenter__(self) -> Self:
        """Make ready to ask."""
        await self._service.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        """Close all connections."""
        await self._service.__aexit__(*reason)

    async def jobs(self) -> list[Mapping[str, Any]]:
        """Return all jobs as Chronos lists them, by name."""
        for base in (self._base,) if self._base else _BASES:
            try:
                found = await self._service.read(Question(f"{base}/jobs"), _jobs_of)
            except ClusterRefused as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
            else:
                self._base = base
                return found
        raise ClusterRefused("chronos_urls: nothing there knows /scheduler/jobs; is it a Chronos?", 404)

    async def put(self, job: Mapping[str, Any]) -> None:
        """Create a job, or replace the one of that name; one with `parents` runs after them."""
        _name(text(job.get("name")))
        kind = "dependency" if job.get("parents") else "iso8601"
        await self._service.ask(Question(f"{await self._known_base()}/{kind}", "POST", body=dict(job)))

    async def run(self, name: str) -> None:
        """Run a job now, beside its schedule."""
        await self._service.ask(Question(f"{await self._known_base()}/job/{_name(name)}", "PUT"))

    async def delete(self, name: str) -> None:
        """Remove a job and its schedule; Chronos kills what of it runs."""
        await self._service.ask(Question(f"{await self._known_base()}/job/{_name(name)}", "DELETE"))

    async def _known_base(self) -> str:
        if not self._base:
            await self.jobs()
        return self._base


def _name(name: str) -> str:
    """A job's name for a path; what cannot be one is refused here, since it would name another path."""
    if not name or "/" in name or name in (".", "..") or not name.isprintable():
        raise ClusterRefused(f"{clean(name, 100)!r} is not the name of a job", 400)
    return quote(name, safe="")


def _jobs_of(answer: Any) -> list[Mapping[str, Any]]:
    jobs = [mapping(one, "a job") for one in listed(answer, "the answer")]
    return sorted(jobs, key=lambda job: text(job.get("name")))
