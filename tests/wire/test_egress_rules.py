"""Where the gateway may dial: a matrix of addresses, names that resolve to several, and the operator's list."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.errors import ConfigRefused, EgressRefused
from tokenone.types import parse_origin
from tokenone.wire.egress import EgressRules, is_public

HTTPS = parse_origin("https://api.example")
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "104.18.6.192",
    "172.15.0.1",
    "172.32.0.1",
    "100.63.255.255",
    "2606:4700::6810:6c0",
]
METADATA = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "192.0.0.192"]
LOCAL = ["127.0.0.1", "127.255.255.255", "0.0.0.0", "::1", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255"]
LOCAL += [
    "192.168.1.1",
    "100.64.0.1",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fdff::1",
    "fec0::1",
]
SPECIAL = ["224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "203.0.113.9"]
SPECIAL += ["ff02::1", "2001:db8::1", "2001:10::1", "3fff::1", "100::1", "5f00::1", "4000::1"]
HIDING = ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::a9fe:a9fe"]
HIDING += [
    "64:ff9b::808:808",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1",
]
NOT_PUBLIC = [*METADATA, *LOCAL, *SPECIAL, *HIDING]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_dialled_by_https_and_not_by_http(address: str) -> None:
    EgressRules().check(HTTPS, (address,))
    with pytest.raises(EgressRefused):
        EgressRules().check(parse_origin("http://api.example"), (address,))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_other_address_is_dialled(address: str) -> None:
    with pytest.raises(EgressRefused):
        EgressRules().check(HTTPS, (address,))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_one_bad_address_refuses_the_name(address: str) -> None:
    for addresses in ((PUBLIC[0], address), (address, PUBLIC[0])):
        with pytest.raises(EgressRefused):
            EgressRules().check(HTTPS, addresses)


@pytest.mark.parametrize(
    "address", [*METADATA, *HIDING, "169.254.0.1", "fe80::1", "0.0.0.0", "::", "224.0.0.1"]
)
def test_a_listed_origin_never_reaches_metadata_or_hidden_addresses(address: str) -> None:
    with pytest.raises(EgressRefused):
        EgressRules((str(HTTPS),)).check(HTTPS, (address,))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd12::1", "8.8.8.8"])
@pytest.mark.parametrize("origin", ["http://model.internal:8000", "https://model.internal"])
def test_a_listed_origin_reaches_the_operators_networks_and_only_that_origin_does(
    address: str, origin: str
) -> None:
    rules = EgressRules((origin,))
    rules.check(parse_origin(origin), (address,))
    for other in ("http://model.internal:8001", "http://other.internal:8000", "http://model.internal"):
        with pytest.raises(EgressRefused):
            rules.check(parse_origin(other), (address,))


def test_a_listed_network_is_reached_by_http_too_and_nothing_beside_it() -> None:
    rules = EgressRules(("10.1.0.0/16", "fd12::/16", "169.254.169.254/32"))
    plain = parse_origin("http://model.internal")
    for address in ("10.1.2.3", "fd12::5", "169.254.169.254"):
        rules.check(plain, (address,))
    for address in ("10.2.0.1", "::ffff:10.1.2.3", "fd13::1", "169.254.169.253"):
        with pytest.raises(EgressRefused):
            rules.check(HTTPS, (address,))


@given(st.ip_addresses())
def test_what_is_public_is_global_unicast_for_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not (address.is_multicast)
        assert not (address.is_reserved)
        assert not (address.is_private)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "::"]))
def test_no_form_that_hides_an_ipv4_address_is_public(address: IPv4Address, prefix: str) -> None:
    assert not is_public(IPv6Address(int(IPv6Address(prefix)) + int(address)))
    assert not is_public(IPv6Address((0x2002 << 112) + (int(address) << 80)))


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "example.com", "http://a/b", "ftp://a", "300.0.0.0/8", ""])
def test_a_list_entry_that_is_neither_network_nor_origin_is_refused_at_start(entry: str) -> None:
    with pytest.raises(ConfigRefused):
        EgressRules((entry,))


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(EgressRefused):
        EgressRules().check(HTTPS, ())


async def test_the_name_is_resolved_once_and_the_checked_address_is_dialled(
    open_client: Any, open_provider: Any, answering: Any, request_to: Any
) -> None:
    asked = []

    async def rebinding(host: str, port: int) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",) if len(asked) == 1 else ("169.254.169.254",)

    async with open_provider(answering(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")) as stand:
        origin = parse_origin(f"http://rebinding.example:{stand.origin.port}")
        async with open_client(resolve=rebinding) as client:
            assert (await client.send(request_to(origin))).status == 204
            assert asked == ["rebinding.example"]
            with pytest.raises(EgressRefused):
                await client.send(request_to(origin))
        assert len(stand.peers) == 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "127.0.0.0x1", "[::1]", "0", "1."]
)
async def test_no_spelling_of_loopback_is_dialled(
    host: str, open_client: Any, open_provider: Any, answering: Any, request_to: Any
) -> None:
    async with (
        open_provider(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as stand,
        open_client(allow=()) as client,
    ):
        with pytest.raises(EgressRefused):
            await client.send(request_to(parse_origin(f"https://{host}:{stand.origin.port}")))
        assert stand.peers == []


async def test_a_redirect_is_handed_back_and_not_followed(
    open_client: Any, open_provider: Any, answering: Any, request_to: Any
) -> None:
    moved = (
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    )
    async with open_provider(answering(moved)) as stand, open_client() as client:
        incoming = await client.send(request_to(stand.origin))
        assert (incoming.status, incoming.get(b"location")) == (307, b"http://169.254.169.254/")
        assert client.stats.sent == 1


async def test_proxies_of_the_environment_are_not_asked(
    open_client: Any, open_provider: Any, answering: Any, request_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with open_provider(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as stand, open_client() as client:
        assert (await client.send(request_to(stand.origin))).status == 204
