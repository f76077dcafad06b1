"""The shared words: ids, origins, addresses, and that rows cannot be changed in place."""

import ipaddress
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone import rows
from tokenone.errors import ConfigRefused
from tokenone.types import Action, Origin, PathClass, Provider, Scope, address_in, new_id, parse_origin

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join) | st.ip_addresses(v=6).map(str)
origins = st.builds(Origin, st.sampled_from(["https", "http"]), hosts, st.integers(1, 65535))


def test_ids_say_what_they_name_and_never_repeat() -> None:
    ids = {new_id("key") for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"key_[0-9a-hjkmnp-tv-z]{20}", one) for one in ids)


@given(origins)
def test_an_origin_reads_back_from_its_text(origin: Origin) -> None:
    assert parse_origin(str(origin)) == origin
    assert str(origin).endswith(origin.authority)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://API.OpenAI.com", "https://api.openai.com"),
        ("https://api.openai.com:443", "https://api.openai.com"),
        ("https://api.openai.com/", "https://api.openai.com"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_origin_has_one_spelling(text: str, shown: str) -> None:
    assert str(parse_origin(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.openai.com",
        "ftp://host",
        "https://",
        "https://host/v1",
        "https://host?x=1",
        "https://host#x",
        "https://user@host",
        "https://user:pass@host",
        "https://host:99999",
        "https://host:port",
        "https://[::1",
        "javascript://host",
        "https:///path",
    ],
)
def test_anything_but_an_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused):
        parse_origin(text)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_an_address_lies_in_the_block_around_it_mapped_or_not(
    address: ipaddress.IPv4Address, prefix: int
) -> None:
    block = str(ipaddress.ip_network((address, prefix), strict=False))
    assert address_in(str(address), (block,))
    assert address_in(f"::ffff:{address}", (block,))


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_address_in_agrees_with_ipaddress(one: object, other: object, prefix: int) -> None:
    network = ipaddress.ip_network((str(other), min(prefix, other.max_prefixlen)), strict=False)
    mapped = getattr(one, "ipv4_mapped", None) or one
    assert address_in(str(one), (str(network),)) is (mapped.version == network.version and mapped in network)


def test_no_blocks_hold_no_address() -> None:
    assert not address_in("192.0.2.1", ())


@pytest.mark.parametrize("word", [Action, PathClass, Provider])
def test_words_are_their_own_text(word: type) -> None:
    assert all(str(member) == member.value == member for member in word)


def test_actions_stand_in_order_of_severity() -> None:
    assert list(Action) == [Action.ALLOW, Action.FLAG, Action.REDACT, Action.BLOCK]


def _structs() -> list[type[msgspec.Struct]]:
    found = [value for value in vars(rows).values() if isinstance(value, type)]
    return [one for one in found if issubclass(one, msgspec.Struct) and one is not msgspec.Struct]


@pytest.mark.parametrize("struct", _structs(), ids=lambda struct: struct.__name__)
def test_a_row_is_frozen(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.frozen


def test_a_scope_is_a_value() -> None:
    assert Scope("t", "p", "w") == Scope("t", "p", "w")
    assert hash(Scope("t", "p", "w")) == hash(Scope("t", "p", "w"))
