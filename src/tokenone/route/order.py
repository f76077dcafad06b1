"""In which order a rule's targets are tried: one function per strategy.

Law: the order depends on the targets, the scene and the numbers (for a session: on the session) alone; every
target comes out once. What has no price or no figure comes after what has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from tokenone.route.ask import Scene
from tokenone.route.group import Group
from tokenone.route.rendezvous import order
from tokenone.route.strategy import Odds
from tokenone.route.table import Ruled
from tokenone.rows import Strategy

EXPLORED: Final = 16
"""One call in so many tries a place first that was not measured lately, so that it can show how fast it is."""


class Spot(NamedTuple):
    """A usable target: its place in the rule, the model at its provider, and its keys."""

    place: int
    model: str
    group: Group


class Draw(NamedTuple):
    """What decides beside the targets."""

    ruled: Ruled
    scene: Scene
    numbers: Iterator[int]
    session: int | None


def arranged(
    spots: Sequence[Spot], ruled: Ruled, scene: Scene, numbers: Iterator[int], session: int | None
) -> Iterable[Spot]:
    """Returns the targets in the order in which they are tried."""
    if len(spots) <= 1:
        return spots
    return _ORDERS[ruled.rule.strategy](spots, Draw(ruled, scene, numbers, session))


def listed(spots: Sequence[Spot], draw: Draw) -> Iterable[Spot]:
    """As they stand in the rule."""
    del draw
    return spots


def weighted(spots: Sequence[Spot], draw: Draw) -> Iterable[Spot]:
    """Shared by weight: each call by itself, or each session by itself where sessions stay."""
    ruled = draw.ruled
    if draw.session is not None:
        weights = [ruled.weights[spot.place] for spot in spots]
        own = order(draw.session, [ruled.places[spot.place] for spot in spots], weights)
        return [spots[at] for at in own]
    if len(spots) == len(ruled.weights):
        return (spots[at] for at in ruled.odds.order(draw.numbers))
    return (spots[at] for at in Odds([ruled.weights[spot.place] for spot in spots]).order(draw.numbers))


def cheapest(spots: Sequence[Spot], draw: Draw) -> Iterable[Spot]:
    """The lowest price first; equal prices as they stand in the rule."""

    def by_price(spot: Spot) -> tuple[bool, int]:
        endpoint = spot.group.endpoint
        price = draw.scene.price(endpoint.provider, spot.model, endpoint)
        return price is None, price or 0

    return sorted(spots, key=by_price)


def fastest(spots: Sequence[Spot], draw: Draw) -> Iterable[Spot]:
    """The shortest time to the first byte first; now and then one that was not measured lately."""
    explores = next(draw.numbers) % EXPLORED == 0

    def by_speed(spot: Spot) -> tuple[bool, int]:
        figure = draw.scene.speed(spot.group.endpoint.id, spot.model)
        return (figure is None) is not explores, figure or 0

    return sorted(spots, key=by_speed)


Order: TypeAlias = Callable[[Sequence[Spot], Draw], Iterable[Spot]]

_ORDERS: Final = MappingProxyType[Strategy, Order](
    {
        Strategy.PRIORITY: listed,
        Strategy.WEIGHTED: weighted,
        Strategy.CHEAPEST: cheapest,
        Strategy.FASTEST: fastest,
    }
)
