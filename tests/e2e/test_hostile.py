"""Whatever bytes come: one record in is one record out, its neighbours never notice, a wrong peer loses only itself."""

import base64
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shipper.host.stamp import LONGEST_MESSAGE
from tests.e2e.delivery import (
    documents_in_sqlite,
    messages_in_elasticsearch,
    messages_in_sqlite,
    tally,
    wait_settled,
)
from tests.e2e.peers import OPEN, RelpSession, ended, frame, log_lines, metric, stamped
from tests.integration.host import Host
from tests.servers.process import free_port, wait_until
from tests.shipper_process import ShipperProcess

MIB = 2**20
#: Lines, encodings, syslog, forgeries: one record each, for every source.
TEXTS = [
    b"lines: a\rb",
    b"lines: a\r\nb\r\n",
    b"lines: one\ntwo\n\nthree",
    "lines: a\u2028b\u0085c\vd\fe".encode(),
    b" ",
    b"\t",
    b"lines: " + b"x" * 60_000,
    b"lines: " + b"x " * 100_000,
    b"x" * (MIB - 1),
    b"encoding: \xff\xfe\x80",
    b"encoding: \xc0\xaf overlong",
    b"encoding: \xed\xa0\x80 \xed\xa0\xbd\xed\xb8\x80 CESU",
    "encoding: UTF-16".encode("utf-16"),
    b"encoding: a\0b\0",
    b"\xef\xbb\xbfencoding: BOM",
    b"encoding: \x1b[31m\x07\x9b",
    b"<192>pri",
    b"<999>pri",
    b"<0000>pri",
    b"<-1>pri",
    b"<>pri",
    b"<34pri",
    b"<34>",
    b"<00191>1 - - - - - - pri",
    b"<\xd9\xa1>pri",
    b"<14>Feb 30 25:61:61 web shop[7]: no such time",
    b"<14>Nov 22 23:48:60 web shop[7]: leap",
    b"<14>1 2026-02-30T24:00:00Z h a p m - no such time",
    b"<14>1 9999-12-31T23:59:59.999999999+23:59 h a p m - last",
    b'<14>1 - - - - - [a b="\\]\\"\\\\"][c@1 d="]"] odd',
    b'<14>1 - - - - - [a b="x',
    b"<14>1 - - - - - [] x",
    b"<14>1",
    b"<14>1 - " + b"h" * 300 + b" " + b"a" * 50 + b" - - [x " + b"k" * 40_000 + b'="v"] long',
    b"<14>Nov 22 23:48:34 web " + b"t" * 5000 + b"[7]: long tag",
    b"<14>Nov 22 23:48:34 web shop[" + b"7" * 40 + b"]: pid",
    b"forged: text\n<34>1 2026-11-22T00:00:00Z other shop 7 - - forged",
    b"forged: " + frame(7, b"inner") + OPEN,
    b"forged: 0 serverclose 0\n9 close 0\n",
    b"5 hello5 world",
    b"<14>Nov 22 23:48:34 web shop[7]: request_id=forged-12345678",
]
#: JSON that a parser or a store may choke on.
DOCUMENTS = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":' * 1025 + b"1" + b"}" * 1025,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"message":"deep","a":' + b'{"b":' * 25 + b"1" + b"}" * 26,
    b'{"message":"list","a":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"a":' + b"9" * 1000 + b"}",
    b'{"pid":18446744073709551616,"message":"2^64"}',
    b'{"pid":1e999,"message":"inf"}',
    b'{"a":NaN,"message":"nan"}',
    b'{"message":"twice","message":"again","a":1,"a":{"b":2}}',
    b'{"message":"cut","a":',
    b'{"":1," ":2,"a..b":3,"_id":"4","a.":5,".":6,"..":7,"message":"names"}',
    b'{"message":"\\ud800 lone","\\udc00":"\\ud800"}',
    b'{"message":"nul \\u0000","a\\u0000b":"\\u0000","labels":{"x\\u0000":1}}',
    b'{"message":"key","' + b"k" * 40_000 + b'":1}',
    b'{"message":"value","level":"'
    + b"v" * 40_000
    + b'","user_id":"'
    + b"v" * 40_000
    + b'","x":"'
    + b"v" * 40_000
    + b'"}',
    b'{"message":"keys",' + b",".join(b'"k%d":%d' % (n, n) for n in range(1500)) + b"}",
    b'{"message":"types","level":{"a":1},"pid":"x","time":{"a":[1]},"client_ip":"300.1.1.1","status":[1],"user":{"id":{"a":1}}}',
    b'{"message":"types","log":"x","error":[[1]],"http":{"request":7},"labels":"x","tags":{"a":1},"host":{"name":[1]}}',
    b'{"message":{"a":1}}',
    b'{"message":null}',
    b'{"message":[1,{"a":2}]}',
    b"{}",
    b'{"@timestamp":"yesterday","message":"date"}',
    b'{"@timestamp":"1960-01-01T00:00:00Z","message":"old"}',
    b'{"@timestamp":"2300-01-01T00:00:00Z","message":"new"}',
    b'{"@timestamp":-1e300,"time":99999999999999999999,"ts":1e-320,"message":"numbers"}',
    b'{"a":1}\0{"b":2}',
    b'{"a":1}\n{"b":2}',
    b'{"shipper.series":"forged","event.sequence":1,"host.name":"forged","container.id":"x","message":"forged fields"}',
    b'{"shipper":{"series":"forged"},"event":{"sequence":1,"created":"x"},"host":{"name":"x"},"message":"forged"}',
]
HOSTILE = [text for text in TEXTS if len(text) < MIB - 1] + DOCUMENTS
#: What breaks RELP: each closes its own connection.
BROKEN = {
    "negative length": OPEN + b"2 syslog -1 a\n",
    "huge length": OPEN + b"2 syslog 999999999 a\n",
    "ten digits": OPEN + b"2 syslog 1000000000 a\n",
    "length with underscore": OPEN + b"2 syslog 1_0 a\n",
    "length with plus": OPEN + b"2 syslog +5 hello\n",
    "Arabic digits": OPEN + "2 syslog \u0661 a\n".encode(),
    "transaction 0": OPEN + b"0 syslog 1 a\n",
    "transaction of letters": OPEN + b"x syslog 1 a\n",
    "no trailer": OPEN + b"2 syslog 1 aa\n",
    "shorter than it says": OPEN + b"2 syslog 9 a\n2 syslog 1 b\n",
    "command of digits": OPEN + b"2 sys1og 1 a\n",
    "long command": OPEN + b"2 " + b"a" * 40 + b" 0\n",
    "before open": b"1 syslog 1 a\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "syslog": b"<14>Nov 22 23:48:34 web shop[7]: not RELP\n",
    "NUL": bytes(1000),
}

Send = Callable[[list[bytes]], object]


@contextlib.contextmanager
def all_sources(run_dir: Path) -> Iterator[tuple[ShipperProcess, dict[str, Send]]]:
    """A shipper that listens everywhere, and for each source a function that sends records."""
    unix = run_dir / "log"
    plain = [{"type": "syslog_tcp", "port": 0}, {"type": "syslog_udp", "port": 0}, {"type": "unix", "path": str(unix)}]
    settings: dict[str, Any] = {"sources": [{"type": "relp", "port": 0}, *plain]}
    store = {"type": "sqlite", "path": str(run_dir / "data")}
    with contextlib.ExitStack() as stack:
        shipper = stack.enter_context(ShipperProcess(run_dir / "shipper", store, **settings))
        (started,) = (line["labels"] for line in log_lines(shipper) if line["message"] == "started")
        assert isinstance(started, dict)
        session = stack.enter_context(RelpSession(shipper.port))
        tcp = stack.enter_context(socket.create_connection(_address(started["syslog_tcp"]), timeout=30))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.connect(_address(started["syslog_udp"]))
        local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        local.connect(str(unix))

        def send_udp(payloads: list[bytes]) -> None:
            count = metric(shipper, "shipper_records_received_total")
            for number, payload in enumerate(payloads, 1):  # one by one: the kernel's buffer may be small
                udp.send(payload)
                received(shipper, count + number)

        yield (
            shipper,
            {
                "relp": lambda payloads: session.deliver(*payloads),
                "syslog_tcp": lambda payloads: tcp.sendall(b"".join(b"%d %b" % (len(one), one) for one in payloads)),
                "syslog_udp": send_udp,
                "unix": lambda payloads: [local.send(payload) for payload in payloads],
            },
        )


def received(shipper: ShipperProcess, count: float) -> None:
    wait_until(lambda: metric(shipper, "shipper_records_received_total") >= count, 60, f"{count} received")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


_LONGEST = {"relp": MIB, "syslog_tcp": MIB, "syslog_udp": 65_000, "unix": 200_000}


def between(payloads: list[bytes], name: str) -> list[bytes]:
    """Hostile records, each between two harmless ones."""
    found = [b"neighbour %s %d" % (name.encode(), number) for number in range(len(payloads) + 1)]
    return [one for pair in zip(found, [*payloads, b""], strict=True) for one in pair][:-1]


def settled(shipper: ShipperProcess, count: int) -> None:
    """Wait until so many records are settled, and none is a bug's."""
    wait_until(lambda: metric(shipper, "shipper_records_settled_total") >= count, 60, f"{count} settled")
    assert metric(shipper, "shipper_records_settled_total") == count
    assert metric(shipper, "shipper_records_in_flight") == 0
    assert metric(shipper, "shipper_parser_bugs_total") == 0
    assert all(line["log.level"] != "error" for line in log_lines(shipper))


def test_one_record_in_is_one_record_out_by_every_source(run_dir: Path) -> None:
    expected = 0
    with all_sources(run_dir) as (shipper, senders):
        for name, send in senders.items():
            records = between([one for one in TEXTS + DOCUMENTS if len(one) <= _LONGEST[name]], name)
            send(records)
            expected += len(records)
            settled(shipper, expected)
            assert metric(shipper, "shipper_dead_letters_total") == 0
        assert shipper.peak_mb() < 250
    found = messages_in_sqlite(run_dir / "data")
    assert len(found) == expected
    for name in senders:
        neighbours = [message for message in found if message.startswith(f"neighbour {name} ")]
        assert len(neighbours) == len(set(neighbours)) > 60


@pytest.mark.parametrize("framing", ["lines", "octets"])
def test_syslog_tcp_cuts_what_is_too_long_and_goes_on(framing: str, run_dir: Path) -> None:
    source = {"type": "syslog_tcp", "port": 0, "max_frame_bytes": 1000}
    store = {"type": "sqlite", "path": str(run_dir / "data")}
    with ShipperProcess(run_dir / "shipper", store, sources=[source]) as shipper:
        (started,) = (line["labels"] for line in log_lines(shipper) if line["message"] == "started")
        assert isinstance(started, dict)
        with socket.create_connection(_address(started["syslog_tcp"]), timeout=30) as peer:
            records = [b"first", b"long " * 2 * MIB, b"last"]
            if framing == "lines":
                peer.sendall(b"".join(record + b"\n" for record in records))
            else:
                peer.sendall(b"".join(b"%d %b" % (len(record), record) for record in records))
            settled(shipper, 3)
        assert metric(shipper, "shipper_records_truncated_total") == 1
        assert shipper.peak_mb() < 250
    assert [len(message) for message in messages_in_sqlite(run_dir / "data")] == [5, 1000, 4]


def test_a_wrong_relp_peer_loses_only_its_own_connection(run_dir: Path) -> None:
    store = {"type": "sqlite", "path": str(run_dir / "data")}
    with ShipperProcess(run_dir / "shipper", store) as shipper, RelpSession(shipper.port) as good:
        for number, (name, octets) in enumerate(BROKEN.items(), 1):
            with socket.create_connection(("127.0.0.1", shipper.port), timeout=30) as wrong:
                wrong.sendall(octets.replace(OPEN, OPEN + frame(1, stamped(number, name))))
                assert ended(wrong), name
            good.deliver(stamped(1000 + number, "beside it"))
        with RelpSession(shipper.port) as odd:
            odd.socket.sendall(b"2 dance 3 now\n" + OPEN)
            odd.deliver(stamped(2000, "an unknown command and a second open are no reason to part"))
        settled(shipper, metric(shipper, "shipper_records_received_total").__trunc__())
        assert metric(shipper, "shipper_connections_closed_total") == len(BROKEN)
    found = messages_in_sqlite(run_dir / "data")
    assert found.count("beside it") == len(BROKEN)
    # What a peer sent in order before it went wrong is kept.
    assert sum(message in BROKEN for message in found) == sum(one.startswith(OPEN) for one in BROKEN.values())


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch_9"])
def test_poison_is_stored_or_a_dead_letter(store: str, request: pytest.FixtureRequest, run_dir: Path) -> None:
    cluster = run_dir.name.lower().replace("-", "_")
    settings: dict[str, Any] = {"type": "sqlite", "path": str(run_dir / "data")}
    if store != "sqlite":
        settings = {"type": "elasticsearch", "urls": [request.getfixturevalue(store)], "replicas": 0}
    payloads = [*HOSTILE, *[one.decode(errors="replace").encode() for one in HOSTILE]]
    texts = [payload.decode(errors="replace") for payload in between(payloads, "poison")]
    with (
        ShipperProcess(run_dir / "shipper", settings, cluster=cluster) as shipper,
        RelpSession(shipper.port) as session,
    ):
        session.deliver(*[stamped(number, text) for number, text in enumerate(texts, 1)])
        session.deliver(*payloads)
        settled(shipper, len(texts) + len(payloads))
        letters = int(metric(shipper, "shipper_dead_letters_total"))
        wait_until(
            lambda: len(shipper.get("/api/v1/dead-letters?limit=1000")["dead_letters"]) == letters, 10, "letters"
        )
        wait_until(lambda: tally(shipper).stored == len(texts) + len(payloads) - letters, 60, "the ledger shows all")
        assert tally(shipper).missing == 0
        found = (
            messages_in_sqlite(run_dir / "data")
            if store == "sqlite"
            else messages_in_elasticsearch(settings["urls"][0], cluster)
        )
    assert len(found) + letters == len(texts) + len(payloads)
    assert {message for message in found if message.startswith("neighbour")} == set(texts[::2])
    print(f"{store}: {len(found)} stored, {letters} dead letters")


def test_a_plain_source_cannot_speak_for_a_host(run_dir: Path) -> None:
    """A stamp is believed from RELP alone: else anybody could take the id of a record to come."""
    forged = stamped(1, "forged", host="victim", series="aaaaaaaaaaaan")
    with all_sources(run_dir) as (shipper, senders):
        for name in ("syslog_tcp", "syslog_udp", "unix"):
            senders[name]([forged])
        settled(shipper, 3)
        senders["relp"]([stamped(1, "true", host="victim", series="aaaaaaaaaaaan")])
        assert metric(shipper, "shipper_dead_letters_total") == 0
    documents = documents_in_sqlite(run_dir / "data")
    assert [one["message"] for one in documents if one.get("host.name") == "victim"] == ["true"]
    assert len(documents) == 4


def cases_of(hostile: Path) -> list[bytes]:
    files = sorted((hostile / "json" / "test_parsing").glob("*.json"))
    lines = (hostile / "blns.txt").read_bytes().split(b"\n")
    strings = [line for line in lines if line and not line.startswith(b"#")]
    # The reader cuts what is longer, with a mark; a datagram is longer than no sender may send.
    return [case for case in [file.read_bytes() for file in files] + strings if len(case) < LONGEST_MESSAGE - 100]


def test_hostile_texts_through_a_real_host(rsyslogd: str, run_dir: Path, hostile: Path) -> None:
    port, cases = free_port(), cases_of(hostile)
    assert len(cases) > 800
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(run_dir / "data")}, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        stamp = time.strftime("%b %e %H:%M:%S").encode()
        host.write(*(b"<14>%b case[%d]: %b" % (stamp, number, case) for number, case in enumerate(cases, 1)))
        found = wait_settled(shipper, len(cases))
        assert (found.stored, found.missing, found.rejected) == (len(cases), 0, 0)
        assert metric(shipper, "shipper_parser_bugs_total") == 0
    found_by = {one.get("log.syslog.procid"): one for one in documents_in_sqlite(run_dir / "data")}
    wrong = []
    for number, case in enumerate(cases, 1):
        document = found_by[str(number)]
        if not _original(document).endswith(case.removesuffix(b"\n")):
            wrong.append((number, case[:80], _original(document)[-80:]))
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"


def _original(document: dict[str, Any]) -> bytes:
    """The exact bytes that were written, without PRI."""
    if "shipper.original_base64" in document:
        return base64.b64decode(document["shipper.original_base64"])
    text: str = document.get("event.original") or document["message"]
    return text.encode()
