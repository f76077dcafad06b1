"""Two tenants with keys at every level, and which key each of their workloads must use.

Law: every key has a secret of its own, so that the provider can tell whose it got.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from kit.fronts import FRONTS
from kit.grounds import Management
from tokenone.testing.desk import Workplace

LEVELS = ("near", "middle", "far")
WEIGHTS = {"heavy": 300, "light": 100}


@dataclass
class Tenancy:
    """One tenant: its workloads by level, and the keys that each may use, by front."""

    name: str
    id: str
    places: dict[str, Workplace] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    """(front, name) → key id; the names are heavy, light, project, tenant."""
    assignments: dict[tuple[str, str], str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """secret → key id"""

    def expected(self, front: str, level: str) -> set[str]:
        """The keys that a workload of a level must use."""
        names = {"near": ("heavy", "light"), "middle": ("project",), "far": ("tenant",)}[level]
        return {self.keys[front, name] for name in names}


_numbers: Iterator[int] = itertools.count(1)


def tenancy(desk: Management, name: str, origins: dict[str, str]) -> Tenancy:
    """Makes a tenant: one project with two workloads (near, middle), another with one (far)."""
    made = Tenancy(name, desk.tenant(name))
    near = made.places["near"] = desk.place(made.id, f"{name} near")
    far = made.places["far"] = desk.place(made.id, f"{name} far")
    middle = desk.api("POST", "/workloads", {"project": near.project, "name": f"{name} middle"})["id"]
    minted = desk.token(middle)
    made.places["middle"] = Workplace(made.id, near.project, middle, minted["text"], minted["id"])
    for front, origin in origins.items():
        endpoint = desk.endpoint(front, origin, tenant=made.id, name=f"{name} {front}", base_path=f"/{front}")
        scopes = {
            "heavy": ("workload", near.workload), "light": ("workload", near.workload),
            "project": ("project", near.project), "tenant": ("tenant", made.id),
        }  # fmt: skip
        for key_name, (kind, scope) in scopes.items():
            secret = FRONTS[front].secret_prefix + f"{next(_numbers):04d}" * 10
            key = made.keys[front, key_name] = desk.key(made.id, front, endpoint, secret)
            made.secrets[secret] = key
            weight = WEIGHTS.get(key_name, 100)
            made.assignments[front, key_name] = desk.assign(key, kind, scope, weight=weight)
    assert far.project != near.project
    return made
