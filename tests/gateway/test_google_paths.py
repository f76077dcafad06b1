"""Google's paths behind the gateway: prefixes keep them raw, the alias knows their versions."""

from __future__ import annotations

import pytest

from tokenone.gateway import routes
from tokenone.types import Dialect, Provider

VERB = b"models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize(
    ("below", "path"),
    [
        (b"v1/" + VERB, b"/v1/" + VERB),
        (b"v1beta/" + VERB, b"/v1beta/" + VERB),
        (b"v1alpha/" + VERB, b"/v1alpha/" + VERB),
        (VERB, b"/v1beta/" + VERB),
        (b"models", b"/v1beta/models"),
        (b"v1beta/openai/chat/completions", b"/v1beta/openai/chat/completions"),
        (b"openai/chat/completions", b"/v1beta/openai/chat/completions"),
        (b"upload/v1beta/files", b"/upload/v1beta/files"),
        (b"v1betamodels", b"/v1beta/v1betamodels"),
        (b"", b"/v1beta/"),
    ],
)
def test_the_alias_is_called_with_a_version_or_means_v1beta(below: bytes, path: bytes) -> None:
    front = routes.front_of(b"/v1/gemini-proxy/" + below)
    assert (front.provider, front.path, front.dialect) == (Provider.GEMINI, path, Dialect.GOOGLE)
    assert not front.unified


def test_other_aliases_keep_their_own_version() -> None:
    assert routes.front_of(b"/v1/openai-proxy/v1beta/x").path == b"/v1/v1beta/x"
    assert routes.front_of(b"/v1/anthropic-proxy/messages").path == b"/v1/messages"


@pytest.mark.parametrize(
    ("path", "provider", "below"),
    [
        (b"/google/v1/" + VERB, Provider.GEMINI, b"/v1/" + VERB),
        (b"/google/v1beta/" + VERB, Provider.GEMINI, b"/v1beta/" + VERB),
        (b"/google/" + VERB, Provider.GEMINI, b"/" + VERB),
        (
            b"/vertex/v1/projects/example.com%3Ap/locations/eu/publishers/anthropic/models/claude%401:rawPredict",
            Provider.VERTEX,
            b"/v1/projects/example.com%3Ap/locations/eu/publishers/anthropic/models/claude%401:rawPredict",
        ),
        (b"/vertex/publishers/google/" + VERB, Provider.VERTEX, b"/publishers/google/" + VERB),
    ],
)
def test_a_prefix_leaves_the_path_as_it_was_sent(path: bytes, provider: Provider, below: bytes) -> None:
    front = routes.front_of(path)
    assert (front.provider, front.path, front.dialect) == (provider, below, Dialect.GOOGLE)


def test_health_is_the_aliases_own_page() -> None:
    assert routes.health_alias(b"/v1/gemini-proxy/health") is Provider.GEMINI
    assert routes.dialect_hint(b"/v1/gemini-proxy/health") is Dialect.GOOGLE
