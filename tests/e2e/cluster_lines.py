"""Apps whose tasks write numbered lines, what they wrote, and what became of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from tests.e2e.cluster_world import Cluster, Definition
from tests.servers.docker import IMAGE

#: Every so manieth line of a socket is a warning: another series of its host, and another queue.
WARNING_EVERY = 16
#: What is looked at of each record.
FIELDS = (
    "message", "host.name", "shipper.series", "shipper.enriched_by", "orchestrator.resource.id",
    "orchestrator.resource.name", "marathon.app.version",
)  # fmt: skip

#: Says who it is, then writes for ever; what was written is noted after it. When its processes are killed one by one,
#: `logger` may be killed before the shell is: that line was not written.
_WRITER = """\
trap 'exit 0' TERM
cd "$MESOS_SANDBOX" && echo "$MARATHON_APP_ID $MARATHON_APP_VERSION $HOST" > itself
number=0
while :; do
  number=$((number + 1))
  if [ $((number % @every@)) = 0 ]; then priority=user.warning; else priority=user.info; fi
  @write@ && echo "$number" >> written
  sleep @pause@
done
"""
_BY_SOCKET = 'logger -t writer -p "$priority" "numbered line $number of $MESOS_TASK_ID"'
_BY_OUTPUT = 'echo "numbered line $number of $MESOS_TASK_ID"'


def writer(app: str, instances: int, pause: float, *, socket: bool) -> Definition:
    """An app that writes through /dev/log in a container, or to its standard output."""
    values = {"@write@": _BY_SOCKET if socket else _BY_OUTPUT, "@pause@": str(pause), "@every@": str(WARNING_EVERY)}
    script = reduce(lambda text, name: text.replace(name, values[name]), values, _WRITER)
    made = {
        "id": app, "cmd": script, "instances": instances, "cpus": 0.05, "mem": 16, "portDefinitions": [],
        "networks": [{"mode": "host"}], "taskKillGracePeriodSeconds": 10,
    }  # fmt: skip
    if not socket:
        return made
    volume = {"hostPath": "/run/shipper/log", "containerPath": "/dev/log", "mode": "RW"}
    return made | {"container": {"type": "DOCKER", "docker": {"image": IMAGE}, "volumes": [volume]}}


@dataclass(frozen=True)
class Written:
    """What one task wrote: every line up to `last`, and perhaps one more, if it was ended in between."""

    app: str
    version: str
    host: str
    last: int
    socket: bool

    def series(self, number: int) -> str:
        """The letter in which the series of a line ends: warning, normal or file."""
        return ("n" if number % WARNING_EVERY else "w") if self.socket else "f"


def written(cluster: Cluster, apps: Mapping[str, Definition]) -> dict[str, Written]:
    """What every task of these apps wrote so far, by the task's id, as the files in its sandbox say."""
    found: dict[str, Written] = {}
    for task in cluster.emulator.tasks():
        itself = Path(task["sandbox"], "itself")
        if task["owner"] in apps and itself.exists():  # else it was ended before its first line
            app, version, host = itself.read_text().split()
            found[task["id"]] = Written(
                app, version, host, _last(itself.with_name("written")), socket="container" in apps[app]
            )
    return found


def _last(file: Path) -> int:
    words = file.read_text().split() if file.exists() else []
    return int(words[-1]) if words else 0


@dataclass
class Balance:
    """What was written against what is stored."""

    written: int = 0
    stored: int = 0
    doubles: int = 0
    #: Records that name no line of any task.
    strange: list[str] = field(default_factory=list)
    #: Lines without a record, by host and series.
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Records that say something wrong of their task, each with what it is.
    wrong: list[str] = field(default_factory=list)
    #: Who told what is known of the task.
    told_by: Counter[str] = field(default_factory=Counter)


def balance(tasks: Mapping[str, Written], documents: list[Definition]) -> Balance:
    """Hold every record against the truth."""
    found = Balance(written=sum(task.last for task in tasks.values()), stored=len(documents))
    lines: Counter[tuple[str, int]] = Counter()
    for document in documents:
        flat = _flat(document)
        number, task_id = _line(str(flat["message"]))
        task = tasks.get(task_id)
        if task is None or not 1 <= number <= task.last + 1:
            found.strange.append(str(flat["message"]))
            continue
        lines[task_id, number] += 1
        found.told_by[str(flat.get("shipper.enriched_by", ""))] += 1
        found.wrong += _wrong(task_id, task, flat)
    found.doubles = lines.total() - len(lines)
    for task_id, task in tasks.items():
        gone = (number for number in range(1, task.last + 1) if (task_id, number) not in lines)
        found.missing.update((task.host, task.series(number)) for number in gone)
    return found


def _line(message: str) -> tuple[int, str]:
    words = message.split()
    if len(words) != 5 or words[:2] != ["numbered", "line"] or not words[2].isdigit():
        return 0, ""
    return int(words[2]), words[4]


def _wrong(task_id: str, task: Written, document: Mapping[str, Any]) -> list[str]:
    right = {
        "orchestrator.resource.id": task_id,
        "orchestrator.resource.name": task.app,
        "marathon.app.version": task.version,
        "host.name": task.host,
    }
    return [
        f"{document['message']}: {name} is {document.get(name)!r}, not {value!r}"
        for name, value in right.items()
        if document.get(name) != value
    ]


def _flat(document: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat
