"""The sample services: the same seed gives the same requests, a failure travels up, nothing ever waits for logging."""

import asyncio
import json
import re
import socket
from pathlib import Path

from shipper.demo.services import Answered, Shop
from shipper.demo.writer import Writer


async def _instantly(seconds: float) -> None:
    assert 0 <= seconds < 60


async def _play(seed: str, count: int) -> tuple[list[str], list[Answered]]:
    written: list[str] = []

    def send(message: bytes) -> bool:
        written.append(message.decode())
        return True

    shop = Shop(send, seed=seed, sleep=_instantly, clock=lambda: 1_795_391_314.25)
    return written, [await shop.request(number) for number in range(count)]


async def test_the_same_seed_gives_the_same_requests() -> None:
    assert await _play("a", 50) == await _play("a", 50)
    assert await _play("a", 50) != await _play("b", 50)


async def test_about_one_in_twenty_fails_and_the_third_always() -> None:
    _, answered = await _play("c", 2000)
    failed = [number for number, one in enumerate(answered) if one.failed]
    assert 60 <= len(failed) <= 150
    assert 2 in failed


async def test_every_message_is_syslog_and_carries_the_request() -> None:
    written, answered = await _play("d", 200)
    assert len(written) == sum(one.written for one in answered)
    ids = {one.request_id for one in answered}
    assert len(ids) == 200
    for message in written:
        assert re.match(r"<1[1-5]>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (gateway|orders|payments)\[\d+\]: ", message)
        found = re.search(r"request_id(?:=|\": \")([0-9a-f]{12})\b", message)
        assert found is not None, message
        assert found[1] in ids


async def test_a_failure_travels_up_with_its_reason() -> None:
    written, answered = await _play("e", 3)
    story = [message.partition("]: ")[2] for message in written if answered[2].request_id in message]
    assert len(story) == answered[2].written
    traces = [text for text in story if "Traceback" in text]
    assert len(traces) == 1
    assert traces[0].endswith("BankTimeout: no answer in 0.8 s")
    last = json.loads(story[-1])
    assert (last["level"], last["status"]) == ("error", 502)
    assert "the bank did not answer" in last["error"]["message"]
    trace_ids = {found for text in story for found in re.findall(r"00-([0-9a-f]{32})-", text)}
    assert len(trace_ids) == 1


async def test_the_writer_knows_when_all_is_read(run_dir: Path) -> None:
    writer = Writer(run_dir / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(run_dir / "log"))
        assert writer.send(b"one")
        await writer.taken(0)
        waiting = asyncio.ensure_future(writer.taken(60))
        assert reader.recv(100) == b"one"
        await waiting
    writer.close()
    await writer.taken(60)


def test_the_writer_never_waits(run_dir: Path) -> None:
    path = run_dir / "log"
    writer = Writer(path)
    assert not writer.send(b"nobody is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        sent = 0
        while writer.send(b"nobody reads"):
            sent += 1
        assert 1 <= sent < 10_000
        for _ in range(sent):
            assert reader.recv(100) == b"nobody reads"
        assert writer.send(b"again")
    assert not writer.send(b"it is gone")
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(path))
        assert writer.send(b"it is back")
    assert writer.dropped == 3
    writer.close()
