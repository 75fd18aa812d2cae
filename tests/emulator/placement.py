"""Which agent a task goes to: Marathon's placement constraints over the agents that are there."""

import re
from collections import Counter
from collections.abc import Sequence

from tests.emulator.model import Agent, Definition, Task, World


def candidates(world: World, definition: Definition, running: Sequence[Task]) -> list[Agent]:
    """The agents on which one more task of the app may run, the least busy first."""
    alive = [agent for agent in world.agents.values() if agent.alive]
    fitting = [
        agent
        for agent in alive
        if all(_fits(agent, constraint, running, alive) for constraint in definition["constraints"])
    ]
    busy = Counter(task.agent.host for task in world.tasks.values())
    own = Counter(task.agent.host for task in running)
    return sorted(fitting, key=lambda agent: (own[agent.host], busy[agent.host]))


def _fits(agent: Agent, constraint: list[str], running: Sequence[Task], alive: Sequence[Agent]) -> bool:
    name, operator = constraint[:2]
    wanted = constraint[2] if len(constraint) > 2 else ""
    value = _value(agent, name)
    if operator == "LIKE":
        return value is not None and re.fullmatch(wanted, value) is not None
    if operator == "UNLIKE":
        return value is None or re.fullmatch(wanted, value) is None
    if value is None:
        return False
    if operator == "IS":
        return value == wanted
    used = Counter(_value(task.agent, name) for task in running)
    if operator == "UNIQUE":
        return not used[value]
    if operator == "MAX_PER":
        return used[value] < int(wanted)
    if operator == "CLUSTER":
        return value == (wanted or next((other for other in used if other), value))
    return used[value] <= _lowest(used, wanted, {_value(other, name) for other in alive} - {None})


def _lowest(used: "Counter[str | None]", groups: str, values: set[str | None]) -> int:
    """GROUP_BY: how many tasks the emptiest group has; groups that have no task yet count when they are expected."""
    expected = max(int(groups or 0), len(values))
    return 0 if len(used) < expected and values - set(used) else min((used[value] for value in values), default=0)


def _value(agent: Agent, name: str) -> str | None:
    return agent.host if name in {"hostname", "@hostname"} else agent.attributes.get(name)
