"""Probes of every provider through the house: recorded, free, with the provider's own credential, told plainly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kit.canaries import Watch
from kit.inprocess import InProcess
from kit.providers import TokenServer, secret_for, token_server
from kit.scripted import Scripted, answer
from tokenone.call.probe import probe
from tokenone.dispatch.providers import PROVIDERS
from tokenone.errors import TokenOneError
from tokenone.types import PathClass, Provider

OWN = {Provider.OPENAI: "sk-proj-" + "q" * 40, Provider.ANTHROPIC: "sk-ant-api03-" + "q" * 40}
REFUSALS = {
    Provider.BEDROCK: answer(
        b'{"message":"The security token included in the request is invalid."}',
        b"x-amzn-errortype: UnrecognizedClientException", status=b"403 Forbidden",
    ),
    Provider.GEMINI: answer(
        b'{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":'
        b'"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":'
        b'"API_KEY_INVALID","domain":"googleapis.com"}]}}', status=b"400 Bad Request",
    ),
    Provider.COHERE: answer(b'{"message":"invalid api token"}', status=b"401 Unauthorized"),
}  # fmt: skip
REFUSED = answer(b'{"error":{"message":"no","code":"invalid_api_key"}}', status=b"401 Unauthorized")


@dataclass
class Probing:
    house: InProcess
    api: Scripted
    tokens: TokenServer

    def key(self, provider: Provider) -> str:
        owner = self.house.tenant(f"probed {provider}")
        fields: dict[str, Any] = {}
        if provider is Provider.VERTEX:
            origins = [self.api.origin, self.tokens.scripted.origin]
            fields = {"origins": origins, "ca_pem": self.tokens.ca_pem}
        endpoint = self.house.endpoint(provider.value, self.api.origin, tenant=owner, **fields)
        secret = OWN.get(provider) or secret_for(provider, self.tokens)
        return self.house.key(owner, provider.value, endpoint, secret)

    def probe(self, key: str) -> dict[str, Any]:
        async def asked() -> dict[str, Any]:
            try:
                return await probe(self.house.house, key)
            except TokenOneError as error:
                return {"error": error.code}

        told: dict[str, Any] = self.house.run(asked)
        return told


@pytest.fixture(scope="module")
def probing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probing]:
    folder = tmp_path_factory.mktemp("probing")
    with (
        token_server(folder) as tokens,
        Scripted(lambda _: b"") as api,
        InProcess(folder) as house,
    ):
        yield Probing(house, api, tokens)


@pytest.mark.parametrize("provider", [*PROVIDERS], ids=str)
def test_a_probe_is_recorded_first_and_asks_for_nothing_that_costs(
    probing: Probing, provider: Provider
) -> None:
    key = probing.key(provider)
    recorded: list[str] = []

    def script(_: bytes) -> bytes:
        recorded.extend(kind for kind, fields in probing.house.entries() if fields.get("key") == key)
        return answer(b'{"valid":true,"data":{"label":"a key"},"models":[]}')

    probing.api.script = script
    told = probing.probe(key)
    assert told["status"] == 200
    assert told["usable"] is not False
    assert recorded == ["key"]
    line = probing.api.heard[-1].split(b"\r\n", 1)[0].decode()
    method, target, _ = line.split(" ")
    kind = PROVIDERS[provider].classify(method.encode(), target.encode())
    assert kind is not PathClass.INFERENCE or not PROVIDERS[provider].bills(target.encode())


@pytest.mark.parametrize("provider", [*PROVIDERS], ids=str)
def test_a_refused_probe_says_so_and_shows_nothing(probing: Probing, provider: Provider) -> None:
    probing.api.script = lambda _: REFUSALS.get(provider, REFUSED)
    told = probing.probe(probing.key(provider))
    assert told["usable"] is False
    assert told["class"] == "key-dead"
    watch = Watch({"secret": OWN.get(provider) or secret_for(provider, probing.tokens)})
    watch.saw("a probe", json.dumps(told))
    assert watch.leaks() == []


def test_a_probe_asks_for_a_new_token_each_time(probing: Probing) -> None:
    key = probing.key(Provider.VERTEX)
    probing.api.script = lambda _: answer(b'{"models":[]}')
    before = len(probing.tokens.scripted.heard)
    for _ in range(3):
        assert probing.probe(key)["status"] == 200
    assert len(probing.tokens.scripted.heard) == before + 3
