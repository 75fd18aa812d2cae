"""A browser opens the page through nginx with TLS and a password, and follows what is written."""

import asyncio
from pathlib import Path

from tests.e2e.browser import browser
from tests.e2e.page_world import served, shop
from tests.integration.front import Front
from tests.integration.test_nginx_access import secrets
from tests.servers.process import accepts
from tests.tls import Authority
from tests.unit.api_world import NOW, record

_LIVE = "document.querySelectorAll('.live .record').length"
_STATE = "document.querySelector('[data-state]').textContent"
_LINES = "document.querySelectorAll('#records .record').length"


async def test_the_page_is_live_behind_tls_and_a_password(nginx: str, chromium: str, run_dir: Path) -> None:
    pair = Authority(run_dir / "ca").sign("localhost")
    tls = {"front_tls_certificate": pair.certificate, "front_tls_key": pair.key}
    async with served(shop(hours=0.1)) as world:
        api = int(world.url.rpartition(":")[2])
        front = Front(nginx, run_dir, api_port=api, kibana=False, front_auth="basic", **tls)
        secrets(front)
        with front.started() as process:
            await asyncio.to_thread(process.wait_until, lambda: accepts(front.tls_port), 60)
            async with browser(chromium, run_dir) as tab:
                await tab.call("Security.setIgnoreCertificateErrors", ignore=True)
                await tab.open(f"https://ann:good%20password@localhost:{front.tls_port}/")
                assert await tab.evaluate(_LINES)
                await tab.open(f"https://localhost:{front.tls_port}/tail?app=live")  # the password is known now
                await tab.until(f"{_STATE}.startsWith('listening')")
                for number in range(3):
                    world.hub.post("test", [record(number, "now", series="liven", service__name="live")], NOW)
                    await tab.until(f"{_LIVE} === {number + 1}")  # each before there is a next one
                assert tab.console == []
                assert tab.dialogs == []
