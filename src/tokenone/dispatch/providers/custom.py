"""Services of one's own choice: vLLM, Ollama, and public ones that speak OpenAI's protocols.

Law: the endpoint says where; the facts are what these services have in common. Paths are OpenAI's, with or
without `/v1`, Anthropic's messages, the servers' own for ranking and tokens, and Ollama's `/api/…`; what loads,
unloads or deletes models is administration. A key goes as `Authorization: Bearer`, in a header that its document
names, or not at all.
Sources: vLLM's page on its online server, Ollama's API reference, the services' API references.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from tokenone.dispatch.credential import Unsigned, bearer
from tokenone.dispatch.document import is_document, read_document
from tokenone.dispatch.paths import PathTable, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents
from tokenone.dispatch.providers.custom_refusals import error_class
from tokenone.dispatch.providers.custom_replies import (
    NDJSON,
    CustomEvents,
    LineMeter,
    is_messages,
    is_ollama,
    read_reply,
)
from tokenone.dispatch.providers.facts import Facts, Probe
from tokenone.dispatch.providers.openai import OPENAI
from tokenone.dispatch.shapes import check_shape
from tokenone.dispatch.splice import splice_usage
from tokenone.dispatch.streams import EVENT_STREAM, Meter, StreamMeter
from tokenone.errors import BadSecret
from tokenone.rows import Endpoint
from tokenone.types import Dialect, Headers, PathClass, Provider

_VERSION: Final = re.compile(rb"/v[0-9][A-Za-z0-9.]*(?=/|$)")


def _both(path: bytes) -> tuple[bytes, bytes]:
    """Returns a path below `/v1` and the same without, as some services have it."""
    return path, path.removeprefix(b"/v1")


_OWN: Final = posts(
    b"/v1/messages",
    b"/v1/messages/count_tokens",
    b"/v1/chat/completions/batch",
    b"/v1/fim/completions",
    b"/v1/ocr",
    *_both(b"/v1/rerank"),
    *_both(b"/v1/score"),
    b"/v2/rerank",
    b"/v2/embed",
    b"/pooling",
    b"/classify",
    b"/tokenize",
    b"/detokenize",
    b"/api/chat",
    b"/api/generate",
    b"/api/embed",
    b"/api/embeddings",
)
_BELOW: Final = (
    (b"/v1/load_lora_adapter", PathClass.ADMIN),
    (b"/v1/unload_lora_adapter", PathClass.ADMIN),
    (b"/api/pull", PathClass.ADMIN),
    (b"/api/push", PathClass.ADMIN),
    (b"/api/create", PathClass.ADMIN),
    (b"/api/copy", PathClass.ADMIN),
    (b"/api/delete", PathClass.ADMIN),
    (b"/api/blobs", PathClass.ADMIN),
    *((there, kind) for path, kind in OPENAI.paths.below for there in _both(path)),
)
_PATHS: Final = PathTable(
    exact=_OWN
    | {(method, there): kind for (method, path), kind in OPENAI.paths.exact.items() for there in _both(path)}
    | {(b"POST", b"/api/show"): PathClass.FREE},
    below=_BELOW,
    free=(b"/v1/models", b"/models", b"/api/tags", b"/api/ps", b"/api/version", b"/version", b"/health"),
    unbilled=frozenset((b"/v1/messages/count_tokens", b"/tokenize", b"/detokenize"))
    | {there for path in OPENAI.paths.unbilled for there in _both(path)},
)


class NoKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="no-key"):
    """The service asks for no key."""


class HeaderKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="header-key"):
    """The service, or a proxy before it, reads the key in a header of its own."""

    header: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
    key: Annotated[str, msgspec.Meta(min_length=8, max_length=4096, pattern=r"^[!-~](?:[ -~]*[!-~])?$")]


_document: Final = msgspec.json.Decoder(NoKey | HeaderKey)
# Headers that frame or route a message are no place for a key; nor are those of the gateway itself.
_NO_PLACE: Final = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def _check_secret(secret: bytes) -> None:
    """A text passes unless it is another provider's for certain: a key pasted in the wrong place would be sent
    to a stranger."""
    if not is_document(secret):
        check_shape(secret, own=(b"sk-", b""), provider="custom endpoints'")
        return
    told = read_document(secret, (NoKey, HeaderKey))
    if isinstance(told, HeaderKey):
        name = told.header.lower()
        if name in _NO_PLACE or name.startswith(("x-tokenone-", "proxy-")):
            raise BadSecret("the document's `header` is one that carries no keys")


def _authorise(unsigned: Unsigned, plaintext: bytes) -> Headers:
    if not is_document(plaintext):
        return [*unsigned.headers, bearer(plaintext)]
    told = _document.decode(plaintext)
    if isinstance(told, NoKey):
        return unsigned.headers
    name = told.header.encode("ascii")
    kept = [field for field in unsigned.headers if field[0].lower() != name.lower()]
    return [*kept, (name, told.key.encode("ascii"))]


def _place(endpoint: Endpoint, path: bytes) -> bytes:
    """Puts the path below the endpoint's base path; a version in that one takes the place of `/v1`, so that it
    can be written as an OpenAI SDK's base URL is (`/openai/v1`, `/api/paas/v4`)."""
    base = endpoint.base_path.encode("ascii")
    return base + (path.removeprefix(b"/v1") if path.startswith(b"/v1/") and _VERSION.search(base) else path)


def _splice(body: bytes, found: Peek, path: bytes) -> bytes:
    """Asks for usage where chat goes on without; Ollama's own API always tells."""
    return body if is_ollama(path) or not path.endswith(b"/completions") else splice_usage(body, found)


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> Meter | None:
    if content_type.startswith(EVENT_STREAM):
        reader = AnthropicEvents() if is_messages(path) else CustomEvents(path)
        return StreamMeter(reader, withhold_usage=withhold_usage)
    if content_type.startswith(tuple(kind.encode("ascii") for kind in NDJSON)):
        return LineMeter()
    return None


CUSTOM: Final = Facts(
    provider=Provider.CUSTOM,
    dialect=Dialect.OPENAI,
    default_origin="",
    base_path="",
    paths=_PATHS,
    authorise=_authorise,
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=read_reply,
    open_meter=_open_meter,
    error_class=error_class,
    probe=Probe(b"GET", b"/v1/models", [(b"accept", b"application/json")]),
    model_optional=frozenset(there for path in OPENAI.model_optional for there in _both(path)),
    place=_place,
)
