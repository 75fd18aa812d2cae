"""`shipper setup elasticsearch`: index templates, new fields of old indices, snapshots; a look first."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Final

from shipper.cli import setup_login, setup_shown
from shipper.cli.setup_shown import Shown
from shipper.cli.waiting import Waiting
from shipper.errors import ConfigError

if TYPE_CHECKING:
    from shipper.config import Config as Whole
    from shipper.setup.elasticsearch_asking import Asked
    from shipper.setup.elasticsearch_plan import Step
    from shipper.stores.elasticsearch import Config

_MOST_SHARDS: Final = 32
_DESCRIPTION: Final = """\
Compare what Elasticsearch has with what this version wants, show the difference, and make it so when you agree: index
templates, new fields in the indices that there are, with --snapshots a daily snapshot policy. What does not carry our
mark (_meta.managed_by: shipper) is never changed. Nothing is indexed again: what cannot change in an index that is
there holds for new ones, so from the next day on. It may be repeated, and after an upgrade it should be.
"""
_EPILOG: Final = """\
examples:
  shipper setup elasticsearch --config shipper.yaml --dry-run
  shipper setup elasticsearch --config shipper.yaml --yes --api-key-file /etc/shipper/keys/setting-up.key
  shipper setup elasticsearch --config shipper.yaml --shards auto --replicas 1 --snapshots backup
It needs Elasticsearch 8.19 or 9.x, and a login with the privileges of the key setting-up (shipper setup keys).
exit code: 0 all is as wanted, 1 --dry-run found differences, 2 an error that the text explains
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register this command."""
    parser = commands.add_parser(
        "elasticsearch",
        help="index templates, new fields, snapshots",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    setup_login.add_options(parser)
    setup_shown.add_options(parser)
    indices = parser.add_argument_group("new indices", "default: what the configuration says under store")
    indices.add_argument("--logsdb", action="store_true", help="index.mode logsdb for records")
    indices.add_argument(
        "--shards", type=_shards, metavar="N", help="shards of a day's records; auto: one per 40 GB of the largest day"
    )
    indices.add_argument("--replicas", type=_replicas, metavar="N", help="copies of an index beside the first")
    parser.add_argument("--snapshots", metavar="REPOSITORY", help="daily snapshots into this repository")
    parser.set_defaults(function=_setup)


def _shards(text: str) -> int:
    if text == "auto":
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= _MOST_SHARDS):
        raise argparse.ArgumentTypeError(f"not auto, nor a number from 1 to {_MOST_SHARDS}: {text!r}")
    return int(text)


def _replicas(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2):
        raise argparse.ArgumentTypeError(f"not a number from 0 to 99: {text!r}")
    return int(text)


def _setup(options: argparse.Namespace) -> int:
    loaded, store = setup_login.load(options)
    given = {"replicas": options.replicas, "shards": options.shards, "index_mode": "logsdb" if options.logsdb else None}
    store = store.model_copy(update={name: value for name, value in given.items() if value is not None})
    return asyncio.run(_run(options, loaded, store))


async def _run(options: argparse.Namespace, loaded: "Whole", store: "Config") -> int:
    from shipper.setup import elasticsearch
    from shipper.setup.elasticsearch_asking import Asked
    from shipper.setup.elasticsearch_plan import blocked, work

    shown = Shown(options)
    async with Asked(store) as asked:
        waiting = Waiting(sys.stderr.isatty)
        with waiting:
            version = await asked.version()
            steps = await _survey(asked, options, loaded, store, waiting)
        for step in steps:
            shown.step(step.kind, step.what, step.name, step.lines)
        todo = work(steps)
        if not todo and not blocked(steps):
            shown.say(f"nothing to change: Elasticsearch {version} is as wanted")
        if todo and not options.dry_run:
            shown.agree(len(todo))
            with waiting:
                await elasticsearch.carry_out(asked, todo, lambda step: _done(shown, step))
    if stuck := blocked(steps):
        names = ", ".join(f"{step.what} {step.name}" for step in stuck)
        raise ConfigError(f"not all is as wanted: {names}: see above")
    return 1 if todo and options.dry_run else 0


async def _survey(
    asked: "Asked", options: argparse.Namespace, loaded: "Whole", store: "Config", waiting: Waiting
) -> "list[Step]":
    from shipper.setup import elasticsearch
    from shipper.stores._elasticsearch_prepare import template_settings
    from shipper.stores._elasticsearch_templates import templates

    def tell(text: str) -> None:
        waiting.note = text

    settings = await template_settings(asked.server, store, loaded.cluster)
    made = templates(loaded.cluster, settings)
    wanted = elasticsearch.Wanted(loaded.cluster, made, options.snapshots, store.retention_days)
    return await elasticsearch.survey(asked, wanted, tell)


def _done(shown: Shown, step: "Step") -> None:
    shown.step({"create": "created"}.get(step.kind, "changed"), step.what, step.name)
