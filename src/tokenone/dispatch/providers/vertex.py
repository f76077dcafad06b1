"""Google's Vertex AI: paths, places, credentials; the facts that make `/vertex/v1/projects/…` work.

Law: the model is in the path; only the OpenAI-compatible paths and interactions name it in the body. A service
account's token goes as `Authorization: Bearer`, an API key (express mode) as `x-goog-api-key`. An endpoint whose
base path is `/v1/projects/{project}/locations/{location}` serves that place alone: it is put into paths that
leave it out, and no other is dialed. Publishers keep their own wire: Anthropic's, OpenAI's or Google's.
Sources: cloud.google.com/vertex-ai/generative-ai/docs (REST reference), the official SDKs' resources.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.document import is_document
from tokenone.dispatch.mint import Mint
from tokenone.dispatch.paths import PathTable
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers import google_account
from tokenone.dispatch.providers.anthropic import ANTHROPIC
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents
from tokenone.dispatch.providers.anthropic_replies import read_reply as read_anthropic
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Facts, Probe, Reading, below_base
from tokenone.dispatch.providers.google_array import ArrayMeter
from tokenone.dispatch.providers.google_compatible import CompatibleEvents, read_compatible
from tokenone.dispatch.providers.google_keys import check_key
from tokenone.dispatch.providers.google_refusals import refusal_class
from tokenone.dispatch.providers.google_replies import GoogleEvents, read_google
from tokenone.dispatch.providers.vertex_paths import SHAPES
from tokenone.dispatch.splice import splice_usage
from tokenone.dispatch.streams import EVENT_STREAM, EventReader, Meter, StreamMeter
from tokenone.errors import PathDenied
from tokenone.rows import Endpoint
from tokenone.types import Dialect, ErrorClass, Headers, Provider, Usage

ACCOUNTS_ORIGIN: Final = "https://oauth2.googleapis.com"
"""Where service accounts' files have tokens asked for: an endpoint for them has it among its origins."""

_BASE: Final = re.compile(rb"(?:/(v1(?:beta1)?))?(/projects/[^/]+/locations/[^/]+)?")
_PATH: Final = re.compile(rb"(?:/(v1(?:beta1)?))?(/.*)", re.DOTALL)
_LISTED: Final = re.compile(rb"/publishers/[^/]+/models(?:/[^/:?]+)?(?:\?.*)?")
_ANTHROPIC: Final = b"/publishers/anthropic/"
_LOCATION: Final = re.compile(rb"/locations/([a-z0-9-]{1,40})/")


class _Kind(msgspec.Struct, gc=False):
    type: str | None = None


_kind: Final = msgspec.json.Decoder(_Kind)


def _authorise(unsigned: Unsigned, plaintext: bytes) -> Headers:
    """Puts the minted token or the API key on."""
    if is_document(plaintext):
        return [*unsigned.headers, google_account.authorised(plaintext)]
    return [*unsigned.headers, (b"x-goog-api-key", plaintext)]


def _check_secret(secret: bytes) -> None:
    if is_document(secret):
        google_account.check_account(secret)
    else:
        check_key(secret, place="Vertex AI")


def _place(endpoint: Endpoint, path: bytes) -> bytes:
    """Returns where a path lies at an endpoint: with the place that its base path names, where it names one.

    A base path of another form is a proxy's prefix, and the path lies below it.
    """
    base, asked = _BASE.fullmatch(endpoint.base_path.encode("ascii")), _PATH.fullmatch(path)
    if base is None or asked is None:
        return below_base(endpoint, path)
    version, place, rest = asked[1] or base[1] or b"v1", base[2], asked[2]
    if rest.startswith(b"/projects/"):
        if place and not rest.startswith(place + b"/"):
            raise PathDenied("the endpoint serves one project and location, and the path names another")
        return b"/" + version + rest
    if place is None or _LISTED.fullmatch(rest):  # the publishers' models are listed without a project
        return b"/" + version + rest
    return b"/" + version + place + rest


def _is_compatible(path: bytes) -> bool:
    """Says whether a path's replies have OpenAI's shape: chat completions, and open models served raw."""
    if path.endswith(b"/chat/completions"):
        return True
    return path.endswith((b":rawPredict", b":streamRawPredict")) and b"/publishers/google/" not in path


def _splice(body: bytes, found: Peek, path: bytes) -> bytes:
    return splice_usage(body, found) if path.endswith(b"/chat/completions") else body


def _read(body: bytes, path: bytes, headers: Headers) -> Reading:
    if _ANTHROPIC in path:
        reading = read_anthropic(body, path, headers)
        return Reading(reading.model, _located(reading.usage, path))
    return (read_compatible if _is_compatible(path) else read_google)(body, path, headers)


def _located(usage: Usage | None, path: bytes) -> Usage | None:
    """Notes the region of a Claude call: regions cost more than `global` (Google's page of its prices)."""
    found = _LOCATION.search(path)
    if usage is None or usage.geo is not None or found is None:
        return usage
    return msgspec.structs.replace(usage, geo=found[1].decode("ascii"))


class _LocatedEvents(AnthropicEvents):
    """Anthropic's events, and where they were made."""

    __slots__ = ("_path",)

    def __init__(self, path: bytes) -> None:
        super().__init__()
        self._path = path

    def read(self, event: bytes) -> bool:
        """Takes one event in; there is nothing to withhold in Anthropic's streams."""
        before = self.usage
        alone = super().read(event)
        if self.usage is not before:
            self.usage = _located(self.usage, self._path)
        return alone


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> Meter | None:
    if content_type.startswith(EVENT_STREAM):
        return StreamMeter(_events(path), withhold_usage=withhold_usage)
    return ArrayMeter(GoogleEvents()) if path.endswith(b":streamGenerateContent") else None


def _events(path: bytes) -> EventReader:
    if _ANTHROPIC in path:
        return _LocatedEvents(path)
    return CompatibleEvents(path) if _is_compatible(path) else GoogleEvents()


def _error_class(status: int, headers: Headers, body: bytes) -> ErrorClass:
    """Says what a refusal means; a publisher's model may refuse in its own words."""
    told = lenient(_kind, body)
    if told is not None and told.type == "error":
        return ANTHROPIC.error_class(status, headers, body)
    return refusal_class(status, headers, body)


VERTEX: Final = Facts(
    provider=Provider.VERTEX,
    dialect=Dialect.GOOGLE,
    default_origin="https://aiplatform.googleapis.com",
    token_origins=(ACCOUNTS_ORIGIN,),
    base_path="",
    paths=PathTable(exact={}, below=(), shapes=SHAPES),
    authorise=_authorise,
    check_secret=_check_secret,
    peek=peek,
    splice=_splice,
    read=_read,
    open_meter=_open_meter,
    error_class=_error_class,
    probe=Probe(b"GET", b"/v1beta1/publishers/google/models?pageSize=1", [(b"accept", b"application/json")]),
    place=_place,
    mint=Mint(google_account.ask, google_account.read),
)
