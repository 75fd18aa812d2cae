"""One shipper for each host, chosen so that only the hosts of one that comes or goes move."""

from collections import Counter

from shipper.cluster.model import App
from shipper.generate.localhost import Settings, generate
from tests.unit.localhost_world import app, sections, servers, shipper, task

HOSTS = [f"host-{number}" for number in range(200)]


def order(host: str, *apps: App) -> list[str]:
    return servers(generate(apps, Settings(host_name=host)).text, "listen shipper-relp")


def test_relp_goes_to_one_shipper_and_the_others_follow() -> None:
    made = generate([shipper(1, 2, 3)], Settings(host_name="web-3", relp_port=5140))
    lines = sections(made.text)["listen shipper-relp"]
    assert lines[0] == ["bind", "127.0.0.1:5140"]
    roles = [line[3:] for line in lines if line[0] == "server"]
    assert roles == [["check", "on-marked-up", "shutdown-backup-sessions"], ["check", "backup"], ["check", "backup"]]
    assert made.servers == 3


def test_a_shipper_that_goes_moves_its_own_hosts_only() -> None:
    before = {host: order(host, shipper(1, 2, 3, 4)) for host in HOSTS}
    after = {host: order(host, shipper(1, 2, 4)) for host in HOSTS}
    for host, was in before.items():
        assert after[host] == [name for name in was if not name.startswith("10_0_0_3")], host
    shares = Counter(was[0] for was in before.values())
    assert len(shares) == 4
    assert max(shares.values()) < 80, "about a quarter each"


def test_a_shipper_that_comes_takes_some_hosts_and_moves_no_other() -> None:
    moved = [host for host in HOSTS if order(host, shipper(1, 2, 3))[0] != order(host, shipper(1, 2, 3, 4))[0]]
    assert 20 < len(moved) < 80
    assert all(order(host, shipper(1, 2, 3, 4))[0].startswith("10_0_0_4") for host in moved)


def test_all_apps_of_shipper_share_the_port_and_no_other_app_has_it() -> None:
    new = app("/shipper-new", (5140,), {"SHIPPER_ROLE": "shipper"}, [task("/shipper-new", 7)])
    stranger = app("/aaa", (5140,), {}, [task("/aaa", 9)])
    assert set(order("web-3", new, shipper(1, 2), stranger)) == {"10_0_0_1_31010", "10_0_0_2_31020", "10_0_0_7_31070"}


def test_a_shipper_that_is_being_killed_gets_no_new_connection() -> None:
    tasks = [task("/shipper", 1), task("/shipper", 2, state="TASK_KILLING")]
    leaving = app("/shipper", (5140,), {"SHIPPER_ROLE": "shipper"}, tasks)
    made = generate([leaving], Settings(host_name="web-3"))
    assert servers(made.text, "listen shipper-relp") == ["10_0_0_1_31010"]
    # Its connections live on in the old worker, longer than a shipper takes to stop.
    assert sections(made.text)["global"][0] == ["hard-stop-after", "300s"]


def test_other_ports_of_shipper_are_those_of_an_app() -> None:
    made = generate([app("/shipper", (5140, 8080), {"SHIPPER_ROLE": "shipper"})], Settings(host_name="web-3"))
    assert servers(made.text, "backend shipper_8080") == ["10_0_0_1_31011", "10_0_0_2_31021"]
