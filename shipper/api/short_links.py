"""The links of an answer to Kibana; a short one is made on request, as it is a saved object there.

Source: Kibana's share plugin, `POST /api/short_url` (technical preview); 409 is said of a slug that is there already.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from starlette.requests import Request

from shipper.api.access.limits import Bucket
from shipper.api.kibana import LOCATOR, Discover, base_url, links_to
from shipper.config import ApiSettings
from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.api.ask import Asking

#: Kibana has so long; an answer never waits longer for its short link.
SECONDS: Final = 2.0
#: What one costs its caller, in seconds of the store: an object that stays is dear, so that 60 a minute are most.
COST_SECONDS: Final = 2.0
#: So many are made in a minute for all callers together.
_MOST_A_MINUTE: Final = 120
_REMEMBERED: Final = 4096
_MOST_ANSWER: Final = 2**20
_LONGEST_KEY: Final = 4096
_KEY: Final = re.compile(r"[A-Za-z0-9+/=_-]{1,4096}", re.ASCII)
_HEADERS: Final = {
    "Content-Type": "application/json", "kbn-xsrf": "shipper", "Elastic-Api-Version": "2023-10-31",
}  # fmt: skip


async def links(asking: "Asking", request: Request, asked: Discover, short: bool = False) -> dict[str, str]:
    """Return `kibana` and `kibana_edit` of a question, `kibana_short` when asked for, `note` for what is not there."""
    found = links_to(asking.kibana, asked)
    if not short or asking.kibana is None:
        return found
    if request.headers.get("sec-fetch-site") == "cross-site":
        return found | {"note": "no short link: another site asked for it"}
    if asking.short_links is None:
        needed = "api.kibana_api_key_file, and api.kibana_internal_url where kibana_url is only a path"
        return found | {"note": f"no short link: it needs {needed}"}
    try:
        slug = await asking.short_links.slug(asked, asking)
    except _Failed as error:
        return found | {"note": f"no short link: {error}"}
    return {name: url for name, url in found.items() if name != "note"} | {
        "kibana_short": f"{asking.kibana}/app/r/s/{slug}"
    }


class _Failed(Exception):
    """Kibana did not make the link; the text says why, in words for whoever asked."""


class ShortLinks:
    """Makes short links, the same one for the same question."""

    def __init__(self, base: str, key_file: Path) -> None:
        """`base` is Kibana as this process reaches it, with its space; the key is read each time, as keys change."""
        self._base, self._key_file = base, key_file
        self._made: OrderedDict[str, None] = OrderedDict()
        self._most = Bucket(_MOST_A_MINUTE, time.monotonic())

    async def slug(self, asked: Discover, asking: "Asking") -> str:
        """Return the name of a question's short link, which Kibana has; `_Failed` says why there is none."""
        parameters = asked.parameters_in(self._base)
        text = orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS)
        slug = f"shipper-{hashlib.sha256(text).hexdigest()[:20]}"
        if slug in self._made:
            self._made.move_to_end(slug)
            return slug
        asking.charge(COST_SECONDS)
        if not self._most.spare(time.monotonic()):
            raise _Failed(f"more than {_MOST_A_MINUTE} were asked for within a minute")
        try:
            async with asyncio.timeout(SECONDS):
                await self._make(slug, parameters)
        except TimeoutError:
            raise _Failed(f"Kibana did not answer within {SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _Failed(f"Kibana does not answer ({type(error).__name__})") from None
        self._made[slug] = None
        if len(self._made) > _REMEMBERED:
            self._made.popitem(last=False)
        return slug

    async def _make(self, slug: str, parameters: dict[str, Any]) -> None:
        headers = {**_HEADERS, "Authorization": f"ApiKey {await asyncio.to_thread(self._key)}"}
        body = orjson.dumps({"locatorId": LOCATOR, "slug": slug, "params": parameters})
        url = f"{self._base}/api/short_url"
        async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as session:
            async with session.post(url, data=body, allow_redirects=False) as answer:
                if answer.status == 200:
                    return
                if answer.status != 409:
                    raise _Failed(f"Kibana answered {answer.status} ({_meaning(answer.status)})")
            async with session.get(f"{url}/_slug/{slug}", allow_redirects=False) as answer:
                known = await _json(answer) if answer.status == 200 else {}
        locator = known.get("locator")
        if not isinstance(locator, dict) or (locator.get("id"), locator.get("state")) != (LOCATOR, parameters):
            raise _Failed(f"Kibana has another link of the name {slug}; delete that one")

    def _key(self) -> str:
        try:
            with self._key_file.open("rb") as file:
                text = file.read(_LONGEST_KEY + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise _Failed("api.kibana_api_key_file cannot be read") from None
        if _KEY.fullmatch(text) is None:
            raise _Failed("api.kibana_api_key_file is not a key: the base64 of id:key, on one line")
        return text


def short_links_of(settings: ApiSettings) -> ShortLinks | None:
    """Return what makes short links as the configuration says, None when nothing does; ConfigError when it cannot."""
    if settings.kibana_api_key_file is None or settings.kibana_url is None:
        return None
    internal = settings.kibana_internal_url or settings.kibana_url
    if internal.startswith("/"):
        raise ConfigError("api.kibana_api_key_file: set api.kibana_internal_url too: kibana_url is a path for browsers")
    return ShortLinks(base_url(internal, settings.kibana_space), Path(settings.kibana_api_key_file))


def _meaning(status: int) -> str:
    meanings = {401: "the key is not valid", 403: "the key may not make short links", 404: "no such address or space"}
    return meanings.get(status, "it moved: set the address behind it" if 300 <= status < 400 else "see its log")


async def _json(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    content = b""
    async for part in answer.content.iter_any():
        content += part
        if len(content) > _MOST_ANSWER:
            raise ValueError("an endless answer")
    found = orjson.loads(content)
    return found if isinstance(found, dict) else {}
