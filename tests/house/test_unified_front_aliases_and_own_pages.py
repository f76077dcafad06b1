"""Aliases lead where the native paths lead; the gateway's own pages show a caller its own scope and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from kit.installation import Installation
from kit.routes import Route, route_to
from kit.sdk import http
from tokenone.testing.desk import Workplace
from tokenone.testing.standin import StandIn, ThreadedListener

ASKED = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": ASKED}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 16, "messages": ASKED}


@dataclass(frozen=True)
class Front:
    """A workload with keys of both providers, before a stand-in."""

    installation: Installation
    standin: StandIn
    route: Route

    @property
    def gateway(self) -> str:
        return self.installation.gateway

    @property
    def token(self) -> str:
        return self.route.place.token

    def get(self, path: str, token: str | None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.installation.http.get(self.gateway + path, headers=headers)

    def call(self, place: Workplace) -> str:
        """Makes a call and returns its id."""
        answer = self.installation.http.post(
            f"{self.gateway}/openai/v1/chat/completions",
            headers={"authorization": f"Bearer {place.token}"},
            json=CHAT,
        )
        assert answer.status_code == 200
        return str(answer.headers["x-tokenone-call"])


@pytest.fixture(scope="module")
def front(installation: Installation) -> Iterator[Front]:
    standin = StandIn()
    with ThreadedListener(standin) as upstream:
        yield Front(installation, standin, route_to(installation, "aliases", upstream.origin))


# ── aliases ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("base", ["/openai/v1", "/v1/openai-proxy", "/v1/openai-proxy/v1", "/v1"])
def test_openais_sdk_works_at_every_base(front: Front, base: str) -> None:
    front.standin.reset()
    client = openai.OpenAI(
        api_key=front.token, base_url=front.gateway + base, max_retries=0, http_client=http()
    )
    assert client.chat.completions.create(**CHAT).choices[0].message.content
    assert list(client.chat.completions.create(**CHAT, stream=True))
    assert {one.request.path for one in front.standin.received} == {"/openai/v1/chat/completions"}


@pytest.mark.parametrize("base", ["/anthropic", "/v1/anthropic-proxy"])
def test_anthropics_sdk_works_at_every_base(front: Front, base: str) -> None:
    front.standin.reset()
    client = anthropic.Anthropic(
        auth_token=front.token, base_url=front.gateway + base, max_retries=0, http_client=http()
    )
    assert client.messages.create(**MESSAGE).content
    assert list(client.messages.create(**MESSAGE, stream=True))
    assert {one.request.path for one in front.standin.received} == {"/anthropic/v1/messages"}


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        ("/v1/openai-proxy/chat/completions?a=b%20c", "/openai/v1/chat/completions"),
        ("/v1/openai-proxy/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/v1/anthropic-proxy/messages?beta=true", "/anthropic/v1/messages"),
        ("/v1/anthropic-proxy/v1/messages", "/anthropic/v1/messages"),
    ],
)
def test_an_alias_may_be_called_with_and_without_the_providers_version(
    front: Front, path: str, upstream: str
) -> None:
    front.standin.reset()
    body = MESSAGE if "anthropic" in path else CHAT
    headers = {"authorization": f"Bearer {front.token}", "anthropic-version": "2023-06-01"}
    answer = front.installation.http.post(front.gateway + path, headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    (got,) = front.standin.received
    _, mark, query = path.partition("?")
    assert got.request.target == upstream + mark + query


def test_an_alias_is_governed_like_the_native_path(front: Front) -> None:
    """No token, an administrative path, an unknown one: the answers are those of the native path."""
    for native, alias in (("/openai", "/v1/openai-proxy"), ("/anthropic", "/v1/anthropic-proxy")):
        for below, token in (
            ("/v1/models", None),
            ("/v1/organization/keys", front.token),
            ("/x", front.token),
        ):
            one, other = front.get(native + below, token), front.get(alias + below, token)
            assert one.status_code >= 400
            assert (one.status_code, one.json()) == (other.status_code, other.json())


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_each_alias_tells_its_health_to_anybody(front: Front, provider: str) -> None:
    front.standin.reset()
    for token in (None, front.token, "sk-nobody"):
        answer = front.get(f"/v1/{provider}-proxy/health", token)
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "provider": provider}
    assert not front.standin.received


def test_an_alias_that_nobody_has_says_so(front: Front) -> None:
    for path in ("/v1/nobody-proxy/health", "/v1/nobody-proxy/v1/models", "/nobody/v1/models"):
        answer = front.get(path, front.token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_path")
    assert front.get("/v1/gemini-proxy/health", front.token).json()["provider"] == "gemini"


def test_anthropics_sdk_at_the_gateways_root_is_told_in_its_dialect_where_to_go(front: Front) -> None:
    front.standin.reset()
    client = anthropic.Anthropic(auth_token=front.token, base_url=front.gateway, http_client=http())
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(**MESSAGE)
    body: Any = caught.value.body
    assert body["error"]["code"] == "unknown_path"
    assert "/anthropic" in body["error"]["message"]
    assert not front.standin.received


FORM = (
    b'--cut\r\ncontent-disposition: form-data; name="model"\r\n\r\n%s\r\n'
    b'--cut\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\x00\xff\r\n--cut--\r\n'
)


def send_form(front: Front, base: str, model: bytes) -> httpx2.Response:
    front.standin.reset()
    headers = {"authorization": f"Bearer {front.token}", "content-type": "multipart/form-data; boundary=cut"}
    url = f"{front.gateway}{base}/audio/transcriptions"
    return front.installation.http.post(url, headers=headers, content=FORM % model)


@pytest.mark.parametrize("base", ["/openai/v1", "/v1/openai-proxy", "/v1"])
def test_a_form_passes_byte_for_byte(front: Front, base: str) -> None:
    send_form(front, base, b"whisper-1")
    (got,) = front.standin.received
    assert got.request.path == "/openai/v1/audio/transcriptions"
    assert got.request.body == FORM % b"whisper-1"


def test_a_form_names_its_model_without_a_provider(front: Front) -> None:
    """At the unified front the name would have to be replaced; that is done in JSON alone."""
    answer = send_form(front, "/v1", b"openai/whisper-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_body")
    assert "without a provider" in answer.json()["error"]["message"]
    assert not front.standin.received


def test_the_process_tells_that_it_lives_and_is_ready(front: Front) -> None:
    for path in ("/livez", "/readyz"):
        answer = front.get(path, None)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


# ── whoami ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_whoami_shows_the_callers_own_scope(front: Front) -> None:
    told = front.get("/tokenone/whoami", front.token).json()
    place = front.route.place
    assert (told["tenant"]["id"], told["project"]["id"]) == (place.tenant, place.project)
    assert told["workload"] == {"id": place.workload, "name": "aliases workload"}
    assert told["token"] == {"id": place.token_id, "mode": "live", "grants": ["inference", "stateful"]}
    assert told["providers"] == ["openai", "anthropic"]
    assert front.token not in str(told)


def test_strangers_learn_nothing_from_the_own_pages(front: Front) -> None:
    call = front.call(front.route.place)
    misspelt = front.token[:-1] + ("A" if front.token[-1] != "A" else "B")
    for path in ("/tokenone/whoami", f"/tokenone/calls/{call}", "/tokenone/calls/call0_x"):
        for token in (None, "sk-nobody", misspelt):
            answer = front.get(path, token)
            assert answer.status_code == 401, path
            assert answer.json()["error"]["code"] in ("invalid_token", "malformed_token")


def test_the_own_pages_take_get_alone(front: Front) -> None:
    headers = {"authorization": f"Bearer {front.token}"}
    for path in ("/tokenone/whoami", "/v1/models", "/tokenone/calls/call0_x"):
        answer = front.installation.http.post(front.gateway + path, headers=headers, json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


# ── calls by id ────────────────────────────────────────────────────────────────────────────────────────────
def test_a_call_is_shown_to_its_own_workload_alone(front: Front, installation: Installation) -> None:
    desk, place = installation.desk(), front.route.place
    second = desk.token(place.workload)["text"]
    sibling = desk.place(place.tenant, "sibling")
    foreign = desk.place(desk.tenant("foreign to aliases"), "foreign")
    installation.until_current()
    call = front.call(place)
    told = installation.told(place, call)
    assert told["attempts"][0]["status"] == 200
    assert front.get(f"/tokenone/calls/{call}", second).json() == told  # another token of the same workload
    for other in (sibling, foreign):
        answer = front.get(f"/tokenone/calls/{call}", other.token)
        unknown = front.get("/tokenone/calls/call0_00000000000000000000", other.token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert answer.json() == unknown.json()  # an id that exists looks like one that does not


def test_a_refused_call_is_shown_to_its_caller(front: Front, installation: Installation) -> None:
    answer = front.get("/openai/v1/organization/admin_api_keys", front.token)
    assert answer.status_code == 403
    told = installation.told(front.route.place, answer.headers["x-tokenone-call"])
    assert told["state"] == "refused"
    assert told["refusal"] == {"code": "path_not_allowed"}
    assert told["attempts"] == []


@pytest.mark.parametrize("wanted", ["", "x", "call0_%00", "call9999_abc", "..%2Fwhoami", "a" * 3000])
def test_a_malformed_call_id_is_not_found(front: Front, wanted: str) -> None:
    answer = front.get(f"/tokenone/calls/{wanted}", front.token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
