"""The API answers as its own description says, whatever it is asked: questions made by schemathesis, no bug found."""

from typing import Any

import hypothesis
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from shipper.api.app import build
from tests.unit.access_world import reader
from tests.unit.api_world import NOW

EXAMPLES = 12
#: Answers that never end; `test_hostile_queries` asks them.
_STREAMS = r"/api/v1/(tail|feed)"


def _app() -> FastAPI:
    return build(reader(), clock=lambda: NOW)


schema = schemathesis.openapi.from_asgi("/openapi.json", _app()).exclude(path_regex=_STREAMS)


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_answers_are_as_described(case: schemathesis.Case[Any]) -> None:
    answer = case.call()
    assert answer.status_code < 500
    case.validate_response(answer, checks=[status_code_conformance, response_schema_conformance])
