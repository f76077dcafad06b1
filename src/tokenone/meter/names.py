"""Reads how providers spell models: what of a spelling the price book knows, and which partition it names.

Law: only what says nothing about the price is taken off a spelling (where a model is kept, who keeps it); a name
that its owner chose (a deployment, an application's profile, a tuned or provisioned model) is left as it is or
has no price, for what stands behind it is not known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

COMMERCIAL: Final = ""
"""The partition that published prices are for; `commercial`, `aws`, `azure` and `gcp` say the same."""
_COMMERCIAL_NAMES: Final = frozenset(("", "commercial", "public", "aws", "azure", "gcp"))

GOV_CLOUD: Final = "aws-us-gov"
MARKS: Final = {GOV_CLOUD: "us-gov."}
"""How a partition shows in a model's name: prices that are for it stand under names that say so."""

# Amazon Bedrock User Guide, "Supported foundation models" and "Use an inference profile": the ARN's resource.
_ARN: Final = re.compile(
    r"arn:([a-z0-9-]+):bedrock:[^:/]*:[^:/]*:(?:foundation-model|inference-profile)/(.+)"
)
# Vertex AI and the Gemini API name a model as a resource: `[projects/…/][publishers/…/]models/{model}`.
_RESOURCE: Final = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/([^/]+)")
_FINE_TUNED: Final = re.compile(r"ft:([^:]+):.+")


class Named(NamedTuple):
    """A name to look up, None where it has no price, and the partition that the spelling itself names."""

    name: str | None
    partition: str = COMMERCIAL


def named(provider: str, model: str) -> Named:
    """Reads a spelling; its case is kept, and matters only to marks, which are in lower case."""
    read = _READERS.get(provider)
    return Named(model) if read is None else read(model)


def partition_of(told: str, spelled: str) -> str:
    """Returns where a call was served: as the endpoint tells, else as the model's spelling does."""
    return spelled if told in _COMMERCIAL_NAMES else told


def fine_tuned_base(provider: str, model: str) -> str | None:
    """Returns the model that an OpenAI fine-tune (`ft:{base}:{organisation}:{suffix}:{id}`) was made of."""
    found = _FINE_TUNED.fullmatch(model) if provider == "openai" else None
    return found[1] if found else None


def _bedrock(model: str) -> Named:
    partition = "aws"
    if model.startswith("arn:"):
        found = _ARN.fullmatch(model)
        if found is None:
            return Named(None)
        partition, model = found[1], found[2]
    if model.startswith(MARKS[GOV_CLOUD]):
        partition = GOV_CLOUD
    return Named(model, partition_of(partition, COMMERCIAL))


def _google(model: str) -> Named:
    found = _RESOURCE.fullmatch(model)
    return Named(found[1] if found else model)


_READERS: Final[dict[str, Callable[[str], Named]]] = {
    "bedrock": _bedrock,
    "gemini": _google,
    "vertex": _google,
}
