"""A target's keys in one scope, made ready to draw from: once per list of candidates, not once a call.

Law: only what is in the list can come out, and of that only keys whose endpoint fits the target, serves the
model and lies where it has to. Lower assignment priority first; equal ones share by weight, for a session by
rendezvous. Nothing here knows of benches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from tokenone.route.ask import Demand
from tokenone.route.rendezvous import digest, order
from tokenone.route.strategy import Odds
from tokenone.rows import Candidate, Endpoint, Target

MOST: Final = 50_000
"""Candidates in all groups that are kept: about 10 MB where each belongs to a list of its own."""

Serves: TypeAlias = Callable[[Endpoint, str], bool]
"""Says whether an endpoint may be sent a model."""

Place: TypeAlias = tuple[int, int, str, Demand | None]


class Want(NamedTuple):
    """A target, the model by its provider's name, and where its endpoint has to lie (None: anywhere)."""

    target: Target
    model: str
    demand: Demand | None


class Group:
    """The fitting candidates by priority; `outside` says that some were left out for where they lie."""

    __slots__ = ("_digests", "_ranks", "_split", "by_key", "candidates", "outside")

    def __init__(self, candidates: Sequence[Candidate], *, outside: bool = False) -> None:
        self.candidates = tuple(sorted(candidates, key=lambda one: (one.priority, one.key.id)))
        self.outside = outside
        self.by_key = {one.key.id: one for one in self.candidates}
        ranks = (list(group) for _, group in groupby(self.candidates, key=lambda one: one.priority))
        self._ranks = [(rank, Odds([max(one.weight, 0) for one in rank])) for rank in ranks]
        self._digests: list[list[int]] | None = None
        self._split: tuple[Group, ...] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of the first candidate: of all where the group was split."""
        return self.candidates[0].endpoint

    def drawn(self, source: Iterator[int]) -> Iterator[Candidate]:
        """Yields every candidate once, in the order that the numbers decide."""
        for rank, odds in self._ranks:
            for index in odds.order(source):
                yield rank[index]

    def belonging(self, session: int) -> Iterator[Candidate]:
        """Yields every candidate once, a session's own first. Costs a hash for each: a session that is held
        does not need it."""
        if self._digests is None:
            self._digests = [[digest(one.key.id) for one in rank] for rank, _ in self._ranks]
        for (rank, _), digests in zip(self._ranks, self._digests, strict=True):
            if len(rank) == 1:
                yield rank[0]
                continue
            for index in order(session, digests, [one.weight for one in rank]):
                yield rank[index]

    def split(self) -> tuple[Group, ...]:
        """Returns the group by endpoint: prices and speeds differ between them."""
        if self._split is None:
            by_endpoint: dict[str, list[Candidate]] = {}
            for one in self.candidates:
                by_endpoint.setdefault(one.endpoint.id, []).append(one)
            alone = len(by_endpoint) == 1
            self._split = (self,) if alone else tuple(Group(own) for own in by_endpoint.values())
        return self._split


class Groups:
    """The groups of the last targets and candidate lists, by identity: both are the same objects until something
    changes, and a kept group keeps them alive. Bounded by the candidates in all of them."""

    def __init__(self, most: int = MOST) -> None:
        self._known: OrderedDict[Place, tuple[Group, Target, tuple[Candidate, ...]]] = OrderedDict()
        self._most = most
        self._weight = 0

    def of(self, want: Want, candidates: tuple[Candidate, ...], serves: Serves) -> Group:
        """Returns the group of what is wanted among the candidates. For one target `serves` is always the same."""
        place = (id(want.target), id(candidates), want.model, want.demand)
        known = self._known.get(place)
        if known is not None:
            return known[0]
        group = _made(want, candidates, serves)
        self._known[place] = (group, want.target, candidates)
        self._weight += 1 + len(candidates)
        while self._weight > self._most and len(self._known) > 1:
            self._weight -= 1 + len(self._known.popitem(last=False)[1][2])
        return group

    def __len__(self) -> int:
        return len(self._known)


def _made(want: Want, candidates: Sequence[Candidate], serves: Serves) -> Group:
    known: dict[str, Fit] = {}
    inside: list[Candidate] = []
    outside = False
    for one in candidates:
        endpoint = one.endpoint
        fit = known.get(endpoint.id)
        if fit is None:
            fit = known[endpoint.id] = fit_of(want, endpoint, serves)
        if fit is Fit.INSIDE:
            inside.append(one)
        outside = outside or fit is Fit.OUTSIDE
    return Group(inside, outside=outside)


class Fit(Enum):
    """What an endpoint is to a target."""

    INSIDE = 1
    OUTSIDE = 2
    """It would do, and lies where the call may not go."""
    OTHER = 3


def fit_of(want: Want, endpoint: Endpoint, serves: Serves) -> Fit:
    """Says whether an endpoint fits a target, serves the model and lies where it has to."""
    target, demand = want.target, want.demand
    if endpoint.provider != target.provider or target.endpoint not in (None, endpoint.id):
        return Fit.OTHER
    if demand is not None and demand.endpoint not in (None, endpoint.name):
        return Fit.OTHER
    if not serves(endpoint, want.model):
        return Fit.OTHER
    return Fit.INSIDE if lies_within(endpoint, demand) else Fit.OUTSIDE


def lies_within(endpoint: Endpoint, demand: Demand | None) -> bool:
    """Says whether an endpoint lies where a demand wants it; one of which that is not known does not."""
    if demand is None:
        return True
    if demand.self_hosted and not getattr(endpoint, "self_hosted", False):
        return False
    return demand.jurisdictions is None or getattr(endpoint, "jurisdiction", None) in demand.jurisdictions
