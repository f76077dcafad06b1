"""Decides which addresses the gateway may dial: public ones by https, all else only by the operator's list.

Law: every address a name resolves to is judged, in the form it is dialled; one bad address refuses the name.
Forms that carry another address inside (IPv4-mapped, NAT64, 6to4, Teredo) are never public. It opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from tokenone.errors import ConfigRefused, EgressRefused
from tokenone.types import Origin, parse_origin

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# IANA special-purpose registries (RFC 6890 and successors), and 168.63.129.16: Azure's platform address,
# public by its number only.
_SPECIAL_4: Final = tuple(
    map(
        IPv4Network,
        [
            *(
                "0.0.0.0/8",
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "168.63.129.16/32",
                "169.254.0.0/16",
            ),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
            *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ],
    )
)
_GLOBAL_6: Final = IPv6Network("2000::/3")
_SPECIAL_6: Final = tuple(
    map(IPv6Network, ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"])
)
# What an allow-listed origin may resolve to: the operator's own networks, never a metadata service or a form
# that hides another address; those need their CIDR in the list.
_PRIVATE: Final[tuple[Network, ...]] = (
    *map(IPv4Network, ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
)
_METADATA: Final[tuple[Network, ...]] = (
    IPv4Network("100.100.100.200/32"),
    IPv6Network("fd00:ec2::254/128"),
    IPv6Network("fd20:ce::254/128"),
)


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What the operator allow-listed: CIDRs (`10.1.0.0/16`) and exact origins (`http://127.0.0.1:8000`)."""

    allow: tuple[str, ...] = ()
    origins: frozenset[Origin] = field(init=False)
    networks: tuple[Network, ...] = field(init=False)

    def __post_init__(self) -> None:
        origins = frozenset(parse_origin(entry) for entry in self.allow if "://" in entry)
        object.__setattr__(self, "origins", origins)
        try:
            networks = tuple(ip_network(entry) for entry in self.allow if "://" not in entry)
        except ValueError:
            raise ConfigRefused("an egress entry is a CIDR or an origin") from None
        object.__setattr__(self, "networks", networks)

    def check_name(self, origin: Origin) -> None:
        """Refuses numbers that are no plain address: resolvers read `127.1` and `0x7f.1` as loopback."""
        last = origin.host.rstrip(".").rsplit(".", 1)[-1]
        if (last.isdigit() or last.startswith("0x")) and not _is_address(origin.host):
            raise EgressRefused("the endpoint's host is neither a name nor an address")

    def check(self, origin: Origin, addresses: tuple[str, ...]) -> None:
        """Raises EgressRefused unless every address may be dialled for this origin."""
        if not addresses:
            raise EgressRefused("the name has no address")
        listed = origin in self.origins
        for text in addresses:
            address = _parse(text)
            if _within(address, self.networks):
                continue
            if listed and (is_public(address) or _is_private(address)):
                continue
            if origin.scheme != "https":
                raise EgressRefused("plain http goes to allow-listed origins and networks only")
            if not is_public(address):
                raise EgressRefused("the endpoint resolves to an address that is not public")


def is_public(address: Address) -> bool:
    """Says whether an address is plain, global unicast and no platform's own."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    return address in _GLOBAL_6 and not any(address in network for network in _SPECIAL_6)


def _is_private(address: Address) -> bool:
    return _within(address, _PRIVATE) and not _within(address, _METADATA)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _parse(text: str) -> Address:
    if "%" in text:
        raise EgressRefused("addresses with a zone are link-local")
    try:
        return ip_address(text)
    except ValueError:
        raise EgressRefused("the name resolves to something that is no address") from None
