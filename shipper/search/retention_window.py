"""The hours of the day in which single records may be deleted, so that nobody who works is disturbed. No I/O."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shipper.errors import ConfigError

_TEXT: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day in a zone, from `start` (included) to `end` (not); it may go over midnight."""

    start: time
    end: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: str) -> Self:
        """Read "01:00-05:00" and the name of a zone ("Europe/Berlin"); ConfigError says what is wrong."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ConfigError(f"--between: not a time of day as 01:00-05:00: {text!r}")
        start, end = (time(int(found[place]), int(found[place + 1])) for place in (1, 3))
        if start == end:
            raise ConfigError(f"--between: {text} is no time at all; leave it out to delete at any time")
        try:
            return cls(start, end, ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(f"--zone: unknown time zone {zone!r}; use a name as Europe/Berlin or UTC") from None

    def holds(self, now: int) -> bool:
        """Whether it is that time at `now` (nanoseconds since 1970)."""
        at = datetime.fromtimestamp(now // 10**9, self.zone).time()
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone.key}"
