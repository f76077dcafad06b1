"""The bench: versions of keys that a provider has just refused are passed over for a minute.

Law: per worker, in memory, bounded; keyed by key *version*, so a rotation starts unbenched. A bench orders
plans and denies nothing (plan.py). Times are those of the caller's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tokenone.clock import MINUTE_US

BENCH_US: Final = MINUTE_US
CAPACITY: Final = 4096


class Health:
    """Which versions are benched, wholly or for one model, and until when."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._until: OrderedDict[tuple[str, int, str | None], int] = OrderedDict()
        self._capacity = capacity

    def bench(
        self, key: str, version: int, now_us: int, *, model: str | None = None, for_us: int = BENCH_US
    ) -> None:
        """Benches a version (for one model, if named); the oldest bench makes room."""
        entry = (key, version, model)
        self._until[entry] = max(now_us + for_us, self._until.get(entry, 0))
        self._until.move_to_end(entry)
        while len(self._until) > self._capacity or self._over(now_us):
            self._until.popitem(last=False)

    def benched(self, key: str, version: int, now_us: int, model: str | None = None) -> bool:
        """Says whether a version is benched now, wholly or for the model."""
        if not self._until:
            return False
        if self._until.get((key, version, None), 0) > now_us:
            return True
        return model is not None and self._until.get((key, version, model), 0) > now_us

    def clear(self, key: str, version: int) -> None:
        """Lifts every bench of a version: it has just worked."""
        if self._until:
            for entry in [entry for entry in self._until if entry[:2] == (key, version)]:
                del self._until[entry]

    def __len__(self) -> int:
        return len(self._until)

    def _over(self, now_us: int) -> bool:
        return bool(self._until) and next(iter(self._until.values())) <= now_us
