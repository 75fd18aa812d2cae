"""The one table of fields: name, type, meaning.

Names are ECS 9.4 unless they start with `shipper.` or `marathon.`; `log.offset` is Filebeat's.

Stores build their templates and columns from it; what is not in it goes to `labels`, which cannot break a mapping.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["keyword", "text", "date", "date_nanos", "long", "ip", "flattened", "unindexed"]
Origin = Literal["ECS", "Filebeat", "ours"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: its dotted name, its type in a store and what it means."""

    name: str
    kind: Kind
    meaning: str

    @property
    def origin(self) -> Origin:
        """Whose name it is."""
        if self.name.startswith(("shipper.", "marathon.")):
            return "ours"
        return "Filebeat" if self.name == "log.offset" else "ECS"


FIELDS: Final = (
    Field(
        "@timestamp", "date_nanos", "time the application wrote the record; the host's receive time when it said none"
    ),
    Field("message", "text", "the text for people, without syslog header or JSON envelope"),
    Field("event.original", "unindexed", "the text as the host received it, only when it differs from message"),
    Field("event.created", "date_nanos", "time the host read the record"),
    Field("event.ingested", "date", "time the record was handed to the store"),
    Field("event.sequence", "long", "number of the record in its series; a gap is a loss"),
    Field("event.duration", "long", "duration in nanoseconds, when the record states one"),
    Field("event.dataset", "keyword", "kind of log, when the record states one"),
    Field("log.level", "keyword", "trace debug info notice warn error critical alert emergency"),
    Field("log.file.path", "keyword", "file that the line is from, as the host names it"),
    Field("log.offset", "long", "byte at which the line starts in that file"),
    Field("log.logger", "keyword", "logger name from structured logs"),
    Field("log.origin.file.name", "keyword", "source file of the log call"),
    Field("log.origin.file.line", "long", "line of the log call"),
    Field("log.origin.function", "keyword", "function of the log call"),
    Field("log.syslog.facility.code", "long", "0 to 23"),
    Field("log.syslog.severity.code", "long", "0 to 7"),
    Field("log.syslog.appname", "keyword", "syslog APP-NAME or TAG"),
    Field("log.syslog.procid", "keyword", "syslog PROCID, as sent"),
    Field("log.syslog.msgid", "keyword", "syslog MSGID"),
    Field("log.syslog.hostname", "keyword", "syslog HOSTNAME, as sent; anybody can write it"),
    Field("log.syslog.structured_data", "flattened", "RFC 5424 structured data"),
    Field(
        "process.pid",
        "long",
        "process id: the writer's on its host when the host knows it, else as the record states it",
    ),
    Field("process.thread.name", "keyword", "thread name from structured logs"),
    Field(
        "service.name",
        "keyword",
        "which app wrote it: as the record says, else Marathon's id of it (/shop/api: shop-api), else the syslog tag",
    ),
    Field("service.version", "keyword", "version of that app"),
    Field("service.environment", "keyword", "prod, staging"),
    Field("host.name", "keyword", "machine that the record was written on, as that machine's rsyslog stamped it"),
    Field("container.id", "keyword", "container that wrote it, resolved on the host"),
    Field("orchestrator.cluster.name", "keyword", "name of the Mesos cluster"),
    Field("orchestrator.resource.id", "keyword", "Mesos task that wrote it, resolved on the host"),
    Field(
        "orchestrator.resource.name", "keyword", "id of the task's Marathon app (/shop/api) or name of its Chronos job"
    ),
    Field("orchestrator.resource.type", "keyword", "task (of an app) or job"),
    Field("marathon.app.version", "keyword", "version of the Marathon app, as Marathon names it"),
    Field("marathon.app.owner", "keyword", "who answers for the app: its label SHIPPER_OWNER"),
    Field("marathon.labels", "flattened", "the app's labels, but for those that configure other programs and us"),
    Field("marathon.task.host", "keyword", "the task's host, as Marathon names it"),
    Field("marathon.task.ports", "long", "the task's ports on that host"),
    Field("trace.id", "keyword", "W3C trace id, 32 hexadecimal digits"),
    Field("span.id", "keyword", "W3C parent id, 16 hexadecimal digits"),
    Field("transaction.id", "keyword", "transaction id, when the record states one"),
    Field("http.request.id", "keyword", "request id: what correlates records across apps"),
    Field("http.request.method", "keyword", "HTTP method"),
    Field("http.response.status_code", "long", "HTTP status"),
    Field("http.response.body.bytes", "long", "size of the answer's body"),
    Field("url.path", "keyword", "path of the request"),
    Field("url.query", "keyword", "query string of the request"),
    Field("client.ip", "ip", "address of the client"),
    Field("user.id", "keyword", "user id"),
    Field("user_agent.original", "keyword", "user agent"),
    Field("error.type", "keyword", "class of the exception"),
    Field("error.message", "text", "text of the exception"),
    Field("error.stack_trace", "text", "stack trace, one record"),
    Field("labels", "flattened", "every other key of a structured record"),
    Field(
        "tags", "keyword", "what happened on the way: invalid_utf8, truncated, json_invalid, report_invalid, parser_bug"
    ),
    Field("ecs.version", "keyword", "version of the field names"),
    Field(
        "shipper.series", "keyword", "series of the record: one start of what numbers records, one class of importance"
    ),
    Field("shipper.received_at", "date", "time the shipper read the record"),
    Field("shipper.assumed", "keyword", "what the record did not say and was assumed: year, zone, time"),
    Field(
        "shipper.original_base64",
        "unindexed",
        "original bytes in base64, only when they are not valid UTF-8: of the message, or of all that came",
    ),
    Field("shipper.input", "keyword", "how the host or the shipper got it: socket, docker, file, journal, syslog_tcp"),
    Field("shipper.stream", "keyword", "stdout or stderr, when the host knows it"),
    Field(
        "shipper.sample_rate",
        "long",
        "how many records this one stands for, when its app wrote more than its budget and was sampled",
    ),
    Field(
        "shipper.enriched_by",
        "keyword",
        "who told of its task: registry, late (the registry, after the record was stored), task_id, host",
    ),
    Field(
        "shipper.ignored",
        "unindexed",
        "fields whose value is kept and shown, but found by no question as the index could not take it; never stored",
    ),
    Field("shipper.peer", "keyword", "address that sent it, for records that no host of ours stamped"),
)

BY_NAME: Final = {field.name: field for field in FIELDS}
ECS_VERSION: Final = "9.4.0"
