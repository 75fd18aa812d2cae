"""What differs between the versions of Marathon that the emulator can play."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """One version of Marathon: what its answers, events and tasks look like."""

    name: str
    #: What /v2/info calls itself.
    version: str
    mesos_version: str
    #: Task ids `<path>.instance-<uuid>._app.<n>` (1.8 on) instead of `<path>.<uuid>`.
    instance_ids: bool
    #: MARATHON_APP_LABELS, MARATHON_APP_RESOURCE_* (by 1.1.1) and MARATHON_APP_DOCKER_IMAGE (0.11.0).
    rich_env: bool
    #: `--label MESOS_TASK_ID=…` on every Docker container (1.4.0 on).
    docker_label: bool
    #: Docker containers are called `mesos-<container id>`; from Mesos 0.23 to 1.3 the agent's id stands before it.
    docker_name_has_agent: bool
    #: GET /v2/tasks with `Accept: text/plain` (off by default in 1.10).
    text_plain: bool
    #: /v2/eventSubscriptions (gone in 1.5.0).
    subscriptions: bool
    #: `ports` and `container.docker.{network,portMappings}` instead of `networks` and `container.portMappings` (1.5).
    old_networks: bool
    #: instance_changed_event and its like, and instance ids in health events (1.4.0 on).
    instance_events: bool
    #: Tasks carry `state` (old answers do not).
    task_state: bool
    #: An agent that is lost leaves TASK_UNREACHABLE (partition-aware Mesos) or TASK_LOST.
    lost_state: str
    #: Default of maxLaunchDelaySeconds.
    max_launch_delay: int
    #: Status of an unknown route.
    unknown_route: int


PROFILES: Final = {
    "0.9.1": Profile(
        name="0.9.1",
        version="0.9.1",
        mesos_version="0.23.0",
        instance_ids=False,
        rich_env=False,
        docker_label=False,
        docker_name_has_agent=True,
        text_plain=True,
        subscriptions=True,
        old_networks=True,
        instance_events=False,
        task_state=False,
        lost_state="TASK_LOST",
        max_launch_delay=3600,
        unknown_route=404,
    ),
    "1.4": Profile(
        name="1.4",
        version="1.4.0",
        mesos_version="1.1.0",
        instance_ids=False,
        rich_env=True,
        docker_label=True,
        docker_name_has_agent=True,
        text_plain=True,
        subscriptions=True,
        old_networks=True,
        instance_events=True,
        task_state=True,
        lost_state="TASK_LOST",
        max_launch_delay=3600,
        unknown_route=404,
    ),
    "1.10": Profile(
        name="1.10",
        version="1.10.0",
        mesos_version="1.11.0",
        instance_ids=True,
        rich_env=True,
        docker_label=True,
        docker_name_has_agent=False,
        text_plain=False,
        subscriptions=False,
        old_networks=False,
        instance_events=True,
        task_state=True,
        lost_state="TASK_UNREACHABLE",
        max_launch_delay=300,
        unknown_route=500,
    ),
}
