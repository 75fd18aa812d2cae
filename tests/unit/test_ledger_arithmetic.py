"""Ranges, holes and summaries against the definition: sets of numbers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shipper.search.ledger import Entry, Range, SeriesLedger, holes, merge, summarise

RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10)).map(lambda r: (r[0], r[0] + r[1])))


def numbers(ranges: list[Range]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def entry(first: int, last: int, fate: str = "stored", *, host: str = "h1", series: str = "s1", **more: int) -> Entry:
    return Entry(
        f"{host}-{series}-{fate}-{first}", host, series, fate, first, last, more.get("count", last - first + 1),
        more.get("started_at", 5), more.get("updated_at", 10),
    )  # fmt: skip


def test_merge_joins_what_touches() -> None:
    assert merge([]) == []
    assert merge([(5, 7), (1, 2), (3, 3), (6, 6), (9, 9)]) == [(1, 3), (5, 7), (9, 9)]


@given(RANGES)
def test_merge_keeps_the_numbers_and_is_sorted_with_gaps(ranges: list[Range]) -> None:
    merged = merge(ranges)
    assert numbers(merged) == numbers(ranges)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(merged))
    assert merge(merged) == merged


@given(RANGES, st.integers(1, 80))
def test_holes_are_what_is_missing_up_to_the_last(ranges: list[Range], start: int) -> None:
    merged = merge(ranges)
    expected = set(range(start, max(numbers(ranges), default=0) + 1)) - numbers(ranges)
    assert numbers(holes(merged, start)) == expected


def test_a_missing_beginning_is_a_hole() -> None:
    assert holes([(3, 5), (8, 8)]) == [(1, 2), (6, 7)]
    assert holes([(1, 5)]) == []
    assert holes([]) == []


def test_summary_of_one_series() -> None:
    found = summarise(
        [
            entry(1, 10), entry(8, 12), entry(15, 15, "rejected"), entry(13, 13, "discarded:debug"),
            entry(1, 3, "duplicate", count=9, updated_at=99),
        ]
    )  # fmt: skip
    assert found == [
        SeriesLedger(
            host="h1", series="s1", last=15, settled={"discarded:debug": 1, "rejected": 1, "stored": 12}, duplicates=9,
            holes=((14, 14),), updated_at=99,
        )
    ]  # fmt: skip
    assert found[0].missing == 1


def test_the_end_of_a_series_is_known_from_its_report() -> None:
    given_out = {("h1", "s1"): 20, ("h1", "s2"): 4, ("h1", "s3"): 3}
    found = summarise([entry(1, 10), entry(15, 15), entry(1, 9, series="s3")], given_out)
    assert [(one.series, one.last, one.holes) for one in found] == [
        ("s1", 20, ((11, 14), (16, 20))),
        ("s2", 4, ((1, 4),)),  # nothing of it was settled
        ("s3", 9, ()),  # the report is older than the ledger
    ]
    assert found[0].missing == 9


@given(RANGES, st.integers(0, 100))
def test_up_to_the_reported_end_everything_is_settled_or_missing(ranges: list[Range], end: int) -> None:
    entries = [entry(first, last) for first, last in ranges]
    for one in summarise(entries, {("h1", "s1"): end} if end else None):
        assert one.last == max(end, max(numbers(ranges), default=0))
        assert numbers(list(one.holes)) == set(range(1, one.last + 1)) - numbers(ranges)


def test_duplicates_alone_settle_nothing() -> None:
    (found,) = summarise([entry(4, 4, "duplicate", count=2)])
    assert (found.last, found.settled, found.duplicates, found.holes) == (0, {}, 2, ())


def test_series_are_apart_and_sorted() -> None:
    found = summarise([entry(1, 1, series="s2"), entry(1, 1, host="h0", series="s9"), entry(2, 2, series="s1")])
    assert [(one.host, one.series, one.missing) for one in found] == [("h0", "s9", 0), ("h1", "s1", 1), ("h1", "s2", 0)]


@given(st.lists(st.tuples(RANGES, st.sampled_from(["stored", "rejected"])), min_size=1))
def test_the_union_of_all_shippers_in_any_order(shippers: list[tuple[list[Range], str]]) -> None:
    entries = [entry(first, last, fate) for ranges, fate in shippers for first, last in ranges]
    everything = numbers([(one.first, one.last) for one in entries])
    there, back = summarise(entries), summarise(reversed(entries))
    assert there == back
    for summary in there:
        assert numbers(list(summary.holes)) == set(range(1, max(everything) + 1)) - everything
        for fate, count in summary.settled.items():
            assert count == len(numbers([(one.first, one.last) for one in entries if one.fate == fate]))


def test_what_is_kept_was_not_discarded() -> None:
    """A record may be stored by one shipper and sampled by another one that it was sent to again."""
    entries = [entry(1, 10), entry(5, 15, "discarded:budget"), entry(14, 16, "discarded:expired"), entry(20, 20)]
    (found,) = summarise(entries)
    assert found.settled == {"stored": 11, "discarded:budget": 5, "discarded:expired": 1}
    assert found.holes == ((17, 19),)
    (found,) = summarise([entry(1, 3), entry(2, 2, "discarded:budget")])
    assert found.settled == {"stored": 3}
