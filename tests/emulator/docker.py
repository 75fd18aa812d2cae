"""Apps of type DOCKER as real containers, run with the options that Mesos's Docker containerizer gives."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence

from tests.emulator.model import Command, Task

Mount = tuple[str, str, bool]
#: How often it is asked whether a container runs.
_POLL_SECONDS = 0.05


class Docker:
    """One daemon, for all agents."""

    def __init__(self, host: str) -> None:
        """`host` is DOCKER_HOST; images must be there already."""
        self._host = host

    @property
    def client_env(self) -> dict[str, str]:
        """What the docker command needs."""
        return {"PATH": os.environ["PATH"], "DOCKER_HOST": self._host}

    def argv(self, task: Task, command: Command, env: Mapping[str, str], mounts: Sequence[Mount]) -> list[str]:
        """The command that runs the container and lasts as long as it does."""
        container = command.docker
        assert container is not None
        argv = ["docker", "run", "--rm", "--pull", "never", "--name", env["MESOS_CONTAINER_NAME"]]
        argv += ["--network", "bridge" if container.published else "host"]
        argv += [f"--label=MESOS_TASK_ID={task.id}"] if container.label else []
        argv += [f"--env={name}={value}" for name, value in env.items()]
        argv += [f"--volume={source}:{target}:{'ro' if read_only else 'rw'}" for source, target, read_only in mounts]
        argv += [f"--publish={mapping}" for mapping in container.published]
        argv += [f"--{key}={value}" for key, value in container.parameters]
        if container.shell:
            return [*argv, "--entrypoint", command.argv[0], container.image, *command.argv[1:]]
        return [*argv, container.image, *command.argv]

    async def pid(self, name: str, client: "subprocess.Popen[bytes]") -> int:
        """Process id of the container's first process, once it runs; the client's when it has ended before."""
        while client.poll() is None:
            inspect = await asyncio.create_subprocess_exec(
                *("docker", "inspect", "--format", "{{.State.Pid}}", name),
                env=self.client_env,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            said, _ = await inspect.communicate()
            if said.strip().isdigit() and int(said) > 0:
                return int(said)
            await asyncio.sleep(_POLL_SECONDS)
        return client.pid
