"""The process of the tailer: how it is told to end, and how what it sends waits for rsyslogd."""

import os
import select
import signal
import socket
from typing import Final

from shipper.host import relay as relays
from shipper.host.sent import Sent
from shipper.host.settings import Settings

#: How often a sender that waits for rsyslogd looks whether it is to end.
_LOOK_SECONDS: Final = 0.5


class Stopping:
    """Set by SIGTERM; like a threading.Event, but a wait ends with the signal."""

    def __init__(self) -> None:
        self._set = False
        self._wakeup, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the holder, who stops us in order
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _stop(self, *_: object) -> None:
        self._set = True

    def is_set(self) -> bool:
        """Say whether to end."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Wait at most so many seconds until it is set; return whether it is."""
        if not self._set:
            select.select([self._wakeup], [], [], timeout)
        return self._set


class Sender:
    """Sends datagrams to rsyslogd and waits until it takes them."""

    def __init__(self, relay: socket.socket) -> None:
        relay.settimeout(_LOOK_SECONDS)
        self._socket = relay

    def send(self, datagram: bytes) -> None:
        """Send one datagram; OSError when rsyslogd did not take it for a while: call again, or end."""
        self._socket.send(datagram)


def run(settings: Settings, sent: Sent) -> int:
    """Be the tailer until SIGTERM; return the exit code of this process."""
    from shipper.host import tailer  # here: a host without files to read does without it

    stopping = Stopping()
    tailer.run(settings, Sender(relays.connect(settings.relay_socket)).send, stopping, sent.until)
    return 0
