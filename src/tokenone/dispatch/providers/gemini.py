"""Google's Gemini API: paths, keys, uploads; the facts that make `/google/{v1,v1beta}/…` work.

Law: the model is in the path, and the path's model is the one that counts. A key goes as `x-goog-api-key`, on
the OpenAI-compatible paths as `Authorization: Bearer`. A custom method (`:verb`) is never read as part of an id,
for Google lets a GET stand for a POST. An upload would be continued at an absolute address of Google's, past
the gateway: it is refused. Sources: ai.google.dev/api, the official SDK's resources.
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.dispatch.credential import Unsigned, bearer
from tokenone.dispatch.paths import PathTable, Shape, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.facts import Facts, Probe, Reading, below_base
from tokenone.dispatch.providers.google_array import ArrayMeter
from tokenone.dispatch.providers.google_compatible import CompatibleEvents, read_compatible
from tokenone.dispatch.providers.google_keys import check_key
from tokenone.dispatch.providers.google_refusals import refusal_class
from tokenone.dispatch.providers.google_replies import GoogleEvents, read_google
from tokenone.dispatch.splice import splice_usage
from tokenone.dispatch.streams import EVENT_STREAM, Meter, StreamMeter
from tokenone.errors import PathDenied
from tokenone.rows import Endpoint
from tokenone.types import Dialect, ErrorClass, Headers, PathClass, Provider

_VERSIONS: Final = (b"/v1beta", b"/v1", b"/v1alpha")
_VERSION: Final = rb"/v1(?:alpha|beta)?"
_ID: Final = rb"[A-Za-z0-9][A-Za-z0-9._-]*"
_COMPATIBLE: Final = b"/v1beta/openai/"
_DEAD: Final = frozenset(("CONSUMER_SUSPENDED", "CONSUMER_INVALID"))
"""The project that a key belongs to was suspended or deleted."""


def _shape(method: bytes, form: bytes, kind: PathClass, *, bills: bool = True) -> Shape:
    return Shape(method, re.compile(_VERSION + form), kind, bills)


_SHAPES: Final = (
    _shape(
        b"POST",
        rb"/models/(?P<model>" + _ID + rb"):(?:generateContent|streamGenerateContent|embedContent"
        rb"|batchEmbedContents|predict)",
        PathClass.INFERENCE,
    ),
    _shape(b"POST", rb"/models/(?P<model>" + _ID + rb"):countTokens", PathClass.INFERENCE, bills=False),
    _shape(
        b"POST",
        rb"/(?P<model>tunedModels/" + _ID + rb"):(?:generateContent|streamGenerateContent)",
        PathClass.INFERENCE,
    ),
    _shape(b"POST", rb"/interactions", PathClass.INFERENCE),
    _shape(b"GET", rb"/(?:openai/)?models(?:/" + _ID + rb")?", PathClass.FREE),
    _shape(
        b"POST",
        rb"/models/" + _ID + rb":(?:batchGenerateContent|asyncBatchEmbedContent|predictLongRunning)",
        PathClass.STATEFUL,
    ),
    _shape(b"GET", rb"/models/" + _ID + rb"/operations/" + _ID, PathClass.STATEFUL),
    # Not below it: permissions and changes of ownership hand a tuned model to others.
    *(
        _shape(method, rb"/tunedModels(?:/" + _ID + rb"(?:/operations/" + _ID + rb")?)?", PathClass.STATEFUL)
        for method in (b"GET", b"POST", b"PATCH", b"DELETE")
    ),
)
# Prefixes that are state, in every version. What is not listed is refused: `authTokens` mint credentials.
_STATE: Final = (
    b"/files",
    b"/cachedContents",
    b"/batches",
    b"/operations",
    b"/interactions",
    b"/fileSearchStores",
    b"/generatedFiles",
)
_PATHS: Final = PathTable(
    exact=posts(
        _COMPATIBLE + b"chat/completions",
        _COMPATIBLE + b"embeddings",
        _COMPATIBLE + b"images/generations",
    ),
    below=(
        *((version + name, PathClass.STATEFUL) for version in _VERSIONS for name in _STATE),
        *((b"/upload" + version, PathClass.STATEFUL) for version in _VERSIONS),
        *((b"/download" + version, PathClass.STATEFUL) for version in _VERSIONS),
        (_COMPATIBLE + b"files", PathClass.STATEFUL),
        (_COMPATIBLE + b"batches", PathClass.STATEFUL),
    ),
    shapes=_SHAPES,
)


def _authorise(unsigned: Unsigned, plaintext: bytes) -> Headers:
    """Puts the key on; the OpenAI-compatible paths know it by OpenAI's header alone."""
    if _COMPATIBLE in unsigned.target.partition(b"?")[0]:
        return [*unsigned.headers, bearer(plaintext)]
    return [*unsigned.headers, (b"x-goog-api-key", plaintext)]


def _place(endpoint: Endpoint, path: bytes) -> bytes:
    """Returns where a path lies at an endpoint; an upload has no place, for it goes on at another address."""
    if path.startswith(b"/upload/"):
        raise PathDenied(
            "Google has uploads continued at an absolute address, which would bypass the gateway"
        )
    return below_base(endpoint, path)


def _splice(body: bytes, found: Peek, path: bytes) -> bytes:
    return splice_usage(body, found) if path == _COMPATIBLE + b"chat/completions" else body


def _read(body: bytes, path: bytes, headers: Headers) -> Reading:
    read = read_compatible if path.startswith(_COMPATIBLE) else read_google
    return read(body, path, headers)


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> Meter | None:
    if content_type.startswith(EVENT_STREAM):
        reader = CompatibleEvents(path) if path.startswith(_COMPATIBLE) else GoogleEvents()
        return StreamMeter(reader, withhold_usage=withhold_usage)
    return ArrayMeter(GoogleEvents()) if path.endswith(b":streamGenerateContent") else None


def _error_class(status: int, headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means; here the key alone says which project pays and serves."""
    return refusal_class(status, headers, body, _DEAD)


def _check_secret(secret: bytes) -> None:
    check_key(secret, place="the Gemini API")


GEMINI: Final = Facts(
    provider=Provider.GEMINI,
    dialect=Dialect.GOOGLE,
    default_origin="https://generativelanguage.googleapis.com",
    base_path="",
    paths=_PATHS,
    authorise=_authorise,
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=_read,
    open_meter=_open_meter,
    error_class=_error_class,
    probe=Probe(b"GET", b"/v1beta/models?pageSize=1", [(b"accept", b"application/json")]),
    place=_place,
)
