"""Logs of real systems, written by logger(1) through a real rsyslogd, come out line for line."""

import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.delivery import messages_in_sqlite, wait_settled
from tests.integration.host import Host
from tests.servers.process import free_port
from tests.shipper_process import ShipperProcess


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_bytes().decode().split("\n") if line]


def test_every_line_of_every_file_comes_out(rsyslogd: str, run_dir: Path, loghub: Path) -> None:
    port, data = free_port(), run_dir / "data"
    files = sorted(loghub.glob("*_2k.log"))
    expected: Counter[str] = Counter()
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(data)}, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        for file in files:
            expected.update(lines_of(file))
            logger = [
                "logger",
                "--socket",
                str(host.socket),
                "--tag",
                file.stem,
                "--size",
                "65536",
                "--file",
                str(file),
            ]
            subprocess.run(logger, check=True, timeout=60)
        settled = wait_settled(shipper, expected.total())
        assert (settled.stored, settled.missing) == (expected.total(), 0)
    assert len(files) >= 7
    assert Counter(messages_in_sqlite(data)) == expected


def test_a_request_of_openstack_is_told_in_order_across_services(rsyslogd: str, run_dir: Path, loghub: Path) -> None:
    lines = lines_of(loghub / "OpenStack_2k.log")
    port = free_port()
    shipper = ShipperProcess(run_dir / "shipper", {"type": "sqlite", "path": str(run_dir / "data")}, port=port)
    with shipper, Host(rsyslogd, run_dir, port) as host:
        with host.writer() as writer:
            for line in lines:
                service, _, text = line.partition(".log")
                stamp = time.strftime("%b %e %H:%M:%S")
                writer.send(f"<14>{stamp} {service}: {text.partition(' ')[2]}".encode())
        wait_settled(shipper, len(lines))
        request_id, expected = _request_of_most_services(lines)
        story = shipper.get(f"/api/v1/requests/{request_id}")
        found = [(record["service.name"], record["message"]) for record in story["records"]]
        assert found == expected
        assert {service["name"] for service in story["services"]} == {service for service, _ in expected}


def _request_of_most_services(lines: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """The request id that the most services mention, and its lines in the file's order."""
    requests: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        service, _, text = line.partition(".log")
        start = line.find("[req-")
        if start >= 0:
            found = requests.setdefault(line[start + 1 : start + 41], [])
            found.append((service, text.partition(" ")[2]))
    best = max(requests, key=lambda name: (len({service for service, _ in requests[name]}), len(requests[name])))
    if len({service for service, _ in requests[best]}) < 2:
        pytest.fail("the file has no request over two services")
    return best, requests[best]
