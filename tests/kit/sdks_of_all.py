"""The official SDKs of the other providers, each with the four things that people do: ask, stream, use tools, fail.

Law: an SDK is told a base URL and a key, as its users tell it, and nothing else; what it makes of an answer is
plain data, so that the gateway's and the provider's can be compared. It never retries here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import cohere
import openai
from cohere.core.api_error import ApiError
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from google.oauth2.credentials import Credentials

from kit.shared import Exchange, exchanges

Told = dict[str, Any]
"""`results`: what the SDK returned, in order; `failure`: what its exception says."""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is the weather in Lisbon?"


@dataclass(frozen=True)
class Case:
    """One recorded answer, and the SDK that is to read it."""

    name: str
    exchange: str
    run: Callable[[str, str, Exchange], Told]
    """(base URL of the provider, key, the recorded exchange) → what came of it."""

    @property
    def recorded(self) -> Exchange:
        folder = self.exchange.partition("--")[0]
        return next(one for one in exchanges(folder) if one.id.startswith(self.exchange))


def _plain(results: Iterable[Any]) -> list[Any]:
    return [one.model_dump(mode="json") if hasattr(one, "model_dump") else one for one in results]


# ── the OpenAI SDK: Azure, OpenRouter ──────────────────────────────────────────────────────────────────────
def _with_openai(client: openai.OpenAI, asked: dict[str, Any]) -> Told:
    try:
        answer = client.chat.completions.create(**asked)
        return {"results": _plain(answer if asked.get("stream") else [answer])}
    except openai.APIStatusError as error:
        return {"failure": [type(error).__name__, error.status_code, error.body]}


def azure(base: str, key: str, exchange: Exchange) -> Told:
    client = openai.AzureOpenAI(azure_endpoint=base, api_key=key, api_version="2024-10-21", max_retries=0)
    deployment = exchange.path.split("/deployments/")[1].split("/")[0]
    return _with_openai(client, _known(exchange) | {"model": deployment})


def openrouter(base: str, key: str, exchange: Exchange) -> Told:
    client = openai.OpenAI(base_url=f"{base}/api/v1", api_key=key, max_retries=0)
    return _with_openai(client, _known(exchange))


def _known(exchange: Exchange) -> dict[str, Any]:
    """The recorded request as parameters; members that the SDK's signature lacks go beside them."""
    asked: dict[str, Any] = json.loads(exchange.body)
    names = {"model", "messages", "tools", "tool_choice", "stream", "stream_options", "temperature"}
    known = {name: value for name, value in asked.items() if name in names}
    return known | {"extra_body": {name: value for name, value in asked.items() if name not in names}}


# ── Cohere ─────────────────────────────────────────────────────────────────────────────────────────────────
def cohere_chat(base: str, key: str, exchange: Exchange) -> Told:
    client = cohere.ClientV2(api_key=key, base_url=base)
    asked = json.loads(exchange.body)
    said: dict[str, Any] = {"model": asked["model"], "messages": [{"role": "user", "content": QUESTION}]}
    if "tools" in asked:
        said["tools"] = [
            {
                "type": "function",
                "function": {"name": "weather", "description": "of now", "parameters": SCHEMA},
            }
        ]
    try:
        if exchange.stream:
            return {"results": _plain(client.chat_stream(**said))}
        return {"results": _plain([client.chat(**said)])}
    except ApiError as error:
        return {"failure": [type(error).__name__, error.status_code, error.body]}


# ── google-genai: Gemini, Vertex ───────────────────────────────────────────────────────────────────────────
def gemini(base: str, key: str, exchange: Exchange) -> Told:
    options = genai_types.HttpOptions(base_url=base, api_version="v1beta")
    return _with_genai(genai.Client(api_key=key, http_options=options), exchange)


def vertex(base: str, key: str, exchange: Exchange) -> Told:
    options = genai_types.HttpOptions(base_url=base, api_version="v1")
    client = genai.Client(
        vertexai=True, project="a-project", location="us-central1", credentials=Credentials(key),
        http_options=options,
    )  # fmt: skip
    return _with_genai(client, exchange)


def _with_genai(client: genai.Client, exchange: Exchange) -> Told:
    model = exchange.path.rsplit("/models/", 1)[1].partition(":")[0]
    weather = genai_types.FunctionDeclaration(
        name="weather", description="of now", parameters_json_schema=SCHEMA
    )
    config = genai_types.GenerateContentConfig(
        tools=[genai_types.Tool(function_declarations=[weather])] if "--tools" in exchange.id else None,
        automatic_function_calling=genai_types.AutomaticFunctionCallingConfig(disable=True),
    )
    try:
        if exchange.stream:
            return {"results": _without_http(client.models.generate_content_stream(
                model=model, contents=QUESTION, config=config))}  # fmt: skip
        answer = client.models.generate_content(model=model, contents=QUESTION, config=config)
        return {"results": _without_http([answer])}
    except genai_errors.APIError as error:
        return {"failure": [type(error).__name__, error.code, error.details]}


def _without_http(answers: Iterable[Any]) -> list[Any]:
    return [one.model_dump(mode="json", exclude={"sdk_http_response"}) for one in answers]


# ── boto3 ──────────────────────────────────────────────────────────────────────────────────────────────────
def bedrock(base: str, key: str, exchange: Exchange) -> Told:
    """The caller's key stands where the access-key id does; the signature is made with anything."""
    quiet = botocore.config.Config(retries={"total_max_attempts": 1}, proxies={})
    client = boto3.client(
        "bedrock-runtime", endpoint_url=base, region_name="us-east-1", aws_access_key_id=key,
        aws_secret_access_key="not used", config=quiet,
    )  # fmt: skip
    asked: dict[str, Any] = {
        "modelId": exchange.path.split("/")[2].replace("%3A", ":"),
        "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
    }
    if "--tools" in exchange.id:
        spec = {"name": "weather", "description": "of now", "inputSchema": {"json": SCHEMA}}
        asked["toolConfig"] = {"tools": [{"toolSpec": spec}]}
    try:
        if exchange.stream:
            return {"results": list(client.converse_stream(**asked)["stream"])}
        answer = client.converse(**asked)
    except botocore.exceptions.ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return {"failure": [type(error).__name__, status, error.response["Error"]]}
    del answer["ResponseMetadata"]
    return {"results": [answer]}


CASES = (
    Case("Azure: plain", "azure--text--11", azure),
    Case("Azure: stream", "azure--text-stream--04", azure),
    Case("Azure: tool call", "azure--tools--02", azure),
    Case("Azure: tool call, streamed", "azure--tools-stream--01", azure),
    Case("Azure: content filter", "azure--error_400--01", azure),
    Case("Azure: no such deployment", "azure--error_404--01", azure),
    Case("OpenRouter: plain", "openrouter--text--05", openrouter),
    Case("OpenRouter: stream", "openrouter--text-stream--02", openrouter),
    Case("OpenRouter: tool call", "openrouter--tools--10", openrouter),
    Case("OpenRouter: rate", "openrouter--error_429--03", openrouter),
    Case("Cohere: plain", "cohere--text--09", cohere_chat),
    Case("Cohere: stream", "cohere--cached-stream--01", cohere_chat),
    Case("Cohere: tool call", "cohere--tools--01", cohere_chat),
    Case("Cohere: billing", "cohere--error_402--01", cohere_chat),
    Case("Gemini: plain", "gemini--text--03", gemini),
    Case("Gemini: stream", "gemini--text-stream--02", gemini),
    Case("Gemini: tool call", "gemini--tools--07", gemini),
    Case("Gemini: tool call, streamed", "gemini--tools-stream--01", gemini),
    Case("Gemini: bad key", "gemini--error_400--01", gemini),
    Case("Vertex: plain", "vertex--text--08", vertex),
    Case("Vertex: stream", "vertex--text-stream--01", vertex),
    Case("Vertex: tool call", "vertex--reasoning--06", vertex),
    Case("Vertex: refused", "vertex--error_400--04", vertex),
    Case("Bedrock: plain", "bedrock--text--07", bedrock),
    Case("Bedrock: stream", "bedrock--text-stream--07", bedrock),
    Case("Bedrock: tool call", "bedrock--tools--01", bedrock),
    Case("Bedrock: tool call, streamed", "bedrock--tools-stream--08", bedrock),
    Case("Bedrock: throttled", "bedrock--error_429--03", bedrock),
    Case("Bedrock: no such model", "bedrock--error_400--01", bedrock),
)
