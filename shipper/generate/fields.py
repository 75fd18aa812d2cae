"""`docs/fields.md`: every field of a record, its type, where its name is from and what it means; from the one table."""

from collections.abc import Iterator

from shipper.record.fields import ECS_VERSION, FIELDS
from shipper.search.names import SHORT

_INTRO = f"""\
# Fields

Every field that a record can have. The templates of Elasticsearch, the columns of SQLite, the fields that can be asked
for and those of Kibana's data view are made from the same table. Names are ECS {ECS_VERSION} but for those that say
otherwise; `short` is what a question may call a field instead.

What a structured record says beside these is kept in `labels`, and asked for as `labels.key`. No application can add a
field.

This page is written by `shipper generate docs`.
"""

_KINDS = """\
| type | in Elasticsearch | can be asked for |
|---|---|---|
| `keyword` | `keyword` | by its value and by patterns; one of more than 1,024 characters is kept and not found |
| `text` | `text` | by words and phrases |
| `date_nanos`, `date` | the same | by time, to the nanosecond and to the millisecond |
| `long` | `long` | by number and range; what is no number is kept and not found |
| `ip` | `ip` | by address and network; what is no address is kept and not found |
| `flattened` | `flattened` | by key: `labels.key:value`; all values are texts |
| `unindexed` | `keyword`, not indexed | not at all: it is shown |
"""


def generate() -> dict[str, str]:
    """Return the page: the same code gives the same bytes."""
    return {"docs/fields.md": "\n".join(_page())}


def _page() -> Iterator[str]:
    short = {name: word for word, name in reversed(list(SHORT.items()))}
    yield _INTRO
    yield "| field | short | type | from | meaning |\n|---|---|---|---|---|"
    for field in FIELDS:
        word = f"`{short[field.name]}`" if field.name in short else ""
        yield f"| `{field.name}` | {word} | `{field.kind}` | {field.origin} | {field.meaning} |"
    yield "\n## Types\n"
    yield _KINDS
