"""How long Marathon waits before it starts an app again whose tasks end badly (RateLimiter.scala)."""

from dataclasses import dataclass

from tests.emulator.model import Definition

#: Ends that count; a task that was killed, also by a health check, does not.
BAD_ENDS = frozenset({"TASK_FAILED", "TASK_FINISHED", "TASK_ERROR", "TASK_GONE", "TASK_DROPPED"})


@dataclass
class _Delay:
    seconds: float
    #: Loop time from when on the next task may start.
    until: float


class Backoff:
    """One delay for each app's configuration; times are the event loop's."""

    def __init__(self, time_scale: float) -> None:
        self._scale = time_scale
        self._delays: dict[tuple[str, str], _Delay] = {}

    def bad(self, key: tuple[str, str], definition: Definition, now: float) -> None:
        """A task ended badly: the first delay, or a longer one; it is the first again after a quiet time."""
        longest = definition["maxLaunchDelaySeconds"] * self._scale
        delay = self._delays.get(key)
        if delay is None or now > delay.until + longest:
            seconds = definition["backoffSeconds"] * self._scale
        else:
            seconds = delay.seconds * definition["backoffFactor"]
        seconds = min(seconds, longest)
        self._delays[key] = _Delay(seconds, now + seconds)

    def left(self, key: tuple[str, str], now: float) -> float:
        """Seconds until a task may start; 0 when it may now."""
        delay = self._delays.get(key)
        return max(0.0, delay.until - now) if delay else 0.0

    def reset(self, app_id: str) -> None:
        """Forget every delay of an app."""
        for key in [key for key in self._delays if key[0] == app_id]:
            del self._delays[key]
