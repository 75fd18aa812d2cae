"""The ledger and the dead letters in a terminal: a line per series with its holes and why, a line per host."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shipper.cli.terminal import BOLD, DIM, RED, YELLOW, Style, cells, count, fit, message_lines, one_line, second

#: Events shown of a host, when the ledger of one host is asked for.
MOST_EVENTS = 10
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def ledger_lines(ledger: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Return the ledger: one line per series, one per hole, the sum, and one line per host that reports."""
    rows: list[tuple[str, ...]] = [("HOST", "SERIES", "LAST", "SETTLED", "DUPLICATES", "MISSING")]
    for line in ledger["series"]:
        counts = (line["last"], sum(line["settled"].values()), line["duplicates"], line["missing"])
        rows.append((one_line(line["host"]), one_line(line["series"]), *(f"{count:,}" for count in counts)))
    head, *texts = _table(rows, left=2)
    yield style.paint(head, BOLD)
    for text, line in zip(texts, ledger["series"], strict=True):
        lost = line["missing"] > line["kinds"]["late"]
        yield style.paint(text, RED if lost else YELLOW if line["missing"] else "")
        yield from (_hole(hole) for hole in line["holes"])
        if line["counted_not_missing"]:
            yield f"  its reader counted {line['counted_not_missing']:,} more as dropped than are missing"
    yield _sum(ledger["totals"])
    reporting = [host for host in ledger["hosts"] if host["last_report"] or host["rsyslogd_starts"]]
    if reporting:
        yield ""
        yield from _host_lines(reporting, style)


def _table(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Lay out rows in columns, the first `left` of them to the left, numbers to the right."""
    widths = [max(cells(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        pairs = list(zip(row, widths, strict=True))
        texts = [fit(cell, width) for cell, width in pairs[:left]]
        texts += [" " * (width - cells(cell)) + cell for cell, width in pairs[left:]]
        yield "  ".join(texts)


def _hole(hole: Mapping[str, Any]) -> str:
    first, last = hole["first"], hole["last"]
    numbers = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    since = f"between {second(hole['since'])} and" if hole["since"] else "before"
    return f"  missing {numbers}, {since} {second(hole['until'])}: {one_line(hole['reason'])}"


def reasons(kinds: Mapping[str, int]) -> str:
    """Return counts by reason in words: "3 late, 5 dropped by queue"; "" when nothing is missing."""
    return ", ".join(f"{number:,} {one_line(kind).replace('_', ' ')}" for kind, number in kinds.items() if number)


def _sum(totals: Mapping[str, Any]) -> str:
    why = reasons(totals["kinds"])
    return (
        f"{totals['settled']:,} settled, {count(totals['rejected'], 'dead letter')}, "
        f"{count(totals['duplicates'], 'duplicate')}, {totals['missing']:,} missing{f' ({why})' if why else ''}; "
        f"{count(totals['hosts'], 'host')}"
    )


def _host_lines(hosts: Sequence[Mapping[str, Any]], style: Style) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("HOST", "STATE", "LAST REPORT", "QUEUE", "BACKLOG", "UNRESOLVED", "READER", "RSYSLOGD", "MISSING")
    ]
    rows += (_host_row(host) for host in hosts)
    head, *texts = _table(rows, left=3)
    yield style.paint(head, BOLD)
    for text, host in zip(texts, hosts, strict=True):
        yield style.paint(text, RED if host["alarm"] else YELLOW if host["missing"] else "")
        if host["silent_since"]:
            yield f"  silent since {second(host['silent_since'])}"
        for queue in host["queues"]:
            if queue["counted_not_missing"]:
                more = f"{queue['counted_not_missing']:,} more as dropped than are missing"
                yield f"  its queue {one_line(queue['queue'])} counted {more}"
    if len(hosts) == 1:
        for event in hosts[0]["events"][:MOST_EVENTS]:
            time = style.paint(second(event["at"]), DIM)
            yield f"  {time} {one_line(event['event'])} {one_line(event['detail'])}".rstrip()


def _host_row(host: Mapping[str, Any]) -> tuple[str, ...]:
    queue = "-" if host["queue_bytes"] is None else bytes_in_words(host["queue_bytes"])
    if host["queue_percent"] is not None:
        queue = f"{queue} ({host['queue_percent']} %)"
    return (
        one_line(host["host"]),
        one_line(host["state"]),
        second(host["last_report"] or "-"),
        queue,
        *("-" if host[name] is None else f"{host[name]:,}" for name in ("backlog_records", "unresolved")),
        *(f"{host[name]:,}" for name in ("reader_starts", "rsyslogd_starts", "missing")),
    )


def bytes_in_words(number: float) -> str:
    """Return a number of bytes in the unit that reads best."""
    for unit in _UNITS[:-1]:
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} {_UNITS[-1]}"


def letter_lines(letters: Iterable[Mapping[str, Any]], style: Style) -> Iterator[str]:
    """Return dead letters: when, why, from where, and the store's own words below."""
    for letter in letters:
        time = style.paint(fit(second(str(letter.get("received_at", ""))), 19), DIM)
        reason = style.paint(fit(one_line(letter.get("reason", "")), 12), RED)
        yield f"{time} {reason} {one_line(letter.get('host') or '-')} {one_line(letter.get('id', ''))}"
        yield from (f"  {line}" for line in message_lines(letter.get("detail", ""), style, 2))
