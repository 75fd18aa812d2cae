"""`shipper setup kibana`: spaces, data views, searches, dashboards and alert rules in Kibana; a look first."""

import argparse
import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shipper.cli import terminal
from shipper.cli.config_options import add_config
from shipper.cli.setup_shown import Shown
from shipper.deploy.lines import write
from shipper.deploy.progress import Progress
from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.generate.kibana import Settings
    from shipper.setup.kibana_access import Access
    from shipper.setup.kibana_steps import Part, Step

_MOST_SPACES: Final = 200
_DONE: Final = {"create": "created", "change": "changed", "overwrite": "overwritten", "remove": "removed"}
_DESCRIPTION: Final = """\
Compare what Kibana has with what this version wants, show the difference, and make it so when you agree: per space the
data views, saved searches, dashboards, the default data view where there is none, alert rules. What people made stays:
their objects, their runtime fields and labels in our data views, rules that they changed or switched off. Searches and
dashboards of ours are read-only in Kibana (clone them); one that was changed all the same is shown as "overwrite".
"""
_EPILOG: Final = """\
examples:
  shipper setup kibana --url http://localhost:5601 --diff
  shipper setup kibana --url https://logs/kibana --ca-file ca.pem --api-key-file /etc/shipper/keys/kibana.key --yes
  shipper setup kibana --space team-a --space team-b --settings kibana.yaml
A space that is not there is created, with the navigation that has the logs view; others keep theirs without --sync.
Alert rules work with the rights of who made them: made with a key, they stop when that key is invalidated, and the key
must read our indices. Make them with --user, and Kibana gives each rule a key of its own.
Who asks: --api-key-file, --user and --password-file, else $KIBANA_API_KEY, or $KIBANA_USER and $KIBANA_PASSWORD.
It needs Kibana 8.9 or newer, and may be repeated; after an upgrade of shipper it should be.
exit code: 0 all is as wanted, 1 --diff found differences, 2 an error that the text explains
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register this command."""
    parser = commands.add_parser(
        "kibana",
        help="spaces, data views, searches, dashboards, alert rules",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--url", help="http://host:5601, with the base path (default: $KIBANA_URL, else of the configuration's api)")
    add("--space", action="append", type=_space, metavar="ID", help="repeatable (default: the default space)")
    add("--settings", type=Path, metavar="FILE", help="YAML: cluster, links, errors, silent_apps and so on")
    add("--diff", "--dry-run", dest="dry_run", action="store_true", help="show what would change, and change nothing")
    add("--yes", action="store_true", help="do not ask")
    add("--json", action="store_true", help="one JSON object per step, then one per step that was done")
    add("--sync", action="store_true", help="give spaces that exist the logs navigation, too")
    add("--force-default", action="store_true", help="make ours the default data view although there is another")
    add("--prune", action="store_true", help="remove searches and dashboards that older versions of shipper made")
    add("--wait", type=_seconds, default=120.0, metavar="SECONDS", help="how long it may be starting (default 120)")
    add("--api-key-file", type=Path, metavar="FILE", help="holds an API key of Elasticsearch: base64 of id:key")
    add("--user", metavar="NAME", help="instead of a key")
    add("--password-file", type=Path, metavar="FILE", help="holds the user's password")
    add("--ca-file", type=Path, metavar="FILE", help="certificates that https is checked with")
    add_config(parser)
    parser.set_defaults(function=_setup)


def _space(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]{1,255}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"not the id of a space (small letters, digits, - and _): {text!r:.80}")
    return text


def _seconds(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= 86_400:
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0 to 86,400: {text!r:.80}")
    return amount


def _setup(options: argparse.Namespace) -> int:
    spaces = list(dict.fromkeys(options.space or ["default"]))
    if len(spaces) > _MOST_SPACES:
        raise ConfigError(f"--space: {len(spaces)} spaces; at most {_MOST_SPACES} at a time")
    return asyncio.run(_run(options, _access(options), _settings(options), spaces))


def _access(options: argparse.Namespace) -> "Access":
    from shipper import config
    from shipper.setup.kibana_access import Access, authorization

    url = options.url or os.environ.get("KIBANA_URL")
    if not url:
        api = config.load(options.config).api
        url = next((one for one in (api.kibana_internal_url, api.kibana_url) if one and one.startswith("http")), None)
    if not url:
        raise ConfigError(
            "which Kibana? give --url, or set KIBANA_URL, or api.kibana_internal_url of the configuration"
        )
    proof = authorization(options.api_key_file, options.user, options.password_file, os.environ)
    return Access(url, proof, options.ca_file)


def _settings(options: argparse.Namespace) -> "Settings":
    from shipper import config
    from shipper.generate import kibana

    return kibana.read(config.read_yaml(options.settings) if options.settings else {})


async def _run(options: argparse.Namespace, access: "Access", settings: "Settings", spaces: list[str]) -> int:
    from shipper.setup import kibana
    from shipper.setup.kibana_client import Kibana
    from shipper.setup.kibana_wanted import wanted_of

    shown = Shown(options)
    progress = Progress(sys.stderr, columns=terminal.style_of(sys.stderr).width)

    def look(text: str) -> None:
        if sys.stderr.isatty():  # elsewhere a line for each space would be noise
            progress.update("asking", text)

    way = kibana.Way(options.sync, options.force_default, options.prune)
    async with Kibana(access) as server:
        try:
            version = await kibana.ready(server, lambda text: progress.update("waiting", text), options.wait)
            wanted = wanted_of(settings, version)
            parts = await kibana.plan(server, version, wanted, spaces, way, look)
        finally:
            progress.clear()
        steps = [step for part in parts for step in part.steps]
        _show(steps, shown, options)
        todo = [step for step in steps if step.changes]
        if not todo or options.dry_run:
            return 1 if todo else 0
        shown.agree(len(todo))
        await _carry_out(parts, shown, progress, options)
    return 0


async def _carry_out(parts: "list[Part]", shown: Shown, progress: Progress, options: argparse.Namespace) -> None:
    from shipper.setup import kibana

    def begin(part: "Part") -> None:
        first = part.steps[0]
        if sys.stderr.isatty():
            progress.update(first.space, f"{first.kind} {first.title or first.id}")

    def done(step: "Step") -> None:
        progress.clear()
        _tell(step, _DONE[step.action], shown, options)

    try:
        await kibana.carry_out(parts, begin, done)
    finally:
        progress.clear()


def _show(steps: "list[Step]", shown: Shown, options: argparse.Namespace) -> None:
    """Tell all that is not as wanted, and how much is; with --json all."""
    for step in steps:
        if options.json or step.action != "unchanged":
            _tell(step, step.action, shown, options, step.details)
    unchanged = sum(step.action == "unchanged" for step in steps)
    if not any(step.changes for step in steps):
        shown.say(f"nothing to change: {unchanged} things are as wanted")
    elif unchanged:
        shown.say(f"{unchanged} more things are as wanted")


def _tell(step: "Step", word: str, shown: Shown, options: argparse.Namespace, details: tuple[str, ...] = ()) -> None:
    if options.json:
        write(sys.stdout, f"{json.dumps({**step.json(), 'step': word})}\n")
    else:
        shown.step(word, f"{step.space}: {step.kind}", step.title or step.id, details)
