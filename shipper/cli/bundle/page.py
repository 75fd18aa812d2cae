"""The page of a bundle: one HTML file without a script and without any other address, to be read offline."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shipper.cli.terminal import count

#: The page shows so many records, each up to so many characters; the other files have all.
MOST_RECORDS = 2000
MESSAGE_CUT = 20_000


def render(manifest: Mapping[str, Any], story: Mapping[str, Any] | None, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the page; every value is escaped, strangers' text is made visible first."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from shipper.api.html import show
    from shipper.api.shown import duration, offset, service_of
    from shipper.api.visible import visible

    folder = Path(__file__).parent / "templates"
    style = (folder / "bundle.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "show": show,
        "plain": visible,
        "offset": offset,
        "duration": duration,
        "number": lambda number: f"{number:,}",
    }
    number = count(manifest["records"], "record")
    shown = story["records"][:MOST_RECORDS] if story else records
    return (
        environment.get_template("bundle.html").render(
            manifest=manifest,
            story=story,
            title=f"request {story['request_id']}: {number}" if story else f"{number} that match a query",
            style=Markup(style),  # noqa: S704  our own file
            style_digest=digest,
            rows=[_row(record, service_of(record)) for record in shown],
        )
        + "\n"
    )


def _row(record: Mapping[str, Any], service: str) -> dict[str, Any]:
    message, trace = str(record.get("message", "")), str(record.get("error.stack_trace", ""))
    return {
        "time": str(record.get("shown_time") or record.get("@timestamp", ""))[:23].replace("T", " "),
        "level": str(record.get("log.level", "")),
        "host": str(record.get("host.name", "")),
        "app": service,
        "message": message[:MESSAGE_CUT],
        "trace": trace[:MESSAGE_CUT],
        "cut": max(len(message), len(trace)) > MESSAGE_CUT,
        "id": str(record.get("id", "")),
    }
