"""Docs are compared with the code: settings, commands, counters and endpoints are all documented."""

from pathlib import Path

from shipper import telemetry
from shipper.generate import configuration

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_what_the_code_says() -> None:
    for path, text in configuration.generate().items():
        assert (ROOT / path).read_text() == text, f"{path} is old: shipper generate docs"


def test_every_counter_is_in_the_operating_page() -> None:
    page = (ROOT / "docs/operating.md").read_text()
    for metric in telemetry.REGISTRY.collect():
        assert metric.name in page, f"docs/operating.md does not say what {metric.name} means"
