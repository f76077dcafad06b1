"""What the official SDKs send beside the body, and what they do when the gateway itself refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from kit.installation import Installation
from kit.replay import received, replaying, reset
from kit.routes import SECRETS, Route, route_to
from kit.sdk import Counting, http
from kit.shared import require_exchanges

ASKED = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": ASKED}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 16, "messages": ASKED}


@dataclass(frozen=True)
class Callers:
    """A workload with keys, one of the same tenant without, and the tokens of both."""

    route: Route
    gateway: str
    narrow: str
    keyless: str

    def openai(self, token: str, transport: Counting | None = None, **given: Any) -> openai.OpenAI:
        url = f"{self.gateway}/openai/v1"
        return openai.OpenAI(api_key=token, base_url=url, http_client=http(transport), **given)

    def anthropic(self, transport: Counting | None = None, **given: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=f"{self.gateway}/anthropic", http_client=http(transport), **given)


@pytest.fixture(scope="module")
def callers(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    require_exchanges()
    with replaying(tmp_path_factory.mktemp("replay")) as origin:
        route = route_to(installation, "SDK headers", origin)
        desk = installation.desk()
        models = {"models": ["gpt-4o-mini", "claude-*"]}
        desk.api("PATCH", f"/projects/{route.place.project}", {"restrictions": models})
        narrow = desk.token(route.place.workload)["text"]
        keyless = desk.place(route.place.tenant, "keyless")
        installation.until_current()
        yield Callers(route, installation.gateway, narrow, keyless.token)


def sent(callers: Callers, call: Callable[[], object]) -> dict[str, str]:
    """Runs a call and returns the headers that the provider got, by lower-case name."""
    reset(callers.route.origin)
    call()
    (row,) = received(callers.route.origin)
    names = [name.lower() for name, _ in row["headers"]]
    assert len(set(names)) == len(names)
    return {name.lower(): value for name, value in row["headers"]}


@pytest.mark.parametrize("style", ["auth_token", "api_key"])
def test_both_header_styles_of_anthropic_are_taken_and_neither_is_passed_on(
    callers: Callers, style: str
) -> None:
    client = callers.anthropic(**{style: callers.route.place.token})
    headers = sent(callers, lambda: client.messages.create(**MESSAGE))
    assert headers["x-api-key"] == SECRETS["anthropic"]
    assert "authorization" not in headers
    assert not any(callers.route.place.token in value for value in headers.values())


def test_versions_and_betas_pass_untouched(callers: Callers) -> None:
    client = callers.anthropic(api_key=callers.route.place.token)
    betas = ["token-efficient-tools-2025-02-19", "something-nobody-knows-2031-01-01"]
    given = {"anthropic-version": "2099-12-31"}
    headers = sent(callers, lambda: client.beta.messages.create(**MESSAGE, betas=betas, extra_headers=given))
    assert headers["anthropic-version"] == "2099-12-31"
    assert headers["anthropic-beta"] == ",".join(betas)


def test_headers_that_the_gateway_does_not_know_are_forwarded(callers: Callers) -> None:
    client = callers.openai(callers.route.place.token, organization="org-1", project="proj_1")
    given = {"OpenAI-Beta": "assistants=v9", "X-Future": "a, b;c", "traceparent": "00-1-2-01"}
    headers = sent(callers, lambda: client.chat.completions.create(**CHAT, extra_headers=given))
    expected = {name.lower(): value for name, value in given.items()}
    expected |= {"openai-organization": "org-1", "openai-project": "proj_1"}
    assert expected.items() <= headers.items()
    assert headers["authorization"] == f"Bearer {SECRETS['openai']}"


def test_a_caller_cannot_speak_for_the_gateway(callers: Callers) -> None:
    client = callers.openai(callers.route.place.token)
    forged = {"x-tokenone-key": "somebody/1", "X-TokenOne-Call": "call0_1"}
    headers = sent(callers, lambda: client.chat.completions.create(**CHAT, extra_headers=forged))
    assert not any(name.startswith("x-tokenone") for name in headers)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_answer_says_what_was_done_for_it(callers: Callers, provider: str) -> None:
    token = callers.route.place.token
    if provider == "openai":
        answer: Any = callers.openai(token).chat.completions.with_raw_response.create(**CHAT)
    else:
        answer = callers.anthropic(api_key=token).messages.with_raw_response.create(**MESSAGE)
    headers = answer.headers
    assert headers["x-tokenone-provider"] == provider
    assert headers["x-tokenone-attempts"] == "1"
    assert headers["x-tokenone-key"].endswith("/1")
    assert float(headers["x-tokenone-cost"]) > 0
    assert float(headers["x-tokenone-fee"]) == 0
    assert headers["x-tokenone-receipt"]
    assert headers["x-tokenone-call"].startswith("call")


# ── refusals of the gateway ────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Refusal:
    """A call that the gateway refuses, by both SDKs' exceptions."""

    name: str
    kind: str
    code: str
    call: Callable[[Callers, Counting], object]


def chat(token: Callable[[Callers], str], **more: Any) -> Callable[[Callers, Counting], object]:
    return lambda callers, wire: callers.openai(token(callers), wire).chat.completions.create(**CHAT | more)


def message(token: Callable[[Callers], str], **more: Any) -> Callable[[Callers, Counting], object]:
    return lambda callers, wire: callers.anthropic(wire, api_key=token(callers)).messages.create(
        **MESSAGE | more
    )


def good(callers: Callers) -> str:
    return callers.route.place.token


def nobody(_: Callers) -> str:
    return "sk-proj-not-a-caller-token"


def keyless(callers: Callers) -> str:
    return callers.keyless


REFUSALS = [
    Refusal("openai/token", "AuthenticationError", "invalid_token", chat(nobody)),
    Refusal("anthropic/token", "AuthenticationError", "invalid_token", message(nobody)),
    Refusal("openai/no key", "PermissionDeniedError", "no_key_in_scope", chat(keyless)),
    Refusal("anthropic/no key", "PermissionDeniedError", "no_key_in_scope", message(keyless)),
    Refusal("openai/model", "PermissionDeniedError", "model_not_allowed", chat(good, model="gpt-4o")),
    Refusal("anthropic/model", "PermissionDeniedError", "model_not_allowed", message(good, model="other-1")),
    Refusal("openai/stream", "PermissionDeniedError", "model_not_allowed", chat(good, model="x", stream=True)),
    Refusal(
        "openai/grant", "PermissionDeniedError", "grant_missing",
        lambda callers, wire: callers.openai(callers.narrow, wire).responses.retrieve("resp_1"),
    ),
    Refusal(
        "openai/admin", "PermissionDeniedError", "path_not_allowed",
        lambda callers, wire: callers.openai(good(callers), wire).models.delete("ft:gpt-4o-mini:x"),
    ),
    Refusal(
        "openai/unified unknown model", "NotFoundError", "model_not_found",
        lambda callers, wire: openai.OpenAI(
            api_key=good(callers), base_url=f"{callers.gateway}/v1", http_client=http(wire)
        ).chat.completions.create(**CHAT | {"model": "no-such-model"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda row: row.name)
def test_a_refusal_is_the_sdks_own_exception_and_is_not_tried_again(
    callers: Callers, refusal: Refusal
) -> None:
    reset(callers.route.origin)
    wire = Counting()
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        refusal.call(callers, wire)
    error: Any = caught.value
    assert type(error).__name__ == refusal.kind
    assert error.response.headers["x-tokenone-error-origin"] == "gateway"
    assert error.response.headers["x-should-retry"] == "false"
    assert len(wire.sent) == 1
    body = error.body if "openai" in refusal.name else error.body["error"]
    assert body["code"] == refusal.code
    assert body["message"]
    assert received(callers.route.origin) == []


def test_a_spent_rate_says_when_to_come_back(callers: Callers, installation: Installation) -> None:
    desk = installation.desk()
    place = desk.place(callers.route.place.tenant, "slow", grants=["inference"])
    desk.api("PATCH", f"/workloads/{place.workload}", {"restrictions": {"requests_per_minute": 1}})
    installation.until_current()
    client = callers.openai(place.token, max_retries=0)
    with pytest.raises(openai.PermissionDeniedError):  # the first one counts, although it has no key
        client.chat.completions.create(**CHAT)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**CHAT)
    headers = caught.value.response.headers
    assert headers["x-should-retry"] == "true"
    assert 1 <= int(headers["retry-after"]) <= 60
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("1", "0")
