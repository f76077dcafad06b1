"""Every key against every wrong origin, swapped in the database behind the gateway's back: nothing is dialled."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from kit.fronts import FRONTS, caller
from kit.houses import caught_up
from kit.installation import Installation
from tokenone.testing.desk import Refused, Workplace
from tokenone.testing.standin import ThreadedListener

TENANTS = ("alpha", "beta")
Change: TypeAlias = tuple[str, str, tuple[Any, ...]]
"""(table, statement, values)"""


@dataclass
class Held:
    """One key: where it may be used, and the workload that has nothing else."""

    front: str
    key: str
    endpoint: str
    place: Workplace


@dataclass
class Vaulted:
    """Eight keys of two tenants, four origins, and a hand in the database."""

    installation: Installation
    origins: list[ThreadedListener]
    keys: dict[tuple[str, str, int], Held] = field(default_factory=dict)

    def edit(self, *changes: Change) -> None:
        """Writes rows past the management API, as an intruder in the database would, with a new revision."""
        with closing(sqlite3.connect(self.installation.directory / "management.db", timeout=30)) as database:
            database.execute("UPDATE head SET revision = revision + 1")
            ((revision,),) = database.execute("SELECT revision FROM head").fetchall()
            for table, statement, values in changes:
                assert database.execute(statement, values).rowcount > 0
                database.execute(f"UPDATE {table} SET revision = ?", (revision,))
            database.commit()
        caught_up(self.installation, revision)

    def select(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.installation.directory / "management.db", timeout=30)) as database:
            return database.execute(statement, values).fetchall()

    def traffic(self) -> list[tuple[int, int]]:
        """(connections, bytes) of every origin so far."""
        return [(one.standin.traffic.connections, one.standin.traffic.bytes_received) for one in self.origins]

    def call(self, held: Held) -> tuple[int, str]:
        """Calls from the key's workload; returns status and our code."""
        front = FRONTS[held.front]
        with caller() as http:
            answer = http.post(
                self.installation.gateway + front.chat, headers=front.headers(held.place.token),
                content=front.body(),
            )  # fmt: skip
        return answer.status_code, answer.headers.get("x-tokenone-error", "")

    def all_refused(self) -> None:
        """Asserts that no key can be used, and that not one byte went to any origin."""
        before = self.traffic()
        for name, held in self.keys.items():
            assert self.call(held) == (500, "unopenable"), name
        assert self.traffic() == before


@pytest.fixture(scope="module")
def vaulted(two_workers: Installation) -> Iterator[Vaulted]:
    installation = two_workers
    with ExitStack() as stack:
        origins = [stack.enter_context(ThreadedListener()) for _ in range(4)]
        made, desk = Vaulted(installation, origins), installation.desk()
        for tenant_name, tenant_origin in zip(TENANTS, origins, strict=False):
            tenant = desk.tenant(f"{tenant_name} vaulted")
            for front in FRONTS:
                endpoint = desk.endpoint(front, tenant_origin.origin, tenant=tenant, base_path=f"/{front}")
                for number in (1, 2):
                    place = desk.place(tenant, f"{tenant_name} {front} {number}")
                    secret = FRONTS[front].secret_prefix + f"{tenant_name}{number}" * 8
                    key = desk.key(tenant, front, endpoint, secret)
                    desk.assign(key, "workload", place.workload)
                    made.keys[tenant_name, front, number] = Held(front, key, endpoint, place)
        caught_up(installation)
        yield made


@pytest.fixture(autouse=True)
def restored(vaulted: Vaulted) -> Iterator[None]:
    """Every key works before, and again once the rows are as they were."""
    tables = ("endpoints", "keys", "key_versions", "assignments")
    kept = {table: vaulted.select(f"SELECT * FROM {table}") for table in tables}
    for name, held in vaulted.keys.items():
        assert vaulted.call(held)[0] == 200, name
    yield
    vaulted.edit(
        *(
            (table, f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            for table, rows in kept.items()
            for row in rows
        )
    )
    for name, held in vaulted.keys.items():
        assert vaulted.call(held)[0] == 200, name


@pytest.mark.parametrize("wrong", range(4))
def test_a_key_does_not_open_for_another_origin(vaulted: Vaulted, wrong: int) -> None:
    there = vaulted.origins[wrong].origin
    before = vaulted.traffic()
    moved = [
        (tenant, held) for (tenant, _, _), held in vaulted.keys.items() if TENANTS.index(tenant) != wrong
    ]
    for _, held in moved:
        vaulted.edit(
            (
                "endpoints",
                "UPDATE endpoints SET origins = ? WHERE id = ?",
                (json.dumps([there]), held.endpoint),
            )
        )
        assert vaulted.call(held) == (500, "unopenable")
    assert vaulted.traffic() == before
    assert len(moved) >= len(vaulted.keys) // 2


def test_a_key_does_not_open_where_another_origin_was_put_before_its_own(vaulted: Vaulted) -> None:
    for held in vaulted.keys.values():
        ((own,),) = vaulted.select("SELECT origins FROM endpoints WHERE id = ?", held.endpoint)
        if len(json.loads(own)) == 1:
            both = json.dumps([vaulted.origins[3].origin, *json.loads(own)])
            vaulted.edit(
                ("endpoints", "UPDATE endpoints SET origins = ? WHERE id = ?", (both, held.endpoint))
            )
    vaulted.all_refused()


def test_a_key_does_not_open_at_another_endpoint_of_its_provider(vaulted: Vaulted) -> None:
    for (tenant, front, number), held in vaulted.keys.items():
        other = vaulted.keys["beta" if tenant == "alpha" else "alpha", front, number].endpoint
        public = f"ep_{front}"  # the preset, which every tenant may use
        before = vaulted.traffic()
        for endpoint, refusal in ((other, {"no_key_in_scope", "unopenable"}), (public, {"unopenable"})):
            vaulted.edit(("keys", "UPDATE keys SET endpoint = ? WHERE id = ?", (endpoint, held.key)))
            status, code = vaulted.call(held)
            assert status in (403, 500)
            assert code in refusal
        assert vaulted.traffic() == before


def test_a_key_does_not_open_below_another_path(vaulted: Vaulted) -> None:
    vaulted.edit(
        ("endpoints", "UPDATE endpoints SET base_path = ? WHERE tenant IS NOT NULL", ("/elsewhere",))
    )
    vaulted.all_refused()


def test_an_envelope_does_not_open_under_another_key(vaulted: Vaulted) -> None:
    held = list(vaulted.keys.values())
    envelopes = {
        one.key: vaulted.select("SELECT envelope FROM key_versions WHERE key = ?", one.key)[0][0]
        for one in held
    }
    turned = {one.key: envelopes[other.key] for one, other in zip(held, [*held[1:], held[0]], strict=True)}
    vaulted.edit(
        *(
            ("key_versions", "UPDATE key_versions SET envelope = ? WHERE key = ?", (turned[one.key], one.key))
            for one in held
        )
    )
    vaulted.all_refused()


def test_an_envelope_does_not_open_as_another_version(vaulted: Vaulted) -> None:
    columns = "state, masked, created_us, active_us, retire_us, fingerprint, revision, envelope, key"
    copied = f"INSERT INTO key_versions ({columns}, version) SELECT {columns}, 2 FROM key_versions WHERE version = 1"
    vaulted.edit(("key_versions", copied, ()))
    vaulted.all_refused()
    vaulted.edit(("key_versions", "UPDATE key_versions SET state = 'destroyed' WHERE version = 2", ()))


def test_a_key_moved_to_another_tenant_serves_nobody(vaulted: Vaulted) -> None:
    alpha = vaulted.keys["alpha", "openai", 1]
    beta = vaulted.keys["beta", "openai", 1]
    before = vaulted.traffic()
    # The assignment alone: the key is still another tenant's.
    vaulted.edit(
        ("assignments", "UPDATE assignments SET scope = ? WHERE key = ?", (beta.place.workload, alpha.key))
    )
    vaulted.edit(("keys", "UPDATE keys SET state = 'suspended' WHERE id = ?", (beta.key,)))
    assert vaulted.call(beta)[1] == "key_not_usable"
    # The key's row and its endpoint as well: it is a candidate now, and does not open.
    moved = (beta.place.tenant, beta.endpoint, alpha.key)
    vaulted.edit(("keys", "UPDATE keys SET tenant = ?, endpoint = ? WHERE id = ?", moved))
    assert vaulted.call(beta) == (500, "unopenable")
    assert vaulted.call(alpha)[0] == 403
    assert vaulted.traffic() == before


def test_a_probe_dials_nothing_either(vaulted: Vaulted) -> None:
    wrong = json.dumps([vaulted.origins[2].origin])
    vaulted.edit(("endpoints", "UPDATE endpoints SET origins = ? WHERE tenant IS NOT NULL", (wrong,)))
    before = vaulted.traffic()
    for held in vaulted.keys.values():
        with pytest.raises(Refused) as refused:
            vaulted.installation.desk().api("POST", f"/keys/{held.key}/test")
        assert refused.value.code == "unopenable"
    assert vaulted.traffic() == before
