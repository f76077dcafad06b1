"""Puts the provider's own name of a model into a body that named it otherwise; everything else stays.

Law: only the value of the one top-level `model` member changes; the body was parsed before and names it once.
"""

from __future__ import annotations

import msgspec

from tokenone.dispatch.members import members
from tokenone.errors import MalformedBody


def rename_model(body: bytes, model: str) -> bytes:
    """Returns the body with `model` as its model; raises MalformedBody where its place cannot be found."""
    for member in members(body):
        if member.key == b'"model"':
            return b"".join((body[: member.start], msgspec.json.encode(model), body[member.end :]))
    raise MalformedBody(
        "the model stands where it cannot be replaced (a form, say); name it without a provider"
    )
