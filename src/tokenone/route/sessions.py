"""Where sessions were answered last, so that they stay where their prompt cache is.

Law: per worker, in memory, bounded; a session is known for as long as the rule said after its last answer.
It only proposes: a plan takes the place if the scope still has it. A session is named by whatever the caller
names it by, within its workload; nobody else's sessions are reached.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

CAPACITY: Final = 65_536


class Held(NamedTuple):
    """The key and the model at its provider that answered."""

    key: str
    model: str


class Sessions:
    """The places by workload and session."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._held: OrderedDict[tuple[str, str], tuple[Held, int]] = OrderedDict()
        self._capacity = capacity

    def keep(self, workload: str, session: str, held: Held, until_us: int) -> None:
        """Notes which place answered a session, and how long that shall count."""
        place = (workload, session)
        self._held[place] = (held, until_us)
        self._held.move_to_end(place)
        if len(self._held) > self._capacity:
            self._held.popitem(last=False)

    def held(self, workload: str, session: str, now_us: int) -> Held | None:
        """Returns the place of a session; None once its time is over."""
        known = self._held.get((workload, session))
        return None if known is None or known[1] <= now_us else known[0]

    def __len__(self) -> int:
        return len(self._held)
