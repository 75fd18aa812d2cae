"""`shipper setup keys`: API keys with the least privileges, each in a file of its own, and their rotation."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shipper.cli import setup_login, setup_shown
from shipper.cli.setup_shown import Shown
from shipper.cli.waiting import Waiting
from shipper.errors import ConfigError, StoreUnusable
from shipper.setup.elasticsearch_roles import PURPOSES

if TYPE_CHECKING:
    from shipper.setup.elasticsearch_asking import Asked
    from shipper.setup.elasticsearch_keys import Held
    from shipper.setup.elasticsearch_roles import Purpose
    from shipper.stores.elasticsearch import Config

_LONGEST_GRACE: Final = 86_400
_DESCRIPTION: Final = """\
Make an API key for each purpose, with no more privileges than it needs, and write it into DIRECTORY/PURPOSE.key (0600).
What Elasticsearch accepts already is left alone. Keys are never shown.

  writing      shippers: store.api_key_file
  repairing    shippers: store.repair_api_key_file, for records whose task became known late
  reading      API and page: store.api_key_file
  removing     shipper retention: store.api_key_file
  setting-up   shipper setup elasticsearch --api-key-file

A running shipper reads its file again when it changes, so keys are rotated in two steps, without a restart:
--rotate makes new keys, both are accepted; once every machine has the new files, --finish invalidates the old ones.
"""
_EPILOG: Final = """\
examples:
  shipper setup keys --config shipper.yaml --username elastic --directory keys
  shipper setup keys --config shipper.yaml --username elastic --directory keys --rotate
  shipper setup keys --config shipper.yaml --username elastic --directory keys --finish
  shipper setup keys --config shipper.yaml --username elastic --directory keys --rotate --grace 300 --yes
It needs a user (not an API key, which can make no keys with privileges) with the cluster privilege manage_api_key and
all that the keys may do: a key can never do more than who made it.
exit code: 0 all is as wanted, 1 --dry-run found differences, 2 an error that the text explains
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register this command."""
    parser = commands.add_parser(
        "keys",
        help="API keys with the least privileges",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    setup_login.add_options(parser, by_key=False)
    setup_shown.add_options(parser)
    add = parser.add_argument
    add("--directory", metavar="DIRECTORY", type=Path, required=True, help="folder of the key files")
    add("--only", choices=PURPOSES, action="append", help="this purpose only; may be repeated")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--rotate", action="store_true", help="make new keys also where there are good ones")
    step.add_argument("--finish", action="store_true", help="invalidate all keys but those in the files")
    add("--grace", type=_grace, metavar="SECONDS", help="with --rotate: wait so long, then do what --finish does")
    parser.set_defaults(function=_keys)


def _grace(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= _LONGEST_GRACE):
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0 to {_LONGEST_GRACE:,}: {text!r}")
    return int(text)


def _keys(options: argparse.Namespace) -> int:
    if options.grace is not None and not options.rotate:
        raise ConfigError("--grace belongs to --rotate")
    loaded, store = setup_login.load(options)
    if store.username is None:
        raise ConfigError("keys are made by a user: give --username (an API key can make no keys with privileges)")
    return asyncio.run(_run(options, loaded.cluster, store))


async def _run(options: argparse.Namespace, cluster: str, store: "Config") -> int:
    from shipper.setup import elasticsearch_keys
    from shipper.setup.elasticsearch_asking import Asked

    shown, purposes = Shown(options), _chosen(options)
    async with Asked(store) as asked:
        with Waiting(sys.stderr.isatty):
            await asked.version()
            found = await elasticsearch_keys.survey(asked, cluster, options.directory, purposes)
        if options.finish:
            return await _finish(asked, store, found, options, shown)
        if not await _make(asked, cluster, found, options, shown):
            return 1
        if options.grace is None:
            return 0
        await _wait(options.grace, shown)
        options.yes = True
        found = await elasticsearch_keys.survey(asked, cluster, options.directory, purposes)
        return await _finish(asked, store, found, options, shown)


def _chosen(options: argparse.Namespace) -> "list[Purpose]":
    return [purpose for purpose in PURPOSES if not options.only or purpose in options.only]


async def _make(asked: "Asked", cluster: str, found: "list[Held]", options: argparse.Namespace, shown: Shown) -> bool:
    """Make the keys that are missing, or all; False when this was only a look that found something to do."""
    from shipper.setup import elasticsearch_key_files, elasticsearch_keys

    missing = [held for held in found if options.rotate or not held.current]
    for held in found:
        _show(shown, held, held in missing)
    if not missing:
        shown.say("nothing to change: every file holds a key that is accepted")
    if options.dry_run or not missing:
        return not missing
    shown.agree(len(missing))
    elasticsearch_key_files.make_directory(options.directory)
    for held in missing:
        await elasticsearch_keys.make(asked, cluster, held)
        shown.step("created", "key", held.purpose, (f"in {held.path}",))
    if options.rotate and options.grace is None and any(held.active for held in found):
        shown.say("the old keys are accepted too: --finish invalidates them, once every machine has the new files")
    return True


def _show(shown: Shown, held: "Held", missing: bool) -> None:
    from shipper.setup.elasticsearch_roles import TOLD

    lines = [TOLD[held.purpose]]
    if missing and held.filed is not None and not held.current:
        lines.append(f"{held.path} holds a key that is not accepted")
    if held.outdated and not missing:
        lines.append("its privileges are of another version of shipper: --rotate")
    if held.old and not missing:
        lines.append(f"{len(held.old)} more accepted, in no file: --finish invalidates them")
    shown.step("create" if missing else "unchanged", "key", held.purpose, lines)


async def _finish(
    asked: "Asked", store: "Config", found: "list[Held]", options: argparse.Namespace, shown: Shown
) -> int:
    """Invalidate every key of ours that is in no file, after the keys in the files have proven to work."""
    from shipper.setup import elasticsearch_keys

    old = [held for held in found if held.old]
    for held in old:
        shown.step("invalidate", "key", held.purpose, [f"id {one}" for one in held.old])
    if not old:
        shown.say("nothing to change: no key is accepted but those in the files")
        return 0
    for held in old:
        await _prove(store, held)
    if options.dry_run:
        return 1
    shown.agree(sum(len(held.old) for held in old))
    for held in old:
        await elasticsearch_keys.invalidate(asked, held.old)
        shown.step("invalidated", "key", held.purpose)
    return 0


async def _prove(store: "Config", held: "Held") -> None:
    """Ask with the key in the file; StoreUnusable when it does not work, so that nothing else is taken away."""
    from shipper.setup import elasticsearch_keys
    from shipper.setup.elasticsearch_asking import Asked

    why = "it is not accepted" if held.filed is not None else "there is no such file"
    if held.current:
        changed = {"username": None, "password": None, "api_key_file": str(held.path)}
        async with Asked(store.model_copy(update=changed)) as asked:
            why = await elasticsearch_keys.proven(asked, held)
    if why:
        raise StoreUnusable(f"{held.path}: {why}: no key was invalidated; make one first, without --finish")


async def _wait(seconds: int, shown: Shown) -> None:
    shown.say(f"both keys are accepted; the old ones for {seconds} s more (Ctrl-C: later, with --finish)")
    await asyncio.sleep(seconds)
