"""What the way of a call must know of a provider, as one value of plain functions.

Law: facts are chosen from `PROVIDERS` by name; nobody asks "if provider is". A fact never does I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tokenone.dispatch.credential import CredentialHeader, put
from tokenone.dispatch.paths import PathTable
from tokenone.dispatch.peek import Peek
from tokenone.dispatch.streams import StreamMeter
from tokenone.secret import Secret
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider, Usage


class Reading(NamedTuple):
    """What a whole JSON reply says about itself; None is *not reported*."""

    model: str | None
    usage: Usage | None


class Probe(NamedTuple):
    """The cheapest request that proves a key: a 2xx answer means that it works."""

    method: bytes
    target: bytes
    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One provider. Paths are those below the origin, base path included: `/v1/chat/completions`."""

    provider: Provider
    dialect: Dialect
    default_origin: str
    base_path: str
    paths: PathTable
    credential_header: CredentialHeader
    check_secret: Callable[[bytes], None]
    """Raises BadSecret with a reason that does not contain the secret."""
    peek: Callable[[bytes, str | None], Peek]
    splice: Callable[[bytes, Peek, bytes], bytes]
    """(body, peek, path) → the body to send: `body` itself unless usage had to be asked for."""
    read: Callable[[bytes, bytes], Reading]
    """(reply body, path) → model and usage."""
    open_meter: Callable[[bytes, bool], StreamMeter]
    error_class: Callable[[int, Headers, bytes], ErrorClass]
    probe: Probe
    model_optional: frozenset[bytes] = frozenset()
    """Inference paths on which the provider has a default model."""

    def classify(self, method: bytes, path: bytes) -> PathClass | None:
        """Returns the path's class; None is unknown and gets the refusal of an admin path."""
        return self.paths.classify(method, path)

    def bills(self, path: bytes) -> bool:
        """Says whether a call of this inference path costs anything (counting tokens does not)."""
        return self.paths.bills(path)

    def credential(self, headers: Headers, secret: Secret) -> Headers:
        """Returns `headers` with the provider's credential."""
        return put(headers, secret, self.credential_header)

    def usage(self, body: bytes, path: bytes) -> Usage | None:
        """Returns the usage that a whole JSON reply reports."""
        return self.read(body, path).usage

    def stream_meter(self, path: bytes, *, withhold_usage: bool = False) -> StreamMeter:
        """Returns a meter for one event stream of this path."""
        return self.open_meter(path, withhold_usage)
