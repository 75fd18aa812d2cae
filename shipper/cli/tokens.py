"""`shipper tokens`: who may ask the API: create a token, list them, revoke one."""

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shipper.cli.config_options import add_config

if TYPE_CHECKING:
    from shipper.api.access.tokens import Token

_EPILOG: Final = """\
scopes, each with those before it:
  read     search, counts, request stories, context, the ledger, dead letters and the pages
  tail     also the live tail
  admin    also /metrics and the feed between shippers

examples:
  shipper tokens create oncall --scope tail
  shipper tokens create shop-team --scope tail --app '/shop/*' --expires 90d
  shipper tokens revoke shop-team
A running shipper notices within seconds. exit code: 0 done, 2 error
"""
_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS: Final = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_NS: Final = 1_000_000_000


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    described = "Create, list and revoke the tokens that the API asks for. The file keeps hashes only."
    formatter = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "tokens", help="who may ask the API", description=described, epilog=_EPILOG, formatter_class=formatter
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = _action(actions, "create", "make a token and print it, once", _create)
    create.add_argument("name", metavar="NAME", help="who will use it")
    create.add_argument(
        "--scope", action="append", choices=("read", "tail", "admin"), help="what it may do (default: read); repeatable"
    )
    create.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="ID",
        help="only records of this Marathon app; '/shop/*' of a group",
    )
    create.add_argument("--expires", type=_lifetime, metavar="TIME", help="90d, 12h, 4w (default: never)")
    _action(actions, "list", "show the tokens, without their text", _list)
    revoke = _action(actions, "revoke", "make a token worthless", _revoke)
    revoke.add_argument("name", metavar="NAME", help="which one")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    function: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("--file", metavar="FILE", help="tokens file (default: api.access.tokens_file)")
    add_config(parser)
    parser.set_defaults(function=function)
    return parser


def _lifetime(text: str) -> int:
    found = _DAYS.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"not a time from now: {text!r:.40} (90d, 12h, 4w)")
    return int(found[1]) * _UNITS[found[2]]


def _path(options: argparse.Namespace) -> Path:
    from shipper import config
    from shipper.errors import ConfigError

    path: str | None = options.file or config.load(options.config).api.access.tokens_file
    if path is None:
        raise ConfigError("tokens: which file? set api.access.tokens_file, or give --file FILE")
    return Path(path)


def _create(options: argparse.Namespace) -> int:
    from shipper.api.access import tokens
    from shipper.errors import ConfigError

    path, now = _path(options), time.time_ns()
    expires = None if options.expires is None else now + options.expires * _NS
    with tokens.changing(path) as known:
        if any(one.name == options.name for one in known):
            raise ConfigError(f"tokens: there is a token {options.name!r} already; revoke it first")
        if len(known) >= tokens.MOST_TOKENS:
            raise ConfigError(f"tokens: {path} is full ({tokens.MOST_TOKENS:,} tokens); revoke some")
        text = tokens.new_text()
        try:
            made = tokens.token(
                options.name, tokens.digest(text.encode()), options.scope or ["read"], options.app, now, expires
            )
        except ValueError as error:
            raise ConfigError(f"tokens: {error}") from None
        known.append(made)
    print(text)
    print(f"# {_told(made)}; shown once, {path} keeps its hash only", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from shipper.api.access import tokens
    from shipper.record.times import from_ns

    path, now = _path(options), time.time_ns()
    rows = [("NAME", "SCOPES", "APPS", "CREATED", "EXPIRES")]
    for one in tokens.read(path):
        created = "-" if one.created is None else from_ns(one.created)[:10]
        expires = "never" if one.expires is None else from_ns(one.expires)[:19] + "Z"
        state = f"{expires} (expired)" if one.expired(now) else expires
        rows.append((one.name, " ".join(one.scopes), " ".join(one.apps) or "all", created, state))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from shipper.api.access import tokens
    from shipper.errors import ConfigError

    path = _path(options)
    with tokens.changing(path) as known:
        kept = [one for one in known if one.name != options.name]
        if len(kept) == len(known):
            raise ConfigError(f"tokens: no token {options.name!r:.80} in {path} (see: shipper tokens list)")
        known[:] = kept
    print(f"# {options.name} is revoked; a running shipper notices within seconds", file=sys.stderr)
    return 0


def _told(one: "Token") -> str:
    from shipper.record.times import from_ns

    until = "" if one.expires is None else f", until {from_ns(one.expires)[:19]}Z"
    return f"{one.name}: {' '.join(one.scopes)}, {' '.join(one.apps) or 'all apps'}{until}"
