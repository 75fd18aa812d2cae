"""What systemd wants to know of a service: sd_notify(3), by hand."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send a state (READY=1, WATCHDOG=1, STOPPING=1) to systemd, where it started us."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.setblocking(False)
        system.sendto(state.encode(), address)
