"""A Marathon that runs tasks for real on one machine, with the Mesos and Chronos sides that belong to it.

`model.py` is the world: every part reads it, `running.py` alone starts processes, `marathon.py` answers for Marathon.
`mesos.py` and `chronos.py` make their aiohttp applications from the same world:

    mesos.master(world) -> web.Application                  every path of a master
    mesos.agent(world, agent) -> web.Application            one listener on each agent's host
    chronos.application(world, runner) -> web.Application    both base paths

It imports nothing of shipper's.
"""
