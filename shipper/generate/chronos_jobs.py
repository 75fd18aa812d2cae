"""The jobs that look after the logs: what Chronos starts on whatever host has room."""

from typing import Any, Final

from shipper.generate._apps import Definition, as_json
from shipper.generate._cluster_settings import Settings
from shipper.generate._product import SILENT, cluster, command, environment, key_files, secret_files

#: Starts never change, so that files do not; `shipper deploy` moves one on to the next run, at the same time of day.
_RETENTION: Final = "R/2026-01-01T02:40:00Z/P1D"
_HOURLY: Final = "R/2026-01-01T00:10:00Z/PT1H"
_QUARTERLY: Final = "R/2026-01-01T00:07:00Z/PT15M"


def generate(settings: Settings) -> dict[str, str]:
    """Return the jobs, by path below the folder of the apps; the same settings give the same bytes."""
    jobs = (_retention(settings), _ledger(settings), _check(settings))
    return {f"chronos/{job['name'].removeprefix('shipper-')}.json": as_json(job) for job in jobs}


def job(settings: Settings, name: str, schedule: str, told: str, command_line: str) -> Definition:
    """Return a job that runs a command on a schedule, one run at a time, and tells who asks about it."""
    return {
        "name": name,
        "description": told,
        "ownerName": settings.owner,
        "schedule": schedule,
        "scheduleTimeZone": "UTC",
        # A run that could not start in time is left out rather than made up for.
        "epsilon": "PT10M",
        "retries": 1,
        "concurrent": False,
        "shell": True,
        "command": command_line,
        "cpus": 0.1,
        "mem": 128,
        "disk": 16,
    }


def in_docker(image: str, **more: Any) -> Definition:
    """Return how Chronos runs a job in an image on its host's network; flat, unlike Marathon's."""
    return {"container": {"type": "DOCKER", "image": image, "network": "HOST", **more}}


def _retention(settings: Settings) -> Definition:
    """Return the daily removal of what is too old; what an app's label says is asked of Marathon."""
    asked = command(settings, "retention --json")
    told = "deletes records that are older than wanted, once a day"
    found = environment(settings, SHIPPER_ENRICHERS=cluster(settings), **key_files(settings, "removing"))["env"]
    # Chronos knows no secrets of Marathon's: what is secret comes from files.
    variables = [{"name": name, "value": text} for name, text in found.items() if isinstance(text, str)]
    made = job(settings, "shipper-retention", _RETENTION, told, asked)
    return {**made, **_product(settings), "environmentVariables": variables}


def _product(settings: Settings) -> Definition:
    """Return how the product comes to the host of a job, as to those of apps."""
    if settings.package == "archive":
        return {"uris": [settings.archive]}
    parameters = [{"key": key, "value": text} for key, text in SILENT.items()]
    volumes = secret_files(settings)
    return in_docker(settings.image, parameters=parameters, volumes=volumes)


def _ledger(settings: Settings) -> Definition:
    """Return the hourly account of every host: its output is a log, which Kibana's rule about holes reads."""
    asked = command(settings, f"ledger --json --url http://127.0.0.1:{settings.api_port}")
    told = "the ledger of every host as JSON lines on its output, once an hour"
    made = job(settings, "shipper-ledger", _HOURLY, told, asked)
    return {**made, **_product(settings)}


def _check(settings: Settings) -> Definition:
    """Return the synthetic check: a record written on a host and followed into the store; fails like `doctor` does."""
    url = f"http://127.0.0.1:{settings.api_port}"
    # Warnings (exit code 1) are for people; a job fails when something has failed.
    asked = f"{settings.host_program} doctor host --url {url} --json || test $? -eq 1"
    told = "writes one record on the host it runs on and follows it into the store; fails when logging does"
    return {**job(settings, "shipper-check", _QUARTERLY, told, asked), "runAsUser": "root"}
