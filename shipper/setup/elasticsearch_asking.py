"""Elasticsearch as set-up asks it: every refusal becomes one line that says what is missing."""

import re
from typing import TYPE_CHECKING, Any, Final, Self

from shipper.errors import StoreUnusable
from shipper.stores._elasticsearch_server import Server, reason

if TYPE_CHECKING:
    from shipper.stores.elasticsearch import Config

#: The oldest version that knows everything we use, and that its maker still repairs.
OLDEST: Final = (8, 19)
_NUMBER: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.\d{1,3}[0-9A-Za-z.+-]{0,40}")
#: How Elasticsearch names what a login lacks, the smallest first: "… the cluster privileges [manage_slm,manage,all]".
_GRANTED: Final = re.compile(r"granted by the (cluster|index) privileges \[([a-z_:/*]{1,60})")
_ACTION: Final = re.compile(r"action \[([a-z0-9_:/\[\]*.-]{1,100}?)\] is unauthorized")


class Asked:
    """A connection for questions and changes; StoreBusy when nobody answers, StoreUnusable when a person must act."""

    def __init__(self, config: "Config") -> None:
        self._config = config
        self._where = "Elasticsearch at " + ", ".join(config.urls)

    async def __aenter__(self) -> Self:
        """Make the client; StoreUnusable when its settings do not allow it."""
        try:
            #: For what the store asks in the same way.
            self.server = Server(self._config)
        except (ValueError, OSError) as error:
            raise StoreUnusable(f"Elasticsearch: {error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.server.close()

    async def get(self, target: str) -> dict[str, Any] | None:
        """Return what is there; None when nothing is."""
        status, answer = await self.server.request("GET", target)
        if status == 404:
            return None
        return self._good(status, answer, f"read {_path(target)}")

    async def change(self, method: str, target: str, body: Any = None) -> dict[str, Any]:
        """Send a change and return the answer to it."""
        status, answer = await self.server.request(method, target, body)
        return self._good(status, answer, f"{method} {_path(target)}")

    async def attempt(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """Send a request whose refusal says something; return status and answer."""
        return await self.server.request(method, target, body)

    async def version(self) -> str:
        """Return its version; StoreUnusable when it is too old for us, or another product."""
        status, answer = await self.server.request("GET", "/", compatible=False)
        number: Any = None
        if status in (404, 405):  # a server without its front page
            status, answer = await self.server.request("GET", "/_nodes/_local?filter_path=nodes.*.version")
            nodes = self._good(status, answer, "read the version").get("nodes", {})
            number = next((node["version"] for node in nodes.values()), None) if isinstance(nodes, dict) else None
        else:
            said = self._good(status, answer, "read the version").get("version")
            if isinstance(said, dict):
                self._elasticsearch_only(said)
                number = said.get("number")
        return self._new_enough(number)

    def _elasticsearch_only(self, said: dict[str, Any]) -> None:
        if said.get("distribution") == "opensearch":
            raise StoreUnusable(f"{self._where}: this is OpenSearch; {_NEEDED}, its client refuses others")

    def _new_enough(self, number: Any) -> str:
        found = _NUMBER.fullmatch(number) if isinstance(number, str) else None
        if found is None:
            raise StoreUnusable(f"{self._where}: it names no version: not the answer of Elasticsearch")
        if (int(found[1]), int(found[2])) < OLDEST:
            raise StoreUnusable(f"{self._where}: it is {found[0]}; {_NEEDED}: upgrade it first")
        return found[0]

    def _good(self, status: int, answer: Any, doing: str) -> dict[str, Any]:
        if status in (200, 201) and isinstance(answer, dict):
            return answer
        if status in (200, 201):
            raise StoreUnusable(f"{self._where}: {doing}: not the answer of Elasticsearch")
        raise StoreUnusable(f"{self._where}: {refusal(status, answer, doing)}")


_NEEDED: Final = f"shipper needs Elasticsearch {OLDEST[0]}.{OLDEST[1]} or 9.x"


def refusal(status: int, answer: Any, doing: str) -> str:
    """Return one line about an answer that is not a success: what was refused, and what to do when we know."""
    said = reason(answer.get("error", answer)) if isinstance(answer, dict) else reason(answer or "")
    if status == 401:
        return f"{doing}: the login is not accepted: check the key, or user name and password ({said})"
    if status == 403 and (lacking := privilege(said)):
        return f"{doing}: the login lacks {lacking}"
    return f"{doing}: {status} {said}"


def privilege(said: str) -> str:
    """Return the smallest privilege that a refusal names as "the cluster privilege x"; "" when it names none."""
    if found := _GRANTED.search(said):
        return f"the {found[1]} privilege {found[2]}"
    action = _ACTION.search(said)
    return f"a privilege for the action {action[1]}" if action else ""


def _path(target: str) -> str:
    return target.partition("?")[0]
