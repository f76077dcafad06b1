"""`/custom/{name}/…` leads to endpoints of that name; the name alone is decoded."""

from __future__ import annotations

import pytest

from tokenone.errors import UnknownPath
from tokenone.gateway import routes
from tokenone.types import Dialect, Provider


@pytest.mark.parametrize(
    ("path", "endpoint", "below", "dialect"),
    [
        (b"/custom/vllm/v1/chat/completions", "vllm", b"/v1/chat/completions", Dialect.OPENAI),
        (b"/custom/vllm/v1/messages", "vllm", b"/v1/messages", Dialect.ANTHROPIC),
        (b"/custom/my%20own/api/chat", "my own", b"/api/chat", Dialect.OPENAI),
        (b"/custom/a%2Fb/v1/models/x%2Fy", "a/b", b"/v1/models/x%2Fy", Dialect.OPENAI),
        (b"/custom/b%C3%BCro/v1/models", "büro", b"/v1/models", Dialect.OPENAI),
        (b"/custom/openai-proxy/v1/models", "openai-proxy", b"/v1/models", Dialect.OPENAI),
        (b"/custom/%2e%2e/v1/models", "..", b"/v1/models", Dialect.OPENAI),
    ],
)
def test_the_name_is_decoded_and_the_path_is_not(
    path: bytes, endpoint: str, below: bytes, dialect: Dialect
) -> None:
    front = routes.front_of(path)
    assert (front.provider, front.endpoint, front.path) == (Provider.CUSTOM, endpoint, below)
    assert (front.dialect, front.unified) == (dialect, False)


@pytest.mark.parametrize(
    "path",
    [
        b"/custom",
        b"/custom/",
        b"/custom/vllm",
        b"/custom/vllm/",
        b"/custom//v1/models",
        b"/custom/%ff/v1/models",
    ],
)
def test_a_path_without_a_name_or_without_a_path_is_not_served(path: bytes) -> None:
    with pytest.raises(UnknownPath):
        routes.front_of(path)


@pytest.mark.parametrize(
    ("path", "provider", "below"),
    [
        (
            b"/azure/openai/deployments/d/chat/completions",
            Provider.AZURE,
            b"/openai/deployments/d/chat/completions",
        ),
        (b"/openrouter/api/v1/chat/completions", Provider.OPENROUTER, b"/api/v1/chat/completions"),
        (b"/openai/v1/models", Provider.OPENAI, b"/v1/models"),
    ],
)
def test_other_fronts_name_no_endpoint(path: bytes, provider: Provider, below: bytes) -> None:
    front = routes.front_of(path)
    assert (front.provider, front.path, front.endpoint) == (provider, below, None)
