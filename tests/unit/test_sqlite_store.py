"""The SQLite store beyond the contract: who owns it, what a full or damaged disk does, retention, time limits."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from shipper.errors import StoreBusy, StoreUnusable
from shipper.record import DUPLICATE, STORED, Fate, Outcome
from shipper.record.times import day, from_ns
from shipper.search.expression import Equals
from shipper.search.query import Query
from shipper.stores import Store, _sqlite_read
from shipper.stores._sqlite_reading import Limit
from shipper.stores._sqlite_search import search
from shipper.stores.sqlite import Config
from tests.contract.test_reports import report
from tests.contract.test_stores import DAY_NS, NOON, SERIES, _entry, _letter, record
from tests.servers import ROOT

TODAY = day(from_ns(NOON))


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return Config(path=str(tmp_path / "data"))


def file_of(settings: Config, at: int = NOON) -> Path:
    return Path(settings.path) / "c" / f"records-{day(from_ns(at))}.db"


async def test_one_process_owns_the_folder(settings: Config) -> None:
    async with settings.build("c") as store:
        with pytest.raises(StoreUnusable, match=rf"another shipper \(pid {os.getpid()}\) owns .*data/c: stop it"):
            async with settings.build("c"):
                pass
        async with settings.build("other"):
            pass
        assert await store.put([record(1)]) == [STORED]
    async with settings.build("c") as store:
        assert await store.put([record(1)]) == [DUPLICATE]


@pytest.mark.parametrize("cluster", ["../x", "", "a/b", ".hidden", "UPPER", "x" * 70])
def test_a_cluster_cannot_leave_the_folder(settings: Config, cluster: str) -> None:
    with pytest.raises(ValueError, match="not a name of a cluster"):
        settings.build(cluster)


async def test_a_day_cannot_leave_the_folder(settings: Config) -> None:
    bad = record(1)
    bad.day = "../../x"
    async with settings.build("c") as store:
        (outcome, other) = await store.put([bad, record(2)])
    assert (outcome.fate, other) == (Fate.REJECTED, STORED)
    assert outcome.reason.startswith("bug: ")


def test_settings() -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"type": "sqlite", "retention_days": -1})
    with pytest.raises(ValidationError):
        Config.model_validate({"type": "sqlite", "pth": "x"})


async def test_a_path_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnusable, match=r"owner.lock: Not a directory"):
        async with Config(path=str(tmp_path / "data")).build("c"):
            pass


@pytest.mark.parametrize("name", ["ledger.db", f"records-{TODAY}.db"])
@pytest.mark.parametrize("content", [b"this is no database" * 1000, None], ids=["other bytes", "broken header"])
async def test_a_damaged_file_is_named_at_the_start(settings: Config, name: str, content: bytes | None) -> None:
    async with settings.build("c") as store:
        await store.put([record(1)])
    path = Path(settings.path) / "c" / name
    damaged = b"\xff" * 100 + path.read_bytes()[100:] if content is None else content
    path.write_bytes(damaged)
    with pytest.raises(StoreUnusable, match=rf"{name}: damaged \(.*\); move it away"):
        async with settings.build("c"):
            pass


async def test_another_version_is_left_alone(settings: Config) -> None:
    async with settings.build("c") as store:
        await store.put([record(1)])
    with sqlite3.connect(file_of(settings)) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(StoreUnusable, match="version 7, not 2"):
        async with settings.build("c"):
            pass


async def test_a_day_that_is_damaged_later_hurts_only_itself(settings: Config) -> None:
    async with settings.build("c") as store:
        assert await store.put([record(1), record(2, at=NOON - DAY_NS)]) == [STORED, STORED]
    file_of(settings, NOON - DAY_NS).write_bytes(b"x" * 8192)
    async with settings.build("c") as store:
        (good, refused) = await store.put([record(3), record(4, at=NOON - DAY_NS)])
        assert good == STORED
        assert refused.fate is Fate.REFUSED
        assert "damaged" in refused.reason
        page = await store.search(Query())
        assert len(page.records) == 2
        assert len(page.incomplete) == 1
        assert day(from_ns(NOON - DAY_NS)) in page.incomplete[0]
        assert "damaged" in str(await store.healthy())
        file_of(settings, NOON - DAY_NS).unlink()
        assert await store.put([record(4, at=NOON - DAY_NS)]) == [STORED]
        assert await store.healthy() is None


async def test_a_file_that_was_moved_away_is_made_anew(settings: Config) -> None:
    async with settings.build("c") as store:
        await store.put([record(1)])
        file_of(settings).rename(file_of(settings).with_suffix(".moved"))
        assert await store.put([record(2)]) == [STORED]
        assert len((await store.search(Query())).records) == 1


async def test_a_day_that_another_process_locks_is_busy(settings: Config) -> None:
    async with settings.build("c") as store:
        await store.put([record(1)])
        other = sqlite3.connect(file_of(settings), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="another process holds a lock"):
            await store.put([record(2)])
        (busy, stored) = await store.put([record(2), record(3, at=NOON - DAY_NS)])
        assert (busy.fate, stored) == (Fate.BUSY, STORED)
        assert "lock" in str(await store.healthy())
        other.close()
        assert await store.put([record(2)]) == [STORED]
        assert await store.healthy() is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", mount], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


async def test_a_full_disk_is_busy_and_works_again_when_freed(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 1_500_000)
    stored = 0

    async def fill(store: Store) -> None:
        nonlocal stored
        for first in range(1, 10_000, 100):
            await store.put([record(n, "some text " * 20) for n in range(first, first + 100)])
            stored = first + 99

    async with Config(path=str(small_disk)).build("c") as store:
        with pytest.raises(StoreBusy, match="no space left on the disk"):
            await fill(store)
        assert stored > 0
        assert "no space" in str(await store.healthy())
        with pytest.raises(StoreBusy, match="no space left"):
            await store.put([record(1, "a day more", at=NOON + DAY_NS)])
        # What is there can still be read.
        assert len((await store.search(Query(limit=20_000))).records) == stored
        filler.unlink()
        batch = [record(n, "some text " * 20) for n in range(stored + 1, stored + 101)]
        outcomes = await store.put(batch)
        assert {outcome.fate for outcome in outcomes} <= {Fate.STORED, Fate.DUPLICATE}
        assert await store.healthy() is None
        assert len((await store.search(Query(limit=20_000))).records) == stored + 100
    for path in (small_disk / "c").glob("*.db"):
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


async def test_a_full_disk_while_the_ledger_is_written(small_disk: Path) -> None:
    async with Config(path=str(small_disk)).build("c") as store:
        await store.put_ledger([_entry("a", 1, 1)])
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb") as file:
            file.write(b"x" * 4_000_000)
        with pytest.raises(StoreBusy, match=r"ledger.db: no space left"):
            await store.put_dead_letters([_letter(n, b"x" * 50_000) for n in range(20)])
        filler.unlink()
        await store.put_dead_letters([_letter(1)])
        assert await store.healthy() is None
        assert len(await store.dead_letters(10)) == 1


async def test_retention_deletes_days_and_a_late_record_is_expired(settings: Config) -> None:
    forever = Config(path=settings.path, retention_days=0)
    old, kept = NOON - 15 * DAY_NS, NOON - 14 * DAY_NS
    async with forever.build("c") as store:
        await store.put([record(1, at=old), record(2, at=kept), record(3)])
        await store.put_dead_letters([_letter(1, received_at=old), _letter(2)])
        await store.put_ledger([_entry("a", 1, 1, series="old000"), _entry("b", 1, 1, series="new000")])
        await store.put_reports([report("old", updated_at=old), report("new")])
    assert file_of(settings, old).exists()
    with sqlite3.connect(Path(settings.path) / "c" / "ledger.db") as connection:
        connection.execute("UPDATE entries SET updated_at = ? WHERE series = 'old000'", (old,))
    connection.close()
    async with Config(path=settings.path, retention_days=14).build("c") as store:
        assert not file_of(settings, old).exists()
        assert file_of(settings, kept).exists()
        outcomes = await store.put([record(1, at=old), record(4)])
        assert outcomes == [Outcome(Fate.DISCARDED, "expired"), STORED]
        assert not file_of(settings, old).exists()
        assert [letter["sequence"] for letter in await store.dead_letters(10)] == [2]
        assert [entry.series for entry in await store.ledger()] == ["new000"]
        assert [kept.name for kept in await store.reports()] == ["new"]


async def test_a_ledger_of_before_there_were_reports_gets_their_table(settings: Config) -> None:
    async with settings.build("c") as store:
        await store.put_ledger([_entry("a", 1, 1)])
    with sqlite3.connect(Path(settings.path) / "c" / "ledger.db") as connection:
        connection.execute("DROP TABLE reports")
    connection.close()
    async with settings.reader("c") as reader:
        assert await reader.reports() == []
    async with settings.build("c") as store:
        await store.put_reports([report("reader")])
        assert await store.reports() == [report("reader")]
        assert await store.ledger() == [_entry("a", 1, 1)]


async def test_more_days_than_files_may_be_open(settings: Config) -> None:
    batch = [record(n, at=NOON - n * DAY_NS) for n in range(12)]
    async with settings.build("c") as store:
        assert await store.put(batch) == [STORED] * 12
        assert await store.put(batch) == [DUPLICATE] * 12
        assert len((await store.search(Query())).records) == 12


async def test_a_question_that_takes_too_long_says_so(settings: Config) -> None:
    async with settings.build("c") as store:
        await store.put([record(n) for n in range(1, 5001)])
    limit = Limit(0)
    page = search(Path(settings.path) / "c", Query(where=Equals("user.id", "nobody")), limit)
    assert page.records == []
    assert page.incomplete == ("not searched to the end: it took longer than 0 s",)
    with pytest.raises(StoreBusy):
        _sqlite_read.present(Path(settings.path) / "c", SERIES, (1, 5000), 10_000, limit)


async def test_a_question_nobody_waits_for_ends(settings: Config) -> None:
    ended: list[bool] = []

    def question(limit: Limit) -> None:
        while not limit.over():
            time.sleep(0.01)
        ended.append(True)

    async with settings.reader("c") as reader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader._ask(question)
    assert ended == [True]


async def test_reading_beside_writing_never_blocks_either(settings: Config) -> None:
    async with settings.build("c") as store, settings.reader("c") as reader, asyncio.timeout(60):
        found = 0
        for first in range(1, 4001, 200):
            writing = asyncio.ensure_future(store.put([record(n, f"word{n % 7}") for n in range(first, first + 200)]))
            page = await reader.search(Query(phrases=(("word3",),), limit=10_000))
            assert len(page.records) >= found
            assert page.incomplete == ()
            found = len(page.records)
            assert await writing == [STORED] * 200


def test_killed_while_writing_nothing_acknowledged_is_lost(settings: Config) -> None:
    """kill -9 at ten moments: what was answered is there, each file is whole, nothing is doubled."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from shipper.stores.sqlite import Config
        from tests.contract.test_stores import record, DAY_NS, NOON

        async def main(path, first):
            async with Config(path=path).build("c") as store:
                while True:
                    batch = [record(n, at=NOON - n % 2 * DAY_NS) for n in range(first, first + 50)]
                    await store.put(batch)
                    first += 50
                    print(first - 1, flush=True)

        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
        """
    )
    acknowledged = 0
    for attempt in range(10):
        argv = [sys.executable, "-c", program, settings.path, str(acknowledged + 1)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            acknowledged = int(process.stdout.readline())
            time.sleep(0.003 * attempt)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                acknowledged = int(line)

    async def check() -> None:
        async with settings.reader("c") as reader:
            present = await reader.present(SERIES, (1, 10**6), 10**6)
            assert present[0][0] == 1
            assert present[0][1] >= acknowledged  # behind it: a batch of which one day was stored when it died
            page = await reader.search(Query(limit=10**5))
            assert len(page.records) == sum(last - first + 1 for first, last in present)

    asyncio.run(check())
    for path in (Path(settings.path) / "c").glob("*.db"):
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
