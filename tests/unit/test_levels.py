"""Levels: every spelling has one word."""

import pytest

from shipper.record import levels


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("INFO", "info"),
        ("Information", "info"),
        (" warning ", "warn"),
        ("WARN", "warn"),
        ("ERR", "error"),
        ("SEVERE", "error"),
        ("fatal", "critical"),
        ("CRITICAL", "critical"),
        ("panic", "emergency"),
        ("E", "error"),
        (0, "emergency"),
        (7, "debug"),
        (30, "info"),
        ("50", "error"),
        ("3", "error"),
        (60, "critical"),
        (8, None),
        (-1, None),
        ("-1", None),
        ("٣", None),
        ("loud", None),
        ("", None),
        ("x" * 10_000, None),
        (True, None),
        (30.0, None),
        (None, None),
        (["info"], None),
    ],
)
def test_normalise(value: object, level: str | None) -> None:
    assert levels.normalise(value) == level


def test_every_word_is_a_level_and_its_own_spelling() -> None:
    assert set(levels.OF_SEVERITY) <= set(levels.LEVELS)
    for level in levels.LEVELS:
        assert levels.normalise(level) == levels.normalise(level.upper()) == level


def test_at_least() -> None:
    assert levels.at_least("critical") == ("critical", "alert", "emergency")
    with pytest.raises(ValueError, match="not in tuple"):
        levels.at_least("loud")
