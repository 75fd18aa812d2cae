"""`shipper apps`, `where`, `shell` and `sandbox`: find what runs on the cluster, and get to it."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

from shipper.cli.config_options import CLUSTER, add_config, cluster_of
from shipper.errors import ConfigError, QueryError

if TYPE_CHECKING:
    from shipper.cluster.enter import Way
    from shipper.cluster.mesos import Place
    from shipper.cluster.model import App
    from shipper.cluster.names import Meant
    from shipper.cluster.settings import ClusterSettings

    Ask = Callable[[argparse.Namespace, ClusterSettings], Coroutine[Any, Any, int]]

_APPS: Final = "What runs on the cluster: tasks that run, of those wanted; since: when the newest of them started."
_WHERE: Final = "Where the tasks of an app run: host and ports, task id, since when, which version, and health."
_SHELL: Final = """\
Print the commands that get you into a task: a shell in its container, nsenter for an old Docker, a debug container
beside one that has no shell, and what its owner says works from outside (label SHIPPER_TOOLS=pprof:6060,strace).
"""
_SANDBOX: Final = """\
Print the last lines of a file in a task's sandbox, read through Mesos: stdout, stderr, or any other file there. Into
a pipe go its exact bytes.
"""
_NAMES: Final = """\
an app is named by its id or the end of it (/shop/api, api), a task by its id or a part of it
exit code: 0 found, 1 nothing found, 2 an error that the text explains
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    apps = _add(commands, "apps", "what runs on the cluster", _APPS, _apps)
    apps.add_argument("text", nargs="?", default="", metavar="TEXT", help="only apps whose id holds this")
    where = _add(commands, "where", "hosts, ports and tasks of an app", _WHERE, _where)
    where.add_argument("name", metavar="APP", help="id of an app or a task, or a part that is enough")
    shell = _add(commands, "shell", "how to get into a task", _SHELL, _shell)
    shell.add_argument("name", metavar="APP|TASK", help="id of an app or a task, or a part that is enough")
    shell.add_argument("--run", action="store_true", help="go there now, instead of printing how")
    shell.add_argument("--by", default="exec", choices=("exec", "nsenter", "debug"), help="with --run: the way")
    shell.add_argument("--user", default="", metavar="NAME", help="user on the host (default: what ssh takes)")
    shell.add_argument("--image", default="", metavar="IMAGE", help="of the debug container (default: busybox)")
    sandbox = _add(commands, "sandbox", "stdout, stderr and other files of a task", _SANDBOX, _sandbox)
    sandbox.add_argument("name", metavar="TASK", help="id of a task or an app with one task, or a part that is enough")
    sandbox.add_argument("--file", default="stdout", metavar="NAME", help="which file (default: stdout)")
    sandbox.add_argument("--lines", type=_count, default=100, metavar="N", help="last lines, 0: none (default: 100)")
    sandbox.add_argument("--follow", action="store_true", help="go on with what is written, until the task ends")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    description: str,
    ask: "Ask",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=_NAMES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser, CLUSTER)
    parser.add_argument("--marathon", metavar="URL", help="http://host:port, several with commas; instead of FILE's")
    if name in ("shell", "sandbox"):
        parser.add_argument("--mesos", metavar="URL", help="http://host:port, several with commas; instead of FILE's")
    if name != "sandbox":
        parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(function=lambda options: _to_a_reader(ask, options))
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise argparse.ArgumentTypeError(f"not a number of lines from 0 to 999999: {text!r}")
    return int(text)


def _to_a_reader(ask: "Ask", options: argparse.Namespace) -> int:
    """Run a command whose reader may go away (`| head`) or cannot show every character."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = asyncio.run(ask(options, _settings(options)))
        sys.stdout.flush()
    except BrokenPipeError:
        from shipper.cli.terminal import nobody_reads

        nobody_reads()
        return 0
    return code


def _settings(options: argparse.Namespace) -> "ClusterSettings":
    """The cluster of the configuration, with addresses of the command line in place of its own."""
    from shipper import config

    return cluster_of(
        config.load(options.config), {"marathon_urls": options.marathon, "mesos_urls": getattr(options, "mesos", None)}
    )


async def _known_apps(settings: "ClusterSettings") -> "list[App]":
    from shipper.cluster.marathon import Marathon

    async with Marathon(settings) as marathon:
        return await marathon.apps()


async def _apps(options: argparse.Namespace, settings: "ClusterSettings") -> int:
    from shipper.cli import cluster_shown

    apps = [app for app in await _known_apps(settings) if options.text in app.id]
    apps.sort(key=lambda app: app.id)
    if options.json:
        print(json.dumps([cluster_shown.app_json(app) for app in apps], indent=2))
    else:
        _print(cluster_shown.app_lines(apps))
    return 0 if apps else 1


async def _where(options: argparse.Namespace, settings: "ClusterSettings") -> int:
    from shipper.cli import cluster_shown
    from shipper.cluster.marathon import Marathon

    async with Marathon(settings) as marathon:
        meant = _meant(await marathon.apps(), options.name)
        if meant is None:
            return 1
        waiting = [one for one in await marathon.queue() if one.app_id == meant.app.id]
    if options.json:
        print(json.dumps(cluster_shown.where_json(meant, waiting), indent=2))
    else:
        _print(cluster_shown.where_lines(meant, waiting))
    return 0 if meant.tasks else 1


def _meant(apps: "list[App]", name: str) -> "Meant | None":
    from shipper.cli.terminal import one_line
    from shipper.cluster import names

    if meant := names.find(apps, name):
        return meant
    alike = names.nearest(apps, name)
    hint = f"; did you mean {' or '.join(alike)}?" if alike else f"; {len(apps)} apps: shipper apps"
    print(f"no app and no task that runs is called {one_line(name)}{hint}", file=sys.stderr)
    return None


async def _places(name: str, settings: "ClusterSettings") -> "tuple[Meant | None, list[Place]]":
    """The tasks that a name means, as Mesos places them; one that Marathon does not know any more by its whole id."""
    from shipper.cluster import names
    from shipper.cluster.mesos import Mesos

    apps = await _known_apps(settings) if settings.marathon_urls else []
    meant = names.find(apps, name)
    async with Mesos(settings) as mesos:
        ids = [task.id for task in meant.live] if meant else [name]
        places = [place for task_id in ids if (place := await mesos.find(task_id))]
    if meant is None and not places:
        _meant(apps, name)
    elif not places:
        raise QueryError(f"Mesos knows no task of {name} that runs; shipper where {name}")
    return meant, places


async def _shell(options: argparse.Namespace, settings: "ClusterSettings") -> int:
    from shipper.cli import cluster_shown
    from shipper.cluster import enter, names

    meant, places = await _places(options.name, settings)
    if not places:
        return 1
    if options.run and meant is not None:
        names.one_of(meant)
    entries = [cluster_shown.entry(meant, place, options.user, options.image or enter.DEBUG_IMAGE) for place in places]
    if options.run:
        _go([way for way in entries[0].ways if way.name == options.by], options.by)
    if options.json:
        print(json.dumps([entry.json() for entry in entries], indent=2))
    else:
        for entry in entries:
            _print(entry.lines())
    return 0


def _go(ways: "list[Way]", by: str) -> None:
    """Become the command; comes back only with an error."""
    if not ways:
        raise QueryError(f"--by {by}: it runs without Docker; the ways are exec and nsenter")
    command = ways[0].command
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606  no shell: the command's parts are its own
    except OSError as error:
        raise ConfigError(f"{command[0]}: cannot be run ({error.strerror})") from None


async def _sandbox(options: argparse.Namespace, settings: "ClusterSettings") -> int:
    from shipper.cli import sandbox
    from shipper.cluster import names

    meant, places = await _places(options.name, settings)
    if not places:
        return 1
    if meant is not None:
        names.one_of(meant)
    return await sandbox.show(settings, places[0], options.file, options.lines, follow=options.follow)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
