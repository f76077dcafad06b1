"""What was opened lately: a bounded map that forgets the least recently used, and everything at its deadline.

Law: never more than `most` entries; an entry past its deadline is not given out. Deadlines are monotonic
time. Entries that nobody asks for are removed by `lapse`, which runs itself at most every few seconds on
`put` and is called by the gateway's tick as well, so that plaintext does not outstay its time in an idle
process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from tokenone.clock import SECOND_US

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_LAPSE_EVERY_US = 5 * SECOND_US


class Recent(Generic[K, V]):
    """A bounded least-recently-used map whose entries end `keep_us` after they were put."""

    __slots__ = ("_entries", "_keep_us", "_lapsed_us", "_monotonic_us", "_most")

    def __init__(self, most: int, keep_us: int, monotonic_us: Callable[[], int]) -> None:
        self._entries: OrderedDict[K, tuple[int, V]] = OrderedDict()
        self._most = most
        self._keep_us = keep_us
        self._monotonic_us = monotonic_us
        self._lapsed_us = monotonic_us()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: K) -> V | None:
        """Returns the entry unless it is over."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        if entry[0] <= self._monotonic_us():
            del self._entries[name]
            return None
        self._entries.move_to_end(name)
        return entry[1]

    def put(self, name: K, value: V) -> None:
        """Keeps `value` from now on, at the cost of the least recently used one."""
        now = self._monotonic_us()
        if now - self._lapsed_us >= _LAPSE_EVERY_US:
            self.lapse()
        self._entries[name] = (now + self._keep_us, value)
        self._entries.move_to_end(name)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def drop(self, name: K) -> None:
        """Forgets one entry, if it is there."""
        self._entries.pop(name, None)

    def drop_where(self, matches: Callable[[K], bool]) -> None:
        """Forgets every entry whose name matches."""
        for name in [name for name in self._entries if matches(name)]:
            del self._entries[name]

    def lapse(self) -> None:
        """Forgets what is over."""
        now = self._lapsed_us = self._monotonic_us()
        for name in [name for name, (until, _) in self._entries.items() if until <= now]:
            del self._entries[name]
