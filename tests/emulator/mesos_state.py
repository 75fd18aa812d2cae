"""What Mesos's master and agents tell of the world, in the words of Mesos 1.11 (keys and types seen in a real one)."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.emulator.model import Agent, Framework, Task, World

Json = dict[str, Any]

#: Executors that have ended, as many per framework as an agent remembers (max_completed_executors_per_framework).
COMPLETED_EXECUTORS: Final = 150
PORTS: Final = (31000, 32000)
OFFERED: Final = {"cpus": 64.0, "mem": 262144.0, "disk": 1048576.0}
#: What Mesos adds to a task for the executor that runs it.
EXECUTOR: Final = {"cpus": 0.1, "mem": 32.0, "disk": 0.0}
MASTER_ABILITIES: Final = ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"]
AGENT_ABILITIES: Final = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "AGENT_DRAINING"]
UNREACHABLE: Final = "TASK_UNREACHABLE"


def version(world: World) -> Json:
    """`/version`, of masters and agents."""
    return {
        "build_date": "2020-11-24 15:38:37",
        "build_time": 1606232317.0,
        "build_user": "ubuntu",
        "git_sha": "0" * 40,
        "git_tag": world.profile.mesos_version,
        "version": world.profile.mesos_version,
    }


def master(world: World, port: int) -> Json:
    """`/state` of the master, which listens on this port of 127.0.0.1."""
    pid = f"master@127.0.0.1:{port}"
    cluster = world.marathon.id.rsplit("-", 1)[0]
    alive = [agent for agent in world.agents.values() if agent.alive]
    full = ("offered_resources_full", "reserved_resources_full", "unreserved_resources_full", "used_resources_full")
    return version(world) | {
        "activated_slaves": float(len(alive)),
        "capabilities": MASTER_ABILITIES,
        "completed_frameworks": [],
        "deactivated_slaves": 0.0,
        "elected_time": world.marathon.registered_at,
        "flags": {"hostname": "127.0.0.1", "port": str(port), "version": "false", "work_dir": str(world.work)},
        "frameworks": [_master_framework(world, framework) for framework in world.frameworks],
        "hostname": "127.0.0.1",
        "id": cluster,
        "leader": pid,
        "leader_info": {"hostname": "127.0.0.1", "id": cluster, "pid": pid, "port": port},
        "orphan_tasks": [],
        "pid": pid,
        "recovered_slaves": [],
        "slaves": [{key: value for key, value in _slave(world, one).items() if key not in full} for one in alive],
        "start_time": world.marathon.registered_at,
        "unreachable_slaves": float(len(world.agents) - len(alive)),
        "unregistered_frameworks": [],
    }


def slaves(world: World) -> Json:
    """`/slaves` of the master: agents it has not lost."""
    return {"recovered_slaves": [], "slaves": [_slave(world, one) for one in world.agents.values() if one.alive]}


def tasks(world: World) -> list[Json]:
    """All of `/tasks` of the master, in the order in which they came."""
    known = [*world.completed, *world.tasks.values()]
    return [task_json(task) for task in sorted(known, key=lambda task: task.statuses[0].at)]


def agent(world: World, agent: Agent) -> Json:
    """`/state` of an agent."""
    present, past = [], []
    for framework in world.frameworks:
        found = _agent_framework(world, agent, framework)
        # A framework without an executor is done with, for an agent, and what ended of it is to be found there.
        if found["executors"]:
            present.append(found)
        elif found["completed_executors"]:
            past.append(found)
    return version(world) | {
        "attributes": dict(agent.attributes),
        "capabilities": AGENT_ABILITIES,
        "completed_frameworks": past,
        "flags": {"hostname": agent.host, "port": str(agent.port), "work_dir": str(agent.work_dir)},
        "frameworks": present,
        "hostname": agent.host,
        "id": agent.id,
        "master_hostname": "localhost",
        "pid": f"slave(1)@{agent.host}:{agent.port}",
        "reserved_resources": {},
        "reserved_resources_allocated": {},
        "reserved_resources_full": {},
        "resource_providers": [],
        "resources": _offered(),
        "start_time": agent.registered_at,
        "unreserved_resources": _offered(),
        "unreserved_resources_allocated": _resources(_live(world, agent)),
        "unreserved_resources_full": _offered_full(),
    }


def containers(world: World, agent: Agent) -> list[Json]:
    """`/containers` of an agent: what runs now."""
    return [
        {
            "container_id": task.container_id,
            "executor_id": task.executor_id,
            "executor_name": _executor_name(task),
            "framework_id": task.framework.id,
            "source": task.id,
            "statistics": _statistics(world, task),
            "status": {"container_id": {"value": task.container_id}, "executor_pid": task.pid},
        }
        for task in _live(world, agent)
        if task.pid
    ]


def task_json(task: Task) -> Json:
    """One task; a command task has no executor of its own for the master, so executor_id is empty."""
    found = {
        "executor_id": "",
        "framework_id": task.framework.id,
        "id": task.id,
        "name": task.name,
        "resources": _resources([task]),
        "role": "*",
        "slave_id": task.agent.id,
        "state": task.state,
        "statuses": [
            {"container_status": _container_status(task), "state": status.state, "timestamp": status.at}
            for status in task.statuses
            if status.state != "TASK_STAGING"
        ],
    }
    return found | _labels(task)


def _labels(task: Task) -> Json:
    return {"labels": [{"key": key, "value": text} for key, text in task.labels.items()]} if task.labels else {}


def _container_status(task: Task) -> Json:
    address = {"ip_address": task.agent.host, "protocol": "IPv4"}
    return {
        "container_id": {"value": task.container_id},
        "network_infos": [{"ip_addresses": [address]}],
    }


def _live(world: World, agent: Agent, framework: Framework | None = None) -> list[Task]:
    return [
        task
        for task in world.tasks.values()
        if task.agent is agent and (framework is None or task.framework is framework)
    ]


def _master_framework(world: World, framework: Framework) -> Json:
    live = world.tasks_of(framework)
    ended = [task for task in world.completed if task.framework is framework]
    return {
        "active": True,
        "capabilities": [],
        "checkpoint": True,
        "completed_tasks": [task_json(task) for task in ended if task.state != UNREACHABLE],
        "connected": True,
        "executors": [],
        "failover_timeout": 0.0,
        "hostname": "localhost",
        "id": framework.id,
        "name": framework.name,
        "offer_constraints": {},
        "offered_resources": _resources([]),
        "offers": [],
        "pid": f"scheduler-{framework.name}@127.0.0.1:0",
        "recovered": False,
        "registered_time": framework.registered_at,
        "resources": _resources(live),
        "role": "*",
        "tasks": [task_json(task) for task in live],
        "unreachable_tasks": [task_json(task) for task in ended if task.state == UNREACHABLE],
        "unregistered_time": 0.0,
        "used_resources": _resources(live),
        "user": "root",
        "webui_url": "",
    }


def _agent_framework(world: World, agent: Agent, framework: Framework) -> Json:
    ended = [task for task in world.completed if task.agent is agent and task.framework is framework]
    return {
        "checkpoint": True,
        "completed_executors": [_executor(task) for task in ended[-COMPLETED_EXECUTORS:]],
        "executors": [_executor(task) for task in _live(world, agent, framework)],
        "failover_timeout": 0.0,
        "hostname": "localhost",
        "id": framework.id,
        "name": framework.name,
        "role": "*",
        "user": "root",
    }


def _executor(task: Task) -> Json:
    own = [] if task.over else [task]
    found = {
        "completed_tasks": [task_json(task)] if task.over else [],
        "container": task.container_id,
        "directory": str(task.sandbox),
        "id": task.executor_id,
        "name": _executor_name(task),
        "queued_tasks": [],
        "resources": {name: value + EXECUTOR.get(name, 0.0) for name, value in _numbers(own).items()} | _ports(own),
        "role": "*",
        "source": task.id,
        "tasks": [task_json(one) for one in own],
    }
    return found | _labels(task)


def _executor_name(task: Task) -> str:
    return f"Command Executor (Task: {task.id})"


def _slave(world: World, agent: Agent) -> Json:
    used = _live(world, agent)
    scalars = [name for name, value in _numbers(used).items() if value]
    return {
        "active": True,
        "attributes": dict(agent.attributes),
        "capabilities": AGENT_ABILITIES,
        "deactivated": False,
        "hostname": agent.host,
        "id": agent.id,
        "offered_resources": _resources([]),
        "offered_resources_full": [],
        "pid": f"slave(1)@{agent.host}:{agent.port}",
        "port": agent.port,
        "registered_time": agent.registered_at,
        "reserved_resources": {},
        "reserved_resources_full": {},
        "resources": _offered(),
        "unreserved_resources": _offered(),
        "unreserved_resources_full": _offered_full(),
        "used_resources": _resources(used),
        "used_resources_full": [
            {"allocation_info": {"role": "*"}} | _scalar(name, _numbers(used)[name]) for name in scalars
        ],
        "version": world.profile.mesos_version,
    }


def _numbers(held: Iterable[Task]) -> dict[str, float]:
    held = list(held)
    sums = {name: float(sum(getattr(task, name) for task in held)) for name in ("cpus", "disk", "mem")}
    return {name: round(value, 6) for name, value in sums.items()} | {"gpus": 0.0}


def _ports(held: Iterable[Task]) -> dict[str, str]:
    """Ports are written as text, and only by who has some."""
    taken = sorted(port for task in held for port in task.ports)
    return {"ports": "[" + ", ".join(f"{port}-{port}" for port in taken) + "]"} if taken else {}


def _resources(held: Iterable[Task]) -> Json:
    held = list(held)
    return _numbers(held) | _ports(held)


def _offered() -> Json:
    return OFFERED | {"gpus": 0.0, "ports": "[{}-{}]".format(*PORTS)}


def _offered_full() -> list[Json]:
    begin, end = PORTS
    ports = {"name": "ports", "ranges": {"range": [{"begin": begin, "end": end}]}, "role": "*", "type": "RANGES"}
    return [*(_scalar(name, value) for name, value in OFFERED.items()), ports]


def _scalar(name: str, value: float) -> Json:
    return {"name": name, "role": "*", "scalar": {"value": value}, "type": "SCALAR"}


def _statistics(world: World, task: Task) -> Json:
    user, system, rss = _usage(task.pid)
    mem = int((task.mem + EXECUTOR["mem"]) * 2**20)
    return {
        "cpus_soft_limit": task.cpus + EXECUTOR["cpus"],
        "cpus_system_time_secs": system,
        "cpus_user_time_secs": user,
        "mem_limit_bytes": mem,
        "mem_rss_bytes": rss,
        "mem_soft_limit_bytes": mem,
        "timestamp": world.clock.now(),
    }


def _usage(pid: int) -> tuple[float, float, int]:
    """Seconds of user and system time and bytes of memory of a process; nothing of one that has ended just now."""
    try:
        # The second field is the program's name in parentheses, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0, 0
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick, int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
