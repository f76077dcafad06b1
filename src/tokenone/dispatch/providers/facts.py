"""What the way of a call must know of a provider, as one value of plain functions.

Law: facts are chosen from `PROVIDERS` by name; nobody asks "if provider is". A fact never does I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tokenone.dispatch.credential import Authorise, Unsigned, put
from tokenone.dispatch.mint import Mint
from tokenone.dispatch.paths import PathTable
from tokenone.dispatch.peek import Peek
from tokenone.dispatch.streams import Meter
from tokenone.rows import Endpoint
from tokenone.secret import Secret
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider, Usage


class Reading(NamedTuple):
    """What a whole JSON reply says about itself; None is *not reported*."""

    model: str | None
    usage: Usage | None
    charged: int | None = None
    """What the provider says that it charges for the call, in nano-USD."""


OpenMeter: TypeAlias = Callable[[bytes, bytes, bool], Meter | None]
"""(path, content type in lower case, whether to withhold the usage chunk) → the meter of a reply that comes as
a stream; None for a reply that is one document."""


def below_base(endpoint: Endpoint, path: bytes) -> bytes:
    """Returns where a path lies at an endpoint: below its base path."""
    return endpoint.base_path.encode("ascii") + path


def _any_answer(_body: bytes) -> bool | None:
    return True


def _never(_body: bytes) -> bool:
    return False


class Probe(NamedTuple):
    """The cheapest request that proves a key: a 2xx answer means that it works, unless its body says otherwise."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""
    proves: Callable[[bytes], bool | None] = _any_answer
    """(the body of a 2xx answer) → whether the key works, None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One provider. Paths are those below the origin, base path included: `/v1/chat/completions`."""

    provider: Provider
    dialect: Dialect
    default_origin: str
    """The public API for everybody; empty where every customer has an address of their own."""
    """Empty where every customer has an origin of their own."""
    base_path: str
    paths: PathTable
    authorise: Authorise
    check_secret: Callable[[bytes], None]
    """Raises BadSecret with a reason that does not contain the secret."""
    peek: Callable[[bytes, str | None], Peek]
    splice: Callable[[bytes, Peek, bytes], bytes]
    """(body, peek, path) → the body to send: `body` itself unless usage had to be asked for."""
    read: Callable[[bytes, bytes, Headers], Reading]
    """(reply body, path, reply headers) → model, usage, charge."""
    open_meter: OpenMeter
    error_class: Callable[[int, Headers, bytes], ErrorClass]
    probe: Probe
    model_optional: frozenset[bytes] = frozenset()
    """Inference paths on which the provider has a default model."""
    place: Callable[[Endpoint, bytes], bytes] = below_base
    """(endpoint, path) → the raw path to send."""
    fails: Callable[[bytes], bool] = _never
    """Says whether a whole reply of status 2xx is an error all the same."""
    token_origins: tuple[str, ...] = ()
    """Where secrets of this provider are traded for tokens; they stand behind the API in a preset's origins."""
    mint: Mint | None = None
    """Set where a secret may have to be traded for a token that lives shorter."""

    def classify(self, method: bytes, path: bytes) -> PathClass | None:
        """Returns the path's class; None is unknown and gets the refusal of an admin path."""
        return self.paths.classify(method, path)

    def bills(self, path: bytes) -> bool:
        """Says whether a call of this inference path costs anything (counting tokens does not)."""
        return self.paths.bills(path)

    def model_in(self, path: bytes) -> str | None:
        """Returns the model that a path names, if it does."""
        return self.paths.model(path)

    def credential(self, unsigned: Unsigned, secret: Secret) -> Headers:
        """Returns the request's headers with the provider's credential."""
        return put(unsigned, secret, self.authorise)

    def usage(self, body: bytes, path: bytes) -> Usage | None:
        """Returns the usage that a whole JSON reply reports in its body."""
        return self.read(body, path, []).usage
