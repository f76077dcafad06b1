"""Route: which of a scope's keys a call tries, in which order, and why.

    catalog     what a unified model name means       table       routes, ready to be looked up by model
    ask         what a plan is asked and answers      group       a target's keys in a scope
    router      the plan                              order       the strategies; rendezvous: sessions' own places
    follow      what comes after a failed attempt     explain     the plan with a line per candidate
    health      the bench, and trials after it        headroom    what is left of rate limits (ratelimits reads)
    speed       times to the first byte               sessions    where sessions were answered last
    plan        ordered attempts over one list of keys            strategy    weighted random order

Law: pure; same input, same plan. Only orders what it is given: nothing outside the scope can come out.
"""

from tokenone.route.ask import Ask, Demand, Leg, Passed, Reason, Refusal, Routed, Scene
from tokenone.route.catalog import Catalog, Listed, Resolved
from tokenone.route.explain import Explanation, Line, Unfit, explain, listed
from tokenone.route.follow import Tried, following
from tokenone.route.headroom import Headroom
from tokenone.route.health import Fitness, Health
from tokenone.route.plan import Plan, Planner, Step, Verdict
from tokenone.route.ratelimits import Figures, figures, retry_after_us
from tokenone.route.router import Router
from tokenone.route.sessions import Held, Sessions
from tokenone.route.speed import Speed

__all__ = [
    "Ask",
    "Catalog",
    "Demand",
    "Explanation",
    "Figures",
    "Fitness",
    "Headroom",
    "Health",
    "Held",
    "Leg",
    "Line",
    "Listed",
    "Passed",
    "Plan",
    "Planner",
    "Reason",
    "Refusal",
    "Resolved",
    "Routed",
    "Router",
    "Scene",
    "Sessions",
    "Speed",
    "Step",
    "Tried",
    "Unfit",
    "Verdict",
    "explain",
    "figures",
    "following",
    "listed",
    "retry_after_us",
]
