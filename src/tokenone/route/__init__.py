"""Route: which of a scope's keys a call tries, in which order, and why.

    catalog     what a unified model name means       plan        ordered attempts from a seed
    strategy    weighted random order                 health      the bench
    explain     the plan with a line per candidate

Law: pure; same input, same plan. Only orders what it is given: nothing outside the scope can come out.
"""

from tokenone.route.catalog import Catalog, Listed, Resolved
from tokenone.route.health import Health
from tokenone.route.plan import Plan, Planner, Step, Verdict

__all__ = [
    "Catalog",
    "Health",
    "Listed",
    "Plan",
    "Planner",
    "Resolved",
    "Step",
    "Verdict",
]
