"""`shipper generate`: write what hosts need, or have the real program check it."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

_RSYSLOG = """\
Write what a host needs into rsyslog/: rsyslogd's configuration, `shipper host`, systemd units, Docker's options and the
pieces for HAProxy and nginx; rsyslog/README.md says what goes where.
"""
_RSYSLOG_EXAMPLES = """\
examples:
  shipper generate rsyslog --out /srv/hosts --hold "6 hours" --stdout sandbox
  shipper generate rsyslog --backends 10.0.0.5:31514,10.0.0.6:31514 --tls openssl
  shipper generate rsyslog --settings host.yaml --host-name web-3     keys of the file as the options, with _ for -
  shipper generate rsyslog --check        write nothing; the real rsyslogd says whether it is right
"""
_MARATHON = """\
Write what a cluster needs into marathon-apps/: the apps as Marathon's JSON, jobs for Chronos, samples, the recipe of
the image; marathon-apps/README.md says what goes where. Secrets are named, never written.
"""
_MARATHON_EXAMPLES = """\
examples:
  shipper generate marathon --settings cluster.yaml     keys of the file as the options, with _ for -
  shipper generate marathon --marathon 0.9.1 --package archive --archive http://files.example/shipper-0.1.0.tar.gz
  shipper generate marathon --elasticsearch elsewhere --elasticsearch-urls https://es.example:9200
"""
_KIBANA = """\
Write what Kibana shows into kibana/: data views, saved searches and dashboards as one file to import, alert rules as
JSON. `shipper setup kibana` sends the same; kibana/README.md says how to do it by hand.
"""
_KIBANA_EXAMPLES = """\
examples:
  shipper generate kibana                       all clusters, links to pages behind the same nginx as Kibana
  shipper generate kibana --cluster prod --silent-apps shop-api,payments --links https://logs.example
  shipper generate kibana --settings kibana.yaml     keys of the file as the options, with _ for -
"""
_ARCHIVE = """\
Write shipper-VERSION.tar.gz: the product with all it needs but Python, as it is installed here and locked in the lock
file. Unpack it anywhere: shipper/run shipper --version
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = commands.add_parser(
        "generate",
        help="write what hosts and clusters need",
        description="Write what hosts and clusters need; the same settings, the same bytes.",
    )
    programs = parser.add_subparsers(title="programs", metavar="PROGRAM", required=True, parser_class=_SettingsParser)
    rsyslog = _add(
        programs,
        "rsyslog",
        _rsyslog,
        "all that a host needs: rsyslog, units, HAProxy, Docker",
        _RSYSLOG,
        _RSYSLOG_EXAMPLES,
    )
    rsyslog.add_argument("--check", action="store_true", help="write nothing; rsyslogd -N1 says whether it is right")
    about = "all that a cluster needs: apps for Marathon, jobs for Chronos, the image"
    _add(programs, "marathon", _marathon, about, _MARATHON, _MARATHON_EXAMPLES)
    about = "what Kibana shows: data views, searches, dashboards, alert rules"
    _add(programs, "kibana", _kibana, about, _KIBANA, _KIBANA_EXAMPLES)
    archive = _add(programs, "archive", _archive, "the product as one file, for Mesos to fetch", _ARCHIVE)
    archive.add_argument(
        "--lock", metavar="FILE", type=Path, default=Path("requirements.lock"), help="default: %(default)s"
    )
    about = "docs/configuration.md and docs/fields.md"
    _add(programs, "docs", _docs, about, "Write the pages of every setting and of every field.")


def _add(
    programs: "argparse._SubParsersAction[_SettingsParser]",
    name: str,
    function: Callable[[argparse.Namespace], int],
    about: str,
    description: str,
    examples: str = "",
) -> argparse.ArgumentParser:
    """Add a program; one that has examples has settings, too."""
    parser = programs.add_parser(
        name,
        help=about,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(), help="write below DIR (default: here)")
    if examples:
        parser.add_argument("--settings", metavar="FILE", type=Path, help="YAML file of the settings below")
    parser.set_defaults(function=function)
    return parser


class _SettingsParser(argparse.ArgumentParser):
    """Has an option for each setting of its program, from the moment it is used: pydantic is slow to import."""

    # argparse's own signature: what it is called with is not of our making.
    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        settings = _settings_of(self.prog.rpartition(" ")[2])
        if settings is not None:
            group = self.add_argument_group("settings")
            for name, field in settings.model_fields.items():
                default = f" (default: {field.default})" if field.default not in ("", [], {}) else ""
                help_text = f"{field.description}{default}".replace("%", "%%")
                option = f"--{name.replace('_', '-')}"
                group.add_argument(option, dest=f"setting_{name}", metavar="VALUE", help=help_text)
        return super().parse_known_args(args, namespace)


def _settings_of(program: str) -> "type[BaseModel] | None":
    if program == "rsyslog":
        from shipper.generate import rsyslog

        return rsyslog.Settings
    if program == "marathon":
        from shipper.generate import marathon

        return marathon.Settings
    if program == "kibana":
        from shipper.generate import kibana

        return kibana.Settings
    return None


def _given(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings of the file, and those of the command line on top."""
    from shipper.config import read_yaml

    written = read_yaml(options.settings) if options.settings else {}
    given = {name.removeprefix("setting_"): value for name, value in vars(options).items() if name[:8] == "setting_"}
    return {**written, **{name: value for name, value in given.items() if value is not None}}


def _rsyslog(options: argparse.Namespace) -> int:
    from shipper.generate import host, rsyslog

    settings = rsyslog.read(_given(options))
    if not options.check:
        return _write(host.generate(settings), options.out)
    program = rsyslog.find()
    refusal = f"rsyslogd {rsyslog.MISSING}" if program is None else rsyslog.check(settings, program)
    if refusal is not None:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    print(f"{program} accepts it")
    return 0


def _marathon(options: argparse.Namespace) -> int:
    from shipper.generate import marathon

    return _write(marathon.generate(marathon.read(_given(options))), options.out)


def _kibana(options: argparse.Namespace) -> int:
    from shipper.generate import kibana

    return _write(kibana.generate(kibana.read(_given(options))), options.out)


def _archive(options: argparse.Namespace) -> int:
    from shipper.errors import ConfigError
    from shipper.generate import archive

    try:
        print(archive.write(options.lock, options.out))
    except OSError as error:
        raise ConfigError(f"--out {options.out}: cannot write {error.filename}: {error.strerror}") from None
    return 0


def _docs(options: argparse.Namespace) -> int:
    from shipper.generate import configuration, fields

    return _write(configuration.generate() | fields.generate(), options.out)


def _write(files: Mapping[str, str], directory: Path) -> int:
    from shipper.errors import ConfigError
    from shipper.generate import write

    try:
        written = write(files, directory)
    except OSError as error:
        raise ConfigError(f"--out {directory}: cannot write {error.filename}: {error.strerror}") from None
    for path in written:
        print(path)
    return 0
