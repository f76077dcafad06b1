"""The providers' own SDKs see through the gateway what they see at the provider; only base URL and key change."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from kit.installation import Installation
from kit.providers import FOLDERS, PREFIXES, route_to, token_server
from kit.replay import received, replaying, reset
from kit.routes import Route
from kit.sdks_of_all import CASES, Case
from kit.shared import require_exchanges


@pytest.fixture(scope="module")
def route(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    require_exchanges()
    folder = tmp_path_factory.mktemp("replay for SDKs")
    with token_server(folder) as tokens, replaying(folder) as origin:
        yield route_to(installation, "SDKs of all", origin, tokens)


def pin(origin: str, exchange: str) -> None:
    """The replay server's next answer."""
    told = json.dumps({"id": exchange, "times": 1}).encode()
    request = urllib.request.Request(f"{origin}/__replay__/pin", method="POST", data=told)
    urllib.request.urlopen(request, timeout=10).close()


def asked(request: dict[str, Any]) -> Any:
    """What was sent, but for the usage that the gateway asks for."""
    body = json.loads(request["body"])
    body.pop("stream_options", None)
    return body


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_official_sdk_sees_what_the_provider_says(
    installation: Installation, route: Route, case: Case
) -> None:
    exchange = case.recorded
    folder = exchange.provider
    provider = FOLDERS[folder]
    reset(route.origin)
    pin(route.origin, exchange.id)
    at_the_provider = case.run(f"{route.origin}/{folder}", "AKIA" + "D" * 16, exchange)
    pin(route.origin, exchange.id)
    base = f"{installation.gateway}/{PREFIXES.get(provider, provider.value)}"
    at_the_gateway = case.run(base, route.place.token, exchange)
    assert at_the_gateway == at_the_provider
    assert ("failure" in at_the_gateway) == (exchange.status >= 400)
    if exchange.status < 400:
        assert at_the_gateway["results"]
    if "tool call" in case.name:
        assert "tool" in str(at_the_gateway).lower() or "function_call" in str(at_the_gateway)
    direct, governed = received(route.origin)
    assert (governed["method"], governed["path"]) == (direct["method"], direct["path"])
    assert asked(governed) == asked(direct)
    assert route.place.token not in json.dumps(governed), "the caller's key never goes to the provider"
