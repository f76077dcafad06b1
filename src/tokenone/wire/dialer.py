"""Opens connections to providers: resolve once, check every address, dial only what was checked.

Law: nothing is sent before the addresses passed the egress rules and, for https, before the certificate was
verified for the origin's host. No proxy, no environment, no redirect. A failure here means that no byte of a
request left.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from tokenone.errors import DialFailed
from tokenone.types import Origin
from tokenone.wire.egress import EgressRules
from tokenone.wire.tls import ClientContexts

Resolve: TypeAlias = Callable[[str, int], Awaitable[tuple[str, ...]]]
ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)

_SHORTEST_TRY: Final = 0.25


class Dialer:
    """Dials origins under the egress rules."""

    __slots__ = ("_contexts", "_resolve", "_rules")

    def __init__(self, rules: EgressRules, resolve: Resolve | None = None) -> None:
        self._rules = rules
        self._resolve = resolve or resolve_by_system
        self._contexts = ClientContexts()

    async def dial(
        self, origin: Origin, ca_pem: str | None, seconds: float, protocol: Callable[[], ProtocolT]
    ) -> ProtocolT:
        """Returns a connected (and for https verified) protocol; DialFailed or EgressRefused otherwise."""
        self._rules.check_name(origin)
        tls = self._contexts.context(ca_pem) if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._resolve(origin.host, origin.port)
                self._rules.check(origin, addresses)
                return await _first_to_answer(origin, addresses, tls, seconds, protocol)
        except TimeoutError:
            raise DialFailed("connecting took too long") from None
        except ssl.SSLCertVerificationError as error:
            raise DialFailed(f"the provider's certificate does not verify: {error.verify_message}") from None
        except ssl.SSLError:
            raise DialFailed("the TLS handshake failed") from None
        except (OSError, UnicodeError):  # UnicodeError: a host that IDNA cannot encode
            raise DialFailed("the provider's endpoint could not be reached") from None


async def _first_to_answer(
    origin: Origin,
    addresses: tuple[str, ...],
    tls: ssl.SSLContext | None,
    seconds: float,
    protocol: Callable[[], ProtocolT],
) -> ProtocolT:
    """Tries the addresses in the resolver's order; each but the last gets its share of the time."""
    loop = asyncio.get_running_loop()
    server_hostname = origin.host if tls else None
    share = max(_SHORTEST_TRY, seconds / len(addresses))
    for address in addresses[:-1]:
        try:
            async with asyncio.timeout(share):
                _, connected = await loop.create_connection(
                    protocol, address, origin.port, ssl=tls, server_hostname=server_hostname
                )
                return connected
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, TimeoutError):
            continue
    _, connected = await loop.create_connection(
        protocol, addresses[-1], origin.port, ssl=tls, server_hostname=server_hostname
    )
    return connected


async def resolve_by_system(host: str, port: int) -> tuple[str, ...]:
    """Resolves by the system's resolver; addresses in its order, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))
