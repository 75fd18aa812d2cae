"""What the commands that ask promise: what they send, how they answer, exit codes, and one line for every error."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shipper.cli import story_shown
from shipper.cli.terminal import Style
from shipper.errors import QueryError, ShipperError
from tests.servers.process import free_port
from tests.unit.api_world import record
from tests.unit.cli_world import Ask, Server, page, parse, server, shipper, story

__all__ = ["server", "shipper"]  # fixtures


def test_search_sends_every_option(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page(record(1, "timed out"))]
    options = "--app a --host h --level warn --level error --min-level info --request-id r --since -1h --until now"
    assert shipper("search", "timed out", *options.split(), "--limit", "7", "--order", "oldest") == 0
    assert server.asked == [
        "/api/v1/records?query=timed+out&app=a&host=h&level=warn&level=error&min_level=info&request_id=r"
        "&start=-1h&end=now&order=oldest&limit=7"
    ]
    assert "timed out" in capsys.readouterr().out


def test_search_finds_nothing(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page()]
    assert shipper("search", "x") == 1
    assert capsys.readouterr() == ("", "no record matches\n")


def test_limit_0_reads_all_pages_of_one_time_range(
    server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [
        page(record(1), cursor="c1"),
        page(record(2), cursor="c2", incomplete=("day lost",)),
        page(record(3)),
    ]
    assert shipper("search", "--since", "1h", "--limit", "0", "--json") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["event.sequence"] for line in out.splitlines()] == [1, 2, 3]
    assert err == "warning: possibly incomplete: day lost\n"
    assert "start=2026-11-22T13%3A30%3A00.000000Z" in server.asked[1]
    assert "cursor=c2" in server.asked[2]


def test_a_limit_says_that_there_is_more(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [page(record(1), cursor="c1")]
    assert shipper("search", "--limit", "1") == 0
    assert "there are more" in capsys.readouterr().err


def test_json_is_exact(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    told = record(1, "\x1b[31m \u202e ä \n\t \x00")
    server.answers = [page(told)]
    assert shipper("search", "--json") == 0
    assert json.loads(capsys.readouterr().out) == told


def test_request_tells_the_story(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [(200, story())]
    assert shipper("request", "r1") == 0
    out = capsys.readouterr().out
    title = "request r1  11 records, 4.090 s, from 2026-11-22 14:20:00.000 UTC  POST /checkout 502\n"
    assert out.startswith(
        f"{title}complete as far as the ledger knows\nfirst error  +4.021 s  shop-payment: charge failed"
    )
    assert "\n  shop-web    +1.2 ms … +4.023 s  2 records, 1 error  on web-3\n" in out
    assert "\n  shop-mail  +4.090 s … +4.090 s  1 record, status 200, clock -2.000 s\n" in out
    assert re.search(r"^\+2\.013 s 14:20:02\.013 warn +pay-1 +shop-payment provider slow", out, re.MULTILINE)


def test_request_says_what_may_be_missing(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    told = story(
        verdict={"state": "incomplete", "reasons": ["12 records of host web-3 \x1b[2J missing"]},
        silent=[{"service": "stock\x1b", "share": 0.97, "of": 200, "explained": False, "why": "in 97 % of 200"}],
        clocks=[{"host": "web-3", "shift_ns": 5, "told": "web-3 was 5 s \u202e behind"}],
        hops=[
            {"from": "web", "to": "pay", "how": "span", "offset_ns": 10**7, "duration_ns": 10**9, "status": 500},
            {"from": "web", "to": "mail", "how": "time", "offset_ns": 0, "duration_ns": 10**6, "status": None},
        ],
        related=[{"kind": "trace", "id": "4bf9", "requests": ["r2", "r3"], "query": "trace.id: 4bf9"}],
    )
    server.answers = [(200, told)]
    assert shipper("request", "r1") == 0
    out = capsys.readouterr().out
    assert "\nincomplete\n  12 records of host web-3 \\x1b[2J missing\nfirst error" in out
    calls = "calls\n  web → pay  +10 ms  1.000 s  status 500  by span\n  web → mail  +0  1 ms  by time\n"
    rest = "silent  stock\\x1b: in 97 % of 200\nclock  web-3 was 5 s \\u202e behind\nsame trace 4bf9: r2, r3\n\n"
    assert calls + rest in out


def test_the_corrected_time_is_shown(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    told = story()
    told["records"][0]["shown_time"] = "2026-11-22T14:19:57.000000Z"
    server.answers = [(200, told)] * 2
    assert shipper("request", "r1") == 0
    assert "+0 14:19:57.000 info " in capsys.readouterr().out
    assert shipper("request", "r1", "--story-json") == 0
    assert json.loads(capsys.readouterr().out) == told


def test_the_link_to_kibana_is_shown_where_it_leads(
    server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    for url, shown in (("https://k/app/r?l=\x1b[2J", "Kibana  https://k/app/r?l=\\x1b[2J\n"), ("/kibana/app/r", "")):
        server.answers = [(200, {**story(), "links": {"kibana": url}})]
        assert shipper("request", "r1") == 0
        out = capsys.readouterr().out
        assert shown in out
        assert ("Kibana" in out) == bool(shown)


def test_lanes_are_drawn_where_there_is_room() -> None:
    told = story()
    told["services"][0]["duration_ns"] = 2_000_000_000

    def bars(width: int) -> list[str]:
        found = [re.search("[·━]{2,}", line) for line in story_shown.lines(told, Style(width=width))]
        return [bar[0] for bar in found if bar is not None]

    web, mail = bars(120)
    assert len(web) == len(mail) >= 16
    assert re.fullmatch("━+·+", web)
    assert 0.4 < web.count("━") / len(web) < 0.6
    assert mail == "·" * (len(mail) - 1) + "━"
    assert bars(60) == []


def test_request_that_nobody_made(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [(404, {"error": {"message": "no record carries the request id x", "position": None}})]
    assert shipper("request", "x") == 1
    assert capsys.readouterr() == ("", "no record carries the request id x\n")


def test_dead_letters(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    letter = {
        "id": "abcn-0000000001",
        "reason": "rejected",
        "detail": "too \x1b big",
        "received_at": "2026",
        "host": "h",
    }
    server.answers = [(200, {"dead_letters": [letter]}), (200, {"dead_letters": []})]
    assert shipper("dead-letters", "list") == 0
    assert "too \\x1b big" in capsys.readouterr().out
    assert shipper("dead-letters") == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": {"message": "start: not a time", "position": 3}}), "--since: not a time"),
        ((503, {"error": {"message": "the store is busy", "position": None}}), "the store is busy"),
        ((302, b""), "is not shipper \\(HTTP 302\\)"),
        ((404, b"<html>"), "is not shipper"),
        ((200, b"<html>"), "is not shipper"),
        ((200, b"[]"), "is not shipper"),
        ((200, b"[" * 100_000), "is not shipper"),
        ((200, {"status": "ok"}), "or another version of it \\(no 'records' in its answer\\)"),
        ((403, {"error": {"message": "not for you\x1b", "position": None}}), r"not for you\\x1b \(this token"),
        ((500, {"error": "in a form of long ago"}), "in a form of long ago"),
    ],
)
def test_errors_are_one_line(server: Server, shipper: Ask, answer: tuple[int, Any], said: str) -> None:
    server.answers = [answer]
    with pytest.raises(ShipperError, match=said):
        shipper("search")
    assert len(server.asked) == 1  # no redirect was followed


def test_a_limit_is_waited_for(server: Server, shipper: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    refused = (429, {"error": {"message": "too many questions", "position": None}})
    server.answers = [page(record(1), cursor="c"), refused, refused, page(record(2))]
    assert shipper("search", "--limit", "0", "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    server.answers = [refused] * 6
    with pytest.raises(ShipperError, match="too many questions"):
        shipper("search")
    assert server.answers == []
    server.answers, server.retry_seconds = [refused, page(record(1))], 3600
    with pytest.raises(ShipperError, match="too many questions"):
        shipper("search")
    assert len(server.answers) == 1  # nobody waits for an hour


@pytest.mark.parametrize(
    "command", ["search", "request", "context", "top", "compare", "ledger", "dead-letters", "bundle", "tail"]
)
def test_help_has_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(command, "--help")
    said = capsys.readouterr().out
    assert f"\n  shipper {command}" in said
    assert "\nexit code: 0 " in said
    assert "$SHIPPER_TOKEN" in said
    assert max(map(len, said.splitlines())) <= 160


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    options = parse("search", "--url", url)
    said = f"cannot reach {url} (connection refused): is shipper running? set SHIPPER_URL or --url"
    with pytest.raises(ShipperError, match=re.escape(said)):
        options.function(options)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "x", "http://", "http://[", "http://a b"])
def test_only_http_urls(url: str) -> None:
    options = parse("search", "--url", url)
    with pytest.raises(ShipperError):
        options.function(options)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--cluster", "prod"], "--cluster chooses among the files of --store"),
        (["compare", "level:error"], "compare what? give --versions OLD NEW, or --before TIME and --since TIME"),
        (["top"], "top of which field?"),
    ],
)
def test_what_cannot_be_asked(shipper: Ask, arguments: list[str], said: str) -> None:
    with pytest.raises(QueryError, match=re.escape(said)):
        shipper(*arguments)


def test_a_full_disk_is_not_taken_for_nothing_found(server: Server) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    server.answers = [page(record(1, "x"))]
    argv = [sys.executable, "-m", "shipper", "search", "--url", f"http://127.0.0.1:{server.server_port}"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "error: the answer cannot be written: No space left on device\n")


def test_a_reader_that_goes_away_is_no_error(server: Server) -> None:
    server.answers = [page(*(record(n, "x" * 1000) for n in range(1000)))]
    program = "import sys; from tests.unit.cli_world import parse; o = parse(*sys.argv[1:]); sys.exit(o.function(o))"
    argv = [sys.executable, "-c", program, "search", "--url", f"http://127.0.0.1:{server.server_port}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
