"""Make the pictures of the README: `python -m tests.e2e.screenshots` writes docs/screenshots/*.png."""

import asyncio
import tempfile
from pathlib import Path

from tests.e2e.browser import Browser, browser
from tests.e2e.page_world import FAILED, Served, World, cut, served, shop
from tests.servers import available
from tests.unit.api_world import NOW, SECOND

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
#: A picture that is bigger makes the README slow.
MOST_BYTES = 200_000


async def main() -> None:
    """Write all pictures."""
    chromium = available.require("chromium")
    reader = shop()
    cut(reader)
    with tempfile.TemporaryDirectory() as profile:
        async with served(reader) as world, browser(chromium, Path(profile)) as tab:
            for name, width, height, dark, path in (
                ("search", 1280, 800, False, "/?start=3h&query=not+level%3Adebug"),
                ("story", 1280, 800, False, f"/requests/{FAILED}"),
                ("dark", 1280, 800, True, f"/requests/{FAILED}"),
                ("phone", 375, 760, False, "/?start=3h&min_level=warn"),
            ):
                await _take(tab, FOLDER / f"{name}.png", (width, height), dark, world.url + path)
            await _tail(tab, FOLDER / "tail.png", world)


async def _take(tab: Browser, path: Path, size: tuple[int, int], dark: bool, url: str) -> None:
    await tab.size(*size)
    await tab.dark(dark)
    await tab.open(url)
    await tab.picture(path)


async def _tail(tab: Browser, path: Path, world: Served) -> None:
    await tab.size(1280, 800)
    await tab.dark(False)
    await tab.open(f"{world.url}/tail")
    await tab.until("document.querySelector('[data-state]').textContent.startsWith('listening')")
    live = World()
    for number in range(24):
        live.checkout(NOW + number * SECOND, f"{number:012x}", failed=number % 9 == 4)
    made = [one | {"event.sequence": one["event.sequence"] + 90_000} for one in live.records[-60:]]
    world.hub.post("shop", made, NOW)
    await tab.until("document.querySelectorAll('.live .record').length >= 60")
    await tab.until("document.getAnimations().length === 0")  # new lines are coloured for a second
    await tab.picture(path)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(main())
    big = [path.name for path in FOLDER.glob("*.png") if path.stat().st_size >= MOST_BYTES]
    assert not big, big
