"""What apps ask for by label, and what they are told about mistakes."""

import random

import pytest

from shipper.cluster import labels
from shipper.cluster.labels import NO_WISHES, Wishes, read


def test_nothing_asked() -> None:
    assert read({}) is NO_WISHES
    assert read({"HAPROXY_0_VHOST": "shop.example", "owner": "x", "MY_SHIPPER_SERVICE": "?"}) is NO_WISHES


def test_every_wish() -> None:
    asked = {
        "SHIPPER_SERVICE": "shop-api", "SHIPPER_DATASET": "shop.access", "SHIPPER_OWNER": "#team-shop",
        "SHIPPER_ENVIRONMENT": "staging", "SHIPPER_RETENTION_DAYS": " 7 ", "SHIPPER_BUDGET": "2.5",
        "SHIPPER_TOOLS": "pprof:6060, strace", "SHIPPER_REDACT": "anything", "SHIPPER_PARSE": "",
    }  # fmt: skip
    assert read(asked) == Wishes(
        "shop-api", "shop.access", "#team-shop", "staging", 7, 2.5, ("pprof:6060", "strace"),
        reserved=("SHIPPER_PARSE", "SHIPPER_REDACT"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHIPPER_SERVICE", ""), ("SHIPPER_SERVICE", "-x"), ("SHIPPER_SERVICE", "a b"), ("SHIPPER_SERVICE", "a" * 65),
        ("SHIPPER_SERVICE", "a\nb"), ("SHIPPER_DATASET", "../x"), ("SHIPPER_ENVIRONMENT", "prod;"),
        ("SHIPPER_OWNER", "a" * 129), ("SHIPPER_OWNER", "<b>"), ("SHIPPER_RETENTION_DAYS", "0"),
        ("SHIPPER_RETENTION_DAYS", "3651"), ("SHIPPER_RETENTION_DAYS", "7d"), ("SHIPPER_RETENTION_DAYS", "-1"),
        ("SHIPPER_RETENTION_DAYS", "1.5"), ("SHIPPER_RETENTION_DAYS", "٣"), ("SHIPPER_BUDGET", "0.5"),
        ("SHIPPER_BUDGET", "nan"), ("SHIPPER_BUDGET", "inf"), ("SHIPPER_BUDGET", "1e3"), ("SHIPPER_BUDGET", "1000001"),
        ("SHIPPER_BUDGET", "9" * 5000), ("SHIPPER_TOOLS", "rm -rf /"), ("SHIPPER_TOOLS", ",".join("abcdefghijk")),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str) -> None:
    found = read({name: value})
    (problem,) = found.problems
    assert problem.startswith(f"{name}: ")
    assert problem.endswith(f"must be {labels.ALLOWED[name]}")
    assert problem.isprintable()
    assert found == Wishes(problems=(problem,))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SHIPPER_SERVCE", "did you mean SHIPPER_SERVICE?"),
        ("SHIPPER_RETENTION", "did you mean SHIPPER_RETENTION_DAYS?"),
        ("SHIPPER_BUGDET", "did you mean SHIPPER_BUDGET?"),
        ("shipper_owner", "did you mean SHIPPER_OWNER?"),
        ("shipper.owner", "did you mean SHIPPER_OWNER?"),
        ("SHIPPER_COLOUR", "known: SHIPPER_SERVICE, "),
        ("SHIPPER_" + "X" * 100_000, "known: SHIPPER_SERVICE, "),
    ],
)
def test_an_unknown_label_is_named_with_the_nearest(name: str, hint: str) -> None:
    (problem,) = read({name: "x"}).problems
    assert hint in problem
    assert len(problem) < 300


def test_problems_are_few_sorted_and_the_same_for_the_same_labels() -> None:
    asked = {f"SHIPPER_{sign * 9}": "x" for sign in "QWERTZUIOPASDF"}
    found = read(asked).problems
    assert found == read(dict(reversed(asked.items()))).problems
    assert len(found) == labels.MOST_PROBLEMS + 1
    assert found[-1] == "and 4 more"


def test_one_mistake_takes_nothing_else_away() -> None:
    found = read({"SHIPPER_SERVICE": "shop", "SHIPPER_BUDGET": "much"})
    assert (found.service, found.budget, len(found.problems)) == ("shop", 0, 1)


def test_hostile_labels() -> None:
    chance = random.Random(7)
    signs = "\x00\x1b[2J\n\r\u202e\ud800aZ0'\"<>{}%;`$\\é漢"
    for _ in range(500):
        name = chance.choice([*labels.ALLOWED, "SHIPPER_", "".join(chance.choices(signs, k=5))])
        value = "".join(chance.choices(signs, k=chance.randrange(200)))
        found = read({name: value, "SHIPPER_" + value: name})
        assert all(problem.isprintable() and len(problem) < 300 for problem in found.problems)
    assert read({"SHIPPER_SERVICE": None, "SHIPPER_BUDGET": 5}).problems  # type: ignore[dict-item]
