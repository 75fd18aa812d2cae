"""`shipper host`: what runs on every host, its state, and how it is changed while containers go on writing."""

import argparse
import json
import os
import signal
import time
from typing import Any, Final

from shipper.errors import ConfigError

_CONFIG: Final = "/etc/shipper/host.json"
_STATUS: Final = "/run/shipper/status"
#: How long a check and an ordered stop may take together.
_OUTCOME_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1

_EPILOG: Final = """\
examples:
  shipper host run --config /etc/shipper/host.json   as systemd or a supervisor does
  shipper host status                                what is numbered, dropped, waiting; what happened
  shipper host reload                                rsyslogd again, on a changed shipper.conf
  shipper host restart                               all of it, on a new version; no writer notices
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "host",
        help="what runs on every host",
        description="Hold the sockets that containers write to, number what comes and pass it on to rsyslogd.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    run = actions.add_parser("run", help="hold the sockets, until SIGTERM", description=_RUN)
    run.add_argument("--config", metavar="FILE", default=_CONFIG, help="host.json (default: %(default)s)")
    run.add_argument("--check", action="store_true", help="start nothing; say whether FILE can be used")
    run.set_defaults(function=_run)
    status = _asking(actions, "status", "the state of this host: numbers, drops, processes, what happened")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(function=_status)
    reload = _asking(actions, "reload", "have rsyslogd check its configuration and, if it accepts, restart it")
    reload.set_defaults(function=_reload)
    restart = _asking(actions, "restart", "put the program on disk in place of the running one, sockets kept")
    restart.set_defaults(function=_restart)


_RUN: Final = (
    "Hold the sockets and run reader, tailer and rsyslogd until SIGTERM. "
    "SIGHUP is `shipper host reload`, SIGUSR2 is `shipper host restart`."
)


def _asking(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--socket", metavar="PATH", default=_STATUS, help="status socket (default: %(default)s)")
    return parser


def _run(options: argparse.Namespace) -> int:
    from shipper.host import holder, program, settings, sockets

    loaded = settings.load(options.config)
    if options.check:
        program.Rsyslogd(loaded)
        sockets.check_hand_over(loaded)
        print(f"{options.config}: ok")
        return 0
    return holder.Holder(loaded).run()


def _state(options: argparse.Namespace) -> dict[str, Any]:
    from shipper.host import status

    return status.ask(options.socket)


def _status(options: argparse.Namespace) -> int:
    state = _state(options)
    if options.json:
        print(json.dumps(state, indent=2))
    else:
        for line in _lines(state):
            print(_visible(line))
    return 0


def _visible(line: str) -> str:
    """Return a line without what could steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in line)


def _lines(state: dict[str, Any]) -> list[str]:
    lines = [
        f"{state['host']}  {state['socket']}, held by {state['held_by']} since {state['started_at']}",
        f"  since the reader's start: received {state['received']:,}, forwarded {state['forwarded']:,}, "
        f"dropped {state['dropped']:,}",
        f"  waiting: {state['backlog_records']:,} in memory, {state['queue_bytes']:,} of "
        f"{state['queue_limit_bytes']:,} bytes on disk",
        f"  writers known {state['resolved']:,}, unknown {state['unresolved']:,}",
    ]
    for series in state["series"].values():
        lines += [f"  series {series['name']}  last {series['last']:,}, dropped {series['dropped']:,}"]
    for name in ("reader", "tailer", "rsyslogd"):
        if child := state[name]:
            since = f"pid {child['pid']} since {child['started_at']}" if child["pid"] else "does not run"
            ended = f", last one: {child['last_exit']}" if child["last_exit"] else ""
            lines.append(f"  {name:<8}  {since}, restarts {child['restarts']}{ended}")
    lines.extend(f"  {event['at']}  {event['event']}: {event['detail']}" for event in state["events"])
    return lines


def _reload(options: argparse.Namespace) -> int:
    state = _state(options)
    _signal(state, signal.SIGHUP)
    return _outcome(options, state, "rsyslogd")


def _restart(options: argparse.Namespace) -> int:
    state = _state(options)
    if state["held_by"] == "systemd":
        raise ConfigError("systemd holds the socket, so no writer notices: systemctl restart shipper-host")
    _signal(state, signal.SIGUSR2)
    return _outcome(options, state, "holder")


def _outcome(options: argparse.Namespace, before: dict[str, Any], part: str) -> int:
    """Wait until the part has been started again, or was refused, and say which."""
    known = [event["at"] for event in before["events"]]
    deadline = time.monotonic() + _OUTCOME_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        try:
            state = _state(options)
        except ConfigError:  # between two programs
            continue
        refused = [event for event in state["events"] if event["event"] == "refused" and event["at"] not in known]
        if refused:
            raise ConfigError(f"{refused[-1]['detail']}; all goes on as before")
        now, then = (one["started_at"] if part == "holder" else one["rsyslogd"]["pid"] for one in (state, before))
        if now and now != then:
            print(f"{part} runs, pid {state['pid'] if part == 'holder' else now}")
            return 0
    raise ConfigError(f"nothing seen in {_OUTCOME_SECONDS:g} s; `shipper host status` shows the state")


def _signal(state: dict[str, Any], number: signal.Signals) -> None:
    try:
        os.kill(int(state["pid"]), number)
    except PermissionError:
        raise ConfigError(f"the holder (pid {state['pid']}) belongs to another user: run this as root") from None
    except ProcessLookupError:
        raise ConfigError(f"the holder (pid {state['pid']}) has just ended") from None
