"""What people type as a time, and cursors: a table read one way, and properties read both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import QueryError
from shipper.record.times import from_ns, to_ns
from shipper.search import cursor, times
from shipper.search.query import Place

NOW = to_ns("2026-11-22T14:30:00Z")  # a Sunday

ACCEPTED = {
    "now": "2026-11-22T14:30:00",
    "-15m": "2026-11-22T14:15:00",
    "now-15m": "2026-11-22T14:15:00",
    "15m": "2026-11-22T14:15:00",
    "2h": "2026-11-22T12:30:00",
    "1h30m": "2026-11-22T13:00:00",
    "500ms": "2026-11-22T14:29:59.500000",
    "2 hours ago": "2026-11-22T12:30:00",
    "90 minutes": "2026-11-22T13:00:00",
    "7 days": "2026-11-15T14:30:00",
    "1w": "2026-11-15T14:30:00",
    "2026-11-22": "2026-11-22T00:00:00",
    "2026-11-22 14:00": "2026-11-22T14:00:00",
    "2026-11-22T14:00:05": "2026-11-22T14:00:05",
    "2026-11-22T14:00:05.123456789Z": "2026-11-22T14:00:05.123456789",
    "2026-11-22 14:00:05,123 UTC": "2026-11-22T14:00:05.123000",
    "2026-11-22T14:00:05+11:00": "2026-11-22T03:00:05",
    "2026-11-22T14:00:05+1100": "2026-11-22T03:00:05",
    "today": "2026-11-22T00:00:00",
    "yesterday": "2026-11-21T00:00:00",
    "yesterday 14:00": "2026-11-21T14:00:00",
    "Yesterday at 2pm": "2026-11-21T14:00:00",
    "yesterday 9": "2026-11-21T09:00:00",
    "monday": "2026-11-16T00:00:00",
    "mon 10:30": "2026-11-16T10:30:00",
    "sunday": "2026-11-22T00:00:00",
    "last sunday": "2026-11-15T00:00:00",
    "tues 9am": "2026-11-17T09:00:00",
    "14:00": "2026-11-22T14:00:00",
    "nov 22 2026 14:00": "2026-11-22T14:00:00",
    "22 Nov 2026 2pm": "2026-11-22T14:00:00",
    "Fri, 20 Nov 2026 10:00:00 GMT": "2026-11-20T10:00:00",
}
REFUSED = (
    "", " ", "x", "5", "99999999", "2026-13-01", "2026-02-30", "1969-01-01", "2300-01-01", "999999999w", "14:00 XYZ",
    "yesterday 25:00", "yesterday 2 nov", "1d1", "٣h", "1" * 65, "15m; drop table", "\x00", "-",
)  # fmt: skip


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted(text: str) -> None:
    expected = ACCEPTED[text]
    digits = expected if "." in expected else f"{expected}.000000"
    assert from_ns(times.parse(text, NOW)) == f"{digits}Z"


@pytest.mark.parametrize("text", REFUSED)
def test_refused_and_says_what_is_accepted(text: str) -> None:
    with pytest.raises(QueryError, match="accepted: now, 15m"):
        times.parse(text, NOW)


@given(st.text(max_size=80))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        found = times.parse(text, NOW)
    except QueryError:
        return
    assert to_ns(from_ns(found)) == found


@given(st.integers(0, 2**62))
def test_our_own_form_is_read_exactly(moment: int) -> None:
    assert times.parse(from_ns(moment), NOW) == moment


places = st.builds(
    Place, st.integers(0, 2**62), st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(0, 2**62)
)


@given(places)
def test_a_cursor_leads_back_to_its_place(place: Place) -> None:
    assert cursor.decode(cursor.encode(place)) == place


@given(places, st.data())
def test_a_changed_cursor_is_refused(place: Place, data: st.DataObject) -> None:
    text = cursor.encode(place)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABYZabyz0189-_=+/ é"))
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(QueryError):
            cursor.decode(changed)


@pytest.mark.parametrize("text", ["", "=", "AAAA", "x" * 600, "é", "W10", cursor.encode(Place(1, "a", 1)) + "="])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="cursor"):
        cursor.decode(text)
