"""The calls of Kibana's HTTP API that setting it up takes, for 8.9 and newer; every call may name a space.

Sources: Kibana's API reference for data views, saved objects (import, export), spaces and alerting. Every
call raises KibanaNotReady when it cannot answer now and KibanaRefused when it says no. Limits: 64 MiB an answer.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import orjson

from shipper.errors import ConfigError
from shipper.setup.kibana_access import DEFAULT_SPACE, Access
from shipper.setup.kibana_answers import (
    KibanaError,
    KibanaNotReady,
    KibanaRefused,
    document_of,
    import_problems,
    refusal,
    said,
)

#: Bytes of one answer; Kibana itself imports and exports at most 25 MiB.
LARGEST_ANSWER: Final = 64 * 2**20
_LARGEST_REFUSAL: Final = 256 * 1024
_CONNECT_SECONDS: Final = 10.0
_HEADERS: Final = {
    "kbn-xsrf": "shipper", "Elastic-Api-Version": "2023-10-31", "User-Agent": "shipper", "Accept": "*/*",
}  # fmt: skip
_SPACE: Final = re.compile(r"[a-z0-9_-]{1,255}", re.ASCII)


class Kibana:
    """A client of one Kibana, to be used in `async with`."""

    def __init__(self, access: Access) -> None:
        """ConfigError when the certificates cannot be read."""
        self.name = access.url.rstrip("/")
        self._access = access
        self._certificates = access.certificates()
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make ready to ask."""
        seconds = self._access.request_seconds
        self._open = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._certificates, limit=2, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**_HEADERS, **self._access.headers},
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, _CONNECT_SECONDS)),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._open is not None:
            await self._open.close()

    async def status(self) -> dict[str, Any]:
        """Return what Kibana says of itself; a stranger is told `status.overall.level` only, no version."""
        return await self._object("GET", "/api/status")

    async def space(self, space: str) -> dict[str, Any] | None:
        """Return a space; None when there is none of that id."""
        return await self._found("GET", f"/api/spaces/space/{_space(space)}")

    async def create_space(self, body: Mapping[str, Any]) -> None:
        """Create a space."""
        await self._object("POST", "/api/spaces/space", body)

    async def update_space(self, body: Mapping[str, Any]) -> None:
        """Replace the settings of a space, which `body["id"]` names."""
        await self._object("PUT", f"/api/spaces/space/{_space(body['id'])}", body)

    async def data_view(self, space: str, view_id: str) -> dict[str, Any] | None:
        """Return a data view; None when there is none of that id."""
        found = await self._found("GET", f"{_in(space)}/api/data_views/data_view/{quote(view_id, safe='')}")
        return None if found is None else _member(found, "data_view", self.name)

    async def create_data_view(self, space: str, view: Mapping[str, Any]) -> None:
        """Create a data view. Never with `override`: that deletes another one of the same name."""
        await self._object("POST", f"{_in(space)}/api/data_views/data_view", {"data_view": view})

    async def update_data_view(self, space: str, view_id: str, changes: Mapping[str, Any]) -> None:
        """Change the given properties of a data view, no others."""
        path = f"{_in(space)}/api/data_views/data_view/{quote(view_id, safe='')}"
        await self._object("POST", path, {"data_view": changes})

    async def update_fields(self, space: str, view_id: str, fields: Mapping[str, Any]) -> None:
        """Change label, description or format of the given fields of a data view, no others."""
        path = f"{_in(space)}/api/data_views/data_view/{quote(view_id, safe='')}/fields"
        await self._object("POST", path, {"fields": fields})

    async def set_runtime_field(self, space: str, view_id: str, name: str, runtime: Mapping[str, Any]) -> None:
        """Create or replace one runtime field of a data view."""
        path = f"{_in(space)}/api/data_views/data_view/{quote(view_id, safe='')}/runtime_field"
        await self._object("PUT", path, {"name": name, "runtimeField": runtime})

    async def default_data_view(self, space: str) -> str:
        """Return the id of the default data view; "" when there is none."""
        found = await self._object("GET", f"{_in(space)}/api/data_views/default")
        name = found.get("data_view_id")
        return name if isinstance(name, str) else ""

    async def set_default_data_view(self, space: str, view_id: str, *, force: bool) -> None:
        """Make a data view the default one; without `force` only when there is none."""
        body = {"data_view_id": view_id, "force": force}
        await self._object("POST", f"{_in(space)}/api/data_views/default", body)

    async def import_objects(self, space: str, ndjson: bytes) -> dict[str, Any]:
        """Create saved objects and overwrite those of the same id; KibanaRefused unless all were imported."""
        form = aiohttp.FormData()
        form.add_field("file", ndjson, filename="shipper.ndjson", content_type="application/ndjson")
        asked = f"{_in(space)}/api/saved_objects/_import?overwrite=true"
        answer = self._read(asked, await self._ask("POST", asked, form))
        if problems := import_problems(answer):
            count = answer.get("successCount")
            done = f"; imported were {count}" if isinstance(count, int) else ""
            raise KibanaRefused(f"{self._who} did not import all: {problems}{done}", 200, answer)
        return answer

    async def export_objects(self, space: str, wanted: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return those of the saved objects, by (type, id), that exist."""
        asked = list(wanted)
        while asked:
            body = {"objects": [{"type": kind, "id": name} for kind, name in asked], "excludeExportDetails": True}
            try:
                return await self._export(space, body)
            except KibanaRefused as error:
                missing = _not_there(error)
                if not missing.intersection(asked):
                    raise
                asked = [one for one in asked if one not in missing]
        return []

    async def export_referring(
        self, space: str, kinds: Sequence[str], to: Sequence[tuple[str, str]]
    ) -> list[dict[str, Any]]:
        """Return all saved objects of some types that refer to one of the objects `to`, by (type, id)."""
        references = [{"type": kind, "id": name} for kind, name in to]
        return await self._export(
            space, {"type": list(kinds), "hasReference": references, "excludeExportDetails": True}
        )

    async def delete_object(self, space: str, kind: str, name: str) -> None:
        """Delete a saved object; that it is gone already is no error.

        The call is deprecated since 8.7; for searches and dashboards no other one serves 8.9 to 9.x.
        """
        await self._found("DELETE", f"{_in(space)}/api/saved_objects/{quote(kind, safe='')}/{quote(name, safe='')}")

    async def rule(self, space: str, rule_id: str) -> dict[str, Any] | None:
        """Return an alert rule; None when there is none of that id."""
        return await self._found("GET", f"{_in(space)}/api/alerting/rule/{quote(rule_id, safe='')}")

    async def create_rule(self, space: str, rule_id: str, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Create an alert rule and return it as Kibana has it."""
        return await self._object("POST", f"{_in(space)}/api/alerting/rule/{quote(rule_id, safe='')}", rule)

    async def update_rule(self, space: str, rule_id: str, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Replace name, tags, schedule, parameters and actions of an alert rule, and return it as Kibana has it."""
        return await self._object("PUT", f"{_in(space)}/api/alerting/rule/{quote(rule_id, safe='')}", rule)

    @property
    def _who(self) -> str:
        return f"Kibana at {self.name}"

    async def _export(self, space: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = await self._ask("POST", f"{_in(space)}/api/saved_objects/_export", body)
        found = [document_of(line) for line in answer.splitlines() if line.strip()]
        if not all(isinstance(one.get("type"), str) and isinstance(one.get("id"), str) for one in found):
            raise KibanaError(f"{self._who} exports something that is no saved object: is it Kibana 8.9 or newer?")
        return found

    async def _found(self, method: str, path: str) -> dict[str, Any] | None:
        """Return the answer; None when it is 404 in Kibana's own words."""
        try:
            return document_of(await self._ask(method, path))
        except KibanaRefused as error:
            if error.status == 404 and error.body:
                return None
            raise

    async def _object(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._read(path, await self._ask(method, path, body))

    def _read(self, path: str, answer: bytes) -> dict[str, Any]:
        found = document_of(answer)
        if not found:
            raise KibanaError(f"what answers at {self.name} is not Kibana: {path} gives no JSON object")
        return found

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | aiohttp.FormData | None = None) -> bytes:
        if self._open is None:
            raise RuntimeError("used outside `async with`")
        headers = {"Content-Type": "application/json"} if isinstance(body, Mapping) else {}
        data = orjson.dumps(body) if isinstance(body, Mapping) else body
        try:
            async with self._open.request(
                method, f"{self.name}{path}", data=data, headers=headers, allow_redirects=False
            ) as response:
                good = response.status in {200, 204}
                limit = LARGEST_ANSWER if good else _LARGEST_REFUSAL
                content = await _content(response, limit)
                if not good:
                    raise refusal(self._who, f"{method} {path}", response.status, content[:limit])
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._fault(error) from None
        if len(content) > limit:
            raise KibanaError(f"{self._who} answers {path} with more than {limit >> 20} MiB, which is not read")
        return content

    def _fault(self, error: Exception) -> Exception:
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            return ConfigError(
                f"{self._who} shows no certificate that is trusted ({said(error, 200)}): check --ca-file"
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            why = said(error.os_error.strerror or error.os_error, 200)
            return KibanaNotReady(f"{self._who} cannot be reached ({why}): is it running? check --url")
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            return KibanaNotReady(f"{self._who} gave no answer in {self._access.request_seconds:g} s")
        if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
            return KibanaNotReady(f"{self._who} closed the connection before it answered")
        return KibanaError(f"{self._who} does not speak HTTP as it should ({said(error, 200) or type(error).__name__})")


async def _content(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body, cut a little after the limit."""
    content = bytearray()
    async for part in response.content.iter_any():
        content += part
        if len(content) > limit:
            break
    return bytes(content)


def _space(space: str) -> str:
    if _SPACE.fullmatch(space) is None:
        raise ConfigError(f"{said(space, 80)!r} is not the id of a space: small letters, digits, - and _")
    return space


def _in(space: str) -> str:
    return "" if space == DEFAULT_SPACE else f"/s/{_space(space)}"


def _member(answer: Mapping[str, Any], name: str, who: str) -> dict[str, Any]:
    found = answer.get(name)
    if not isinstance(found, dict):
        raise KibanaError(f"what answers at {who} is not Kibana: its answer has no {name}")
    return found


def _not_there(error: KibanaRefused) -> set[tuple[str, str]]:
    """Return the objects that an export was refused for because they do not exist."""
    attributes = error.body.get("attributes")
    listed = attributes.get("objects") if isinstance(attributes, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {
        (one["type"], one["id"]) for one in found if isinstance(one.get("type"), str) and isinstance(one.get("id"), str)
    }
