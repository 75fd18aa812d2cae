"""The recent copy: what was received is found again, also after a restart; its disk never holds up anybody."""

import asyncio
import errno
import os
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.config import RecentSettings
from shipper.errors import ConfigError
from shipper.pipeline import _recent_search as searching
from shipper.pipeline import recent
from shipper.pipeline.recent import Recent
from shipper.record import Record
from shipper.record.times import to_ns
from shipper.search.expression import And, Equals, Like, Or
from shipper.search.query import Place, Query
from tests import naive
from tests.unit.api_world import NOW, SECOND, place_of, record, request_story, shop


def sealed(fields: dict[str, Any]) -> Record:
    """A record as the intake hands it over."""
    made = Record(b"", to_ns(fields["event.created"]))
    made.series, made.sequence = fields["shipper.series"], fields["event.sequence"]
    made.fields = dict(fields)
    made.seal()
    return made


def settings(folder: Path, **more: Any) -> RecentSettings:
    # The records of these tests are as old as the clock of theirs says.
    return RecentSettings(directory=str(folder), **{"hours": 10**6, **more})


def fill(copy: Recent, records: list[dict[str, Any]], per_block: int = 20) -> None:
    for number, one in enumerate(records, 1):
        copy.keep(sealed(one))
        if number % per_block == 0:
            copy.close_block()


def id_of(one: dict[str, Any]) -> tuple[str, int]:
    return one["shipper.series"], one["event.sequence"]


async def written(copy: Recent) -> None:
    async with asyncio.timeout(30):
        while copy._waiting or any(block.data is not None for _, block in copy._ring.blocks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the thread has no event to wait for


def files(folder: Path) -> list[Path]:
    """The segments that are there."""
    return sorted(folder.glob("recent-*"))


QUERIES = [
    Query(limit=1000),
    Query(limit=7),
    Query(limit=7, newest_first=False),
    Query(app="shop-api", levels=("info", "debug"), limit=50),
    Query(start=NOW - 3600 * SECOND, end=NOW - 60 * SECOND, host="web-4"),
    Query(phrases=(("upstream", "timed", "out"),)),
    Query(request_id="6f1c2a9e", newest_first=False),
    Query(where=And((Like("*9e", "http.request.id"), Equals("service.name", "shop-api")))),
    Query(where=Or((Equals("http.request.id", "6f1c2a9e"), Equals("service.name", "kernel")))),
    Query(where=Or((Equals("http.request.id", "6f1c2a9e"), Equals("http.request.id", "none")))),
    Query(where=Equals("shipper.series", "lb1n"), limit=9),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("reopened", [False, True])
async def test_it_answers_as_one_who_looks_at_every_record(tmp_path: Path, query: Query, *, reopened: bool) -> None:
    records = shop() + request_story()
    random.Random(3).shuffle(records)
    async with Recent(settings(tmp_path)) as copy:
        fill(copy, records)
        if not reopened:  # some are in blocks, some are not yet
            found = await everything(copy, query)
    if reopened:
        async with Recent(settings(tmp_path)) as copy:
            found = await everything(copy, query)
    right = [one for one in records if naive.asked(one, query)]
    right.sort(key=lambda one: (place_of(one).timestamp, *id_of(one)), reverse=query.newest_first)
    assert [id_of(one) for one in found] == [id_of(one) for one in right]


async def everything(copy: Recent, query: Query) -> list[dict[str, Any]]:
    """All pages of an answer."""
    found: list[dict[str, Any]] = []
    after: Place | None = None
    while True:
        page = await copy.search(Query(**{name: getattr(query, name) for name in Query.__slots__} | {"after": after}))
        assert page.incomplete == ()
        assert len(page.records) <= query.limit
        found += page.records
        after = page.next
        if after is None:
            return found


async def test_the_oldest_go_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    async with Recent(settings(tmp_path, bytes=2**20)) as copy:
        for number in range(1, 200):
            copy.keep(sealed(record(number, chance.randbytes(10_000).hex(), at=NOW + number * SECOND)))
            copy.close_block()
            await written(copy)
        size = sum(path.stat().st_size for path in files(tmp_path))
        assert 2**19 < size <= 2**20 * 1.2
        page = await copy.search(Query(limit=1000))
        numbers = [one["event.sequence"] for one in page.records]
        assert numbers == list(range(199, 199 - len(numbers), -1))
        assert copy.coverage().begins == NOW + numbers[-1] * SECOND


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    async with Recent(settings(tmp_path)) as copy:
        fill(copy, shop(40))
    async with Recent(settings(tmp_path, hours=1)) as copy:
        assert (await copy.search(Query())).records == []
        assert not files(tmp_path)


async def test_a_file_that_was_cut_off_or_damaged_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    async with Recent(settings(tmp_path)) as copy:
        fill(copy, [record(number, at=NOW + number) for number in range(1, 101)])
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) // 2, 10, 0):
        path.write_bytes(whole[:cut])
        async with Recent(settings(tmp_path)) as copy:
            found = [one["event.sequence"] for one in (await everything(copy, Query(newest_first=False)))]
        assert found == list(range(1, len(found) + 1))
        assert len(found) < 100
    chance = random.Random(5)
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] ^= 0xFF
        path.write_bytes(damaged)
        async with Recent(settings(tmp_path)) as copy:
            assert len(await everything(copy, Query())) < 101


async def test_a_full_disk_costs_blocks_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Recent(settings(tmp_path)) as copy:
        fill(copy, [record(1, at=NOW)], 1)
        await written(copy)

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            fill(copy, [record(number, at=NOW + number) for number in range(2, 12)], 5)
            await written(copy)
        fill(copy, [record(20, at=NOW + 20)], 1)
        await written(copy)
        assert [one["event.sequence"] for one in (await copy.search(Query())).records] == [20, 1]
        assert copy.coverage().dropped == 10


async def test_a_slow_disk_costs_blocks_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Recent(settings(tmp_path)) as copy:
        with copy._ring._lock:  # the thread stands still
            fill(copy, [record(number, at=NOW + number) for number in range(1, 101)], 1)
        assert copy.coverage().dropped >= 100 - recent._MOST_WAITING - 1
        await written(copy)
        assert (await copy.search(Query())).records


async def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    async with Recent(settings(tmp_path)):
        with pytest.raises(ConfigError, match="another process uses it"):
            async with Recent(settings(tmp_path)):
                pass


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"pipeline\.recent\.directory: .*/file/below"):
        async with Recent(settings(tmp_path / "file" / "below")):
            pass


async def test_an_answer_has_a_limit_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_BLOCKS", 3)
    async with Recent(settings(tmp_path)) as copy:
        fill(copy, [record(number, at=NOW + number * SECOND) for number in range(1, 101)], 10)
        await written(copy)
        page = await copy.search(Query(limit=1000))
        assert len(page.records) == 30
        assert "not searched to its end" in page.incomplete[0]
        rest = await copy.search(Query(limit=1000, after=page.next))
        assert rest.records[0]["event.sequence"] == 70


async def test_hostile_ids_are_as_good_as_any(tmp_path: Path) -> None:
    odd = ["a", "ä\ud800", '"quoted"', "x" * 5000, "\x00", ["several", "values"], 17]
    made = [record(number, at=NOW + number, trace__id=value) for number, value in enumerate(odd, 1)]
    async with Recent(settings(tmp_path)) as copy:
        for one in made:
            sealed_one = Record(b"", NOW)
            sealed_one.series, sealed_one.sequence, sealed_one.fields = "s", one["event.sequence"], dict(one)
            try:
                sealed_one.seal()
            except TypeError:  # a lone surrogate: such a record is made plain before it comes here
                continue
            copy.keep(sealed_one)
        copy.close_block()
        await written(copy)
        for number, value in ((1, "a"), (3, '"quoted"'), (5, "\x00"), (6, "values")):
            page = await copy.search(Query(where=Equals("trace.id", value)))
            assert [one["event.sequence"] for one in page.records] == [number], value
        assert orjson.dumps(page.records)
