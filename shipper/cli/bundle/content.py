"""What is in a bundle: asked page by page, written as it comes, so that no more than a page is in memory."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from shipper import __version__
from shipper.cli.ask import Answers, filters_of
from shipper.cli.bundle import database, package, page
from shipper.cli.http import NotFound
from shipper.cli.output import json_line
from shipper.cli.search import Missing, pages
from shipper.cli.story_shown import verdict_of
from shipper.errors import ShipperError
from shipper.record.ids import request_id

_MOST_REASONS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What a bundle is of."""

    #: Parameters of the API.
    parameters: Mapping[str, Any]
    #: The story, when it is of a request.
    story: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a bundle, and when (UTC)."""

    user: str
    at: str


@dataclass(slots=True)
class Made:
    """What became of it."""

    records: int = 0
    #: Of the oldest and the newest record.
    first: str = ""
    last: str = ""
    hosts: set[str] = field(default_factory=set)
    state: str = "complete"
    reasons: list[str] = field(default_factory=list)


def question(answers: Answers, options: argparse.Namespace) -> Asked | None:
    """Return what is asked for: a request when the text is the id of one, else a query; None when it is nothing."""
    given = {name: value for name, value in filters_of(options, options.query).items() if value}
    if list(given) == ["query"] and request_id(options.query) is not None:
        try:
            story = answers.get(f"/api/v1/requests/{quote(options.query, safe='')}")
        except NotFound:
            return Asked(given)
        return Asked({"request_id": options.query}, story)
    return Asked(given) if given else None


def write(folder: Path, answers: Answers, asked: Asked, limit: int, maker: Maker) -> Made:
    """Write the files of a bundle and return what became of it; without records there is no manifest and no bundle."""
    made, missing = Made(), Missing()
    shown: list[dict[str, Any]] = []
    parameters = {**asked.parameters, "order": "oldest"}
    understood = _Understood(answers)
    with (
        (folder / "records.ndjson").open("w", encoding="utf-8") as file,
        database.Database(folder / "records.db") as db,
    ):
        for records in pages(understood, parameters, limit, missing):
            for record in records:
                file.write(f"{json_line(record)}\n")
            db.add(records)
            _count(made, records)
            shown += records[: page.MOST_RECORDS - len(shown)]
    if not made.records:
        return made
    _judge(made, missing, asked, answers, limit)
    manifest = {
        "what": "the records of a request" if asked.story else "the records that match a query",
        "asked": dict(asked.parameters),
        "understood": understood.first,
        "source": _without_credentials(answers.source.name),
        "made_at": maker.at,
        "made_by": maker.user,
        "shipper": __version__,
        "records": made.records,
        "cut": missing.more,
        "limit": limit,
        "verdict": {"state": made.state, "reasons": made.reasons},
    }
    if asked.story:
        (folder / "story.json").write_text(json_line(asked.story) + "\n", encoding="utf-8")
    (folder / "index.html").write_text(page.render(manifest, asked.story, shown), encoding="utf-8")
    text = json.dumps({**manifest, "files": package.hashes(folder)}, indent=1)
    (folder / package.MANIFEST).write_text(text + "\n", encoding="utf-8")
    return made


class _Understood(Answers):
    """Asks as another does, and keeps how the first question was understood."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers.source, answers.waiting)
        self.first: dict[str, Any] = {}

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return the answer to a question."""
        answer = super().get(path, parameters)
        if not self.first:
            searched = answer["searched"]
            self.first = {"kql": answer.get("kql"), "start": searched.get("start"), "end": searched.get("end")}
        return answer


def _count(made: Made, records: list[dict[str, Any]]) -> None:
    made.records += len(records)
    for record in records:
        time = str(record.get("@timestamp", ""))
        made.first, made.last = min(made.first or time, time), max(made.last, time)
        made.hosts.add(str(record.get("host.name", "")))


def _judge(made: Made, missing: Missing, asked: Asked, answers: Answers, limit: int) -> None:
    """Say whether something is missing: the story's own verdict, else what the ledger says of that time."""
    reasons = list(missing.notes)
    if missing.more:
        reasons.append(f"cut: only the first {limit:,} records are in it")
    if asked.story is not None:
        made.state, said = verdict_of(asked.story)
        reasons += said
    else:
        reasons += _holes(made, answers)
    if reasons and made.state == "complete":
        made.state = "possibly incomplete"
    made.reasons = list(dict.fromkeys(reasons))[:_MOST_REASONS]


def _holes(made: Made, answers: Answers) -> Iterator[str]:
    """What the ledger says is missing of the same hosts in the same time."""
    try:
        ledger = answers.get("/api/v1/ledger")
    except ShipperError as error:
        yield f"the ledger could not be read: {error}"
        return
    for line in ledger["series"]:
        for hole in line["holes"] if line["host"] in made.hosts else ():
            if (hole["since"] or "") <= made.last and hole["until"] >= made.first:
                numbers = f"{hole['first']:,} to {hole['last']:,}"
                yield f"host {line['host']}, series {line['series']}: {numbers} missing: {hole['reason']}"


def _without_credentials(name: str) -> str:
    """Return a URL without user and password; any other name as it is."""
    if "://" not in name:
        return name
    parts = urlsplit(name)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
