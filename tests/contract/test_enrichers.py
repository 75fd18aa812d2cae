"""One suite for every enricher: its example builds, it never fails and never changes what a record says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shipper.config import component, component_names
from shipper.enrichers import Enricher
from shipper.record import Record
from tests.contract.parsing import check, parsed, stamped

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UUID = "38101a0b-2096-447d-96ea-a692162415ae"


def _build(name: str, **settings: Any) -> Enricher:
    module = component("enrichers", name)
    built: Enricher = module.Config.model_validate({**module.EXAMPLE, **settings}).build()
    return built


def _enriched(name: str, payload: bytes) -> Record:
    record = parsed(payload)
    _build(name).enrich(record)
    check(record)
    return record


@pytest.mark.parametrize("name", component_names("enrichers"))
def test_the_example_names_its_type_and_builds(name: str) -> None:
    assert component("enrichers", name).EXAMPLE["type"] == name
    _build(name)


@pytest.mark.parametrize("name", component_names("enrichers"))
@given(payload=st.binary(max_size=300) | st.text(max_size=300).map(stamped))
def test_any_record_keeps_what_it_said(name: str, payload: bytes) -> None:
    before = dict(parsed(payload).fields)
    after = _enriched(name, payload).fields
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        (f"GET / request_id={UUID} 200", UUID),
        ("request-id: abc, x", "abc"),
        ("X-Request-ID: a/b+c=", "a/b+c="),
        ('{"requestId":"r-1","cut', "r-1"),
        ("req_id='r-1'", "r-1"),
        ("REQUEST_ID=r-1", "r-1"),
        ("Request Id = r-1.", "r-1"),
        (f"nova.api [req-{UUID} 113d3a99c3da401fbd62cc2caa5b96d2 -] GET", f"req-{UUID}"),
        (f"[req-{UUID}] x", f"req-{UUID}"),
        ("request_id=- request_id=null req_id=r-2", "r-2"),
        (f"request_id={'x' * 128}", "x" * 128),
        (f"request_id={'x' * 129}", None),
        ("request_id=", None),
        ("a request was sent, sequence 7", None),
        (f"req-{UUID}", None),
        ("no letter of it", None),
    ],
)
def test_request_id_in_text(message: str, request_id: str | None) -> None:
    assert _enriched("request_id", stamped(message)).fields.get("http.request.id") == request_id


def test_request_id_that_a_parser_found_stays() -> None:
    record = _enriched("request_id", stamped('{"msg":"request_id=other","request_id":"mine"}'))
    assert record.fields["http.request.id"] == "mine"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (f"traceparent: 00-{TRACE}-{SPAN}-01", True),
        (f'Traceparent="00-{TRACE}-{SPAN}-00" x', True),
        (f"traceparent=00-{'0' * 32}-{SPAN}-01 traceparent=00-{TRACE}-{SPAN}-01", True),
        (f"traceparent=ff-{TRACE}-{SPAN}-01", False),
        (f"traceparent=00-{TRACE}-{SPAN}-01a", False),
        (f"00-{TRACE}-{SPAN}-01", False),
    ],
)
def test_traceparent_in_text(message: str, found: bool) -> None:
    fields = _enriched("request_id", stamped(message)).fields
    assert (fields.get("trace.id"), fields.get("span.id")) == ((TRACE, SPAN) if found else (None, None))


def test_static_adds_only_what_is_missing() -> None:
    fields = _enriched("static", stamped('{"msg":"m","env":"staging"}')).fields
    assert fields["service.environment"] == "staging"
    assert fields["orchestrator.cluster.name"] == "sydney-1"


NOT_FIXED = [
    *("host.name", "message", "shipper.series", "event.created", "labels", "log.syslog.appname"),
    *("process.pid", "nothing"),
]


@pytest.mark.parametrize("name", NOT_FIXED)
def test_static_refuses_fields_that_are_not_for_it(name: str) -> None:
    with pytest.raises(ValidationError, match="not a field that can be fixed"):
        _build("static", fields={name: "x"})


@pytest.mark.parametrize("value", ["", "x" * 1025])
def test_static_refuses_values_of_no_use(value: str) -> None:
    with pytest.raises(ValidationError, match="1 to 1024"):
        _build("static", fields={"service.environment": value})
