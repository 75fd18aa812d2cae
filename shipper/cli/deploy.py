"""`shipper deploy`: put apps and jobs on the cluster, with a look first and a way back."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from shipper.cli.config_options import CLUSTER, add_config, cluster_of
from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.cluster.settings import ClusterSettings
    from shipper.deploy.outcome import Outcome
    from shipper.deploy.progress import Progress
    from shipper.deploy.run import Plan

Found = TypeVar("Found")

_DIRECTORY: Final = Path("marathon-apps")
_SAMPLES: Final = "samples"
_COLOURS: Final = {
    "create": "32", "created": "32", "change": "33", "changed": "32", "unchanged": "2", "skipped": "2",
    "rolled back": "33", "withdrawn": "33", "refused": "31", "unfinished": "31", "not begun": "2",
}  # fmt: skip
_DESCRIPTION: Final = """\
Read app and job definitions, show what would change on the cluster, and do it when you agree: one app after the other,
each until it is healthy. One that does not become healthy is taken back to what it was, and nothing after it is begun.
"""
_EPILOG: Final = """\
examples:
  shipper deploy --dry-run                    what would change
  shipper deploy --canary                     try one new shipper beside the old ones first
  shipper deploy shop.json --yes              one file, without a question
  shipper deploy --samples                    the sample apps in marathon-apps/samples
It may be repeated: what is as its file says is left alone. Apps that have no label SHIPPER_ROLE, or another role or
owner than the file, were made by somebody else: they are changed with --adopt only.
exit code: 0 all is as wanted, 1 something was rolled back or a canary withdrawn, 2 an error that the text explains
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "deploy",
        help="put apps and jobs on the cluster",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", type=Path, help="JSON of an app or a Chronos job")
    parser.add_argument("--apps", metavar="DIR", type=Path, help=f"without FILE: all of DIR (default {_DIRECTORY})")
    parser.add_argument("--samples", action="store_true", help=f"without FILE: the samples in DIR/{_SAMPLES} instead")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="override other deployments instead of waiting for them")
    parser.add_argument("--adopt", action="store_true", help="change apps that somebody else made, too")
    parser.add_argument("--canary", action="store_true", help="try one new shipper beside the old ones first")
    parser.add_argument(
        "--canary-minutes", type=_amount, default=5.0, metavar="N", help="how long it is compared (default 5)"
    )
    parser.add_argument(
        "--wait", type=_amount, default=600.0, metavar="SECONDS", help="how long an app may take (default 600)"
    )
    parser.add_argument(
        "--patience", type=_amount, default=90.0, metavar="SECONDS", help="how long Marathon may be away (default 90)"
    )
    parser.add_argument("--marathon", metavar="URL", action="append", help="http://host:port; may be repeated")
    parser.add_argument("--chronos", metavar="URL", action="append", help="http://host:port; may be repeated")
    add_config(parser, CLUSTER)
    parser.add_argument("--json", action="store_true", help="one JSON object per step, then one per outcome")
    parser.set_defaults(function=_deploy)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 < amount <= 86_400:
        raise argparse.ArgumentTypeError(f"not a number above 0 and up to 86,400: {text!r}")
    return amount


def _deploy(options: argparse.Namespace) -> int:
    from shipper.deploy import files, outcome, run
    from shipper.deploy.asking import Limits

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show every character
    wanted, settings = files.read(_paths(options)), _settings(options)
    limits = Limits(wait=options.wait, patience=options.patience)
    progress = _progress(options)
    try:
        plan = _run(run.survey(wanted, settings, limits, progress))
    finally:
        progress.clear()  # what comes now, an error too, begins at the left
    _show_plan(plan, options)
    if options.dry_run or not plan.work:
        return 0
    _agree(plan, options)
    outcomes: list[Outcome] = []

    def tell(one: "Outcome") -> None:
        outcomes.append(one)
        _write(options, one.line(), one.json())

    seconds = options.canary_minutes * 60 if options.canary else None
    way = run.Way(limits, force=options.force, canary_seconds=seconds)
    _run(run.carry_out(plan, settings, way, progress, tell))
    return outcome.exit_code(outcomes)


def _paths(options: argparse.Namespace) -> list[Path]:
    from shipper.deploy import files

    if options.files:
        if options.apps or options.samples:
            raise ConfigError("either files, or --apps and --samples, not both")
        return list(options.files)
    directory = options.apps or _DIRECTORY
    return files.in_directory(directory / _SAMPLES if options.samples else directory)


def _settings(options: argparse.Namespace) -> "ClusterSettings":
    """The cluster of the configuration, with addresses of the command line in place of its own."""
    from shipper import config

    return cluster_of(config.load(options.config), {"marathon_urls": options.marathon, "chronos_urls": options.chronos})


def _progress(options: argparse.Namespace) -> "Progress":
    """Progress goes where people look; with --json not among the objects."""
    from shipper.cli import terminal
    from shipper.deploy.progress import Progress

    stream = sys.stderr if options.json else sys.stdout
    return Progress(stream, columns=terminal.style_of(stream).width)


def _run(work: Coroutine[Any, Any, Found]) -> Found:
    """Run to the end; SIGTERM and Ctrl-C cancel, and what was begun is told."""

    async def cancellable() -> Found:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _show_plan(plan: "Plan", options: argparse.Namespace) -> None:
    from shipper.deploy import shown
    from shipper.deploy.lines import one_line

    for step in plan.all:
        first, *rest = shown.step_lines(step)
        _write(options, first, shown.step_json(step))
        if not options.json:
            for line in rest:
                _write(options, line, {})
    for name, reason in plan.strangers:
        if not options.adopt:
            _say(f"{name} was made by somebody else ({one_line(reason)}): --adopt changes it all the same")
    if not plan.work:
        _say("nothing to do: all is as its file says")


def _agree(plan: "Plan", options: argparse.Namespace) -> None:
    """Come back only if it may be done."""
    if plan.strangers and not options.adopt:
        names = ", ".join(name for name, _ in plan.strangers)
        raise ConfigError(f"nothing was changed: {names} would need --adopt")
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nothing was changed: nobody can be asked here; add --yes, or --dry-run to look only")
    count = sum(step.kind != "unchanged" for step in plan.all)
    print(f"do {'this' if count == 1 else f'these {count}'}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was changed")


def _write(options: argparse.Namespace, line: str, document: dict[str, Any]) -> None:
    from shipper.cli import terminal
    from shipper.deploy.lines import one_line, write

    if options.json:
        write(sys.stdout, f"{json.dumps(document)}\n")
        return
    safe, style = one_line(line, 2000), terminal.style_of(sys.stdout)
    word = next((word for word in _COLOURS if safe.startswith(f"{word} ")), "")
    write(sys.stdout, f"{style.paint(word, _COLOURS.get(word, ''))}{safe[len(word) :]}\n")


def _say(text: str) -> None:
    from shipper.deploy.lines import one_line, write

    write(sys.stderr, f"{one_line(text, 2000)}\n")
