"""`shipper top` and `shipper compare`: the most frequent values and patterns, and what is new against before."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shipper.cli import ask
from shipper.cli.ask import Answers
from shipper.cli.output import Output
from shipper.cli.terminal import (
    BOLD,
    DIM,
    GREEN,
    RED,
    YELLOW,
    Style,
    cells,
    count,
    fit,
    message_lines,
    one_line,
    second,
)
from shipper.errors import QueryError

_BAR = 20
_MOST_NAMES = 3
_TOP_EXAMPLES = f"""\
{ask.TIMES}

examples:
  shipper top app --min-level error --since 1h         which apps have errors
  shipper top http.response.status_code 'app:shop-api' --since 1d
  shipper top --patterns 'level:error' --since 1d      messages that are alike: how often, and since when
exit code: 0 found, 1 nothing matches, 2 error
"""
_COMPARE_EXAMPLES = """\
Messages that are alike are one pattern. A pattern that is "more" or "less" has doubled or halved its share.

examples:
  shipper compare --app shop-api --versions 1.4.1 1.4.2     what is new since the deployment
  shipper compare 'level:error' --since 1h --before 1d      the last hour against the day before it
exit code: 0 something changed, 1 nothing did, 2 error
"""
_VALUE = ("value", "count", "share")
_PATTERN = ("count", "share", "first", "last", "since", "template", "query")
_CHANGE = ("change", "a", "b", "template", "query")
_COLOURS = {"new": RED, "gone": GREEN, "more": YELLOW, "less": DIM}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the commands of this file."""
    parser = ask.add(commands, "top", _top, "list the most frequent values of a field, or patterns", _TOP_EXAMPLES)
    parser.add_argument("field", nargs="?", metavar="FIELD", help="app, host, level, or any field's name")
    parser.add_argument("query", nargs="?", metavar="QUERY", help="which records, as for search")
    parser.add_argument("--patterns", action="store_true", help="of messages that are alike; then QUERY comes first")
    parser.add_argument("--limit", type=ask.count_of, default=None, metavar="N", help="at most N (default 10, 50)")
    ask.add_filters(parser)
    ask.add_forms(parser)
    about = "say which messages are new, gone, more or less than before"
    parser = ask.add(commands, "compare", _compare, about, _COMPARE_EXAMPLES)
    parser.add_argument("query", nargs="?", metavar="QUERY", help="which records, as for search")
    parser.add_argument("--versions", nargs=2, metavar=("OLD", "NEW"), help="of these two versions of an app")
    parser.add_argument("--before", metavar="TIME", help="from this time on is before, up to --since")
    parser.add_argument("--before-until", metavar="TIME", help="where before ends, when that is not --since")
    parser.add_argument("--limit", type=ask.count_of, default=50, metavar="N", help="at most N patterns (default 50)")
    ask.add_filters(parser)
    ask.add_forms(parser)


def _top(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    if options.patterns:
        return _patterns(options, answers, out)
    if options.field is None:
        raise QueryError("top of which field? app, host, level, … or --patterns")
    parameters = {**ask.filters_of(options, options.query), "field": options.field, "limit": options.limit or 10}
    found = answers.get("/api/v1/top", parameters)
    if out.form == "text":
        out.write(_value_lines(found, out.style))
    else:
        _rows(out, found["values"], _VALUE)
    return _end(out, found["incomplete"], bool(found["values"]))


def _patterns(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    if options.query is not None:
        raise QueryError("--patterns are of messages: leave out the field")
    options.query = options.field  # for the place of an error, too
    parameters = {**ask.filters_of(options, options.query), "limit": options.limit or 50}
    found = answers.get("/api/v1/patterns", parameters)
    if out.form == "text":
        out.write(_pattern_lines(found, out.style))
    else:
        _rows(out, found["patterns"], _PATTERN)
    return _end(out, found["incomplete"], bool(found["patterns"]))


def _compare(options: argparse.Namespace, answers: Answers, out: Output) -> int:
    old, new = options.versions or (None, None)
    if old is None and options.before is None and options.before_until is None:
        raise QueryError("compare what? give --versions OLD NEW, or --before TIME and --since TIME")
    parameters = {
        **ask.filters_of(options, options.query),
        "version_a": old,
        "version_b": new,
        "before_start": options.before,
        "before_end": options.before_until,
        "limit": options.limit,
    }
    found = answers.get("/api/v1/compare", parameters)
    if out.form == "text":
        out.write(_compared_lines(found, out.style))
    else:
        _rows(out, found["patterns"], _CHANGE)
    changed = any(pattern["change"] != "same" for pattern in found["patterns"])
    return _end(out, found["incomplete"], changed, "nothing changed")


def _rows(out: Output, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    if out.form == "json":
        out.json(rows)
    else:
        out.csv([names, *([row.get(name) for name in names] for row in rows)])


def _end(out: Output, incomplete: Sequence[str], found: bool, nothing: str = "no record matches") -> int:
    for note in incomplete:
        out.say(f"warning: {note}")
    if not found:
        out.say(nothing)
    return 0 if found else 1


def _value_lines(found: Mapping[str, Any], style: Style) -> Iterator[str]:
    values = found["values"]
    most = max((value["count"] for value in values), default=1) or 1
    width = max((len(f"{value['count']:,}") for value in values), default=1)
    for value in values:
        share = f"{100 * value['share']:5.1f} %"
        bar = style.paint(fit("━" * max(1, _BAR * value["count"] // most), _BAR), DIM)
        yield f"{value['count']:>{width},}  {share}  {bar}  {_short(value['value'], style, width + 33)}"
    if found["others"]:
        yield f"{found['others']:>{width},}  of other values"
    if found["without"]:
        yield f"{found['without']:>{width},}  without one"


def _pattern_lines(found: Mapping[str, Any], style: Style) -> Iterator[str]:
    width = max((len(f"{pattern['count']:,}") for pattern in found["patterns"]), default=1)
    for pattern in found["patterns"]:
        since = f"since {second(pattern['since'])}" if pattern["since"] else f"from {second(pattern['first'])}"
        names = [*_most(pattern["levels"]), *_most(pattern["apps"])]
        number = f"{pattern['count']:>{width},}"
        about = f"{100 * pattern['share']:5.1f} %  {since}  last {second(pattern['last'])}  {', '.join(names)}"
        yield f"{style.paint(number, BOLD)}  {style.paint(about, DIM)}".rstrip()
        yield from _template_lines(pattern["template"], style, width + 2)
    if found["looked_at"] < found["total"]:
        yield f"from {found['looked_at']:,} of {count(found['total'], 'record')}"


def _most(counts: Mapping[str, int]) -> list[str]:
    names = sorted(counts, key=lambda name: (-counts[name], name))
    more = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return [one_line(name) or "-" for name in names[:_MOST_NAMES]] + more


def _compared_lines(found: Mapping[str, Any], style: Style) -> Iterator[str]:
    a, b = found["a"], found["b"]
    yield f"before {count(a['total'], 'record')}, now {count(b['total'], 'record')}"
    for pattern in found["patterns"]:
        change = style.paint(fit(one_line(pattern["change"]), 4), _COLOURS.get(pattern["change"], ""))
        yield f"{change}  {pattern['a']:,} → {pattern['b']:,}"
        yield from _template_lines(pattern["template"], style, 6)


def _template_lines(template: object, style: Style, indent: int) -> Iterator[str]:
    for line in message_lines(template, style, indent):
        yield (" " * indent + line).rstrip()


def _short(value: object, style: Style, used: int) -> str:
    """Return a value in one line, cut where the terminal ends."""
    text = one_line(value) or '""'
    room = None if style.width is None else max(20, style.width - used)
    return text if room is None or cells(text) <= room else fit(text, room)
