"""Rerank: its unified form, its front door (Cohere's shape) and its providers, Cohere and Bedrock.

Law: `return_documents` is served from the request itself, since the providers' newer APIs do not give documents
back. Sources: docs.cohere.com/reference/rerank; docs.aws.amazon.com/bedrock, "Rerank models" request bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate import bedrock_replies, cohere_replies
from tokenone.dispatch.translate.embeddings_backs import invoke_path
from tokenone.dispatch.translate.form import ChatError, Stamp
from tokenone.dispatch.translate.leaving import Leaving
from tokenone.errors import BodyTooDeep, MalformedBody, UpstreamBroken
from tokenone.types import Provider

Json: TypeAlias = dict[str, Any]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class RerankRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int | None = None
    max_tokens_per_doc: int | None = None
    return_documents: bool = False
    unknown: tuple[str, ...] = ()


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A document's place among those asked about, and how relevant it is."""

    index: int
    relevance_score: float


class RerankReply(msgspec.Struct, frozen=True, gc=False):
    """`searches` is what Cohere bills by; None is not reported."""

    id: str
    results: tuple[Ranked, ...]
    searches: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    """One provider's dialect of a rerank call."""

    path: Callable[[str], bytes]
    request: Callable[[RerankRequest, bool], tuple[bytes, tuple[str, ...]]]
    """(request, may drop) → the body, and the parameters left out; raises UnsupportedParameter naming them."""
    reply: Callable[[bytes], RerankReply]
    error: Callable[[int, bytes], ChatError]


class _Document(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _Body(msgspec.Struct, gc=False):
    model: str
    query: str
    documents: list[str | _Document]
    top_n: Positive | None = None
    max_tokens_per_doc: Positive | None = None
    return_documents: bool | None = None


class _Units(msgspec.Struct, gc=False):
    search_units: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Meta(msgspec.Struct, gc=False):
    billed_units: _Units | None = None


class _Reply(msgspec.Struct, gc=False):
    results: list[Ranked]
    id: str | None = None
    meta: _Meta | None = None


_body: Final = msgspec.json.Decoder(_Body)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_reply: Final = msgspec.json.Decoder(_Reply)
_encode: Final = msgspec.json.Encoder().encode


# ── the front door ─────────────────────────────────────────────────────────────────────────────────────
def read_rerank(body: bytes) -> RerankRequest:
    """Returns the request; raises MalformedBody for what is none."""
    try:
        found = _body.decode(body)
        members = _members.decode(body)
    except RecursionError:
        raise BodyTooDeep from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBody("the body is not of the form that rerank has") from None
    known = _Body.__struct_fields__
    asked = {name for name, value in members.items() if name not in known and bytes(value) != b"null"}
    return RerankRequest(
        model=found.model,
        query=found.query,
        documents=tuple([one if isinstance(one, str) else one.text for one in found.documents]),
        top_n=found.top_n,
        max_tokens_per_doc=found.max_tokens_per_doc,
        return_documents=bool(found.return_documents),
        unknown=tuple(sorted(asked)),
    )


def write_rerank(reply: RerankReply, request: RerankRequest, stamp: Stamp) -> bytes:
    """Returns the ranking in Cohere's shape."""
    results: list[Json] = []
    for one in reply.results:
        told: Json = {"index": one.index, "relevance_score": one.relevance_score}
        if request.return_documents and 0 <= one.index < len(request.documents):
            told["document"] = {"text": request.documents[one.index]}
        results.append(told)
    body: Json = {"id": reply.id or stamp.id, "model": stamp.model, "results": results}
    if reply.searches is not None:
        body["meta"] = {"billed_units": {"search_units": reply.searches}}
    return _encode(body)


# ── the providers ──────────────────────────────────────────────────────────────────────────────────────
def _asked(request: RerankRequest) -> Json:
    body: Json = {"query": request.query, "documents": request.documents}
    if request.top_n is not None:
        body["top_n"] = request.top_n
    if request.max_tokens_per_doc is not None:
        body["max_tokens_per_doc"] = request.max_tokens_per_doc
    return body


def _cohere_request(request: RerankRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    leaving = Leaving("Cohere", drop=drop)
    for name in request.unknown:
        leaving.cannot(name)
    return _encode({"model": request.model, **_asked(request)}), leaving.settled()


def _bedrock_request(request: RerankRequest, drop: bool) -> tuple[bytes, tuple[str, ...]]:
    leaving = Leaving("Bedrock", drop=drop)
    for name in request.unknown:
        leaving.cannot(name)
    body = _asked(request)
    if "cohere." in request.model:
        body["api_version"] = 2
    elif request.max_tokens_per_doc is not None:
        leaving.cannot("max_tokens_per_doc")
        del body["max_tokens_per_doc"]
    return _encode(body), leaving.settled()


def _read(body: bytes) -> RerankReply:
    found = lenient(_reply, body)
    if found is None:
        raise UpstreamBroken("the provider's reply is not a ranking")
    units = None if found.meta is None else found.meta.billed_units
    return RerankReply(found.id or "", tuple(found.results), None if units is None else units.search_units)


RERANK: Final[Mapping[Provider, Reranking]] = MappingProxyType(
    {
        Provider.COHERE: Reranking(
            path=lambda _model: b"/v2/rerank",
            request=_cohere_request,
            reply=_read,
            error=cohere_replies.read_error,
        ),
        Provider.BEDROCK: Reranking(
            path=invoke_path, request=_bedrock_request, reply=_read, error=bedrock_replies.read_error
        ),
    }
)
