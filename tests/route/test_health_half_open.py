"""After a bench one trial call is let through: a state machine against a model that is easy to believe."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tokenone.clock import MINUTE_US, SECOND_US
from tokenone.route.health import LONGEST_US, TRIAL_US, Fitness, Health

KEYS = st.sampled_from(["a", "b"])
MODELS = st.sampled_from([None, "m"])


class Benches(RuleBasedStateMachine):
    """Keys are refused, rest, are tried again; the model keeps one record per place and asks no cache."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health()
        self.now_us = 1
        self.until: dict[tuple[str, str | None], int] = {}
        self.length: dict[tuple[str, str | None], int] = {}
        self.trial: dict[tuple[str, str | None], int] = {}

    def standing(self, place: tuple[str, str | None]) -> Fitness:
        if place not in self.until:
            return Fitness.HEALTHY
        resting = self.now_us < self.until[place] or self.now_us < self.trial.get(place, 0)
        return Fitness.BENCHED if resting else Fitness.TRIAL

    @rule(seconds=st.integers(1, 120))
    def time_passes(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US

    @rule(key=KEYS, model=MODELS)
    def refused(self, key: str, model: str | None) -> None:
        place = (key, model)
        if place in self.until and self.now_us >= self.until[place]:
            self.length[place] = min(2 * self.length[place], LONGEST_US)
        else:
            self.length[place] = MINUTE_US
        self.until[place] = max(self.now_us + self.length[place], self.until.get(place, 0))
        self.trial.pop(place, None)
        self.health.bench(key, 1, self.now_us, model=model)

    @rule(key=KEYS, model=MODELS)
    def begun(self, key: str, model: str | None) -> None:
        free = [place for place in {(key, None), (key, model)} if self.standing(place) is Fitness.TRIAL]
        for place in free:
            self.trial[place] = self.now_us + TRIAL_US
        assert self.health.begin(key, 1, self.now_us, model) is bool(free)
        assert not self.health.begin(key, 1, self.now_us, model), "one trial is one call's"

    @precondition(lambda self: self.until)
    @rule(key=KEYS)
    def answered(self, key: str) -> None:
        for known in (self.until, self.length, self.trial):
            for place in ((key, None), (key, "m")):
                known.pop(place, None)
        self.health.clear(key, 1, "m")

    @invariant()
    def agrees(self) -> None:
        for key in ("a", "b"):
            whole, alone = self.standing((key, None)), self.standing((key, "m"))
            assert self.health.fitness(key, 1, self.now_us) is whole
            both = {whole, alone}
            worse = next(one for one in (Fitness.BENCHED, Fitness.TRIAL, Fitness.HEALTHY) if one in both)
            assert self.health.fitness(key, 1, self.now_us, "m") is worse
            assert self.health.benched(key, 1, self.now_us, "m") is (worse is Fitness.BENCHED)
            assert self.health.fitness(key, 2, self.now_us, "m") is Fitness.HEALTHY


Benches.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBenches = Benches.TestCase


def test_a_trial_that_tells_nothing_is_given_away_again() -> None:
    health = Health()
    health.bench("k", 1, 0)
    assert health.begin("k", 1, MINUTE_US)
    assert health.benched("k", 1, MINUTE_US + TRIAL_US - 1)
    assert health.begin("k", 1, MINUTE_US + TRIAL_US)


def test_a_trial_that_is_refused_rests_twice_as_long_up_to_a_quarter_of_an_hour() -> None:
    health, now_us, lengths = Health(), 0, []
    for _ in range(7):
        health.bench("k", 1, now_us)
        start = now_us
        while health.benched("k", 1, now_us):
            now_us += MINUTE_US
        lengths.append((now_us - start) // MINUTE_US)
    assert lengths == [1, 2, 4, 8, 15, 15, 15]


def test_what_a_provider_asks_for_is_granted_even_if_it_is_long() -> None:
    health = Health()
    health.bench("k", 1, 0, model="m", for_us=60 * MINUTE_US)
    assert health.benched("k", 1, 59 * MINUTE_US, "m")
    assert not health.benched("k", 1, 60 * MINUTE_US, "m")
