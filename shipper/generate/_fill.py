"""What all generators share: templates are filled in one pass, and a value is spelled so that it stays one value.

A path goes into the languages of systemd, sh, HAProxy, nginx, Docker and rsyslog. The characters that mean something in
any of them are refused here, in one line and before a file is written; the rest stands between quotes.
"""

import posixpath
import re
from collections.abc import Mapping
from typing import Final

from shipper.errors import ConfigError
from shipper.generate._host_settings import Settings

#: What ends or opens a string, starts a variable or a specifier, or separates values, in one of the languages.
_MEANS_SOMETHING: Final = frozenset("\"'`\\$%,:")
#: Linux takes names of so many bytes; paths of more than so many characters are nobody's wish.
LONGEST_NAME, LONGEST_PATH = 255, 1000


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in the place of `@name@`; in one pass, so that a value is never looked into."""
    return re.sub(r"@([a-z_]+)@", lambda found: values[found[1]], template)


def refusal(name: str, text: str) -> ConfigError:
    """Return the error that names a setting which these files cannot have."""
    return ConfigError(f"rsyslog: {name}: {text}")


def path(settings: Settings, name: str) -> str:
    """Return a setting that is a path, which every language here can spell between quotes; else ConfigError."""
    value = str(getattr(settings, name))
    # normpath keeps a second slash at the start.
    if not value.startswith("/") or posixpath.normpath(value) != value or value[1:2] in ("", "/"):
        raise refusal(name, "must be an absolute path without `..`, `//` and a `/` at its end")
    if len(value) > LONGEST_PATH or max(len(part.encode(errors="replace")) for part in value.split("/")) > LONGEST_NAME:
        raise refusal(
            name, f"is longer than {LONGEST_PATH} characters, or has a name of more than {LONGEST_NAME} bytes"
        )
    if not value.isprintable() or _MEANS_SOMETHING.intersection(value) or value != value.strip():
        raise refusal(name, "must not have quotes, backslashes, $ % , : or characters that cannot be printed")
    return value


def directories(*paths: str) -> list[str]:
    """Return the directories that these files are in, each once, without those that every system has."""
    parents = (posixpath.dirname(each) for each in paths)
    return [each for each in dict.fromkeys(parents) if each not in ("/", "/run", "/tmp", "/var/run")]  # noqa: S108 left out
