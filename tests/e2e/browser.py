"""A real Chromium, driven by its own debugging protocol: pages, keys, pictures, and all that it complains about."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.process import START_SECONDS, Process

CALL_SECONDS = 30


class Browser:
    """One tab. What scripts did (dialogs) and what the browser complained about (console) is collected."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.dialogs: list[str] = []
        self.console: list[str] = []
        self.requests: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call one method of the protocol."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(CALL_SECONDS):
            found: dict[str, Any] = await answer
        return found

    async def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(CALL_SECONDS):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(CALL_SECONDS):
            while not await self.evaluate(f"Boolean({condition})"):  # noqa: ASYNC110  what changes is in the browser
                await asyncio.sleep(0.05)

    async def zone(self, name: str) -> None:
        """Live in a time zone from the next page on."""
        await self.call("Emulation.setTimezoneOverride", timezoneId=name)

    async def click(self, selector: str) -> None:
        """Click a link and wait for the page behind it."""
        self._loaded.clear()
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        async with asyncio.timeout(CALL_SECONDS):
            await self._loaded.wait()

    async def goes(self, key: str) -> None:
        """Press a key that leads to another page, and wait for that."""
        self._loaded.clear()
        await self.press(key)
        async with asyncio.timeout(CALL_SECONDS):
            await self._loaded.wait()

    async def press(self, key: str) -> None:
        """Press and release one key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, "Escape": 27}.get(key, 0)
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def size(self, width: int, height: int) -> None:
        """Give the window a size; a narrow one is a phone."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def dark(self, on: bool = True) -> None:
        """Prefer dark or light colours."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def scripts(self, on: bool) -> None:
        """Allow or forbid scripts of pages opened from now on."""
        await self.call("Emulation.setScriptExecutionDisabled", value=not on)

    async def picture(self, path: Path) -> None:
        """Write what is seen as a PNG file."""
        answer = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def listen(self) -> None:
        """Read answers and events until the socket closes."""
        async for message in self._socket:
            told = json.loads(message.data)
            answer = self._answers.pop(told.get("id", 0), None)
            if answer is None:
                self._event(told.get("method", ""), told.get("params", {}))
            elif not answer.done():
                if "error" in told:
                    answer.set_exception(AssertionError(told["error"]["message"]))
                else:
                    answer.set_result(told["result"])

    def _event(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(told["message"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(str([part.get("value") for part in told["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(told["exceptionDetails"]["text"])
        elif method == "Log.entryAdded":
            self.console.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


@asynccontextmanager
async def browser(chromium: str, folder: Path) -> AsyncIterator[Browser]:
    """Start Chromium with a profile of its own in `folder` and give its one tab."""
    profile = folder / "profile"
    port_file = profile / "DevToolsActivePort"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--no-proxy-server"]
    # What Chromium asks its maker for by itself is not part of the test.
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
    argv = [chromium, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    process = Process(argv, log=folder / "chromium.log")
    try:
        started = lambda: port_file.exists() and port_file.read_text().count("\n")  # noqa: E731
        await asyncio.to_thread(process.wait_until, started, START_SECONDS)
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                targets = await answer.json()
            address = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                tab = Browser(socket)
                listening = asyncio.create_task(tab.listen())
                try:
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await tab.call(f"{domain}.enable")
                    yield tab
                finally:
                    listening.cancel()
    finally:
        process.kill9()
