"""AWS Bedrock: paths, credentials, refusals; the facts that make the native path `/bedrock/model/…` work.

Law: every request is signed anew, or carries the API key, whatever the caller's own signature was. A model is
what the path names, decoded (ids with `%3A`, ARNs with `%2F`); the path itself goes on as it came. Only hosts of
the runtime are called: the control plane (`bedrock.{region}…`) is another host and is not served.
Sources: the operations of `bedrock-runtime` in AWS' service model; "APIs supported by Amazon Bedrock" (User Guide).
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.dispatch.eventstream import CONTENT_TYPE, EventStreamMeter
from tokenone.dispatch.paths import PathTable, Shape, posts
from tokenone.dispatch.peek import Peek, peek
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents
from tokenone.dispatch.providers.bedrock_credential import authorise, place_of
from tokenone.dispatch.providers.bedrock_pasted import check_secret
from tokenone.dispatch.providers.bedrock_refusals import error_class
from tokenone.dispatch.providers.bedrock_replies import read_reply
from tokenone.dispatch.providers.bedrock_role import ASSUME_ROLE
from tokenone.dispatch.providers.bedrock_streams import ConverseEvents, InvokeEvents
from tokenone.dispatch.providers.facts import Facts, Probe, below_base
from tokenone.dispatch.providers.openai_replies import OpenAIEvents
from tokenone.dispatch.splice import splice_usage
from tokenone.dispatch.streams import EVENT_STREAM, Meter, StreamMeter
from tokenone.rows import Endpoint
from tokenone.types import Dialect, Headers, PathClass, Provider, parse_origin

# Ids and ARNs, colons and slashes encoded or (colons) not. Every part begins with a letter or digit, so that
# none is a dot segment, whoever decodes it.
_PART: Final = rb"[A-Za-z0-9](?:[A-Za-z0-9._:-]|%3[aA])*"
_ID: Final = _PART + rb"(?:%2[fF]" + _PART + rb")*"
_CHAT: Final = frozenset((b"/v1/chat/completions", b"/openai/v1/chat/completions"))
_PROBED: Final = b"/async-invoke?maxResults=1"
_PROBED_MANTLE: Final = b"/v1/models"


def _post(form: bytes, *, bills: bool = True) -> Shape:
    return Shape(b"POST", re.compile(form), PathClass.INFERENCE, bills)


# A guardrail stands where the model would: allow-lists name it `guardrail/{id}`.
_PATHS: Final = PathTable(
    exact={
        **posts(*_CHAT, b"/v1/responses", b"/openai/v1/responses", b"/anthropic/v1/messages"),
        (b"POST", b"/async-invoke"): PathClass.STATEFUL,
        (b"GET", b"/async-invoke"): PathClass.STATEFUL,
    },
    below=((b"/v1/responses", PathClass.STATEFUL), (b"/openai/v1/responses", PathClass.STATEFUL)),
    free=(b"/v1/models", b"/openai/v1/models", b"/anthropic/v1/models"),
    shapes=(
        _post(rb"/model/(?P<model>" + _ID + rb")/(?:converse(?:-stream)?|invoke(?:-with-response-stream)?)"),
        _post(rb"/model/(?P<model>" + _ID + rb")/count-tokens", bills=False),
        _post(rb"/(?P<model>guardrail/" + _ID + rb")/version/[A-Za-z0-9]{1,16}/apply"),
        _post(rb"/(?P<model>guardrail-checks)/invoke"),
        Shape(b"GET", re.compile(rb"/async-invoke/" + _ID), PathClass.STATEFUL),
    ),
)


def _splice(body: bytes, found: Peek, path: bytes) -> bytes:
    return splice_usage(body, found) if path in _CHAT else body


def _open_meter(path: bytes, content_type: bytes, withhold_usage: bool) -> Meter | None:
    path = path.partition(b"?")[0]
    if content_type.startswith(CONTENT_TYPE):
        converses = path.endswith(b"/converse-stream")
        return EventStreamMeter(ConverseEvents(path) if converses else InvokeEvents(path))
    if not content_type.startswith(EVENT_STREAM):
        return None
    events = (
        AnthropicEvents() if path.startswith(b"/anthropic/") else OpenAIEvents(path.removeprefix(b"/openai"))
    )
    return StreamMeter(events, withhold_usage=withhold_usage)


def _place(endpoint: Endpoint, path: bytes) -> bytes:
    """The hosts that speak OpenAI's and Anthropic's APIs alone are probed at their list of models."""
    if path == _PROBED and _is_mantle(endpoint):
        path = _PROBED_MANTLE
    return below_base(endpoint, path)


def _is_mantle(endpoint: Endpoint) -> bool:
    place = place_of(parse_origin(endpoint.origins[0]).authority.encode("ascii"))
    return place is not None and place.service == b"bedrock-mantle"


_ACCEPT: Final[Headers] = [(b"accept", b"application/json")]

BEDROCK: Final = Facts(
    provider=Provider.BEDROCK,
    dialect=Dialect.AWS,
    default_origin="https://bedrock-runtime.us-east-1.amazonaws.com",
    base_path="",
    paths=_PATHS,
    authorise=authorise,
    check_secret=check_secret,
    peek=peek,
    splice=_splice,
    read=read_reply,
    open_meter=_open_meter,
    error_class=error_class,
    probe=Probe(b"GET", _PROBED, _ACCEPT),
    place=_place,
    mint=ASSUME_ROLE,
)
