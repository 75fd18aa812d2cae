"""Questions to shipper's API, each within a time; no proxies, no redirects."""

import json
import os
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from shipper.errors import ConfigError, StoreBusy

_LONGEST_ANSWER: Final = 64 * 2**20
_LONGEST_REASON: Final = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said, and how far its clock is from ours."""

    body: dict[str, Any]
    #: Seconds that its clock is ahead of ours, and by how many that may be wrong; None when it does not say its time.
    ahead: tuple[float, float] | None


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ask(url: str, path: str, parameters: dict[str, str], seconds: float) -> Answer:
    """Return the answer to a question; ConfigError: nobody answers there, StoreBusy: not now; both in one line."""
    base = url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ConfigError(f"not a URL: {base} (it begins with http:// or https://)")
    token = os.environ.get("SHIPPER_TOKEN")
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = Request(f"{base}{path}?{urlencode(parameters)}", headers=headers)  # noqa: S310
    opener = build_opener(ProxyHandler({}), _NoRedirects())
    began = time.time()
    try:
        with opener.open(request, timeout=seconds) as answer:
            ended, date = time.time(), answer.headers.get("Date")
            body = json.loads(answer.read(_LONGEST_ANSWER))
    except HTTPError as error:
        with error:
            why = " (set SHIPPER_TOKEN to a token of shipper tokens)" if error.code in (401, 403) else _reason(error)
            raise StoreBusy(f"{base} answers HTTP {error.code}{why}") from None
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = "no answer in time" if isinstance(reason, TimeoutError) else getattr(reason, "strerror", "") or reason
        raise ConfigError(f"{base} cannot be reached from here ({said})") from None
    if not isinstance(body, dict):
        raise ConfigError(f"what answers at {base} is not shipper")
    return Answer(body, _ahead(date, began, ended))


def _reason(error: HTTPError) -> str:
    """Return what /ready says of itself when it is not, to be appended; "" for any other answer."""
    try:
        body = json.loads(error.read(_LONGEST_REASON))
    except (HTTPException, OSError, ValueError):
        return ""
    said = body.get("reason") if isinstance(body, dict) else None
    line = " ".join(said.split()) if isinstance(said, str) else ""
    return f": {line}" if line and line.isprintable() else ""


def _ahead(date: str | None, began: float, ended: float) -> tuple[float, float] | None:
    """A Date is a whole second, and was said somewhen between our two looks at the clock."""
    try:
        said = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    return said + 0.5 - (began + ended) / 2, 0.5 + (ended - began) / 2
