"""One suite for every parser: its samples give exactly these fields, and nothing it is fed makes it fail."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.config import component, component_names
from tests.contract.parsing import STAMP, STAMPED, everything, fields_of, original, parsed, stamped

SAMPLES = Path(__file__).parent / "samples"
#: Seconds that the worst record may take here: many times what it takes, and far below what would stop a shipper.
WORST_SECONDS = 0.5


def _samples() -> list[Any]:
    found = []
    for name in component_names("parsers"):
        path = SAMPLES / f"{name}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        found += [pytest.param(line, id=f"{name}: {line['about']}") for line in map(orjson.loads, lines)]
    return found


@pytest.mark.parametrize("name", component_names("parsers"))
def test_every_parser_has_samples_and_a_parse_function(name: str) -> None:
    assert (SAMPLES / f"{name}.jsonl").read_text().count("\n") >= 5
    assert callable(component("parsers", name).parse)


@pytest.mark.parametrize("sample", _samples())
def test_sample(sample: dict[str, Any]) -> None:
    """A sample is a payload (text or base64), or a message that a host stamps; then its stamp must come out whole."""
    if "message" in sample:
        payload = stamped(sample["message"], **sample.get("stamp", {}))
    else:
        payload = base64.b64decode(sample["base64"]) if "base64" in sample else sample["payload"].encode()
    expected = dict(sample["fields"])
    if "message" in sample and "stamp" not in sample:
        expected |= STAMPED
    found = fields_of(payload)
    assert found.pop("ecs.version") == "9.4.0"
    assert found.pop("shipper.received_at") == "2026-11-22T12:48:35.000000Z"
    assert found == expected


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_record(payload: bytes) -> None:
    parsed(payload)


@given(st.text(max_size=500))
def test_any_message_is_a_record(message: str) -> None:
    parsed(stamped(message))


_NAMES = st.sampled_from(
    [
        "level",
        "time",
        "msg",
        "message",
        "error",
        "status",
        "labels",
        "log",
        "http",
        "request",
        "id",
        "a.b",
        "",
        "user_id",
    ]
) | st.text(max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(_NAMES, values, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=10))
def test_any_json_object_fits_the_fields(document: dict[str, Any]) -> None:
    fields = fields_of(stamped(json.dumps(document)))
    assert STAMPED.items() <= fields.items()


_PIECES = st.sampled_from(
    [
        *("<13>", "<34>1 ", "<999>", "1 ", "- ", "-", "2026-11-22T12:48:34.123Z ", "2026-11-22T24:00:00Z "),
        *(
            "Nov 22 23:48:34 ",
            "Feb 29 12:00:60 ",
            "Dec 31 2025 23:59:59 ",
            "12: ",
            "*",
            "web-3 ",
            "shop[7]: ",
            "shop: ",
        ),
        *('[x@1 a="b"]', "[", "]", '"', "\\", "@cee: ", '{"level":"info"}', "{", "}", "level=error ", 'msg="a b" '),
        *("time=1 ", "ERROR ", "[notice] ", "\n", "\0", "\x85", " "),
    ]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_any_mixture_of_formats_is_a_record(text: str) -> None:
    parsed(text.encode())
    fields = fields_of(stamped(text))
    assert STAMPED.items() <= fields.items()


@given(st.dictionaries(st.sampled_from(sorted(STAMP)), st.none() | st.integers() | st.text(max_size=12), max_size=4))
def test_any_stamp_is_a_record(changes: dict[str, Any]) -> None:
    parsed(json.dumps({**STAMP, **changes, "message": "hello"}, separators=(",", ":")).encode(errors="replace"))


def test_json_test_suite(hostile: Path) -> None:
    """y_ objects are read, n_ are kept whole as message, i_ either; nothing raises. JSONTestSuite, RFC 8259."""
    counts = {"y": 0, "n": 0, "i": 0}
    for path in sorted((hostile / "json" / "test_parsing").iterdir()):
        payload = path.read_bytes()
        record = parsed(payload)
        counts[path.name[0]] += 1
        is_object = payload.lstrip()[:1] == b"{"
        text = payload.decode(errors="replace").removesuffix("\n")
        if path.name.startswith("y_") and is_object:
            assert "json_invalid" not in record.fields.get("tags", ()), path.name
            assert "labels" in record.fields or orjson.loads(payload) == {}, path.name
        elif path.name.startswith("n_"):
            assert record.fields["message"] == text, path.name
            assert "labels" not in record.fields, path.name
    assert all(counts.values())


def test_naughty_strings_come_out_as_they_went_in(hostile: Path) -> None:
    for line in (hostile / "blns.txt").read_bytes().split(b"\n"):
        text = line.decode()
        assert original(parsed(line)) == text
        record = parsed(stamped(text))
        assert original(record) == text
        assert STAMPED.items() <= everything(record).items()


_MEGABYTE = 2**20
BOMBS = {
    "a million brackets": b"[" * 1_000_000,
    "depth 1,000": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "depth 1,025": b'{"a":' * 1025 + b"1" + b"}" * 1025,
    "depth 300 in a label": b'{"msg":"m","a":' + b"[" * 300 + b"]" * 300 + b"}",
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}",
    "many items": b'{"a":[' + b"1," * 400_000 + b"1]}",
    "many keys within": b'{"a":{' + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}}",
    "a number of a thousand digits": b'{"msg":"m","n":' + b"9" * 1000 + b"}",
    "more than a mebibyte": b'{"msg":"' + b"x" * _MEGABYTE + b'"}',
    "a key of 100 kB": b'{"' + b"k" * 100_000 + b'":1}',
    "big number, then depth": b'{"n":18446744073709551616,"a":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "a quote that never ends": b'<13>1 - - - - - [a b="' + b"\\x" * 200_000,
    "blanks in structured data": b"<13>1 - - - - - [a" + b" " * 400_000,
    "elements without end": b"<13>1 - - - - - " + b"[a]" * 100_000,
    "pairs without end": b"level=info " + b"a=b " * 200_000,
    "a pair's quote that never ends": b'level=info a="' + b'\\"' * 300_000,
    "request ids without end": b"request_id=" + b"a" * 500_000,
    "colons": b"Nov 22 23:48:34 " + b"a: " * 200_000,
    "one word": b"Nov 22 23:48:34 " + b"a" * _MEGABYTE,
    "blanks after a number": b"<13>1:" + b" " * 500_000,
}


@pytest.mark.parametrize("stamp", [False, True], ids=["plain", "stamped"])
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_records_soon(name: str, stamp: bool) -> None:
    payload = stamped(BOMBS[name].decode()) if stamp else BOMBS[name]
    started = time.process_time()
    record = parsed(payload)
    assert time.process_time() - started < WORST_SECONDS
    assert original(record) == BOMBS[name].decode()


def test_one_record_in_is_one_record_out() -> None:
    """Whatever a text holds (frames, line ends of every kind, another header), it stays one message."""
    text = "a\r\nb\rc\x0bd\x0ce\x85f\u2028g\n<34>1 - h - - - - i\n2 syslog 5 hello\n"
    assert fields_of(stamped(text))["message"] == text
    assert fields_of(b"<13>shop: " + text.encode())["message"] == text.removesuffix("\n")


def test_what_an_application_says_is_never_taken_for_what_the_host_says() -> None:
    own = [
        *("host.name", "container.id", "orchestrator.cluster.name", "shipper.series", "shipper.input", "tags"),
        *("orchestrator.resource.id", "orchestrator.resource.name", "orchestrator.resource.type", "shipper.stream"),
        *("marathon.app.version", "log.file.path", "log.offset", "shipper.original_base64"),
        *("shipper.received_at", "shipper.assumed", "event.created", "event.ingested", "event.sequence"),
        *("event.original", "ecs.version", "log.syslog.severity.code", "log.syslog.hostname"),
    ]
    nested: dict[str, Any] = {
        "host": {"name": "forged"},
        "container": {"id": "forged"},
        "shipper": {"series": "forged"},
    }
    nested |= {"orchestrator": {"resource": {"id": "forged"}}, "marathon": {"app": {"version": "forged"}}}
    document = {"msg": "m", **dict.fromkeys(own, "forged"), **nested}
    fields = fields_of(stamped(orjson.dumps(document).decode()))
    assert STAMPED.items() <= fields.items()
    assert set(fields["labels"]) == {*own, *nested}
    assert [name for name, value in fields.items() if value == "forged"] == []


def test_a_message_that_is_a_stamped_record_is_text() -> None:
    inner = stamped("inner", host="forged", series="aaaaaaaan", sequence="99")
    record = parsed(stamped(inner.decode()))
    assert (record.host, record.series, record.sequence) == ("web-3", "65614f3a9c1en", 17)
    assert STAMPED.items() <= everything(record).items()


def test_what_the_host_says_stands_against_every_claim() -> None:
    """Whether the host says it or not, and by whichever key or header a message claims it."""
    said = {"container": "c1", "task": "t1", "app": "/a", "app_version": "v1", "pid": "4711", "file": "/f"}
    names = {"container.id", "orchestrator.resource.id", "orchestrator.resource.name", "log.file.path", "process.pid"}
    claims = dict.fromkeys([*said, *names, "offset", "truncated", "stream", "message_base64"], "9")
    texts = [orjson.dumps({"msg": "m", **claims}).decode(), "1 - h a 9 - - m", "a[9]: m", "Nov 22 23:48:34 a[9]: m"]
    texts += [f"{prefix}{texts[0]}" for prefix in ("1 - h a 9 - - ", "a[9]: ", "Nov 22 23:48:34 a[9]: ")]
    for text in texts:
        fields = fields_of(stamped(text, **said))
        assert {name: fields[name] for name in names} == {
            "container.id": "c1", "orchestrator.resource.id": "t1", "orchestrator.resource.name": "/a",
            "log.file.path": "/f", "process.pid": 4711,
        }  # fmt: skip
        assert {"log.offset", "shipper.stream", "shipper.original_base64", "tags"}.isdisjoint(fields)
        unsaid = fields_of(stamped(text))
        assert unsaid.keys().isdisjoint(names - {"process.pid"})


def test_a_record_is_one_json_object_with_each_name_once() -> None:
    """What is shared and what is the record's own are joined as text: no name may be in both."""
    said = {"container": "c1", "task": "t1", "app": "/a", "pid": "4711", "stream": "stdout", "offset": "5"}
    for text in (
        "hello",
        "a[9]: m",
        "1 - h a 9 - - m",
        'a: {"pid":1,"service":"b"}',
        '{"pid":1}',
        "level=info pid=1 app=b",
    ):
        record = parsed(stamped(text, **said))
        record.seal()
        pairs = json.loads(record.document, object_pairs_hook=lambda pairs: pairs)
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), text


IMPSTATS = '{ "name": "%s", "origin": "%s", "size": 0, "enqueued": 7, "full": 0, "discarded.full": 0 }'


@pytest.mark.parametrize(
    ("name", "origin", "report"),
    [
        ("normal queue", "core.queue", "normal queue"),
        ("normal queue[DA]", "core.queue", "normal queue[DA]"),
        ("imuxsock", "imuxsock", "imuxsock"),
        ("normal", "core.action", "normal"),
        ("action-3-omrelp", "core.action", "action-3-omrelp"),
        ("action-1-mmsequence", "core.action", ""),
        ("action-0-builtin:omfile", "core.action", ""),
        ("resource-usage", "impstats", ""),
        ("global", "dynstats", ""),
    ],
)
def test_statistics_of_rsyslogd_are_figures(name: str, origin: str, report: str) -> None:
    for prefix in ("", "@cee: ", " @cee:", "rsyslogd-pstats: @cee: "):
        text = IMPSTATS % (name, origin)
        record = parsed(stamped(prefix + text, input="impstats", series="0t8k2l4abcdeh"))
        assert (record.report, record.fields["message"]) == (report, text)


BAD_REPORTS = {
    "no JSON": "{",
    "no object": "[]",
    "no name": '{"at":"x"}',
    "a name that is no text": '{"report":1}',
    "an empty name": '{"report":""}',
    "a name too long": '{"report":"%s"}' % ("é" * 128),
    "too long": '{"report":"reader","x":"%s"}' % ("x" * 2**16),
    "too long in bytes": '{"report":"reader","x":"%s"}' % ("é" * 2**15),
    "too deep to be written again": '{"report":"reader","x":%s}' % ("[" * 300 + "]" * 300),
    "half a character": '{"report":"reader","x":"\\ud800"}',
    "nothing": "",
}


@pytest.mark.parametrize("name", BAD_REPORTS)
def test_a_report_that_is_not_right_is_an_ordinary_record(name: str) -> None:
    record = parsed(stamped(BAD_REPORTS[name], input="report"))
    assert record.report is None
    assert "report_invalid" in record.fields["tags"]
    assert original(record) == BAD_REPORTS[name]


def test_a_report_is_figures_only_by_its_input() -> None:
    text = '{"report":"reader","last":1}'
    assert parsed(stamped(text, input="report")).report == "reader"
    assert parsed(stamped(text)).report is None
    assert parsed(stamped(text, input="report", sequence="0")).report is None
    assert parsed(stamped(text, input="impstats")).report is None


@pytest.mark.parametrize(
    ("host_time", "created"),
    [
        ("2026-11-22T23:48:34.123456+11:00", "2026-11-22T12:48:34.123456Z"),
        ("2026-11-23T00:30:00.000001+01:00", "2026-11-22T23:30:00.000001Z"),
        ("2026-11-22T12:48:34.123456789012Z", "2026-11-22T12:48:34.123456789Z"),
        ("2026-11-22T12:48:34.12345678901Z", "2026-11-22T12:48:34.123456789Z"),
        ("2026-11-22T12:48:34Z", "2026-11-22T12:48:34Z"),
        ("2026-11-22T23:48:60.123456+11:00", "2026-11-22T12:48:59.123456Z"),
        ("2026-11-22T12:48:34.123456.1234Z", None),
        ("2026-11-22T12:48:34.12345६+11:00", None),
        ("2026-11-22T25:48:34.123456+11:00", None),
    ],
)
def test_a_host_time_names_the_day(host_time: str, created: str | None) -> None:
    record = parsed(stamped("hello", host_time=host_time))
    assert record.fields.get("event.created") == created
    assert record.day == ("2026.11.22" if created else "")
