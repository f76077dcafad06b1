"""Everything that can go wrong with a call, as one table: how to provoke it, what the caller is told, what is
recorded.

Law: a row holds for both dialects unless it names one; the same table drives the house in this process, a
real installation and the official SDKs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2

from kit.fronts import Front
from tokenone.scope.token import checksum
from tokenone.testing.desk import Workplace

Record = Literal["deny", "counted", "outcome"]
Delivery = Literal["answer", "frame", "verbatim"]
UNKNOWN_TOKEN = "to_live_0000000000000000000z_" + "A" * 43 + "_"


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """One row. `code` is the gateway's; `cause` the outcome's where a call was dispatched."""

    name: str
    status: int
    code: str | None
    recorded: Record
    cause: str | None = None
    delivery: Delivery = "answer"
    """answer: a refusal of ours; frame: a 200 whose stream ends with our error event; verbatim: the provider's."""
    place: str = "good"
    fault: str | None = None
    stream: bool = False
    method: str = "POST"
    path: str | None = None
    body: Callable[[Front], bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    token: Callable[[str], str | None] | None = None
    """(the place's token) → what is presented instead; None presents nothing."""
    sdk: bool = False
    """An official SDK can be brought to do this."""
    retry: bool = False
    times: int = 1
    """The mishap shows at the n-th such call."""
    fronts: tuple[str, ...] = ("openai", "anthropic")
    again: bool = True
    """It may be provoked as often as wanted."""

    def request(self, gateway: str, front: Front, place: Workplace) -> httpx2.Request:
        """Builds the request that goes wrong."""
        token = self.token(place.token) if self.token else place.token
        headers = front.headers(token) | self.headers
        if self.fault:
            headers["x-standin-fault"] = self.fault
        path = front.chat if self.path is None else self.path.format(front=front.name)
        body = self.body(front) if self.body else front.body(stream=self.stream)
        return httpx2.Request(
            self.method, gateway + path, headers=headers, content=None if self.method == "GET" else body
        )


def _without(_: str) -> None:
    return None


def _wrong_secret(token: str) -> str:
    """A token whose id exists and whose secret does not, with the right checksum."""
    body = token.rpartition("_")[0]
    swapped = body[:-1] + ("A" if body[-1] != "A" else "B")
    return f"{swapped}_{checksum(swapped)}"


def _unknown(_: str) -> str:
    body = UNKNOWN_TOKEN[:-1]
    return f"{body}_{checksum(body)}"


def _deep(front: Front) -> bytes:
    return front.body()[:-1] + b',"metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def _large(front: Front) -> bytes:
    return front.body("x" * (1 << 20))


def _with_secret(front: Front) -> bytes:
    return front.body("my key is AKIAIOSFODNN7EXAMPLQ and ghp_" + "a1B2" * 9)


def _member(name: str, value: Any) -> Callable[[Front], bytes]:
    def body(front: Front) -> bytes:
        asked = json.loads(front.body())
        if value is None:
            del asked[name]
        else:
            asked[name] = value
        return json.dumps(asked).encode()

    return body


def _raw(text: bytes) -> Callable[[Front], bytes]:
    return lambda _: text


STRANGER: dict[str, Any] = {"status": 401, "code": "invalid_token", "recorded": "counted"}
BROKEN: dict[str, Any] = {"code": "upstream_broken", "recorded": "outcome", "cause": "upstream_broken"}
SLOW: dict[str, Any] = {"code": "upstream_timeout", "recorded": "outcome", "cause": "upstream_timeout"}
MALFORMED: dict[str, Any] = {"status": 400, "code": "malformed_body", "recorded": "deny"}

MISHAPS: tuple[Mishap, ...] = (
    # ── who calls ──────────────────────────────────────────────────────────────────────────────────────
    Mishap(name="no token", token=_without, **STRANGER),
    Mishap(name="unknown token", token=_unknown, sdk=True, **STRANGER),
    Mishap(name="malformed token", token=lambda _: "to_live_nonsense", sdk=True, **STRANGER),
    Mishap(name="not even a token", token=lambda _: "sk-proj-somebody-elses", sdk=True, **STRANGER),
    Mishap(name="wrong secret", token=_wrong_secret, sdk=True, **STRANGER),
    Mishap(name="wrong checksum", token=lambda token: token[:-1] + "-", **STRANGER),
    Mishap(name="expired token", place="expired", status=401, code="token_expired", recorded="deny", sdk=True),
    Mishap(name="revoked token", place="revoked", status=401, code="token_revoked", recorded="deny", sdk=True),
    Mishap(
        name="two credentials", headers={"x-goog-api-key": "another"}, status=400, code="credentials_differ",
        recorded="counted", sdk=True,
    ),
    Mishap(
        name="address not allowed", place="elsewhere", status=403, code="address_not_allowed", recorded="deny",
        sdk=True,
    ),
    Mishap(name="scope closed", place="closed", status=403, code="scope_closed", recorded="deny", sdk=True),
    # ── what it may ────────────────────────────────────────────────────────────────────────────────────
    Mishap(name="no key in scope", place="bare", status=403, code="no_key_in_scope", recorded="deny", sdk=True),
    Mishap(
        name="key suspended", place="suspended", status=403, code="key_not_usable", recorded="deny", sdk=True
    ),
    Mishap(
        name="model not allowed", place="fenced", status=403, code="model_not_allowed", recorded="deny", sdk=True
    ),
    Mishap(
        name="provider not allowed", place="foreign", status=403, code="provider_not_allowed", recorded="deny",
        sdk=True,
    ),
    Mishap(
        name="no grant", place="no grant", path="/{front}/v1/files", status=403, code="grant_missing",
        recorded="deny",
    ),
    Mishap(
        name="admin path", path="/{front}/v1/organizations/x", status=403, code="path_not_allowed",
        recorded="deny",
    ),
    Mishap(
        name="path that nobody knows", path="/{front}/v1/brand/new", status=403, code="path_not_allowed",
        recorded="deny",
    ),
    Mishap(
        name="disguised path", path="/{front}/v1/chat/%2e%2e/organization", status=403,
        code="path_not_allowed", recorded="deny",
    ),
    Mishap(
        name="wrong method", path="/{front}/v1/models", method="DELETE", status=403, code="path_not_allowed",
        recorded="deny",
    ),
    Mishap(
        name="not a provider", path="/{front}x/v1/messages", status=404, code="unknown_path", recorded="counted"
    ),
    Mishap(
        name="provider without a key", path="/cohere/v2/chat", status=403, code="no_key_in_scope", recorded="deny",
        fronts=("openai",),
    ),
    Mishap(
        name="unified front, no inference", path="/v1/files", status=404, code="unknown_path", recorded="deny",
        fronts=("openai",),
    ),
    Mishap(
        name="unified front, unknown model", path="/v1/chat/completions", status=404, code="model_not_found",
        body=_member("model", "nobody/knows-this"), recorded="deny", fronts=("openai",),
    ),
    Mishap(
        name="unified front, key dead", path="/v1/chat/completions", fault="status:401", status=502,
        code="upstream_auth", recorded="outcome", cause="complete", fronts=("openai",),
    ),
    Mishap(
        name="upgrade", headers={"upgrade": "websocket", "connection": "upgrade"}, status=426,
        code="websocket_not_supported", recorded="counted",
    ),
    Mishap(
        name="too many requests", place="limited", times=2, status=429, code="rate_limited", recorded="deny",
        retry=True, sdk=True, again=False,
    ),
    # ── what it sends ──────────────────────────────────────────────────────────────────────────────────
    Mishap(name="not JSON", body=_raw(b"<xml/>"), **MALFORMED),
    Mishap(name="JSON that is no object", body=_raw(b"[1, 2]"), **MALFORMED),
    Mishap(name="half an object", body=_raw(b'{"model": "gpt-4.1-mini", "messages": ['), **MALFORMED),
    Mishap(name="not UTF-8", body=_raw(b'{"model": "\xff\xfe"}'), **MALFORMED),
    Mishap(name="model is a number", body=_member("model", 7), sdk=True, **MALFORMED),
    Mishap(name="two models", body=_raw(b'{"model":"gpt-4.1-mini","model":"gpt-4.1"}'), **MALFORMED),
    Mishap(
        name="form without boundary", headers={"content-type": "multipart/form-data"}, **MALFORMED
    ),
    Mishap(name="no model", body=_member("model", None), status=400, code="model_missing", recorded="deny"),
    Mishap(name="empty body", body=_raw(b""), status=400, code="model_missing", recorded="deny"),
    Mishap(name="too deep", body=_deep, status=400, code="body_too_deep", recorded="deny"),
    Mishap(name="too large", body=_large, status=413, code="body_too_large", recorded="deny"),
    Mishap(
        name="blocked content", place="strict", body=_with_secret, status=400, code="content_blocked",
        recorded="deny",
    ),
    # ── the provider ───────────────────────────────────────────────────────────────────────────────────
    Mishap(
        name="nobody listens", place="nowhere", status=502, code="upstream_unreachable", recorded="outcome",
        cause="upstream_unreachable", retry=True, sdk=True,
    ),
    Mishap(
        name="private address", place="forbidden", status=502, code="egress_refused", recorded="outcome",
        cause="egress_refused", sdk=True,
    ),
    Mishap(
        name="connecting takes too long", place="silent", status=502, code="upstream_unreachable",
        recorded="outcome", cause="upstream_unreachable", retry=True, sdk=True,
    ),
    Mishap(
        name="another authority's certificate", place="untrusted", status=502, code="upstream_unreachable",
        recorded="outcome", cause="upstream_unreachable", retry=True, sdk=True,
    ),
    Mishap(name="no first byte", fault="stall:30", status=504, retry=True, sdk=True, **SLOW),
    Mishap(name="silence after the head", fault="hang:0:30", status=504, retry=True, sdk=True, **SLOW),
    Mishap(
        name="silence in a stream", fault="hang:3:30", stream=True, status=200, delivery="frame", sdk=True, **SLOW
    ),
    Mishap(name="closed without a byte", fault="drop", status=502, retry=True, sdk=True, **BROKEN),
    Mishap(name="garbage", fault="garbage", status=502, retry=True, sdk=True, **BROKEN),
    Mishap(name="cut in the head", fault="cut:40", status=502, retry=True, sdk=True, **BROKEN),
    Mishap(name="reset in the head", fault="reset:40", status=502, retry=True, sdk=True, **BROKEN),
    Mishap(name="cut in the body", fault="cut:300", status=502, retry=True, sdk=True, **BROKEN),
    Mishap(name="shorter than announced", fault="short", status=502, retry=True, sdk=True, **BROKEN),
    Mishap(
        name="stream cut", fault="cut:700", stream=True, status=200, delivery="frame", sdk=True, **BROKEN
    ),
    Mishap(
        name="stream reset", fault="reset:700", stream=True, status=200, delivery="frame", sdk=True, **BROKEN
    ),
    *(
        Mishap(
            name=f"provider says {status}", fault=f"status:{status}:3", status=status, code=None,
            recorded="outcome", cause="complete", delivery="verbatim", sdk=True,
        )
        for status in (400, 402, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529)
    ),
    Mishap(
        name="key dead", fault="status:401", status=401, code=None, recorded="outcome", cause="complete",
        delivery="verbatim", sdk=True,
    ),
)  # fmt: skip


def rows() -> list[tuple[Mishap, str]]:
    """Every row with each of its fronts."""
    return [(mishap, front) for mishap in MISHAPS for front in mishap.fronts]
