"""The day that the benchmark asks about has what its questions look for."""

from collections import Counter

from shipper.record.times import to_ns
from tests.bench.questions_corpus import DAY_NS, HOSTS, Day, rare_word, request_id

DAY = Day(1_763_769_600 * 10**9, 5005)


def test_a_day_has_every_record_and_every_request() -> None:
    records = [record for batch in DAY.batches(700) for record in batch]
    assert len({record.id for record in records}) == len(records) == DAY.count
    assert {record.day for record in records} == {"2025.11.22"}
    assert all(DAY.start <= to_ns(record.fields["@timestamp"]) < DAY.start + DAY_NS for record in records)
    requests = Counter(record.fields.get("http.request.id") for record in records)
    assert {requests[request_id(number)] for number in range(DAY.requests)} == {10}
    assert requests[None] == DAY.requests
    assert {record.host for record in records} == set(HOSTS)


def test_a_day_has_every_rare_word_and_few_of_each() -> None:
    texts = [record.fields["message"].split() for batch in DAY.batches(700) for record in batch]
    for number in range(DAY.rare_words):
        assert 1 <= sum(rare_word(number) in text for text in texts) <= 10
    assert DAY.rare_words == 3


def test_the_same_day_twice_is_the_same() -> None:
    first, second = ([record.document for batch in DAY.batches(999) for record in batch] for _ in range(2))
    assert first == second
