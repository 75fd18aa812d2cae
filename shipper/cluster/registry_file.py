"""The registry's file: what was known before a restart. One small JSON document, written whole or not at all."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from shipper.cluster.known import Definition, Known, bounded, ports_of, text
from shipper.cluster.registry import Registry

_log = logging.getLogger(__name__)

_VERSION: Final = 1
#: Bytes that are read at most.
_LARGEST: Final = 256 * 2**20


def document(registry: Registry) -> bytes:
    """Return what is known as JSON: definitions once, tasks that name theirs by its place."""
    places: dict[int, int] = {}
    definitions: list[list[Any]] = []
    tasks = []
    for known in registry:
        definition = known.definition
        if definition is None:
            continue
        place = places.setdefault(id(definition), len(definitions))
        if place == len(definitions):
            definitions.append([definition.app_id, definition.version, dict(definition.labels)])
        tasks.append([known.id, place, known.version, known.host, known.ports, known.since, known.until])
    return orjson.dumps({"v": _VERSION, "definitions": definitions, "tasks": tasks})


def write(path: Path, content: bytes) -> None:
    """Replace the file; OSError when it cannot be written, and then the old one is as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path, registry: Registry) -> None:
    """Fill a registry from its file. One that is not there is an empty one; garbage is ignored with a warning."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)  # a larger one is not ours, and no JSON when it is cut
        registry.restore(list(_tasks(orjson.loads(content))))
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        _log.warning(
            "the registry's file cannot be used; tasks that ended before now are not known",
            extra={"path": str(path), "reason": _line(error)},
        )


def _tasks(content: dict[str, Any]) -> Iterator[Known]:
    """Give the tasks of a document; ValueError, TypeError or LookupError when it is none of ours."""
    if content["v"] != _VERSION:
        raise ValueError(f"of version {content['v']!r}, not {_VERSION}")
    definitions = [
        Definition(_text(app), _text(version), bounded(labels)) for app, version, labels in content["definitions"]
    ]
    for task_id, place, version, host, ports, since, until in content["tasks"]:
        if place < 0:
            raise ValueError("a task of no definition")
        definition = definitions[place]
        ended = None if until is None else float(until)
        yield Known(
            _text(task_id),
            definition.app_id,
            _text(version),
            _text(host),
            ports_of(ports),
            definition,
            float(since),
            ended,
        )


def _text(value: object) -> str:
    found = text(value)
    if found != value:
        raise ValueError("a text that is too long, or none")
    return found


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
