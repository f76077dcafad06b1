"""The unified front: `/v1/…` with OpenAI's models is the provider's own API, but for the name in the body."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import openai
import pytest

from kit.installation import Installation
from kit.replay import received, replaying, reset
from kit.routes import Route, route_to
from kit.sdk import http, parsed
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.testing.standin import StandIn, ThreadedListener

POSTED = [one for one in exchanges("openai") if one.method == "POST"]
UNKNOWN = {"gpt-5.2-proo", "non-existent-embedding-model", "not-found-model"}
"""Models of recorded mistakes: no catalogue has them, so that nothing is dispatched."""
FRONTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions")
SPLICE = b'"stream_options":{"include_usage":true},'


def model_of(exchange: Exchange) -> str | None:
    model: str | None = json.loads(exchange.body).get("model")
    return model


KNOWN = [one for one in POSTED if model_of(one) not in UNKNOWN and model_of(one) is not None]
SERVED = [one for one in KNOWN if one.status != 401]
KEY_REFUSED = [one for one in KNOWN if one.status == 401]
ONE_OF_EACH = list({(one.path, one.event_stream, one.status): one for one in SERVED}.values())


@dataclass(frozen=True)
class Front:
    """The unified front before a replay server."""

    route: Route
    gateway: str
    http: httpx2.Client

    def post(self, exchange: Exchange, body: bytes) -> httpx2.Response:
        headers = {
            "authorization": f"Bearer {self.route.place.token}",
            "content-type": "application/json",
            "accept-encoding": "identity",
            "x-replay-id": exchange.id,
        }
        return self.http.post(self.gateway + exchange.path, headers=headers, content=body)


@pytest.fixture(scope="module")
def front(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    require_exchanges()
    with replaying(tmp_path_factory.mktemp("replay")) as origin:
        yield Front(route_to(installation, "unified", origin), installation.gateway, installation.http)


def name_of(exchange: Exchange | None) -> str:
    return exchange.id[:60] if exchange else "absent"


def spliced(exchange: Exchange, body: bytes) -> bytes:
    """Applies the documented splice of a chat stream whose caller did not ask for usage."""
    told = json.loads(exchange.body)
    wanted = exchange.path in ("/v1/chat/completions", "/v1/completions") and told.get("stream")
    if not wanted or (told.get("stream_options") or {}).get("include_usage"):
        return body
    return body.replace(b"{", b"{" + SPLICE, 1)


@pytest.mark.parametrize("exchange", SERVED or [None], ids=name_of)
def test_the_models_name_is_all_that_differs(front: Front, exchange: Exchange) -> None:
    """Bare, the body goes as it came; as `openai/…`, the provider's own name stands in the same place."""
    model = str(model_of(exchange)).encode()
    qualified = exchange.body.replace(b'"' + model + b'"', b'"openai/' + model + b'"', 1)
    assert qualified != exchange.body
    expected = hashlib.sha256(spliced(exchange, exchange.body)).hexdigest()
    for body in (exchange.body, qualified):
        reset(front.route.origin)
        answer = front.post(exchange, body)
        assert answer.status_code == exchange.status
        assert answer.content == exchange.reply
        (got,) = received(front.route.origin)
        assert got["path"] == f"/openai{exchange.path}"
        assert got["body_sha256"] == expected


@pytest.mark.parametrize("exchange", ONE_OF_EACH or [None], ids=name_of)
def test_the_sdk_parses_the_same_at_the_unified_front(front: Front, exchange: Exchange) -> None:
    token = front.route.place.token
    native, unified = (
        openai.OpenAI(api_key=token, base_url=url, max_retries=0, http_client=http())
        for url in (f"{front.gateway}/openai/v1", f"{front.gateway}/v1")
    )
    assert parsed(unified, exchange) == parsed(native, exchange)


@pytest.mark.parametrize("exchange", KEY_REFUSED or [None], ids=name_of)
def test_a_refused_provider_key_is_not_the_callers_fault(front: Front, exchange: Exchange) -> None:
    """The provider's 401 would tell an SDK's user that its own token is wrong: at the unified front it is a 502."""
    answer = front.post(exchange, exchange.body)
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("upstream_auth", "api_error")
    assert answer.headers["x-tokenone-error-origin"]
    assert answer.headers["x-tokenone-key"]


def test_every_unified_path_of_openai_is_among_the_recordings() -> None:
    require_exchanges()
    assert set(FRONTS) <= {one.path for one in SERVED}


@pytest.mark.parametrize(
    "name", ["gpt-4o-2024-08-06", "openai/gpt-4o-2024-08-06", "ft:gpt-4o-mini-2024-07-18:org::id"]
)
def test_a_dated_or_fine_tuned_name_is_its_providers(installation: Installation, name: str) -> None:
    """The price book has them as spellings of a model that it lists."""
    with ThreadedListener(StandIn()) as upstream:
        route = route_to(installation, f"dated {name}", upstream.origin)
        headers = {"authorization": f"Bearer {route.place.token}"}
        body = {"model": name, "messages": [{"role": "user", "content": "hello"}]}
        answer = installation.http.post(
            f"{installation.gateway}/v1/chat/completions", json=body, headers=headers
        )
        assert answer.status_code == 200
        sent = json.loads(upstream.standin.received[-1].request.body)
        assert sent["model"] == name.removeprefix("openai/")
