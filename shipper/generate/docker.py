"""Docker on a host: what its daemon writes of every container's stdout and stderr, where sandboxes do not have it."""

import json
from typing import Any, Final
from urllib.parse import quote

from shipper.generate._fill import path
from shipper.generate._host_settings import Settings

#: Container and task in the tag of every line. Without `else`, a container of no task would have a space there.
TAG: Final = "{{.FullID}}/{{with (.ExtraAttributes nil).MESOS_TASK_ID}}{{.}}{{else}}-{{end}}"


def generate(settings: Settings) -> dict[str, str]:
    """Return Docker's daemon.json, by path, when stdout is read from Docker; the same settings give the same bytes.

    Only then: a task whose stdout is read from its sandbox as well would have every line twice.
    """
    if settings.stdout != "docker":
        return {}
    daemon: dict[str, Any] = {
        "log-driver": "syslog",
        "log-opts": {
            # Docker reads it as a URL.
            "syslog-address": f"unixgram://{quote(path(settings, 'socket'))}",
            "syslog-format": "rfc5424micro",
            "tag": TAG,
            "env": "MESOS_TASK_ID",
            # A container never waits for its log; when this much waits, Docker drops lines.
            "mode": "non-blocking",
            "max-buffer-size": "4m",
        },
    }
    return {"rsyslog/docker/daemon.json": json.dumps(daemon, indent=2) + "\n"}
