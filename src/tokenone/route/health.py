"""The bench: versions of keys that a provider has just refused rest, wholly or for one model, then get one trial.

Law: per worker, in memory, bounded; keyed by key *version*, so a rotation starts unbenched. A bench orders
plans and denies nothing. When a bench ends, one call is let through as a trial (half-open) and the others go
on passing over until it has told: an answer lifts the bench, another refusal doubles it, silence gives the
trial away again after a while. Times are those of the caller's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from typing import Final

from tokenone.clock import MINUTE_US, SECOND_US

BENCH_US: Final = MINUTE_US
LONGEST_US: Final = 15 * MINUTE_US
TRIAL_US: Final = 30 * SECOND_US
"""A trial that has told nothing for so long is over; the next call may try."""
FORGET_US: Final = 60 * MINUTE_US
"""A bench that nobody has asked about for so long after its end is forgotten, and its length with it."""
CAPACITY: Final = 4096

Entry = tuple[str, int, str | None]


class Fitness(StrEnum):
    """What is known of a version now."""

    HEALTHY = "healthy"
    TRIAL = "its bench is over and one call may try it"
    BENCHED = "passed over: the provider refused it a short while ago"
    SPENT = "passed over: its rate limit is used up for the moment"


# Constants, because reading a member off its enum costs 0.2 µs in Python 3.11.
HEALTHY: Final = Fitness.HEALTHY
TRIAL: Final = Fitness.TRIAL
BENCHED: Final = Fitness.BENCHED
SPENT: Final = Fitness.SPENT


class Bench:
    """One version's rest: until when, how long it was, and until when a trial has it."""

    __slots__ = ("length_us", "trial_us", "until_us")

    def __init__(self, until_us: int, length_us: int) -> None:
        self.until_us = until_us
        self.length_us = length_us
        self.trial_us = 0


class Health:
    """Which versions are benched, wholly or for one model, and which may be tried again."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._benches: OrderedDict[Entry, Bench] = OrderedDict()
        self._capacity = capacity

    def bench(
        self, key: str, version: int, now_us: int, *, model: str | None = None, for_us: int = BENCH_US
    ) -> None:
        """Benches a version (for one model, if named); after a trial for twice as long as before.

        A refusal while it rests (calls that were under way) makes it no longer than `for_us` from now.
        """
        entry = (key, version, model)
        known = self._benches.get(entry)
        if known is None or now_us < known.until_us:
            length_us = for_us
            until_us = max(now_us + for_us, known.until_us if known is not None else 0)
        else:
            length_us = min(max(2 * known.length_us, for_us), max(LONGEST_US, for_us))
            until_us = now_us + length_us
        self._benches[entry] = Bench(until_us, length_us)
        self._benches.move_to_end(entry)
        while len(self._benches) > self._capacity or self._forgettable(now_us):
            self._benches.popitem(last=False)

    def fitness(self, key: str, version: int, now_us: int, model: str | None = None) -> Fitness:
        """Says how a version stands now, wholly and for the model: the worse of the two."""
        if not self._benches:
            return HEALTHY
        whole = self._standing((key, version, None), now_us)
        if model is None or whole is BENCHED:
            return whole
        alone = self._standing((key, version, model), now_us)
        return whole if alone is HEALTHY else alone

    def benched(self, key: str, version: int, now_us: int, model: str | None = None) -> bool:
        """Says whether a version is to be passed over now, wholly or for the model."""
        return self.fitness(key, version, now_us, model) is BENCHED

    def begin(self, key: str, version: int, now_us: int, model: str | None = None) -> bool:
        """Notes that an attempt begins; True if it is the trial that others now wait for.

        To be called in the same step of the loop as the plan, so that two calls never hold one trial.
        """
        if not self._benches:
            return False
        trial = False
        for entry in ((key, version, None), (key, version, model)):
            if self._standing(entry, now_us) is TRIAL:
                self._benches[entry].trial_us = now_us + TRIAL_US
                trial = True
        return trial

    def clear(self, key: str, version: int, model: str | None = None) -> None:
        """Lifts the bench of a version as a whole and for `model`, for it has just answered; without a model,
        for every one."""
        if not self._benches:
            return
        if model is not None:
            self._benches.pop((key, version, None), None)
            self._benches.pop((key, version, model), None)
            return
        for entry in [entry for entry in self._benches if entry[:2] == (key, version)]:
            del self._benches[entry]

    def __len__(self) -> int:
        return len(self._benches)

    def _standing(self, entry: Entry, now_us: int) -> Fitness:
        bench = self._benches.get(entry)
        if bench is None:
            return HEALTHY
        return BENCHED if now_us < bench.until_us or now_us < bench.trial_us else TRIAL

    def _forgettable(self, now_us: int) -> bool:
        return bool(self._benches) and next(iter(self._benches.values())).until_us + FORGET_US <= now_us
