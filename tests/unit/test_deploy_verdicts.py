"""Decisions without I/O: whether an app is healthy, whether a canary is, what is the same job, which exit code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shipper import telemetry
from shipper.cluster.model import App, Task
from shipper.deploy import jobs
from shipper.deploy.canary import canary_of, in_the_meantime
from shipper.deploy.comparison import Figures, judge, table
from shipper.deploy.files import WantedApp, WantedJob
from shipper.deploy.health import last_failure, look
from shipper.deploy.metrics import figures, http_port
from shipper.deploy.outcome import Outcome, State, exit_code

OLD = Figures(received=10_000, settled=10_000, stored=9_990, dead=5, bugs=0, batches=100, batch_seconds=5)
GOOD = Figures(received=5_000, settled=5_000, stored=4_997, dead=3, bugs=0, batches=50, batch_seconds=2.5)


@pytest.mark.parametrize(
    ("canary", "old", "reason"),
    [
        (GOOD, [OLD, OLD], ""),
        (GOOD, [OLD, Figures()], ""),
        (Figures(), [OLD], "no traffic"),
        (replace(GOOD, received=49), [OLD], "too little traffic"),
        (GOOD, [], "nothing to compare with"),
        (GOOD, [Figures()], "nothing to compare with"),
        (replace(GOOD, dead=11), [OLD], ""),
        (replace(GOOD, dead=12), [OLD], "12 dead letters of 5000"),
        (replace(GOOD, dead=500), [replace(OLD, dead=1000)], ""),
        (replace(GOOD, bugs=12), [OLD], "12 parser bugs"),
        (replace(GOOD, received=50, settled=50, dead=1), [OLD], "1 dead letters of 50"),
        (replace(GOOD, settled=0, stored=0, batches=0), [OLD], "only 0% of its records are settled"),
        (replace(GOOD, settled=4_400), [OLD], "only 88%"),
        (replace(GOOD, settled=4_501), [OLD], ""),
        (replace(GOOD, batch_seconds=10), [OLD], ""),
        (replace(GOOD, batch_seconds=10.1), [OLD], "a batch takes 0.202 s, the old ones' 0.050 s"),
    ],
)
def test_a_canary_is_promoted_only_when_it_does_as_well(canary: Figures, old: list[Figures], reason: str) -> None:
    verdict = judge(canary, old)
    assert verdict.promoted == (reason == "")
    assert (not reason) == (not verdict.reasons)
    assert any(reason in said for said in verdict.reasons or [""])


def test_the_figures_are_printed() -> None:
    assert table(GOOD, [OLD, OLD]) == [
        "          instances   received     stored    dead   bugs  s/batch",
        "canary            1       5000       4997       3      0    0.050",
        "old               2      20000      19980      10      0    0.050",
    ]


def test_old_instances_count_from_the_start_of_the_comparison() -> None:
    before = {"a": Figures(received=10), "b": Figures(received=20), "gone": Figures(), "again": Figures(received=9)}
    now = {"a": Figures(received=15), "b": Figures(received=20), "again": Figures(received=1), "new": Figures(9)}
    assert in_the_meantime(before, now) == [Figures(received=5), Figures()]
    assert in_the_meantime({"a": Figures(received=15)}, now) == [Figures(received=15)]


def test_figures_are_read_from_what_a_shipper_answers() -> None:
    before = figures(telemetry.metrics().decode())
    telemetry.RECORDS_RECEIVED.labels("relp").inc(7)
    telemetry.RECORDS_SETTLED.labels("stored").inc(4)
    telemetry.RECORDS_SETTLED.labels("duplicate").inc(2)
    telemetry.RECORDS_SETTLED.labels("busy").inc(9)
    telemetry.DEAD_LETTERS.labels("too large").inc(3)
    telemetry.PARSER_BUGS.labels("plain").inc(1)
    telemetry.BATCH_SECONDS.observe(0.25)
    counted = figures(telemetry.metrics().decode()).since(before)
    assert counted == Figures(7, settled=6, stored=4, dead=3, bugs=1, batches=1, batch_seconds=0.25)


def test_figures_of_something_else_are_nothing() -> None:
    hostile = (
        'shipper_records_received_total NaN\nshipper_dead_letters_total{a="b"} -5\nshipper_parser_bugs_total e-e\n'
    )
    assert figures(f"<html>\x00{hostile}shipper_batch_seconds_count 1e999\n") == Figures()


@pytest.mark.parametrize(
    ("definition", "port"),
    [
        ({"portDefinitions": [{"port": 5140, "name": "relp"}, {"port": 0, "name": "http"}]}, 31002),
        ({"ports": [0, 0], "healthChecks": [{"protocol": "TCP"}, {"protocol": "MESOS_HTTP", "portIndex": 1}]}, 31002),
        ({"ports": [0], "healthChecks": [{"path": "/"}]}, 31001),
        ({"container": {"portMappings": [{"name": "http"}]}, "networks": [{"mode": "container/bridge"}]}, 31001),
        ({"ports": [0], "healthChecks": [{"portIndex": 7}]}, None),
        ({"ports": [0], "healthChecks": [{"portIndex": -1}]}, None),
        ({"ports": [0]}, None),
    ],
)
def test_metrics_are_asked_on_the_http_port(definition: dict[str, Any], port: int | None) -> None:
    assert http_port(definition, Task("t", "/a", "h", ports=(31001, 31002))) == port


def test_a_canary_is_one_instance_of_the_new_version_beside_the_old() -> None:
    app = WantedApp(Path("s.json"), "/l/shipper", {"id": "/l/shipper", "instances": 3, "ports": [5140], "labels": {}})
    canary = canary_of(app)
    assert canary.id == "/l/shipper-canary"
    assert canary.definition == {"id": "/l/shipper-canary", "instances": 1, "ports": [5140], "labels": {}}


RUNS = {"state": "TASK_RUNNING"}
CHECKED = {"healthChecks": [{"path": "/"}]}


@pytest.mark.parametrize(
    ("tasks", "definition", "deployments", "done", "words"),
    [
        ([RUNS, RUNS], {}, (), True, "2 of 2 running"),
        ([RUNS, RUNS], {}, ("d",), False, "2 of 2 running, deployment goes on"),
        ([RUNS, {"state": "TASK_STAGING"}], {}, (), False, "1 of 2 running"),
        ([RUNS, RUNS, RUNS], {}, (), False, "3 of 2 running"),
        ([RUNS, RUNS], CHECKED, (), False, "2 of 2 running, 0 healthy"),
        ([{**RUNS, "healthy": True}, {**RUNS, "healthy": False}], CHECKED, (), False, "2 of 2 running, 1 healthy"),
        ([{**RUNS, "healthy": True}, {**RUNS, "healthy": True}], CHECKED, (), True, "2 of 2 running, 2 healthy"),
        ([{"started_at": "2026"}, {"started_at": "2026"}], {}, (), True, "2 of 2 running"),
        (
            [{**RUNS, "version": "1"}, {**RUNS, "version": "2"}],
            {"versionInfo": {"lastConfigChangeAt": "2"}},
            ("d",),
            False,
            "2 of 2 running, 1 of them of the old version, deployment goes on",
        ),
        ([{"state": "TASK_UNREACHABLE", "healthy": True}, RUNS], {}, (), False, "1 of 2 running"),
    ],
)
def test_an_app_is_done_when_all_run_all_are_healthy_and_no_deployment_is_left(
    tasks: list[dict[str, Any]], definition: dict[str, Any], deployments: tuple[str, ...], done: bool, words: str
) -> None:
    listed = tuple(Task(f"t{number}", "/a", "h", **keys) for number, keys in enumerate(tasks))
    seen = look(App("/a", "v", {}, 2, (), listed, (), definition), deployments)
    assert (seen.done, seen.text) == (done, words)
    assert not look(App("/a", "v", {}, 2, (), listed, ("other",), definition)).done


def test_the_last_failure_is_told_safely() -> None:
    failure = {"lastTaskFailure": {"host": "h", "message": "exit 1\x1b[2J\n" + "x" * 900}}
    told = last_failure(App("/a", "v", {}, 1, (), (), (), failure))
    assert told.startswith("last failure on h: exit 1\\x1b[2J\\n")
    assert len(told) < 200
    assert last_failure(App("/a", "v", {}, 1, (), (), (), {"lastTaskFailure": "x"})) == ""
    older = {"lastTaskFailure": {"host": "h", "message": "of the version before", "version": "u"}}
    assert last_failure(App("/a", "v", {}, 1, (), (), (), older)) == ""


JOB: dict[str, Any] = {"name": "tidy", "schedule": "R/2026-01-01T03:00:00Z/P1D", "command": "true", "cpus": "0.1"}


def job_step(current: dict[str, Any], **keys: Any) -> jobs.JobStep:
    (step,) = jobs.plan([WantedJob(Path("tidy.json"), "tidy", {**JOB, **keys})], [{"name": "x"}, current])
    return step


@pytest.mark.parametrize(
    ("current", "keys", "kind"),
    [
        ({"name": "other"}, {}, "create"),
        ({"cpus": 0.1, "mem": 128, "successCount": 9, "retries": 2}, {}, "unchanged"),
        ({"schedule": "R/2026-02-07T03:00:00.000Z/P1D"}, {}, "unchanged"),
        ({"schedule": "R/2026-02-07T03:05:00.000Z/P1D"}, {}, "change"),
        ({"schedule": "R/2026-02-07T03:00:00.000Z/P2D"}, {}, "change"),
        ({"schedule": "R3/2026-02-07T03:00:00.000Z/P1D"}, {}, "change"),
        ({"schedule": "R/2026-02-07T03:00:00.000Z/P1D"}, {"schedule": "R//P1D"}, "unchanged"),
        ({"schedule": "R/2026-02-01T03:00:00.000Z/P1M"}, {"schedule": "R/2026-01-01T03:00:00Z/P1M"}, "change"),
        ({"command": "false"}, {}, "change"),
        ({"cpus": 0.2}, {}, "change"),
        ({"container": {"type": "DOCKER", "image": "a", "volumes": []}}, {"container": {"image": "a"}}, "unchanged"),
        ({"environmentVariables": [{"name": "A", "value": "1"}]},
         {"environmentVariables": [{"name": "A", "value": "2"}]}, "change"),
        ({}, {"uris": [], "disabled": False}, "unchanged"),
    ],
)  # fmt: skip
def test_jobs_are_compared_by_what_the_file_says(current: dict[str, Any], keys: dict[str, Any], kind: str) -> None:
    assert job_step({**JOB, **current}, **keys).kind == kind


@pytest.mark.parametrize(
    ("current", "mine", "foreign"),
    [
        ({}, {}, True),
        ({"ownerName": "logging"}, {"ownerName": "logging"}, False),
        ({"ownerName": "shop"}, {"ownerName": "logging"}, True),
        ({"owner": "a@b"}, {"owner": "a@b", "ownerName": "x"}, False),
    ],
)
def test_jobs_of_somebody_else_are_known(current: dict[str, Any], mine: dict[str, Any], foreign: bool) -> None:
    step = job_step({**JOB, "command": "other", **current}, **mine)
    assert bool(step.stranger) == foreign


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], 0),
        ([State.CREATED, State.CHANGED, State.UNCHANGED, State.SKIPPED], 0),
        ([State.CREATED, State.ROLLED_BACK, State.NOT_BEGUN], 1),
        ([State.WITHDRAWN], 1),
        ([State.REFUSED, State.NOT_BEGUN], 2),
        ([State.ROLLED_BACK, State.UNFINISHED], 2),
    ],
)
def test_exit_codes(states: list[State], code: int) -> None:
    assert exit_code(Outcome("/a", state) for state in states) == code
