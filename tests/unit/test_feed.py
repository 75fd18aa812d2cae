"""What a delivery tells those who follow it: what the store has taken, once, and how far it is."""

import orjson
import pytest

from shipper.errors import StoreBusy
from shipper.pipeline import deliver
from shipper.pipeline.feed import Feed
from shipper.record import DUPLICATE, STORED, Fate, Outcome, Record
from shipper.search.expression import Everything
from shipper.search.expression_of import whole
from shipper.search.matching import matcher
from shipper.search.query import Query
from tests.fake_store import FakeStore
from tests.unit.api_world import record
from tests.unit.test_pipeline import payload, running


class Heard:
    """A listener."""

    def __init__(self) -> None:
        self.documents: list[dict[str, object]] = []
        self.marks: list[int] = []

    def __call__(self, documents: list[bytes], mark: int) -> None:
        self.documents += [orjson.loads(document) for document in documents]
        self.marks.append(mark)

    @property
    def numbers(self) -> list[object]:
        return [document["event.sequence"] for document in self.documents]


def sealed(number: int) -> Record:
    found = Record(b"", 0)
    found.document = orjson.dumps({"event.sequence": number})
    return found


def test_only_what_was_stored_is_told_with_the_time_at_which_it_was_given_to_the_store() -> None:
    now = [5_000_000_000]
    feed, heard = Feed(lambda: now[0]), Heard()
    first = feed.begin()
    stop = feed.listen(heard)
    now[0] = 9_000_000_000
    second = feed.begin()
    rejected = Outcome(Fate.REJECTED, "no")
    feed.taken(second, [sealed(1), sealed(2), sealed(3)], [STORED, DUPLICATE, rejected])
    assert heard.documents == [{"event.sequence": 1, "event.ingested": "1970-01-01T00:00:09.000000Z"}]
    assert heard.marks == [5_000_000_000]  # the first may still bring what was given to the store then
    feed.end(first)
    feed.end(second)
    now[0] = 11_000_000_000
    assert feed.mark() == 11_000_000_000
    stop()
    feed.taken(feed.begin(), [sealed(4)], [STORED])
    assert heard.numbers == [1]


def test_a_duplicate_of_our_own_second_try_was_stored_by_the_first() -> None:
    feed, heard = Feed(), Heard()
    feed.listen(heard)
    batch = feed.begin()
    batch.again = True
    feed.taken(batch, [sealed(1), sealed(2)], [DUPLICATE, STORED])
    assert heard.numbers == [1, 2]


async def test_a_delivery_tells_each_record_once_whatever_the_store_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "FIRST_BACKOFF", 0.001)
    answers = iter([StoreBusy("lost"), None])

    def script(records: object) -> None:
        answer = next(answers, None)
        if answer is not None:
            raise answer

    heard = Heard()
    async with running(FakeStore(script)) as rig:
        rig.delivery.feed.listen(heard)
        await rig.submit(payload(1), payload(2)).wait()
        await rig.submit(payload(2), payload(3)).wait()  # 2 is sent again
        await rig.submit(payload(4), payload(4)).wait()  # a twin in one batch
        assert heard.numbers == [1, 2, 3, 4]
        assert heard.marks == sorted(heard.marks)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (Query(), True),
        (Query(start=0, end=1), False),
        (Query(app="shop-api", host="web-3", levels=("info", "error"), phrases=(("a", "b"),)), True),
        (Query(levels=("warn",)), False),
        (Query(levels=("warn", "error")), False),
        (Query(phrases=(("b", "a"),)), False),
        (Query(phrases=(("r1",),)), False),  # a phrase is looked for in the message only
        (Query(request_id="r1"), True),
        (Query(request_id="r2"), False),
        (Query(app="shop"), False),
        (Query(where=Everything()), True),
    ],
)
def test_a_whole_question_as_one_expression(query: Query, matches: bool) -> None:
    found = record(1, "A b c", log__level="info", http__request__id="r1")
    assert matcher(whole(query))(found) is matches
