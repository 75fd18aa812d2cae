"""A RELP client that shares no code with us or with librelp: relppy, on blocking sockets and threads."""

import asyncio

from relppy.client import RelpTCPClient  # type: ignore[import-untyped]

from shipper.record import Received
from shipper.sources import relp
from tests.contract.fake_intake import FakeIntake, on_both_loops, running

RECORDS = [b"record %d" % number for number in range(500)] + [b"a\nb\n\nc", b"\xff\0", "é".encode(), b"x" * 2**19]


class Settling(FakeIntake):
    """Everything is safe at once."""

    def submit(self, received: Received) -> None:
        super().submit(received)
        received.receipt.settle(received.receipt.pending)


def talk(port: int) -> tuple[dict[str, list[str]], set[bytes]]:
    """What the server offers, and its answers to all records, each waited for."""
    client = RelpTCPClient(("127.0.0.1", port), timeout=20)
    try:
        answers = [client.send_command(b"syslog", record) for record in RECORDS]
        return client.negodata, {answer.result(20) for answer in answers}
    finally:
        client.close()


@on_both_loops
async def test_another_client_understands_us_and_we_understand_it() -> None:
    source = relp.Config.model_validate({"port": 0}).build()
    async with running(source, Settling()) as run:
        offers, answers = await asyncio.to_thread(talk, int(run.address[1]))
        assert offers["commands"] == ["syslog"]
        assert offers["relp_version"] == ["0"]
        assert answers == {b"200 OK"}
        assert run.intake.payloads == RECORDS
