"""What the unified front lists for a caller.

Law: a model is listed exactly when a call naming it would get a plan; both ask the catalogue.
"""

from __future__ import annotations

from tokenone.call.house import House
from tokenone.errors import DeniedError
from tokenone.route.catalog import Listed
from tokenone.rows import Candidate
from tokenone.scope import Caller, allowed_models
from tokenone.types import Provider


def listed_models(house: House, caller: Caller) -> tuple[Listed, ...]:
    """Returns the lines of `/v1/models` for this caller."""
    usable = {
        provider: found
        for provider in house.catalog.unified
        if (found := usable_keys(house, caller, provider))
    }

    def allows(provider: Provider, model: str) -> bool:
        return bool(allowed_models(house.directory, caller, provider, (model,)))

    return house.catalog.models(usable, house.directory.endpoints_for(caller.scope.tenant), allows)


def usable_keys(house: House, caller: Caller, provider: Provider) -> tuple[Candidate, ...]:
    """Returns the caller's candidates for a provider; empty where there are none."""
    try:
        return house.directory.candidates(caller.scope, provider, house.clock.now_us(), caller.token.mode)
    except DeniedError:
        return ()
