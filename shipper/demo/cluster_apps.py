"""The generated apps, changed as little as this machine needs: without images, and on SQLite unless told otherwise."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shipper.generate import marathon
from shipper.generate.samples import SERVICES

_Definition = dict[str, Any]

_SAMPLES: Final = (*SERVICES, "date")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the apps must know of this machine and of what a person wants."""

    marathon: str
    mesos: str
    #: Service ports.
    relp_port: int
    api_port: int
    #: Of the shippers' own HTTP, when apps of their own answer.
    shipper_port: int
    #: Folder of SQLite's files.
    data: Path
    #: Address of an Elasticsearch; "": SQLite, which one shipper can write to and not more.
    elasticsearch: str
    #: What a task's shell runs first to be a container; "": there are none, and the samples write to stdout.
    contain: str
    #: Requests per second, and what they are made from ("": always the same).
    rate: int
    seed: str


def definitions(machine: Machine) -> dict[str, str]:
    """Return the files of apps and jobs, by path, as `shipper generate marathon` names them."""
    files = marathon.generate(_settings(machine))
    # Only one process at a time can have SQLite's files, so there the shipper answers, too.
    product = ("shipper", "api") if machine.elasticsearch else ("shipper",)
    made = {name: _product(json.loads(files[f"marathon-apps/{name}.json"]), machine) for name in product}
    for name in (*_SAMPLES, "chronos/date"):
        path = f"samples/{name}"
        made[path] = _sample(json.loads(files[f"marathon-apps/{path}.json"]), machine)
    return {f"{path}.json": json.dumps(definition, indent=2) + "\n" for path, definition in made.items()}


def _settings(machine: Machine) -> marathon.Settings:
    return marathon.read(
        {
            "cluster": "demo",
            "owner": "demo",
            "elasticsearch": "elsewhere",
            "elasticsearch_urls": machine.elasticsearch or "http://127.0.0.1:9200",
            "shippers": 3 if machine.elasticsearch else 1,
            "relp_port": machine.relp_port,
            "shipper_port": machine.shipper_port if machine.elasticsearch else machine.api_port,
            "api_port": machine.api_port if machine.elasticsearch else machine.shipper_port,
            "marathon_urls": machine.marathon,
            "mesos_urls": machine.mesos,
            "replicas": 0,
            "kibana": False,
            "state_directory": "",
            **_unused_ports({machine.relp_port, machine.shipper_port, machine.api_port}),
        }
    )


def _unused_ports(taken: set[int]) -> dict[str, int]:
    """Ports of apps that are left out: they must only differ from the others."""
    names = ("front_port", "kibana_port", "elasticsearch_port", "elasticsearch_transport_port")
    free = (port for port in range(65_000, 65_100) if port not in taken)
    return dict(zip(names, free, strict=False))


def _product(app: _Definition, machine: Machine) -> _Definition:
    """A process instead of an image; looked at often, so that a person need not wait."""
    del app["container"]
    for check in app["healthChecks"]:
        check["intervalSeconds"] = 1
    for check in app["readinessChecks"]:
        check |= {"intervalSeconds": 2, "timeoutSeconds": 1}  # the one must be below the other
    if not machine.elasticsearch:
        del app["env"]["SHIPPER_STORE__URLS"], app["env"]["SHIPPER_STORE__REPLICAS"]
        app["env"] |= {"SHIPPER_STORE__TYPE": "sqlite", "SHIPPER_STORE__PATH": json.dumps(str(machine.data))}
        # The old one must have closed its files.
        app["upgradeStrategy"] = {"minimumHealthCapacity": 0.0, "maximumOverCapacity": 0.0}
    return app


def _sample(sample: _Definition, machine: Machine) -> _Definition:
    key = "cmd" if "cmd" in sample else "command"
    command = sample[key]
    if "shipper.demo.service" in command:
        command += f" --rate {machine.rate}" + (f" --seed {shlex.quote(machine.seed)}" if machine.seed else "")
        sample["instances"] = 1  # a second one would write the same lines again
    elif key == "cmd":
        sample["instances"] = 3  # a clock on each host
    if machine.contain:
        return sample | {key: f"{machine.contain} && {command}"}
    del sample["container"]
    to_stdout = command.replace(" --socket /dev/log", "").replace("logger -t date-job ", "echo ")
    return sample | {key: to_stdout.replace("logger -t date ", "echo ")}
