"""`kibana/README.md`: what is in the files, and how they get into a Kibana by hand."""

from typing import Any, Final

from shipper.generate._kibana_objects import SavedObject
from shipper.generate._kibana_settings import Settings


def readme(settings: Settings, views: list[SavedObject], shown: list[SavedObject], rules: list[dict[str, Any]]) -> str:
    """Return the page; it lists what the files hold."""
    of_kind = {kind: [one for one in shown if one["type"] == kind] for kind in ("search", "dashboard")}
    parts = {
        "views": "".join(f"| `{one['id']}` | `{one['attributes']['title']}` |\n" for one in views),
        "searches": _list(of_kind["search"]),
        "dashboards": _list(of_kind["dashboard"]),
        "rules": "".join(f"- {one['rule']['name']}: {_said(one['rule']['params'])}\n" for one in rules),
        "links": settings.links or "the root of the host that Kibana is on: the API is behind the same nginx",
    }
    text = _PAGE
    for name, value in parts.items():
        text = text.replace(f"@{name}@", value)
    return text


def _list(found: list[SavedObject]) -> str:
    return "".join(f"- **{one['attributes']['title']}**: {one['attributes']['description']}\n" for one in found)


def _said(parameters: dict[str, Any]) -> str:
    """Return when a rule fires, in words."""
    span = f"{parameters['timeWindowSize']} {parameters['timeWindowUnit']}"
    what = f"records of one `{parameters['termField']}`" if "termField" in parameters else "records"
    return f"{what} {parameters['thresholdComparator']} {parameters['threshold'][0]} in {span}"


_PAGE: Final = """\
# Kibana

Written by `shipper generate kibana`; change its settings, not these files. They import in Kibana 8.9 or newer, and 9.x.

`shipper setup kibana` does all of this page for every space, as often as you like, and shows the difference first.

## By hand

1. Stack Management → Saved Objects → Import → `shipper.ndjson`, with "Automatically overwrite conflicts". Import it
   again after an upgrade: it replaces what it brought before and nothing else. Data views are replaced as well, so a
   runtime field that you added to one of these is gone; add it to a view of your own.
2. Space settings → Solution view → Observability: Discover then shows levels in colour and an overview of each record.
3. Alert rules, one by one; each entry of `rules.json` is an id and a body. The user whose key makes them needs the
   privilege Stack Rules.

   ```
   jq -c '.[]' rules.json | while read -r one; do
     curl -sS -X POST "$KIBANA/api/alerting/rule/$(jq -r .id <<<"$one")" -H "Authorization: ApiKey $KEY" \\
       -H 'kbn-xsrf: true' -H 'content-type: application/json' -d "$(jq -c .rule <<<"$one")"
   done
   ```

Searches and dashboards are marked as managed: Kibana shows them read-only, and people clone them. From a shell:

```
curl -sS -X POST "$KIBANA/api/saved_objects/_import?overwrite=true" -H "Authorization: ApiKey $KEY" \\
  -H 'kbn-xsrf: true' -F file=@shipper.ndjson
```

The answer is 200 also when an object was refused: read `success` and `errors` in it.

## Data views

| id | indices |
|---|---|
@views@
Request and task ids are links to their pages at @links@.

`shipper-delay` shows the same indices as `logs-mesos` with one field more, `shipper.delay_ms`, which Elasticsearch
computes for each record that it looks at: it is for the dashboard of the pipeline, search in `logs-mesos`.

## Saved searches

@searches@
## Dashboards

@dashboards@
HTTP status needs access logs with fields: HAProxy writes them with the file of `shipper haproxy`, nginx with the piece
of `rsyslog/nginx/`. What `option httplog` writes is text, and found by its words only.

## Alert rules

@rules@
They have no actions: what a rule does when it fires is yours to add (Stack Management → Rules). The free licence has
these kinds of rules, and the connectors "Index" and "Server log"; e-mail, chat and webhooks need a paid one.

Records come late when a queue is long, so spans reach `delay_minutes` further back, and rules about silence look at a
span that ended that long ago. "Records are missing" reads what the job `shipper-ledger` writes once an hour
(`marathon-apps/chronos/ledger.json`).
"""
