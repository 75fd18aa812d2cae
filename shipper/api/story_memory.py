"""What stories remember for a minute of what others asked the store; each caller's scope has a memory of its own."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from shipper.api.access.scoped import Scoped
from shipper.search.expression import Everything
from shipper.stores import Reader

_MINUTE_NS: Final = 60 * 10**9
#: Answers kept for one store.
_MOST: Final = 512

T = TypeVar("T")

_kept: Final[WeakKeyDictionary[Reader, OrderedDict[Hashable, tuple[int, Any]]]] = WeakKeyDictionary()


async def remembered(reader: Reader, key: Hashable, now: int, ask: Callable[[], Awaitable[T]]) -> T:
    """Return what `ask` answered for this key, store and scope within the minute before `now`, else ask."""
    whole, scope = (reader.whole, reader.where) if isinstance(reader, Scoped) else (reader, Everything())
    kept = _kept.setdefault(whole, OrderedDict())
    known = kept.get((scope, key))
    if known is not None and 0 <= now - known[0] < _MINUTE_NS:
        answer: T = known[1]
        return answer
    answer = await ask()
    kept[scope, key] = now, answer
    kept.move_to_end((scope, key))
    while len(kept) > _MOST:
        kept.popitem(last=False)
    return answer
