"""Who set-up is to Elasticsearch: the login of the configuration, or another one for this moment."""

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipper.cli.config_options import add_config
from shipper.errors import ConfigError
from shipper.secret_files import read_secret

if TYPE_CHECKING:
    from shipper.config import Config as Whole
    from shipper.stores.elasticsearch import Config


def add_options(parser: argparse.ArgumentParser, *, by_key: bool = True) -> None:
    """Add the options that say which cluster, and who asks; an API key only where one is enough."""
    add_config(parser)
    login = parser.add_argument_group("login", "default: that of the configuration")
    login.add_argument("--username", metavar="NAME", help="user name; the password is asked for on the terminal")
    login.add_argument("--password-file", metavar="FILE", type=Path, help="file with its password")
    if by_key:
        login.add_argument("--api-key-file", metavar="FILE", type=Path, help="file with an API key for set-up")
    else:
        parser.set_defaults(api_key_file=None)


def load(options: argparse.Namespace) -> "tuple[Whole, Config]":
    """Return the configuration, and its store with the login of the options; ConfigError when it has no Elasticsearch.

    A login of the configuration that cannot be read yet, as its file is what set-up makes, is no obstacle.
    """
    from shipper import config

    loaded = config.load(options.config)
    if loaded.store.type != "elasticsearch":
        where = options.config or "the configuration"
        raise ConfigError(f"{where}: store.type is {loaded.store.type}: there is no Elasticsearch to set up")
    return loaded, loaded.store.model_copy(update=_login(options))


def _login(options: argparse.Namespace) -> dict[str, Any]:
    from pydantic import SecretStr

    if options.username and options.api_key_file:
        raise ConfigError("either --username or --api-key-file, not both")
    if options.password_file and not options.username:
        raise ConfigError("--password-file needs --username")
    none = {"api_key": None, "api_key_file": None, "username": None, "password": None}
    # Set-up repairs no record: a key for that need not be there.
    none |= {"repair_api_key": None, "repair_api_key_file": None}
    if options.api_key_file:
        return {**none, "api_key_file": str(options.api_key_file)}
    if options.username:
        return {**none, "username": options.username, "password": SecretStr(_password(options))}
    return {"repair_api_key": None, "repair_api_key_file": None}


def _password(options: argparse.Namespace) -> str:
    if options.password_file is None:
        if not sys.stdin.isatty():
            raise ConfigError("nobody can be asked for the password here: give --password-file")
        return getpass.getpass(f"password of {options.username}: ")
    return read_secret(options.password_file, "--password-file")
