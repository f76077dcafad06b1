"""A workload of an installation whose OpenAI and Anthropic keys lead to one upstream."""

from __future__ import annotations

from dataclasses import dataclass

from kit.installation import Installation
from tokenone.testing.desk import Workplace

SECRETS = {"openai": "sk-proj-" + "q" * 40, "anthropic": "sk-ant-api03-" + "q" * 40}
"""What the routes' keys hold: of the providers' shape, known to nobody."""


@dataclass(frozen=True)
class Route:
    """A workload whose keys lead to one upstream."""

    origin: str
    place: Workplace


def route_to(installation: Installation, name: str, origin: str, **tenant: object) -> Route:
    """Makes a tenant with everything that a call needs; `tenant` are the tenant's own fields."""
    desk = installation.desk()
    owner = desk.tenant(name, **tenant)
    place = desk.place(owner, name, grants=["inference", "stateful"])
    for provider, secret in SECRETS.items():
        endpoint = desk.endpoint(provider, origin, tenant=owner, base_path=f"/{provider}")
        desk.assign(desk.key(owner, provider, endpoint, secret), "workload", place.workload)
    installation.until_seen(place, providers=len(SECRETS))
    return Route(origin, place)
