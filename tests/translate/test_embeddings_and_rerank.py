"""Embeddings and rerank: one request in every provider's dialect, and the vectors as they were."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.translate.embeddings import read_embeddings, write_embeddings
from tokenone.dispatch.translate.embeddings_backs import EMBEDDINGS
from tokenone.dispatch.translate.form import Stamp
from tokenone.dispatch.translate.rerank import RERANK, read_rerank, write_rerank
from tokenone.errors import MalformedBody, UnsupportedParameter, UpstreamBroken
from tokenone.types import Provider, Usage

STAMP = Stamp("call_9", "asked", 1)
VECTORS = [[0.25, -1.5], [3.0, 1e-05]]
REPLIES = {
    Provider.OPENAI: {
        "data": [{"index": 1, "embedding": VECTORS[1]}, {"index": 0, "embedding": VECTORS[0]}],
        "model": "m1",
    },
    Provider.GEMINI: {"embeddings": [{"values": VECTORS[0]}, {"values": VECTORS[1]}]},
    Provider.VERTEX: {"predictions": [{"embeddings": {"values": one, "statistics": {}}} for one in VECTORS]},
    Provider.COHERE: {"id": "x", "embeddings": {"float": VECTORS}},
    Provider.BEDROCK: {"embeddings": VECTORS},
}
MODELS = {Provider.BEDROCK: "cohere.embed-multilingual-v3", Provider.GEMINI: "gemini-embedding-001"}


def sent(provider: Provider, members: dict[str, Any], *, drop: bool = False) -> tuple[Any, tuple[str, ...]]:
    body = {"model": MODELS.get(provider, "m"), **members}
    raw, dropped = EMBEDDINGS[provider].request(read_embeddings(json.dumps(body).encode()), drop)
    return json.loads(raw), dropped


@pytest.mark.parametrize("provider", sorted(REPLIES))
def test_vectors_come_back_in_the_order_of_the_texts(provider: Provider) -> None:
    reply = EMBEDDINGS[provider].reply(json.dumps(REPLIES[provider]).encode())
    told = json.loads(write_embeddings(reply, Usage(input=7), STAMP, packed=False))
    assert [one["embedding"] for one in told["data"]] == VECTORS
    assert [one["index"] for one in told["data"]] == [0, 1]
    assert told["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert told["model"] == ("m1" if provider is Provider.OPENAI else "asked")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8))
def test_base64_is_the_numbers_as_little_endian_floats(numbers: list[float]) -> None:
    reply = EMBEDDINGS[Provider.BEDROCK].reply(json.dumps({"embedding": numbers}).encode())
    told = json.loads(write_embeddings(reply, None, STAMP, packed=True))
    packed = base64.b64decode(told["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(numbers)}f", packed)) == numbers
    assert "usage" not in told


def test_each_provider_is_asked_in_its_own_words() -> None:
    asked = {"input": ["a", "b"], "dimensions": 8}
    assert sent(Provider.OPENAI, asked)[0] == {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 8,
    }
    gemini = sent(Provider.GEMINI, asked | {"input_type": "search_query"})[0]["requests"]
    assert gemini[1] == {
        "model": "models/gemini-embedding-001", "outputDimensionality": 8, "taskType": "RETRIEVAL_QUERY",
        "content": {"parts": [{"text": "b"}]},
    }  # fmt: skip
    vertex = sent(Provider.VERTEX, asked | {"input_type": "clustering"})[0]
    assert vertex["instances"][1] == {"content": "b", "task_type": "CLUSTERING"}
    assert vertex["parameters"] == {"outputDimensionality": 8}
    cohere = {
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 8,
    }
    assert sent(Provider.COHERE, asked)[0] == {"model": "m", **cohere}
    assert sent(Provider.BEDROCK, asked)[0] == cohere
    titan = read_embeddings(b'{"model":"amazon.titan-embed-text-v2:0","input":"a","dimensions":256}')
    assert json.loads(EMBEDDINGS[Provider.BEDROCK].request(titan, False)[0]) == {
        "inputText": "a",
        "dimensions": 256,
    }
    assert EMBEDDINGS[Provider.BEDROCK].path("a:0") == b"/model/a%3A0/invoke"
    assert EMBEDDINGS[Provider.GEMINI].path("models/x") == b"/v1beta/models/x:batchEmbedContents"


@pytest.mark.parametrize(
    ("provider", "members", "name"),
    [
        (Provider.COHERE, {"input": "a", "user": "u"}, "user"),
        (Provider.GEMINI, {"input": "a", "wish": 1}, "wish"),
        (Provider.OPENAI, {"input": "a", "input_type": "search_query"}, "input_type"),
    ],
)
def test_what_cannot_be_asked_is_refused_or_dropped_by_name(
    provider: Provider, members: dict[str, Any], name: str
) -> None:
    with pytest.raises(UnsupportedParameter, match=f"`{name}`"):
        sent(provider, members)
    assert sent(provider, members, drop=True)[1] == (name,)


@pytest.mark.parametrize(
    ("provider", "model", "given"),
    [
        (Provider.GEMINI, "m", [1, 2]),
        (Provider.COHERE, "m", [[1], [2]]),
        (Provider.BEDROCK, "amazon.titan-embed-text-v2:0", ["a", "b"]),
        (Provider.BEDROCK, "somebody.embeds", "a"),
    ],
)
def test_inputs_a_provider_cannot_embed_are_refused_even_where_dropping_is_allowed(
    provider: Provider, model: str, given: Any
) -> None:
    request = read_embeddings(json.dumps({"model": model, "input": given}).encode())
    with pytest.raises(UnsupportedParameter):
        EMBEDDINGS[provider].request(request, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"model":"m","input":[1,"a"]}',
        b'{"model":"m","input":[]}',
        b'{"model":"m","input":"a","dimensions":0}',
    ],
)
def test_what_is_no_embeddings_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_embeddings(body)


@pytest.mark.parametrize("provider", sorted(EMBEDDINGS))
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"embeddings":3}', b'{"data":{}}'])
def test_a_reply_without_vectors_breaks_cleanly(provider: Provider, body: bytes) -> None:
    with pytest.raises(UpstreamBroken):
        EMBEDDINGS[provider].reply(body)


RANKING = json.dumps(
    {
        "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
        "id": "r1",
        "meta": {"billed_units": {"search_units": 1}},
    }
).encode()


@pytest.mark.parametrize(
    ("provider", "model", "own"),
    [
        (Provider.COHERE, "rerank-v3.5", {"model": "rerank-v3.5"}),
        (Provider.BEDROCK, "cohere.rerank-v3-5:0", {"api_version": 2}),
        (Provider.BEDROCK, "amazon.rerank-v1:0", {}),
    ],
)
def test_a_ranking_is_asked_and_told_with_the_documents(
    provider: Provider, model: str, own: dict[str, Any]
) -> None:
    body = {
        "model": model,
        "query": "q",
        "documents": ["a", {"text": "b"}],
        "top_n": 2,
        "return_documents": True,
    }
    request = read_rerank(json.dumps(body).encode())
    sent, dropped = RERANK[provider].request(request, False)
    assert json.loads(sent) == {"query": "q", "documents": ["a", "b"], "top_n": 2, **own}
    assert dropped == ()
    told = json.loads(write_rerank(RERANK[provider].reply(RANKING), request, STAMP))
    assert [one["document"]["text"] for one in told["results"]] == ["b", "a"]
    assert told["meta"]["billed_units"]["search_units"] == 1


def test_a_ranking_of_documents_nobody_sent_tells_no_document() -> None:
    request = read_rerank(b'{"model":"m","query":"q","documents":["a"],"return_documents":true}')
    reply = RERANK[Provider.COHERE].reply(b'{"results":[{"index":7,"relevance_score":1}]}')
    told = json.loads(write_rerank(reply, request, STAMP))
    assert told == {"id": "call_9", "model": "asked", "results": [{"index": 7, "relevance_score": 1.0}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"model":"m","query":"q","documents":[{"title":"x"}]}',
        b'{"model":"m","query":"q","documents":["a"],"top_n":0}',
    ],
)
def test_what_is_no_rerank_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_rerank(body)


def test_what_rerank_cannot_do_is_refused_by_name() -> None:
    request = read_rerank(
        b'{"model":"amazon.rerank-v1:0","query":"q","documents":["a"],"max_tokens_per_doc":9,"rank_fields":["a"]}'
    )
    with pytest.raises(UnsupportedParameter, match="`rank_fields`, `max_tokens_per_doc`"):
        RERANK[Provider.BEDROCK].request(request, False)
    assert RERANK[Provider.BEDROCK].request(request, True)[1] == ("rank_fields", "max_tokens_per_doc")
