"""Host ports for tasks: from 31000 to 32000, and free, which is found out by binding."""

import random
import socket
from collections.abc import Collection, Sequence

from tests.emulator.model import Agent, World

FIRST, LAST = 31000, 32000


def pick(world: World, agent: Agent, wanted: Sequence[int]) -> tuple[int, ...] | None:
    """Host ports for a task on this agent: the one wanted, or a free one for each 0; None when one is taken.

    A port given out is free on every address, for a task may listen on all; one wanted need be free on the agent's.
    """
    of_agent = {port for task in world.tasks.values() if task.agent is agent for port in task.ports}
    taken = {port for task in world.tasks.values() for port in task.ports} | {port for port in wanted if port}
    picked: list[int] = []
    for port in wanted:
        if port and (port in of_agent or not _free(agent.host, port)):
            return None
        found = port or _any(taken)
        if found is None:
            return None
        taken.add(found)
        picked.append(found)
    return tuple(picked)


def _any(taken: Collection[int]) -> int | None:
    # From anywhere in the range, so that two emulators on one machine seldom meet.
    candidates = random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST)
    return next((port for port in candidates if port not in taken and _free("0.0.0.0", port)), None)


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
