"""Through the official SDKs the gateway is invisible: what they parse and what arrives is as without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import openai
import pytest

from kit.installation import Installation
from kit.replay import received, replaying, reset
from kit.routes import Route, route_to
from kit.sdk import Parsed, http, parsed, parsed_by_async
from kit.shared import Exchange, exchanges, require_exchanges

RECORDED = [*exchanges("openai"), *exchanges("anthropic")]
ONE_OF_EACH = list(
    {(one.path[:20], one.query, one.event_stream, one.status): one for one in RECORDED}.values()
)
SPLICE = '"stream_options":{"include_usage":true},'
FRAMING = {"host", "accept-encoding", "content-length", "connection"}
CREDENTIALS = {"authorization", "x-api-key", "cookie"}

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # recordings are older

Client = openai.OpenAI | anthropic.Anthropic


@dataclass(frozen=True)
class Sides:
    """The same SDKs twice: straight to the replay server, and through the gateway."""

    route: Route
    gateway: str
    straight: dict[str, Client]
    governed: dict[str, Client]


def url_of(provider: str, base: str) -> str:
    return f"{base}/{provider}/v1" if provider == "openai" else f"{base}/{provider}"


def clients(base: str, credential: str) -> dict[str, Client]:
    makers: dict[str, Callable[..., Client]] = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}
    return {
        provider: make(api_key=credential, base_url=url_of(provider, base), max_retries=0, http_client=http())
        for provider, make in makers.items()
    }


@pytest.fixture(scope="module")
def sides(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """The upstream is as awkward as it may be: seven bytes a piece, gzip wherever it is taken."""
    require_exchanges()
    with replaying(tmp_path_factory.mktemp("replay"), "--split", "7", "--gzip") as origin:
        route = route_to(
            installation, "official SDKs", origin, detect={"request": "flag", "response": "flag"}
        )
        base = installation.gateway
        yield Sides(route, base, clients(origin, "sk-nobody"), clients(base, route.place.token))


def name_of(exchange: Exchange | None) -> str:
    return exchange.id[:60] if exchange else "absent"


@pytest.mark.parametrize("exchange", RECORDED or [None], ids=name_of)
def test_an_sdk_parses_the_same_through_the_gateway(sides: Sides, exchange: Exchange) -> None:
    reset(sides.route.origin)
    alone = parsed(sides.straight[exchange.provider], exchange)
    governed = parsed(sides.governed[exchange.provider], exchange)
    assert governed == without_unasked_usage(alone, exchange)
    assert alone.results or alone.failure
    assert_arrived_alike(*received(sides.route.origin), spliced=is_spliced(exchange))


def without_unasked_usage(alone: Parsed, exchange: Exchange) -> Parsed:
    """Leaves out the usage chunk that the documented splice asks for and withholds."""
    if not is_spliced(exchange):
        return alone
    kept = tuple(one for one in alone.results if one["choices"] or not one["usage"])
    return replace(alone, results=kept)


def is_spliced(exchange: Exchange) -> bool:
    """The documented difference: a chat stream whose caller did not ask for usage."""
    if exchange.path != "/v1/chat/completions":
        return False
    body = json.loads(exchange.body)
    return bool(body.get("stream")) and not (body.get("stream_options") or {}).get("include_usage")


def assert_arrived_alike(straight: dict[str, Any], governed: dict[str, Any], *, spliced: bool) -> None:
    """The provider gets the same request from both: the splice, credentials and framing aside."""
    assert (governed["method"], governed["path"], governed["query"]) == (
        straight["method"], straight["path"], straight["query"],
    )  # fmt: skip
    body: str = straight["body"]
    assert governed["body"] == (body.replace("{", "{" + SPLICE, 1) if spliced else body)
    assert shared_headers(governed) == shared_headers(straight)


def shared_headers(row: dict[str, Any]) -> list[list[str]]:
    """Returns the headers that the gateway must not touch, in order, as they were spelled."""
    return [field for field in row["headers"] if field[0].lower() not in FRAMING | CREDENTIALS]


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", ONE_OF_EACH or [None], ids=name_of)
async def test_an_asynchronous_sdk_parses_the_same_as_a_blocking_one(
    sides: Sides, exchange: Exchange
) -> None:
    blocking = parsed(sides.governed[exchange.provider], exchange)
    made: Any = openai.AsyncOpenAI if exchange.provider == "openai" else anthropic.AsyncAnthropic
    url = url_of(exchange.provider, sides.gateway)
    async with made(api_key=sides.route.place.token, base_url=url, max_retries=0) as client:
        assert await parsed_by_async(client, exchange) == blocking
