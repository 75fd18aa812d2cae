"""Sockets that are bound, or a clear reason why not."""

import asyncio
import errno
import os
import select
import socket

from shipper.errors import ConfigError


async def bind(name: str, host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a bound socket; ConfigError says in one line why it cannot be and what to do."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"sources[{name}]: cannot listen on {host}:{port}: {error.strerror} (set another host)"
        ) from None
    family, _, _, _, address = found[0]
    bound = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen(512)
    except OSError as error:
        bound.close()
        raise ConfigError(f"sources[{name}]: cannot listen on {host}:{port}: {_advice(error)}") from None
    bound.setblocking(False)
    return bound


def _advice(error: OSError) -> str:
    remedy = {
        errno.EADDRINUSE: "stop the other program or set another port",
        errno.EADDRNOTAVAIL: "this machine has no such address: set another host",
        errno.EACCES: "ports below 1024 need more rights: set another port",
    }.get(error.errno or 0, "set another host or port")
    return f"{os.strerror(error.errno or 0).lower()} ({remedy})"


def endpoint(address: object) -> str:
    """Return "host:port" of a socket's address; "" when there is none."""
    if not isinstance(address, tuple) or len(address) < 2:
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def hung_up(descriptor: int) -> bool:
    """Return True when the peer will send no more than what the kernel holds already."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return bool(poll.poll(0))
