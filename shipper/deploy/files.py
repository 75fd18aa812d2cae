"""The app and job definitions to deploy, read from JSON files; what they are is decided by their keys."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shipper.errors import ConfigError

#: Label by which `shipper deploy` knows the apps it made; its value is the app's part in the product.
ROLE: Final = "SHIPPER_ROLE"
#: Value of ROLE for an app whose file has none.
NO_ROLE: Final = "app"
_MOST_BYTES: Final = 2**20
_MOST_FILES: Final = 500
#: What Marathon takes as an app id, after the first slash (AppValidation: lower case, digits, hyphens, dots).
_APP_ID: Final = re.compile(r"(/[a-z0-9]([a-z0-9.-]*[a-z0-9])?)+")
_MOST_ID: Final = 512
_JOB_NAME: Final = re.compile(r"[\w.-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WantedApp:
    """One app as a file describes it, with the label by which it is known later."""

    path: Path
    id: str
    definition: Mapping[str, Any]

    @property
    def role(self) -> str:
        """Its part in the product ("shipper", "api"), or NO_ROLE."""
        return str(self.definition["labels"][ROLE])


@dataclass(frozen=True, slots=True)
class WantedJob:
    """One Chronos job as a file describes it."""

    path: Path
    name: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that a deploy is about."""

    apps: tuple[WantedApp, ...]
    jobs: tuple[WantedJob, ...]


def in_directory(directory: Path) -> list[Path]:
    """Return the files of a folder as `shipper generate marathon` writes it: apps, and jobs below chronos/."""
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such folder (write it with `shipper generate marathon`, or name files)")
    found = [*sorted(directory.glob("*.json")), *sorted(directory.glob("chronos/*.json"))]
    if not found:
        raise ConfigError(f"{directory}: no *.json in it (write them with `shipper generate marathon`)")
    return found


def read(paths: Iterable[Path]) -> Wanted:
    """Return what the files hold; ConfigError names the first file that is no definition, and why."""
    apps: dict[str, WantedApp] = {}
    jobs: dict[str, WantedJob] = {}
    given = list(paths)
    if len(given) > _MOST_FILES:
        raise ConfigError(f"{len(given)} files are more than {_MOST_FILES}: name fewer")
    for path in given:
        definition = _load(path)
        if "id" in definition:
            app = _app(path, definition)
            _once(apps.get(app.id), app, app.id)
            apps[app.id] = app
        elif "name" in definition and ("schedule" in definition or "parents" in definition):
            job = _job(path, definition)
            _once(jobs.get(job.name), job, job.name)
            jobs[job.name] = job
        else:
            raise ConfigError(
                f"{path}: neither an app (it has an id) nor a Chronos job (a name, and schedule or parents)"
            )
    return Wanted(tuple(apps.values()), tuple(jobs.values()))


def _once(before: WantedApp | WantedJob | None, now: WantedApp | WantedJob, name: str) -> None:
    if before is not None:
        raise ConfigError(f"{now.path}: {name} is described in {before.path} too: name one of them")


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > _MOST_BYTES:
        raise ConfigError(f"{path}: longer than {_MOST_BYTES:,} bytes, so no definition")
    try:
        definition = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON ({' '.join(str(error).split())})") from None
    if not isinstance(definition, dict):
        raise ConfigError(f"{path}: must be one JSON object, not {type(definition).__name__}")
    return definition


def _app(path: Path, definition: dict[str, Any]) -> WantedApp:
    written = definition["id"]
    app_id = f"/{written.strip('/')}" if isinstance(written, str) else ""
    if not _APP_ID.fullmatch(app_id) or len(app_id) > _MOST_ID:
        raise ConfigError(f"{path}: id: must be a path of lower-case letters, digits, - and . such as /logging/shipper")
    labels = definition.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ConfigError(f"{path}: labels: must be names and texts")
    instances = definition.get("instances", 1)
    if not isinstance(instances, int) or isinstance(instances, bool) or instances < 0:
        raise ConfigError(f"{path}: instances: must be a whole number, not below 0")
    return WantedApp(path, app_id, {**definition, "id": app_id, "labels": {ROLE: NO_ROLE, **labels}})


def _job(path: Path, definition: dict[str, Any]) -> WantedJob:
    name = definition["name"]
    if not isinstance(name, str) or not _JOB_NAME.fullmatch(name):
        raise ConfigError(f"{path}: name: must be 1 to 255 of A-Z a-z 0-9 _ . -")
    return WantedJob(path, name, definition)
