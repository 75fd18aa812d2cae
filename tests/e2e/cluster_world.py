"""A whole cluster on this machine: emulated Marathon and Mesos, and on each of three hosts what a real one has.

That is `shipper host` with a real rsyslogd, a real HAProxy that `shipper haproxy` keeps true, and shippers, which
Marathon starts from the generated app. All store into one Elasticsearch.
"""

import contextlib
import json
import shlex
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.emulator.process import Emulator
from tests.integration.host import Host
from tests.servers.docker import Docker
from tests.servers.process import Process, accepts, free_port, wait_until
from tests.unit.marathon_apps import apps

AGENTS = ("127.0.1.1", "127.0.1.2", "127.0.1.3")
SHIPPER = "/shipper/shipper"
START_SECONDS = 120

Definition = dict[str, Any]


@dataclass(frozen=True)
class Servers:
    """What must be there already: programs, a Docker daemon and the URL of an Elasticsearch."""

    rsyslogd: str
    haproxy: str
    docker: Docker
    elasticsearch: str


class Machine:
    """What one host has beside its Mesos agent; it goes on when the agent is lost."""

    def __init__(self, servers: Servers, emulator: Emulator, agent: str, relp_port: int) -> None:
        """`relp_port` is the shippers' service port, on which this host's HAProxy serves them."""
        self.agent = agent
        root = emulator.root(agent)
        self._haproxy = servers.haproxy
        self._folder = root / "etc"
        self._relp_port, self._marathon = relp_port, emulator.marathon
        shown = root / "run/shipper"
        for folder in (self._folder, shown):
            folder.mkdir(parents=True)
        mesos = {"stdout": "sandbox", "sandboxes": str(root / "var/lib/mesos")}
        self.host = Host(servers.rsyslogd, shown, relp_port, shipper_host=agent, host_name=agent, **mesos)
        self._out, self._pid_file = self._folder / "apps.cfg", self._folder / "haproxy.pid"
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        """Start all of it; HAProxy serves a port of each app as soon as Marathon has the app."""
        log = self._folder / "shipper-haproxy.log"
        following = self._running.enter_context(Process([sys.executable, "-m", "shipper", *self._options()], log=log))
        following.wait_until(self._out.exists, START_SECONDS, "HAProxy's file is there")
        argv: list[str | Path] = [self._haproxy, "-W", "-p", self._pid_file, "-f", self._out]
        proxy = self._running.enter_context(Process(argv, log=self._folder / "haproxy.log"))
        proxy.wait_until(self._pid_file.exists, START_SECONDS, "HAProxy's pid")
        self._running.callback(self.host.close)
        self.host.start()

    def reaches_a_shipper(self) -> bool:
        """Whether HAProxy here takes connections for shippers."""
        return accepts(self._relp_port, self.agent) and "\n  server " in self._out.read_text()

    def shipper(self) -> str:
        """Address and port of the shipper that this host's records go to, as long as it is up."""
        return self._out.read_text().partition("listen shipper-relp")[2].partition("\n  server ")[2].split()[1]

    def close(self) -> None:
        """Stop all of it."""
        self._running.close()

    def _options(self) -> list[str]:
        return [
            "haproxy", "--marathon", self._marathon, "--address", self.agent, "--host-name", self.agent,
            "--relp-port", str(self._relp_port), "--http-port", "0", "--out", str(self._out),
            "--pid-file", str(self._pid_file), "--check-command", f"{shlex.quote(self._haproxy)} -c -f {{}}",
            "--log-socket", str(self.host.socket),
        ]  # fmt: skip


class Cluster:
    """Three hosts and what runs on them; use it in a `with`."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers = servers
        #: Part of the indices' names.
        self.name = f"cluster{uuid.uuid4().hex[:12]}"
        self.emulator = Emulator(folder, agents=",".join(AGENTS), docker_host=servers.docker.host)
        self.relp_port, self.http_port = free_port(), free_port()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.emulator)
            self.machines = machines = [Machine(self.servers, self.emulator, agent, self.relp_port) for agent in AGENTS]
            for machine in machines:
                stack.callback(machine.close)
            self.create(self.shipper())
            _together(machine.start for machine in machines)
            self.wait_deployed(START_SECONDS)
            for machine in machines:
                wait_until(machine.reaches_a_shipper, START_SECONDS, f"{machine.agent} reaches a shipper")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def shipper(self, **env: str) -> Definition:
        """The generated app, with this project's Python instead of an archive, and checked more often."""
        made = apps(
            package="archive", cluster=self.name, state_directory="", kibana=False, replicas=0, shippers=len(AGENTS),
            elasticsearch="elsewhere", elasticsearch_urls=self.servers.elasticsearch,
            marathon_urls=self.emulator.marathon, mesos_urls=self.emulator.mesos,
            relp_port=self.relp_port, shipper_port=self.http_port,
        )["marathon-apps/shipper.json"]  # fmt: skip
        del made["fetch"]
        program = f"{shlex.quote(sys.executable)} -m shipper"
        made["cmd"] = made["cmd"].replace("./shipper/run shipper", program)
        assert program in made["cmd"]
        made["env"] |= env
        made["healthChecks"][0]["intervalSeconds"] = 2
        made["readinessChecks"][0] |= {"intervalSeconds": 2, "timeoutSeconds": 1}
        return made

    def create(self, definition: Definition) -> None:
        """POST an app."""
        self._ask("POST", "/v2/apps", definition)

    def update(self, app: str, change: Definition) -> None:
        """PUT a change of an app: Marathon begins a deployment."""
        self._ask("PUT", f"/v2/apps/{app}", change)

    def wait_deployed(self, seconds: float = START_SECONDS) -> None:
        """Return when Marathon has carried out every change."""
        wait_until(lambda: not self._ask("GET", "/v2/deployments"), seconds, "all deployments have ended")

    def tasks(self, app: str) -> list[Definition]:
        """The tasks of an app, as Marathon shows them."""
        found: list[Definition] = self._ask("GET", f"/v2/apps/{app}/tasks")["tasks"]
        return found

    def shippers(self) -> dict[str, str]:
        """The RELP address of each shipper that runs and is healthy, by the task's id."""
        return {
            task["id"]: f"{task['host']}:{task['ports'][0]}"
            for task in self.tasks(SHIPPER)
            if task["state"] == "TASK_RUNNING" and any(check["alive"] for check in task.get("healthCheckResults", ()))
        }

    def ledger(self) -> Any:
        """What the API says of every series and host; asked through the HAProxy of a host."""
        return ask("GET", f"http://{AGENTS[0]}:{self.http_port}/api/v1/ledger")

    def documents(self, fields: Iterable[str]) -> list[Definition]:
        """These fields of every stored record."""
        index = f"{self.servers.elasticsearch}/logs-mesos.{self.name}-*"
        ask("POST", f"{index}/_refresh")
        wanted = {
            "size": 10_000, "_source": list(fields), "query": {"match_phrase": {"message": "numbered line"}},
            "sort": [{"shipper.series": "asc"}, {"event.sequence": "asc"}],
        }  # fmt: skip
        found: list[Definition] = []
        after: Definition = {}
        while hits := ask("POST", f"{index}/_search", wanted | after)["hits"]["hits"]:
            found += [hit["_source"] for hit in hits]
            after = {"search_after": hits[-1]["sort"]}
        return found

    def _ask(self, method: str, path: str, body: Definition | None = None) -> Any:
        return ask(method, self.emulator.marathon + path, body)


def ask(method: str, url: str, body: Definition | None = None) -> Any:
    """The answer to one request, which must be a good one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{method} {url}: {error.code} {error.read()[:500]!r}") from None


def wait_for(moment: float) -> None:
    """Return at this time of the monotonic clock, which may have been."""
    if (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def _together(calls: Iterable[Callable[[], None]]) -> None:
    """Call all at once and wait for each; what one raises is raised."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
