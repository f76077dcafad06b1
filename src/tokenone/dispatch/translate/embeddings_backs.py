"""Embeddings as each provider takes them.

Law: one body, one call: what a provider embeds one at a time is refused when several come. Sources: OpenAI's API
reference; ai.google.dev/api, "Embeddings"; docs.cohere.com/reference/embed; docs.aws.amazon.com/bedrock, "Titan
Text Embeddings" and "Cohere Embed" request bodies.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate import bedrock_replies, cohere_replies, gemini_replies, openai_replies
from tokenone.dispatch.translate.embeddings import Embedding, EmbedReply, EmbedRequest, InputType
from tokenone.dispatch.translate.leaving import Leaving
from tokenone.dispatch.translate.segment import segment
from tokenone.errors import UnsupportedParameter, UpstreamBroken
from tokenone.types import Provider

Json: TypeAlias = dict[str, Any]
Written: TypeAlias = tuple[bytes, tuple[str, ...]]
_encode: Final = msgspec.json.Encoder().encode
_TASKS: Final[dict[InputType, str]] = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def _account(name: str, request: EmbedRequest, drop: bool, *lacks: str) -> Leaving:
    """Accounts for what was asked among what the provider `lacks`."""
    leaving = Leaving(name, drop=drop)
    for parameter in (*[one for one in lacks if getattr(request, one) is not None], *request.unknown):
        leaving.cannot(parameter)
    return leaving


def _texts(name: str, request: EmbedRequest) -> list[str]:
    """Returns the texts; tokens are of one model's vocabulary and mean nothing to another."""
    if request.texts is None:
        raise UnsupportedParameter(f"{name} cannot do `input` as tokens")
    return request.texts


def _whole(vectors: list[msgspec.Raw] | None) -> tuple[msgspec.Raw, ...]:
    if vectors is None:
        raise UpstreamBroken("the provider's reply has no embeddings")
    return tuple(vectors)


# ── OpenAI and those that speak it ─────────────────────────────────────────────────────────────────────
class _OpenAIVector(msgspec.Struct, gc=False):
    embedding: msgspec.Raw
    index: int = 0


class _OpenAIReply(msgspec.Struct, gc=False):
    data: list[_OpenAIVector]
    model: str | None = None


_openai_reply: Final = msgspec.json.Decoder(_OpenAIReply)


def _openai_request(name: str, request: EmbedRequest, drop: bool) -> Written:
    leaving = _account(name, request, drop, "input_type")
    body: Json = {"model": request.model, "input": request.inputs, "encoding_format": "float"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        body["user"] = request.user
    return _encode(body), leaving.settled()


def _openai_read(body: bytes) -> EmbedReply:
    found = lenient(_openai_reply, body)
    vectors = None if found is None else [one.embedding for one in sorted(found.data, key=lambda v: v.index)]
    return EmbedReply((found and found.model) or "", _whole(vectors))


def _openai(name: str, path: bytes) -> Embedding:
    return Embedding(
        path=lambda _model: path,
        request=partial(_openai_request, name),
        reply=_openai_read,
        error=openai_replies.read_error,
    )


# ── Gemini ─────────────────────────────────────────────────────────────────────────────────────────────
class _GeminiVector(msgspec.Struct, gc=False):
    values: msgspec.Raw


class _GeminiReply(msgspec.Struct, gc=False):
    embeddings: list[_GeminiVector]


_gemini_reply: Final = msgspec.json.Decoder(_GeminiReply)


def _gemini_request(request: EmbedRequest, drop: bool) -> Written:
    leaving = _account("Gemini", request, drop, "user")
    told: Json = {"model": f"models/{request.model.removeprefix('models/')}"}
    if request.dimensions is not None:
        told["outputDimensionality"] = request.dimensions
    if request.input_type is not None:
        told["taskType"] = _TASKS[request.input_type]
    texts = _texts("Gemini", request)
    asked = [{**told, "content": {"parts": [{"text": text}]}} for text in texts]
    return _encode({"requests": asked}), leaving.settled()


def _gemini_read(body: bytes) -> EmbedReply:
    found = lenient(_gemini_reply, body)
    return EmbedReply("", _whole(None if found is None else [one.values for one in found.embeddings]))


def _gemini_path(model: str) -> bytes:
    return b"/v1beta/models/" + segment(model.removeprefix("models/")) + b":batchEmbedContents"


# ── Vertex ─────────────────────────────────────────────────────────────────────────────────────────────
class _Prediction(msgspec.Struct, gc=False):
    embeddings: _GeminiVector


class _VertexReply(msgspec.Struct, gc=False):
    predictions: list[_Prediction]


_vertex_reply: Final = msgspec.json.Decoder(_VertexReply)


def _vertex_request(request: EmbedRequest, drop: bool) -> Written:
    leaving = _account("Vertex", request, drop, "user")
    told: Json = {} if request.input_type is None else {"task_type": _TASKS[request.input_type]}
    body: Json = {"instances": [{"content": text, **told} for text in _texts("Vertex", request)]}
    if request.dimensions is not None:
        body["parameters"] = {"outputDimensionality": request.dimensions}
    return _encode(body), leaving.settled()


def _vertex_read(body: bytes) -> EmbedReply:
    found = lenient(_vertex_reply, body)
    vectors = None if found is None else [one.embeddings.values for one in found.predictions]
    return EmbedReply("", _whole(vectors))


# ── Cohere, at home and on Bedrock ─────────────────────────────────────────────────────────────────────
class _Floats(msgspec.Struct, gc=False):
    float: list[msgspec.Raw] | None = None


class _CohereReply(msgspec.Struct, gc=False):
    embeddings: _Floats | list[msgspec.Raw]


_cohere_reply: Final = msgspec.json.Decoder(_CohereReply)


def _cohere_body(name: str, request: EmbedRequest) -> Json:
    body: Json = {
        "texts": _texts(name, request),
        "input_type": request.input_type or "search_document",  # required
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return body


def _cohere_request(request: EmbedRequest, drop: bool) -> Written:
    leaving = _account("Cohere", request, drop, "user")
    return _encode({"model": request.model, **_cohere_body("Cohere", request)}), leaving.settled()


def _cohere_read(body: bytes) -> EmbedReply:
    found = lenient(_cohere_reply, body)
    if found is None:
        return EmbedReply("", _whole(None))
    floats = found.embeddings
    return EmbedReply("", _whole(floats.float if isinstance(floats, _Floats) else floats))


# ── Bedrock ────────────────────────────────────────────────────────────────────────────────────────────
class _TitanReply(msgspec.Struct, gc=False):
    embedding: msgspec.Raw


_titan_reply: Final = msgspec.json.Decoder(_TitanReply)


def _bedrock_request(request: EmbedRequest, drop: bool) -> Written:
    if "cohere." in request.model:
        leaving = _account("Bedrock", request, drop, "user")
        return _encode(_cohere_body("Bedrock", request)), leaving.settled()
    if "titan-embed-text" not in request.model:
        raise UnsupportedParameter("Bedrock cannot do `model`: its embeddings are not known here")
    second = "v2" in request.model
    leaving = _account("Bedrock", request, drop, "input_type", "user", *(() if second else ("dimensions",)))
    texts = _texts("Bedrock", request)
    if len(texts) != 1:
        raise UnsupportedParameter("Bedrock cannot do `input` of more than one text with this model")
    body: Json = {"inputText": texts[0]}
    if second and request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return _encode(body), leaving.settled()


def _bedrock_read(body: bytes) -> EmbedReply:
    titan = lenient(_titan_reply, body)
    return _cohere_read(body) if titan is None else EmbedReply("", (titan.embedding,))


def invoke_path(model: str) -> bytes:
    """Returns the path that hands a body to a Bedrock model as it is."""
    return b"/model/" + segment(model) + b"/invoke"


EMBEDDINGS: Final[Mapping[Provider, Embedding]] = MappingProxyType(
    {
        Provider.OPENAI: _openai("OpenAI", b"/v1/embeddings"),
        Provider.AZURE: _openai("Azure OpenAI", b"/openai/v1/embeddings"),
        Provider.CUSTOM: _openai("this endpoint", b"/v1/embeddings"),
        Provider.OPENROUTER: _openai("OpenRouter", b"/api/v1/embeddings"),
        Provider.GEMINI: Embedding(
            path=_gemini_path, request=_gemini_request, reply=_gemini_read, error=gemini_replies.read_error
        ),
        Provider.VERTEX: Embedding(
            path=lambda model: b"/v1/publishers/google/models/" + segment(model) + b":predict",
            request=_vertex_request,
            reply=_vertex_read,
            error=gemini_replies.read_error,
        ),
        Provider.COHERE: Embedding(
            path=lambda _model: b"/v2/embed",
            request=_cohere_request,
            reply=_cohere_read,
            error=cohere_replies.read_error,
        ),
        Provider.BEDROCK: Embedding(
            path=invoke_path, request=_bedrock_request, reply=_bedrock_read, error=bedrock_replies.read_error
        ),
    }
)
