"""The field table: its page in docs, its names and types beside those of ECS, and what is made from it."""

import csv

import pytest

from shipper.generate import fields as page
from shipper.record.fields import BY_NAME, FIELDS
from shipper.stores._sqlite_rollup_read import COUNTED_FIELDS
from shipper.stores._sqlite_where import _COLUMNS, _LATER_COLUMNS, _NUMBERS
from tests.conftest import DATA
from tests.servers import ROOT

TABLE = DATA / "kibana/fields.csv"
#: What ours may be where the table says otherwise: wider, or a keyword that is only shown.
WIDER = {
    "integer": {"long"},
    "short": {"long"},
    "byte": {"long"},
    "date": {"date", "date_nanos"},
    "keyword (index:false, doc_values:false)": {"unindexed"},
    "keyword (ignore_above 2048)": {"keyword"},
}
#: Of ECS too, but not in the table.
ALSO_ECS = {"log.syslog.hostname"}


def test_the_page_of_fields_is_what_the_code_says() -> None:
    for path, text in page.generate().items():
        assert (ROOT / path).read_text() == text, f"{path} is old: shipper generate docs"


def test_no_name_is_twice_and_none_is_an_object_of_another() -> None:
    assert len(BY_NAME) == len(FIELDS)
    assert not [(one, two) for one in BY_NAME for two in BY_NAME if two.startswith(f"{one}.")]


def test_names_and_types_of_ecs_are_those_of_ecs() -> None:
    if not TABLE.is_file():
        pytest.skip("no file ../shared/data/kibana/fields.csv beside this checkout")
    with TABLE.open(newline="") as file:
        rows = {row["field"]: row for row in csv.DictReader(file)}
    claimed = {field.name: field.kind for field in FIELDS if field.origin == "ECS"}
    known = {name: row["es_type"] for name, row in rows.items() if row["ecs"] == "ECS"}
    assert claimed.keys() - known.keys() == ALSO_ECS
    wrong = {
        name: (kind, known[name])
        for name, kind in claimed.items()
        if name in known and kind not in WIDER.get(known[name], {known[name]})
    }
    assert wrong == {}


def test_columns_of_sqlite_are_fields_of_the_table() -> None:
    assert {*_COLUMNS, *_LATER_COLUMNS, *_NUMBERS, *COUNTED_FIELDS} <= BY_NAME.keys()
