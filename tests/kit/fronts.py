"""The two dialects as a caller meets them: where to send, how to ask, and what a refusal looks like."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Front:
    """One provider's native path."""

    name: str
    chat: str
    model: str
    secret_prefix: str
    versions: tuple[tuple[str, str], ...] = ()

    def credential(self, token: str) -> dict[str, str]:
        """The way in which the provider's own SDK presents a key."""
        if self.name == "anthropic":
            return {"x-api-key": token}
        return {"authorization": f"Bearer {token}"}

    def headers(self, token: str | None) -> dict[str, str]:
        given = {"content-type": "application/json", **dict(self.versions)}
        return given if token is None else given | self.credential(token)

    def body(self, text: str = "What is the law?", *, stream: bool = False, **more: Any) -> bytes:
        """A small request in the provider's protocol."""
        asked: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": text}]}
        if self.name == "anthropic":
            asked["max_tokens"] = 64
        if stream:
            asked["stream"] = True
        return json.dumps(asked | more).encode()

    def refusal(self, answer: bytes) -> dict[str, Any]:
        """Reads a refusal in this dialect, asserting its shape; returns the error object."""
        told = json.loads(answer)
        error: dict[str, Any] = told["error"]
        assert isinstance(error["message"], str)
        assert error["message"]
        assert isinstance(error["type"], str)
        if self.name == "anthropic":
            assert told["type"] == "error"
        else:
            assert set(error) >= {"message", "type", "param", "code"}
            assert "type" not in told
        return error


OPENAI = Front("openai", "/openai/v1/chat/completions", "gpt-4.1-mini", "sk-proj-")
ANTHROPIC = Front(
    "anthropic", "/anthropic/v1/messages", "claude-sonnet-4-6", "sk-ant-api03-",
    (("anthropic-version", "2023-06-01"),),
)  # fmt: skip
FRONTS = {front.name: front for front in (OPENAI, ANTHROPIC)}


def caller() -> httpx2.Client:
    """A plain HTTP client that asks no environment and follows nothing."""
    return httpx2.Client(trust_env=False, timeout=30, follow_redirects=False)


def events(stream: bytes) -> list[bytes]:
    """The data of each event of a stream."""
    lines = stream.decode("utf-8", "replace").splitlines()
    return [line[5:].strip().encode() for line in lines if line.startswith("data:")]
