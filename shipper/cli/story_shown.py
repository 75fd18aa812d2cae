"""The story of a request in a terminal: verdict, first error, lanes on a time axis, hops, gaps, then every record."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shipper.api.shown import duration, offset, service_of
from shipper.cli.columns import Columns
from shipper.cli.terminal import BOLD, DIM, GREEN, RED, YELLOW, Style, cells, count, fit, message_lines, one_line
from shipper.record.times import moment

_SERVICES = ("34", "35", "32", "33", "36", "94", "95", "92", "93", "96")
_MOST_NAME = 40
#: Columns of the time axis: at least and at most.
_AXIS = (16, 60)
_MOST_HOPS = 40
_MOST_RELATED = 6

Service = Mapping[str, Any]


def lines(story: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Return the story of a request that has records."""
    records = [_corrected(record) for record in story["records"]]
    began = min(moment(record) for record in records)
    codes = {service["name"]: _SERVICES[n % len(_SERVICES)] for n, service in enumerate(story["services"])}
    yield _title(story, records, began, style)
    yield from _verdict_lines(story, style)
    yield from _first_error_lines(story, began, style)
    yield from _lane_lines(story, codes, style)
    yield from _hop_lines(story["hops"], style)
    yield from _gap_lines(story, style)
    yield from _related_lines(story["related"], style)
    yield from _link_lines(story, style)
    yield ""
    yield from _record_lines(records, began, codes, style)


def verdict_of(story: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return whether something is missing in a story, and what: complete, possibly incomplete or incomplete."""
    return str(story["verdict"]["state"]), [str(reason) for reason in story["verdict"]["reasons"]]


def _corrected(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record at the time that a common clock would have shown."""
    return {**record, "@timestamp": record.get("shown_time") or record.get("@timestamp", "")}


def _title(story: Mapping[str, Any], records: Sequence[Mapping[str, Any]], began: int, style: Style) -> str:
    length = duration(max(moment(record) for record in records) - began)
    first = min(records, key=moment)
    start = one_line(first["@timestamp"])[:23].replace("T", " ")
    title = style.paint(f"request {one_line(story['request_id'])}", BOLD)
    entry = story["entry"] or {}
    said = " ".join(one_line(entry[name]) for name in ("method", "path", "status") if entry.get(name) is not None)
    source = "  from recent copies" if story.get("source") == "recent" else ""
    return f"{title}  {count(len(records), 'record')}, {length}, from {start} UTC{f'  {said}' if said else ''}{source}"


def _verdict_lines(story: Mapping[str, Any], style: Style) -> Iterator[str]:
    state, reasons = verdict_of(story)
    if state == "complete":
        yield style.paint("complete", GREEN) + " as far as the ledger knows"
    else:
        yield style.paint(one_line(state), RED if state == "incomplete" else YELLOW)
    yield from (f"  {one_line(reason)}" for reason in reasons)


def _first_error_lines(story: Mapping[str, Any], began: int, style: Style) -> Iterator[str]:
    if story["first_error"] is None:
        return
    error = _corrected(story["first_error"])
    first, *rest = message_lines(error.get("message", ""), style, 2)
    yield f"{style.paint('first error', RED)}  {offset(moment(error) - began)}  {one_line(service_of(error))}: {first}"
    yield from (f"  {line}" for line in rest)


def _lane_lines(story: Mapping[str, Any], codes: Mapping[str, str], style: Style) -> Iterator[str]:
    """One line per service: name, from … to, records, hosts, and its time as a bar where there is room."""
    rows = [(service, _span(service), _words(service)) for service in story["services"]]
    if not rows:
        return
    names = min(_MOST_NAME, max(cells(one_line(service["name"])) for service, _, _ in rows))
    times = [(offset(start), offset(end)) for _, (start, end), _ in rows]
    firsts, lasts = (max(len(pair[place]) for pair in times) for place in (0, 1))
    said = max(cells(words) for _, _, words in rows)
    room = 0 if style.width is None else style.width - (names + firsts + lasts + said + 13)
    axis = min(_AXIS[1], room) if room >= _AXIS[0] else 0
    whole = max(1, max(end for _, (_, end), _ in rows))
    for (service, (start, end), words), (first, last) in zip(rows, times, strict=True):
        code = codes[service["name"]]
        name = fit(one_line(service["name"]), names)
        bar = f"  {style.paint(_bar(start, end, whole, axis), code)}" if axis else ""
        words = fit(words, said) if axis else words
        painted = style.paint(words, RED if service["errors"] else "")
        yield f"  {style.paint(name, code)}  {first.rjust(firsts)} … {last.ljust(lasts)}{bar}  {painted}".rstrip()


def _span(service: Service) -> tuple[int, int]:
    """Nanoseconds after the first record at which a service begins and ends."""
    start = int(service["offset_ns"])
    return start, start + int(service["duration_ns"])


def _words(service: Service) -> str:
    hosts = [one_line(host) for host in service["hosts"]]
    where = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" if len(hosts) > 4 else "")
    parts = [count(service["count"], "record")]
    if service["errors"]:
        parts.append(count(service["errors"], "error"))
    if service["status"] is not None:
        parts.append(f"status {one_line(service['status'])}")
    if service["clock_shift_ns"]:
        sign = "-" if service["clock_shift_ns"] < 0 else "+"
        parts.append(f"clock {sign}{duration(abs(int(service['clock_shift_ns'])))}")
    return ", ".join(parts) + (f"  on {where}" if where else "")


def _bar(start: int, end: int, whole: int, width: int) -> str:
    """Return a part of time as a bar: never empty, never longer than the axis."""
    first = min(width - 1, max(0, start * width // whole))
    last = min(width, max(first + 1, -(-end * width // whole)))
    return "·" * first + "━" * (last - first) + "·" * (width - last)


def _hop_lines(hops: Sequence[Mapping[str, Any]], style: Style) -> Iterator[str]:
    if hops:
        yield style.paint("calls", BOLD)
    for hop in hops[:_MOST_HOPS]:
        times = f"{offset(int(hop['offset_ns']))}  {duration(int(hop['duration_ns']))}"
        status = "" if hop["status"] is None else f"  status {one_line(hop['status'])}"
        how = style.paint(f"  by {one_line(hop['how'])}", DIM)
        yield f"  {one_line(hop['from'])} → {one_line(hop['to'])}  {times}{status}{how}"
    if len(hops) > _MOST_HOPS:
        yield f"  and {len(hops) - _MOST_HOPS:,} more (--story-json)"


def _gap_lines(story: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Services that usually take part and are silent, but for those of the verdict; hosts whose clocks were wrong."""
    for one in story["silent"]:
        if one["why"] not in story["verdict"]["reasons"]:
            yield f"{style.paint('silent', YELLOW)}  {one_line(one['service'])}: {one_line(one['why'])}"
    for one in story["clocks"]:
        yield f"{style.paint('clock', DIM)}  {one_line(one['told'])}"


def _related_lines(related: Sequence[Mapping[str, Any]], style: Style) -> Iterator[str]:
    for one in related:
        ids = [one_line(request) for request in one["requests"]]
        more = f" and {len(ids) - _MOST_RELATED} more" if len(ids) > _MOST_RELATED else ""
        others = f": {', '.join(ids[:_MOST_RELATED])}{more}" if ids else ""
        yield f"{style.paint('same', DIM)} {one_line(one['kind'])} {one_line(one['id'])}{others}"


def _link_lines(story: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The same question in Kibana; a mere path is only good in a browser."""
    url = one_line(story.get("links", {}).get("kibana", ""))
    if url.startswith(("http://", "https://")):
        yield f"{style.paint('Kibana', DIM)}  {url}"


def _record_lines(
    records: Sequence[Mapping[str, Any]], began: int, codes: Mapping[str, str], style: Style
) -> Iterator[str]:
    one_day = len({str(record["@timestamp"])[:10] for record in records}) == 1
    columns = Columns(style, clock_only=one_day, columns=("time", "level", "host", "app", "message"))
    columns.see(records)
    offsets = [offset(moment(record) - began) for record in records]
    width = max(map(len, offsets))
    for at, record in zip(offsets, records, strict=True):
        yield from columns.lines(record, at.rjust(width), codes.get(service_of(record), ""))
