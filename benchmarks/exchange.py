"""The exchange that is benchmarked: a chat request and reply of about 1 KB each, and its event stream.

Law: the request says in its prompt how the upstream shall behave,
`[[latency_ms=60 chunks=50 interval_ms=100]]`, so that every proxy carries the
order along whatever it does to headers. Each streamed event carries the upstream's monotonic clock, which all
processes of one machine share.
"""

from __future__ import annotations

import re

import msgspec

from benchmarks.plans import Target

_FILLER = "The quick brown fox jumps over the lazy dog while the gateway counts what it costs. " * 10
_ORDER = re.compile(rb"\[\[latency_ms=(\d{1,5}) chunks=(\d{1,6}) interval_ms=(\d{1,6})\]\]")
STAMP = re.compile(rb"stamp-(\d{10,20})")


class Order(msgspec.Struct, frozen=True):
    """How the upstream shall answer; no chunks: a plain JSON reply."""

    latency_ms: int = 0
    chunks: int = 0
    interval_ms: int = 0


def body(model: str, order: Order) -> bytes:
    """Returns the JSON request."""
    text = f"[[latency_ms={order.latency_ms} chunks={order.chunks} interval_ms={order.interval_ms}]] "
    request: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You answer briefly."},
            {"role": "user", "content": text + _FILLER},
        ],
    }
    if order.chunks:
        request["stream"] = True
    return msgspec.json.encode(request)


def request(target: Target, token: str, order: Order) -> bytes:
    """Returns the whole HTTP/1.1 request with `token` as the bearer."""
    content = body(target.model, order)
    head = (
        f"POST {target.path} HTTP/1.1\r\n"
        f"host: {target.host}:{target.port}\r\n"
        f"authorization: Bearer {token}\r\n"
        "content-type: application/json\r\n"
        "accept: application/json\r\n"
        "user-agent: benchmark/1\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    return head.encode("ascii") + content


def read_order(content: bytes) -> Order:
    """Finds the order in a request's body; none means answer at once."""
    found = _ORDER.search(content)
    return Order(*map(int, found.groups())) if found else Order()


def reply() -> bytes:
    """Returns the JSON reply with usage, about 1 KB."""
    return msgspec.json.encode(
        {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": _FILLER[:640], "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_benchmark",
        }
    )


USAGE = {
    "prompt_tokens": 212,
    "completion_tokens": 128,
    "total_tokens": 340,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def event(now_ns: int) -> bytes:
    """Returns one streamed chunk that carries the time it was sent at."""
    return (
        b'data: {"id":"chatcmpl-benchmark","object":"chat.completion.chunk","created":1790000000,'
        b'"model":"gpt-4o-mini-2024-07-18","system_fingerprint":"stamp-%d","choices":[{"index":0,'
        b'"delta":{"content":" brown fox"},"logprobs":null,"finish_reason":null}]}\n\n' % now_ns
    )


def last_events(*, with_usage: bool) -> bytes:
    """Returns what ends a stream: the usage chunk where it was asked for, and `[DONE]`."""
    chunk = {"id": "chatcmpl-benchmark", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    usage = b"data: " + msgspec.json.encode(chunk) + b"\n\n" if with_usage else b""
    return usage + b"data: [DONE]\n\n"
