"""Labels are a stranger's text: what fits a strict pattern has its effect, the rest has none and is named."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.generate._localhost_sections import ACCESS
from shipper.generate.localhost import generate
from tests.unit.localhost_world import HEALTH, SETTINGS, app, sections, task

HOSTILE = (
    "", " ", "\n", "a\nb", "a.example\n  server x 1.2.3.4:1", "a.example\r\nbind *:1", '"', "'", "\\", "#", "a #b",
    "a b", "a\tb", "{", "}", "a } || { always_true", "$HOME", "${HOME}", "%[src]", "a;b", "a|b", "a`id`", "*",
    "*.example", "a..b", "a.", "a-", "ü.example", "日本", "\u202eelpmaxe.a", "\u2028", "\x00", "\x1b[31m", "\udc80",
    ".a", "-a", "a" * 64, "a." * 126 + "aa", "x" * 100_000, "http\n", "HTTP", "tcp ", "0", "-1", "65536", "080", "1e3",
    "٣", "8080\n", "8080 ssl", "127.0.0.1:80", "a.example:80", "://", "a/b", "a@b", "a,b\nc", ",", "a,,b", "@name@",
    "@port@",
)  # fmt: skip
#: All that a line of the file may be made of.
_PLAIN = set(string.ascii_letters + string.digits + " .,:_-/@{}()'#;`%|*=~")


@pytest.mark.parametrize(
    ("label", "value", "said"),
    [
        ("HAPROXY_0_VHOST", "a b", "HAPROXY_0_VHOST: 'a b' is no host name: not routed"),
        ("HAPROXY_0_VHOST", "a\nb", r"HAPROXY_0_VHOST: 'a\nb' is no host name: not routed"),
        ("HAPROXY_0_VHOST", "x" * 10_001, "HAPROXY_0_VHOST: longer than 10000 characters: it has no effect"),
        ("HAPROXY_0_MODE", "udp", "HAPROXY_0_MODE: 'udp' is neither http nor tcp: it has no effect"),
        ("HAPROXY_0_PORT", "65536", "HAPROXY_0_PORT: '65536' is no port (1 to 65535): it has no effect"),
        ("HAPROXY_1_PORT", "1", "HAPROXY_1_PORT: the app has no port 1; ports are counted from 0"),
        ("HAPROXY_00_PORT", "1", "HAPROXY_00_PORT: the app has no port 00; ports are counted from 0"),
    ],
)
def test_a_wrong_label_is_named_and_has_no_effect(label: str, value: str, said: str) -> None:
    made = generate([app("/a", labels={label: value})], SETTINGS)
    assert made.text == generate([app("/a")], SETTINGS).text
    assert [(problem.app_id, problem.text) for problem in made.problems] == [("/a", said)]


def test_a_wrong_host_name_does_not_cost_the_others() -> None:
    made = generate([app("/a", labels={"HAPROXY_0_VHOST": "a.example,b c,d.example"})], SETTINGS)
    assert made.text == generate([app("/a", labels={"HAPROXY_0_VHOST": "d.example,a.example"})], SETTINGS).text
    assert len(made.problems) == 1


def test_host_names_need_http() -> None:
    made = generate([app("/a", labels={"HAPROXY_0_VHOST": "a.example", "HAPROXY_0_MODE": "tcp"})], SETTINGS)
    assert made.text == generate([app("/a", labels={"HAPROXY_0_MODE": "tcp"})], SETTINGS).text
    assert "needs HAPROXY_0_MODE http" in made.problems[0].text


def test_there_is_a_limit_to_everything() -> None:
    many = ",".join(f"n{number}.example" for number in range(100))
    labels = {"HAPROXY_0_VHOST": many, **{f"HAPROXY_{number}_PORT": "x" for number in range(100)}}
    made = generate([app("/a", range(20_000, 20_100), labels)], SETTINGS)
    assert len([line for line in sections(made.text)["frontend shipper-http"] if line[0] == "use_backend"]) == 64
    assert len(made.ports) == 65
    assert len(made.problems) == 11
    assert all(len(problem.text) < 200 for problem in made.problems)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**30])
def test_a_port_that_is_none_is_not_served(port: int) -> None:
    made = generate([app("/a", (port,))], SETTINGS)
    assert (made.ports, len(made.problems)) == ((), 1)
    assert generate([app("/a", tasks=[task("/a", 1, ports=(port,))])], SETTINGS).servers == 0


def _check_lines(text: str) -> None:
    """No line of the file is longer or made of other characters than those that the generator writes itself."""
    assert set(text.replace(ACCESS, "")) <= _PLAIN | {"\n"}
    assert max(map(len, text.splitlines())) < 600


def _shape(text: str) -> list[tuple[str, list[str]]]:
    """Sections with the first words of their lines."""
    return [(section, [words[0] for words in lines]) for section, lines in sections(text).items()]


@st.composite
def _hostile(draw: st.DrawFn) -> str:
    """A value with at least one thing in it that no label may have."""
    around = st.text(max_size=20) | st.sampled_from(("a.example", "8080", "http", ""))
    return draw(around) + draw(st.sampled_from([value for value in HOSTILE if value.strip(" ,")])) + draw(around)


@given(value=st.sampled_from(HOSTILE) | _hostile() | st.text(max_size=300))
@settings(max_examples=500, deadline=None, derandomize=True, database=None)
def test_no_label_changes_the_structure_of_the_file(value: str) -> None:
    names = ("HAPROXY_0_VHOST", "HAPROXY_0_MODE", "HAPROXY_0_PORT", "HAPROXY_GROUP", "SHIPPER_ROLE", "HAPROXY_1_VHOST")
    labels = dict.fromkeys(names, value) | {value: value, f"HAPROXY_{value}_VHOST": value}
    others = [app("/b", (10002,)), app("/c", (10003,), {"HAPROXY_0_VHOST": "c.example"})]
    made = generate([app("/a", labels=labels), *others], SETTINGS)
    _check_lines(made.text)
    # A value that is right after all may move the port, set the mode or add names, and that is all.
    plain = app("/a", labels={"HAPROXY_0_MODE": "http"} if "\n  mode http\n" in _section(made.text) else {})
    port = next(port for port in made.ports if port not in (80, 10002, 10003))
    expected = generate([plain, *others], SETTINGS).text.replace("a_10001", f"a_{port}").replace(":10001", f":{port}")
    assert _shape(_without_names(made.text)) == _shape(_without_names(expected))
    assert all(problem.text.isprintable() and problem.text.replace("…", "").isascii() for problem in made.problems)


def _section(text: str) -> str:
    found = re.search(r"^frontend a_\d+\n(?:  .*\n)+", text, re.MULTILINE)
    assert found
    return found[0]


def _without_names(text: str) -> str:
    return re.sub(
        r"^  use_backend a_\d+ if \{ req\.hdr\(host\),field\(1,:\),lower -m str [a-z0-9._-]+ \}\n", "", text, flags=re.M
    )


@pytest.mark.parametrize("value", HOSTILE)
def test_ids_hosts_and_paths_cannot_either(value: str) -> None:
    check = {**HEALTH, "path": value, "protocol": "HTTP"}
    good = app("/b", (10002,))
    expected = generate([good], SETTINGS)
    for hostile in (
        app("/" + value, (10001,), checks=[check]),
        app("/a", (10001,), tasks=[task("/a", 1, host=value)], checks=[check]),
    ):
        made = generate([hostile, good], SETTINGS)
        _check_lines(made.text)
        extra = _shape(made.text)[: -len(_shape(expected.text)[2:])][2:]
        assert [section.split()[0] for section, _ in extra] in ([], ["frontend", "backend"])
        assert all(problem.text.isprintable() and len(problem.text) < 400 for problem in made.problems)
