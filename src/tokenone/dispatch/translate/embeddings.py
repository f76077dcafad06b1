"""The unified form of an embeddings call, and its front door: OpenAI's `/v1/embeddings`.

Law: numbers are not read: a vector passes as the provider wrote it, but for a caller who asked for base64, who
gets its numbers as little-endian 32-bit floats. Source: OpenAI's API reference, "Create embeddings".
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.translate.form import ChatError, Stamp
from tokenone.errors import BodyTooDeep, MalformedBody, UpstreamBroken
from tokenone.types import Usage

InputType: TypeAlias = Literal["search_document", "search_query", "classification", "clustering"]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Texts to embed; one that came as tokens is a tuple of their numbers."""

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    input_type: InputType | None = None
    base64: bool = False
    user: str | None = None
    unknown: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str] | None:
        """The inputs, if all of them are texts."""
        texts = [one for one in self.inputs if isinstance(one, str)]
        return texts if len(texts) == len(self.inputs) else None


class EmbedReply(msgspec.Struct, frozen=True, gc=False):
    """One vector for each input, in order, as JSON."""

    model: str
    vectors: tuple[msgspec.Raw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """One provider's dialect of an embeddings call."""

    path: Callable[[str], bytes]
    request: Callable[[EmbedRequest, bool], tuple[bytes, tuple[str, ...]]]
    """(request, may drop) → the body, and the parameters left out; raises UnsupportedParameter naming them."""
    reply: Callable[[bytes], EmbedReply]
    error: Callable[[int, bytes], ChatError]


class _Body(msgspec.Struct, gc=False):
    """`input_type` is ours: some providers embed documents and queries differently."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None
    input_type: InputType | None = None
    user: str | None = None


_body: Final = msgspec.json.Decoder(_Body)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_numbers: Final = msgspec.json.Decoder(list[float])
_encode: Final = msgspec.json.Encoder().encode


def read_embeddings(body: bytes) -> EmbedRequest:
    """Returns the request; raises MalformedBody for what is none."""
    try:
        found = _body.decode(body)
        members = _members.decode(body)
    except RecursionError:
        raise BodyTooDeep from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBody("the body is not of the form that embeddings have") from None
    known = _Body.__struct_fields__
    asked = {name for name, value in members.items() if name not in known and bytes(value) != b"null"}
    return EmbedRequest(
        model=found.model,
        inputs=_inputs(found.input),
        dimensions=found.dimensions,
        input_type=found.input_type,
        base64=found.encoding_format == "base64",
        user=found.user,
        unknown=tuple(sorted(asked)),
    )


def _inputs(given: str | list[Any]) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(given, str):
        return (given,)
    kinds = {type(one) for one in given}
    if kinds == {int}:
        return (tuple(given),)
    if kinds == {str}:
        return tuple(given)
    if kinds == {list}:
        return tuple([tuple(one) for one in given])
    raise MalformedBody("`input` is not a text, a list of texts, or tokens")


def write_embeddings(reply: EmbedReply, usage: Usage | None, stamp: Stamp, *, packed: bool) -> bytes:
    """Returns the list of embeddings; `packed` as base64."""
    vectors = [_packed(vector) for vector in reply.vectors] if packed else reply.vectors
    body: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)
        ],
        "model": reply.model or stamp.model,
    }
    if usage is not None and usage.input is not None:
        body["usage"] = {"prompt_tokens": usage.input, "total_tokens": usage.input}
    return _encode(body)


def _packed(vector: msgspec.Raw) -> str:
    numbers = lenient(_numbers, vector)
    if numbers is None:
        raise UpstreamBroken("the provider's embedding is not a list of numbers")
    try:
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    except OverflowError:
        raise UpstreamBroken("the provider's embedding is out of range") from None
