"""`shipper haproxy`: this host's HAProxy serves every Marathon app on its service port of 127.0.0.1."""

import argparse
import asyncio
import json
import signal
import socket
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shipper.cli.config_options import CLUSTER, add_config, cluster_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shipper.cluster.settings import ClusterSettings
    from shipper.deploy.haproxy import Discovery, Status
    from shipper.generate.localhost import Problem, Settings

_OUT: Final = "/etc/haproxy/shipper-apps.cfg"
_CHECK: Final = "haproxy -c -f {}"
_RELOAD: Final = "systemctl reload haproxy"
_DESCRIPTION: Final = """\
Keep HAProxy on this host true to Marathon's apps, until SIGTERM: each app on its service port of 127.0.0.1, and by
host name (label HAPROXY_0_VHOST) on port 80. The file is replaced only when HAProxy accepts the new one, and HAProxy
reloaded only when it changed. When Marathon is away, the last good file stays.
"""
_EPILOG: Final = """\
labels of an app, n counts its ports from 0:
  HAPROXY_n_VHOST a.example,b.example   host names that the shared HTTP port sends to it
  HAPROXY_n_MODE http|tcp               default: http with a host name or an HTTP health check, else tcp
  HAPROXY_n_PORT 8081                   another port than its service port
  HAPROXY_GROUP internal,external       who serves it, see --groups
examples:
  shipper haproxy --marathon http://10.0.0.5:8080 --print       the file, and what is left out; changes nothing
  shipper haproxy --marathon http://10.0.0.5:8080 --once --json
  shipper haproxy --config shipper.yaml --check-command 'haproxy -c -f /etc/haproxy/haproxy.cfg -f {}'
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "haproxy",
        help="this host's HAProxy serves Marathon's apps on 127.0.0.1",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_config(parser, CLUSTER)
    add("--marathon", metavar="URL", help="http://host:port of Marathon, several with commas; instead of FILE's")
    add("--out", metavar="FILE", type=Path, default=Path(_OUT), help="HAProxy's file (default: %(default)s)")
    add("--check-command", metavar="COMMAND", default=_CHECK, help="says whether {} is right (default: %(default)s)")
    add("--reload-command", metavar="COMMAND", default=_RELOAD, help="default: %(default)s")
    add("--pid-file", metavar="FILE", type=Path, help="of HAProxy's master, which gets SIGUSR2; instead of a command")
    add("--host-name", metavar="NAME", default=socket.gethostname(), help="name of this host (default: %(default)s)")
    add("--address", metavar="IP", help="loopback address to serve apps on (default: 127.0.0.1)")
    add("--http-port", metavar="PORT", type=int, help="port that goes by host name, 0: none (default: 80)")
    add("--relp-port", metavar="PORT", type=int, help="service port of shipper's RELP source (default: 5140)")
    add("--groups", metavar="LIST", help="serve apps with one of these in HAPROXY_GROUP (default: every app)")
    add("--log-socket", metavar="PATH", help="where HAProxy logs to (default: /run/shipper/log)")
    add("--hard-stop-seconds", metavar="N", type=int, help="how long connections outlive a reload (default: 300)")
    add("--once", action="store_true", help="bring it up to date and end")
    add("--json", action="store_true", help="with --once: the state as one JSON object")
    add("--print", action="store_true", help="print the file, and what is left out on stderr; change nothing")
    parser.set_defaults(function=_haproxy)


def _haproxy(options: argparse.Namespace) -> int:
    from shipper import config, telemetry
    from shipper.deploy.haproxy import Discovery
    from shipper.deploy.haproxy_program import Program

    loaded = config.load(options.config)
    cluster = cluster_of(loaded, {"marathon_urls": options.marathon})
    program = Program(
        options.out,
        check_command=options.check_command,
        reload_command=options.reload_command,
        pid_file=options.pid_file,
    )
    discovery = Discovery(program, _settings(options))
    if options.print or options.once:
        return asyncio.run(_once(options, cluster, discovery))
    telemetry.set_up_logging(loaded.log_level)
    return asyncio.run(_follow(cluster, discovery))


def _settings(options: argparse.Namespace) -> "Settings":
    from pydantic import ValidationError

    from shipper.errors import ConfigError
    from shipper.generate.localhost import Settings

    names = ("address", "http_port", "relp_port", "log_socket", "hard_stop_seconds", "host_name")
    values = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.groups is not None:
        values["groups"] = tuple(part.strip() for part in options.groups.split(",") if part.strip())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f" --{str(part).replace('_', '-')}" for part in first["loc"][:1])
        raise ConfigError(f"haproxy{place}: {first['msg'].removeprefix('Value error, ')}") from None


async def _once(options: argparse.Namespace, cluster: "ClusterSettings", discovery: "Discovery") -> int:
    from shipper.cluster.marathon import Marathon

    async with Marathon(cluster) as marathon:
        apps = await marathon.apps()
    if options.print:
        wanted = discovery.preview(apps)
        print(wanted.text, end="")
        _say(wanted.problems)
        return 0
    status = await discovery.take(apps)
    if options.json:
        print(json.dumps(status.as_json(), indent=2))
    else:
        print(_summary(options.out, status))
        _say(status.problems)
    if status.error:
        print(f"error: {status.error}", file=sys.stderr)
    return 2 if status.error else 0


def _summary(out: Path, status: "Status") -> str:
    from shipper.cli.terminal import count

    done = "changed" if status.changed else "as it was"
    held = f"{count(status.apps, 'app')} on {count(status.ports, 'port')}, {count(status.servers, 'task')}"
    return f"{out}: {done}; {held}"


def _say(problems: "Iterable[Problem]") -> None:
    from shipper.cli.terminal import one_line

    for problem in problems:
        print(f"problem: {one_line(' '.join(filter(None, (problem.app_id, problem.text))))}", file=sys.stderr)


async def _follow(cluster: "ClusterSettings", discovery: "Discovery") -> int:
    from shipper.cluster.marathon import Marathon
    from shipper.cluster.watch import watch
    from shipper.deploy.haproxy import follow

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Marathon(cluster) as marathon:
        async with aclosing(watch(marathon, poll_seconds=cluster.refresh_seconds)) as answers:
            await follow(answers, discovery, stopping)
    return 0
