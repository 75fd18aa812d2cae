"""`shipper haproxy` with a real HAProxy: reloads that nobody notices, and a file that is never a wrong one."""

import asyncio
import contextlib
import http.client
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shipper.cluster.model import App, Task
from shipper.deploy.haproxy import follow
from shipper.errors import ClusterBusy, ClusterError
from shipper.generate.localhost import generate
from tests.integration.localhost_world import Backends, Host, Load, app, ask, get, inode, serves
from tests.servers.process import free_port, wait_until
from tests.unit.test_localhost_labels import HOSTILE


@pytest.fixture
def host(haproxy: str, run_dir: Path) -> Iterator[Host]:
    world = Host(haproxy, run_dir, free_port(), free_port())
    yield world
    if hasattr(world, "process"):
        world.process.stop()


async def test_twenty_reloads_under_load_fail_no_request(host: Host) -> None:
    port, name = free_port(), "api.example"
    labels = {"HAPROXY_0_MODE": "http", "HAPROXY_0_VHOST": name}
    discovery = host.discovery()
    with Backends(3) as backends:
        await discovery.take([app("/api", port, backends.ports, **labels)])
        host.start()
        wait_until(lambda: serves(port), what="HAProxy serves")
        with Load(port) as load:
            for number in range(20):
                kept = backends.ports[number % 3 :][:2] or backends.ports
                asked = len(load.answers)
                status = await discovery.take([app("/api", port, kept, **labels)])
                assert (status.changed, status.error) == (True, "")
                await asyncio.to_thread(_goes_on, load, asked)
        assert load.failures == []
        assert set(load.answers) == set(map(str, backends.ports))
        assert get(host.settings.http_port, name) in kept_names(kept)
        assert get(host.settings.http_port, f"{name.upper()}:80") in kept_names(kept)
        assert get(host.settings.http_port, "other.example") == "status 503"


def _goes_on(load: Load, asked: int) -> None:
    wait_until(lambda: len(load.answers) > asked + 8, what="requests go on")


def kept_names(ports: list[int]) -> set[str]:
    """What these backends answer."""
    return set(map(str, ports))


async def test_nothing_is_done_when_nothing_changed(host: Host) -> None:
    discovery, port = host.discovery(), free_port()
    with Backends(1) as backends:
        apps = [app("/a", port, backends.ports)]
        await discovery.take(apps)
        host.start()
        wait_until(lambda: serves(port), what="HAProxy serves")
        await discovery.take(apps)  # HAProxy was not there the first time
        was, workers = inode(host.out), host.workers()
        for _ in range(3):
            status = await discovery.take(apps)
            assert (status.changed, status.error) == (False, "")
        status = await host.discovery().take(apps)  # a new `shipper haproxy`
        assert (status.changed, status.error) == (False, "")
        assert (inode(host.out), host.workers()) == (was, workers)
    assert [path.name for path in host.directory.glob(".*")] == []


async def test_a_connection_outlives_the_task_s_place_in_the_file(host: Host) -> None:
    """What drains is not cut: the old worker keeps a connection to a task that is out of the file."""
    port = free_port()
    discovery = host.discovery()

    with Backends(1) as backends:
        await discovery.take([app("/tcp", port, backends.ports)])
        host.start()
        wait_until(lambda: serves(port), what="HAProxy serves")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            assert ask(connection) == str(backends.ports[0])
            ours = connection.sock.getsockname()
            killing = Task("tcp.1", "/tcp", "127.0.0.1", tuple(backends.ports), "TASK_KILLING")
            status = await discovery.take([App("/tcp", "v", {}, 1, (port,), (killing,), (), {})])
            assert (status.changed, status.error, status.servers) == (True, "", 0)
            wait_until(lambda: not serves(port), what="nobody serves new connections")
            assert ask(connection) == str(backends.ports[0])
            assert connection.sock.getsockname() == ours, "the same connection"


async def test_relp_goes_to_the_first_choice_and_to_the_next_when_it_is_down(host: Host) -> None:
    relp = host.settings.relp_port
    with Backends(2) as backends:
        apps = [app("/shipper", relp, backends.ports, SHIPPER_ROLE="shipper")]
        discovery = host.discovery()
        await discovery.take(apps)
        first = next(line for line in host.out.read_text().splitlines() if "shutdown-backup-sessions" in line)
        host.start()
        wait_until(lambda: serves(relp), what="HAProxy serves")
        assert {get(relp) for _ in range(5)} == {first.split()[2].partition(":")[2]}


async def test_a_file_that_haproxy_refuses_is_never_installed(host: Host) -> None:
    """The check is HAProxy's; it is told to dislike two apps, as it would dislike a bug of ours."""
    script = host.directory / "check"
    script.write_text(f'#!/bin/sh\nsed "s/^backend \\(bad[0-9]*\\)_.*/nonsense \\1/" "$1" > "$1.x"\n'
                      f'{host.haproxy} -c -f "$1.x"; code=$?; rm "$1.x"; exit $code\n')  # fmt: skip
    script.chmod(0o755)
    discovery = host.discovery(f"{script} {{}}")
    good = [app(f"/good{number}", free_port(), [1]) for number in range(5)]
    await discovery.take(good)
    before = host.out.read_text()
    bad = [app(f"/bad{number}", free_port(), [1]) for number in range(2)]
    status = await discovery.take([*good, *bad])
    assert host.out.read_text() == before
    assert [problem.app_id for problem in status.problems] == ["/bad0", "/bad1"]
    assert all("left out, as HAProxy refuses it: " in problem.text for problem in status.problems)
    assert all("nonsense" in problem.text for problem in status.problems), "HAProxy's own words"
    more = app("/more", free_port(), [1])
    status = await discovery.take([*good, *bad, more])
    assert host.out.read_text() == generate([*good, more], host.settings).text
    assert len(status.problems) == 2


@pytest.mark.parametrize(
    ("check", "said"),
    [("false {}", "false ended with 1"), ("/no/such/haproxy {}", "/no/such/haproxy: No such file"),
     ("sh -c 'echo \"[ALERT] (1) : config : broken\"; exit 1' {}", "config : broken")],
)  # fmt: skip
async def test_when_nothing_is_accepted_the_last_file_stays(host: Host, check: str, said: str) -> None:
    await host.discovery().take([app("/a", free_port(), [1])])
    before = inode(host.out)
    status = await host.discovery(check).take([app("/b", free_port(), [1])])
    assert inode(host.out) == before
    assert not status.changed
    assert said in status.error


async def test_hostile_labels_pass_haproxy_s_own_check(host: Host) -> None:
    program = host.program()
    names = ("HAPROXY_0_VHOST", "HAPROXY_0_MODE", "HAPROXY_0_PORT")
    for start in range(20):
        values = HOSTILE[start::20]
        apps = [
            app(f"/a{number}", 20_000 + number, [1], **dict.fromkeys(names, value), HAPROXY_GROUP=value)
            for number, value in enumerate(values)
        ]
        assert await program.refusal(generate(apps, host.settings).text) == ""


async def test_a_port_that_another_program_has_does_not_stop_the_others(host: Host) -> None:
    port, discovery = free_port(), host.discovery()
    with Backends(2) as backends:
        taken, free = backends.ports
        status = await discovery.take([app("/a", taken, [free]), app("/b", port, [free])])
        assert [problem.text for problem in status.problems] == [
            f"port {taken} is not served: another program of this host has it"
        ]
        host.start()
        wait_until(lambda: serves(port), what="HAProxy serves")


async def test_haproxy_that_is_away_reads_the_file_when_it_comes(host: Host) -> None:
    port, discovery = free_port(), host.discovery()
    with Backends(1) as backends:
        status = await discovery.take([app("/a", port, backends.ports)])
        assert status.changed
        assert "names no running HAProxy: start it" in status.error
        host.start()
        wait_until(lambda: serves(port), what="HAProxy serves")
        assert (await discovery.take([app("/a", port, backends.ports)])).error == ""


async def test_answers_that_are_none_leave_the_file(host: Host) -> None:
    apps = [app("/a", free_port(), [1])]
    discovery = host.discovery()
    await discovery.take(apps)
    before = inode(host.out)
    nothing: list[list[App] | ClusterError] = [ClusterBusy("Marathon is away"), []]
    for answer in nothing:
        status = await discovery.take(answer)
        assert (status.changed, status.ports, inode(host.out)) == (False, 1, before)
        assert ("Marathon is away" in status.error) or ("no apps at all" in status.error)
    assert status.as_json()["age_seconds"] >= 0
    assert "Marathon" not in (await discovery.take(apps)).error


async def test_a_stop_ends_what_was_begun(host: Host) -> None:
    stopping = asyncio.Event()

    async def answers() -> AsyncIterator[list[App] | ClusterError]:
        yield [app("/a", free_port(), [1])]
        stopping.set()
        await asyncio.Event().wait()

    await asyncio.wait_for(follow(answers(), host.discovery(), stopping, between_seconds=0), 30)
    assert host.out.exists()
