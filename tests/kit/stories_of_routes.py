"""The error branches of explaining a route, as stories."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kit.walk import Walk
from tokenone.call.routing import Routing, explained
from tokenone.errors import TokenOneError
from tokenone.route import Router


def explanations(walk: Walk) -> None:
    """A question of another form, a workload that nobody has, and one that is answered."""
    house = walk.house.house
    routing = Routing(Router(house.catalog), house.health)
    place = walk.grounds.places["good"]

    def asked(**question: Any) -> str | None:
        try:
            told = explained(house, routing, question)
        except TokenOneError as error:
            walk.watch.saw("a question refused", f"{error.code} {error.detail}")
            return error.code
        walk.watch.saw("an explanation", json.dumps(told))
        return None

    assert walk.house.do(lambda: asked(workload=place.workload, model=7)) == "bad_request"
    assert walk.house.do(lambda: asked(workload="wkl_nobody", model="gpt-4o-mini")) == "not_found"
    assert walk.house.do(lambda: asked(workload=place.workload, model="gpt-4o-mini")) is None


STORIES_OF_ROUTES: tuple[Callable[[Walk], None], ...] = (explanations,)
