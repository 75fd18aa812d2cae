"""How much one caller may ask: questions and seconds of the store in a minute, answers and tails at a time."""

import math
from collections import OrderedDict
from typing import Final, Literal

from shipper.config import AccessSettings

#: Answers being made for one caller at a time; a page of ours asks for five at once.
AT_ONCE: Final = 32
#: Callers remembered; the one that was silent longest is forgotten.
MOST_CALLERS: Final = 4096

Refusal = Literal["questions", "store_seconds", "at_once", "tails"]


class Bucket:
    """So much in a minute, and never more than that at once; it may be overdrawn by what is known only afterwards."""

    __slots__ = ("_at", "_level", "_most")

    def __init__(self, most: float, now: float) -> None:
        self._most, self._level, self._at = most, most, now

    def _fill(self, now: float) -> None:
        self._level = min(self._most, self._level + max(0.0, now - self._at) * self._most / 60)
        self._at = max(self._at, now)

    def wait(self, wanted: float, now: float) -> float:
        """Return after how many seconds so much is there; 0 for now."""
        self._fill(now)
        return max(0.0, (wanted - self._level) * 60 / self._most)

    def take(self, amount: float, now: float) -> None:
        """Take so much, whether or not it is there."""
        self._fill(now)
        self._level -= amount

    def spare(self, now: float) -> bool:
        """Take one if it is there."""
        if self.wait(1, now) > 0:
            return False
        self.take(1, now)
        return True


class Account:
    """What one caller has used."""

    __slots__ = ("_settings", "answers", "questions", "store", "tails")

    def __init__(self, settings: AccessSettings, now: float) -> None:
        self._settings = settings
        self.questions = Bucket(settings.requests_per_minute, now)
        self.store = Bucket(settings.store_seconds_per_minute, now)
        self.answers = self.tails = 0

    def refusal(self, now: float, stream: bool) -> tuple[Refusal, int] | None:
        """Return why the next question is refused and for how many seconds; None: ask, and it counts as asked."""
        if stream and self.tails >= self._settings.tails:
            return "tails", 10
        if not stream and self.answers >= AT_ONCE:
            return "at_once", 1
        if (seconds := self.store.wait(0, now)) > 0:
            return "store_seconds", math.ceil(seconds)
        if not self.questions.spare(now):
            return "questions", math.ceil(self.questions.wait(1, now))
        return None

    def enter(self, stream: bool) -> None:
        """Count an answer or a tail that begins."""
        if stream:
            self.tails += 1
        else:
            self.answers += 1

    def leave(self, stream: bool) -> None:
        """Count one that ended."""
        if stream:
            self.tails -= 1
        else:
            self.answers -= 1


class Limits:
    """The accounts of the callers that were seen last."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self._accounts: OrderedDict[str, Account] = OrderedDict()

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._accounts)

    def account(self, caller: str, now: float) -> Account:
        """Return the account of a caller, new when it was never seen or was forgotten; `now` is a monotonic time."""
        found = self._accounts.pop(caller, None) or Account(self._settings, now)
        self._accounts[caller] = found
        if len(self._accounts) > MOST_CALLERS:
            self._accounts.popitem(last=False)
        return found
