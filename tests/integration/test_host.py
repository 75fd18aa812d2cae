"""The host's part on a real rsyslogd: whatever is killed, what was written comes out, or its number is known."""

from pathlib import Path

import orjson

from tests.integration.host import Host
from tests.integration.rsyslog import RelpReceiver


def records(receiver: RelpReceiver) -> list[dict[str, str]]:
    """What containers wrote, without what the host says of itself."""
    return [orjson.loads(payload) for payload in receiver.payloads if b'"input":"socket"' in payload[:400]]


async def test_a_record_comes_out(rsyslogd: str, run_dir: Path) -> None:
    async with RelpReceiver() as receiver:
        async with Host(rsyslogd, run_dir, receiver.port, host_name="web-3") as host:
            host.write(b"<14>hello", b"<11>wrong")
            await receiver.wait_for(lambda: len(records(receiver)) == 2)
            first, second = sorted(records(receiver), key=lambda record: record["message"])
            assert first == {**first, "v": "1", "series": f"{host.series}n", "sequence": "1", "host": "web-3"}
            assert second == {**second, "series": f"{host.series}w", "sequence": "1", "pri": "11"}
            print(host.memory_mb())
