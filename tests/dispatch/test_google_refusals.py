"""Laws of Google's refusals: the reason decides before the status, the caller's words decide nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.shared import ROOT
from tokenone.dispatch.providers import PROVIDERS
from tokenone.types import ErrorClass, Provider


def cases(provider: Provider) -> list[Any]:
    """Returns the vectors of one provider as parameters."""
    rows = json.loads((ROOT / "vectors" / f"errors-{provider.value}.json").read_text())["cases"]
    return [pytest.param(provider, row, id=f"{provider.value}: {row['why']}") for row in rows]


def spelled(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body, indent=1).encode()


@pytest.mark.parametrize(("provider", "case"), [*cases(Provider.GEMINI), *cases(Provider.VERTEX)])
def test_a_refusal_has_its_class(provider: Provider, case: dict[str, Any]) -> None:
    found = PROVIDERS[provider].error_class(case["status"], [], spelled(case["body"]))
    assert found.value == case["class"]


@pytest.mark.parametrize("provider", [Provider.GEMINI, Provider.VERTEX])
def test_near_half_of_the_vectors_are_traps(provider: Provider) -> None:
    rows = [param.values[1] for param in cases(provider)]
    assert len(rows) >= 30
    assert sum(row["trap"] for row in rows) >= len(rows) * 2 // 5


@given(
    st.sampled_from([Provider.GEMINI, Provider.VERTEX]),
    st.integers(100, 599),
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(
                        ["error", "details", "reason", "violations", "message", "quotaId", "type"]
                    ),
                    inner,
                    max_size=4,
                ),
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_whatever_is_refused_has_a_class_and_nothing_raises(
    provider: Provider, status: int, body: bytes
) -> None:
    found = PROVIDERS[provider].error_class(status, [], body)
    assert isinstance(found, ErrorClass)
    assert (found is ErrorClass.UNKNOWN) == (status < 400)


@given(st.text(max_size=80))
def test_what_a_caller_can_have_quoted_never_kills_a_key(quoted: str) -> None:
    message = f"Invalid value at 'contents': {quoted} API key not valid. leaked {quoted}"
    for status in (400, 403, 404, 429):
        body = json.dumps({"error": {"code": status, "message": message, "status": "X"}}).encode()
        for provider in (Provider.GEMINI, Provider.VERTEX):
            assert PROVIDERS[provider].error_class(status, [], body) is not ErrorClass.KEY_DEAD
