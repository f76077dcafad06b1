"""The same plan, with a line for every candidate: for people who ask why a call took the way it took.

Law: the attempts are those of `plan`, because `plan` makes them; this only adds the candidates that it did
not have to look at.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenone.route.plan import MAX_ATTEMPTS, Benched, Plan, Verdict, plan, step
from tokenone.rows import Candidate


def explain(
    candidates: Sequence[Candidate],
    *,
    seed: int,
    max_attempts: int = MAX_ATTEMPTS,
    benched: Benched | None = None,
) -> Plan:
    """Returns the plan with every candidate in its steps, the ones not needed last, by priority and id."""
    planned = plan(candidates, seed=seed, max_attempts=max_attempts, benched=benched)
    seen = {(one.key, one.version) for one in planned.steps}
    spare = sorted(
        (one for one in candidates if (one.key.id, one.version.version) not in seen),
        key=lambda one: (one.priority, one.key.id),
    )
    return Plan(planned.attempts, planned.steps + tuple(step(one, Verdict.SPARE) for one in spare))
