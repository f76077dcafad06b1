"""Two tenants, three levels, ten thousand interleaved calls: every call leaves with its own tenant's nearest key."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kit.fronts import FRONTS, caller
from kit.houses import caught_up
from kit.installation import Installation
from kit.logbook import Logbook
from kit.tenancies import LEVELS, Tenancy, tenancy
from kit.traffic import Spoken, talk
from kit.until import until
from tokenone.testing.desk import Desk, Refused, Workplace
from tokenone.testing.standin import Manner, StandIn, ThreadedListener

CALLS, CONNECTIONS = 10_000, 24
EFFECTIVE_SECONDS = 2.0


@dataclass
class Town:
    """Two tenants at one gateway with two workers, and the provider that sees which key comes."""

    installation: Installation
    standin: StandIn
    tenants: dict[str, Tenancy]

    @property
    def desk(self) -> Desk:
        return self.installation.desk()


@pytest.fixture(scope="module")
def town(two_workers: Installation) -> Iterator[Town]:
    with ThreadedListener(StandIn(manner=Manner(keep=4 * CALLS))) as upstream:
        desk = two_workers.desk()
        origins = dict.fromkeys(FRONTS, upstream.origin)
        tenants = {name: tenancy(desk, name, origins) for name in ("alpha", "beta")}
        caught_up(two_workers)
        yield Town(two_workers, upstream.standin, tenants)


def marked(town: Town, tenant: str, level: str, front: str, number: int) -> Spoken:
    place = town.tenants[tenant].places[level]
    return Spoken(front, place, f"{tenant}/{level}/{front}/{number}.", stream=number % 10 == 0)


@pytest.fixture(scope="module")
def spoken(town: Town) -> list[Spoken]:
    """The ten thousand calls, shuffled, over keep-alive connections to both workers."""
    kinds = [(tenant, level, front) for tenant in town.tenants for level in LEVELS for front in FRONTS]
    calls = [marked(town, *kinds[number % len(kinds)], number) for number in range(CALLS)]
    random.Random(7).shuffle(calls)
    town.standin.reset()
    began = time.monotonic()
    talk(town.installation.gateway, calls, connections=CONNECTIONS)
    print(f"{CALLS} calls in {time.monotonic() - began:.1f} s")
    return calls


def seen_keys(town: Town) -> dict[str, list[str]]:
    """mark → the keys that the provider got with it."""
    secrets = {secret: key for made in town.tenants.values() for secret, key in made.secrets.items()}
    found: dict[str, list[str]] = {}
    for record in town.standin.received:
        text = record.request.body.partition(b"echo ")[2].partition(b".")[0].decode()
        found.setdefault(text + ".", []).append(secrets[str(record.key)])
    return found


def test_every_call_leaves_once_with_a_key_of_its_own_tenant(town: Town, spoken: list[Spoken]) -> None:
    seen = seen_keys(town)
    assert len(seen) == CALLS
    assert all(len(keys) == 1 for keys in seen.values())
    owner = {key: name for name, made in town.tenants.items() for key in made.secrets.values()}
    assert all(owner[keys[0]] == mark.partition("/")[0] for mark, keys in seen.items())


def test_the_nearest_key_is_used(town: Town, spoken: list[Spoken]) -> None:
    for mark, (key,) in seen_keys(town).items():
        tenant, level, front, _ = mark.split("/")
        assert key in town.tenants[tenant].expected(front, level), mark


def test_every_answer_is_the_callers_own(town: Town, spoken: list[Spoken]) -> None:
    seen = seen_keys(town)
    for call in spoken:
        assert call.status == 200
        assert call.key == f"{seen[call.mark][0]}/1"
        if not call.stream:
            assert call.body.count(b"alpha/") + call.body.count(b"beta/") == 1
            assert call.mark.encode() in call.body


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("tenant", ["alpha", "beta"])
def test_weights_are_kept(town: Town, spoken: list[Spoken], tenant: str, front: str) -> None:
    made = town.tenants[tenant]
    used = Counter(
        key for mark, (key,) in seen_keys(town).items() if mark.startswith(f"{tenant}/near/{front}/")
    )
    share = used[made.keys[front, "heavy"]] / used.total()
    assert 0.69 < share < 0.81, f"300:100 came out as {share:.3f} of {used.total()}"


def test_the_ledger_says_the_same(town: Town, spoken: list[Spoken]) -> None:
    logbook = Logbook(town.installation.directory / "ledger")
    until(lambda: not logbook.unclosed(), "every outcome")
    seen: Counter[tuple[str, str]] = Counter()
    for mark, (key,) in seen_keys(town).items():
        tenant, level, _, _ = mark.split("/")
        seen[town.tenants[tenant].places[level].workload, key] += 1
    tenants = {made.places[level].workload: made.id for made in town.tenants.values() for level in LEVELS}
    intents = [
        fields for kind, fields in logbook.entries if kind == "intent" and fields["workload"] in tenants
    ]
    assert Counter((fields["workload"], fields["key"]) for fields in intents) == seen
    assert all(fields["tenant"] == tenants[fields["workload"]] for fields in intents)


# ── edits ──────────────────────────────────────────────────────────────────────────────────────────────────
def keys_after_an_edit(town: Town, place: Workplace, seconds: float) -> list[tuple[float, int, str]]:
    """Calls on from now for so long; returns (seconds since now, status, key) of each call as it was sent."""
    began = time.monotonic()
    found: list[tuple[float, int, str]] = []
    for number in range(1_000_000):
        sent = time.monotonic() - began
        if sent > seconds:
            break
        call = Spoken("openai", place, f"edit {number}.")
        talk(town.installation.gateway, [call], connections=1)  # a new connection: either worker may get it
        found.append((sent, call.status, call.key.partition("/")[0]))
    return found


def test_a_reassigned_key_is_used_within_two_seconds_and_nobody_needs_its_secret(town: Town) -> None:
    made, desk = town.tenants["alpha"], town.desk
    place, old = made.places["middle"], made.keys["openai", "project"]
    new = made.keys["openai", "light"]
    desk.assign(new, "workload", place.workload)
    found = keys_after_an_edit(town, place, EFFECTIVE_SECONDS + 0.7)
    late = [key for sent, _, key in found if sent >= EFFECTIVE_SECONDS]
    assert {status for _, status, _ in found} == {200}
    assert late
    assert set(late) == {new}
    assert {key for _, _, key in found} <= {old, new}
    changed = max((sent for sent, _, key in found if key == old), default=0.0)
    print(f"re-assignment effective after {changed:.2f} s")


def test_without_an_assignment_nothing_is_left_and_nothing_is_sent(town: Town) -> None:
    made, desk = town.tenants["beta"], town.desk
    place = made.places["far"]
    desk.api("DELETE", f"/assignments/{made.assignments['openai', 'tenant']}")
    found = keys_after_an_edit(town, place, EFFECTIVE_SECONDS + 0.7)
    late = {(status, key) for sent, status, key in found if sent >= EFFECTIVE_SECONDS}
    assert late == {(403, "")}
    before = len(town.standin.received)
    with caller() as http:
        answer = http.post(
            town.installation.gateway + FRONTS["openai"].chat,
            headers=FRONTS["openai"].headers(place.token), content=FRONTS["openai"].body(),
        )  # fmt: skip
    assert answer.json()["error"]["code"] == "no_key_in_scope"
    assert len(town.standin.received) == before


def test_a_key_cannot_be_assigned_to_another_tenant(town: Town) -> None:
    alpha, beta = town.tenants["alpha"], town.tenants["beta"]
    for kind, scope in (
        ("tenant", beta.id), ("project", beta.places["far"].project), ("workload", beta.places["far"].workload),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            town.desk.assign(alpha.keys["openai", "tenant"], kind, scope)
        assert 400 <= refused.value.status < 500
