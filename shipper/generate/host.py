"""All files of a host: what `shipper generate rsyslog` writes into `rsyslog/`."""

from shipper.generate import docker, haproxy, host_readme, nginx, rsyslog, systemd, without_systemd
from shipper.generate._host_settings import Settings


def generate(settings: Settings) -> dict[str, str]:
    """Return the files by path; the same settings give the same bytes."""
    files: dict[str, str] = {}
    for program in (rsyslog, systemd, without_systemd, docker, haproxy, nginx, host_readme):
        files |= program.generate(settings)
    return files
