"""Sorts Vertex AI's paths into classes: only forms that are listed are known, administration is not.

Law: version, project and location may be left out, as the official SDK does behind a base URL of its own; a
project may be of a domain (`example.com%3Aname`), a model may have a version (`@001`, `%40001`), and no other
escape is known. No segment begins with a dot, and a custom method (`:verb`) is never part of an id.
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.dispatch.paths import Shape
from tokenone.types import PathClass

_ID: Final = rb"[A-Za-z0-9_][A-Za-z0-9._-]*"
_PROJECT: Final = rb"[A-Za-z0-9][A-Za-z0-9._-]*(?:(?::|%3[Aa])[A-Za-z0-9][A-Za-z0-9._-]*)?"
_MODEL: Final = rb"[A-Za-z0-9][A-Za-z0-9._-]*(?:(?:@|%40)[A-Za-z0-9][A-Za-z0-9._-]*)?"
_PUBLISHER: Final = rb"[a-z0-9][a-z0-9-]*"
_SCOPE: Final = rb"(?:/v1(?:beta1)?)?(?:/projects/" + _PROJECT + rb"/locations/[a-z0-9][a-z0-9-]*)?"
_PREDICT: Final = rb"predict|rawPredict|streamRawPredict|generateContent|streamGenerateContent"


def _shape(method: bytes, form: bytes, kind: PathClass, *, bills: bool = True) -> Shape:
    return Shape(method, re.compile(_SCOPE + form), kind, bills)


_INFERENCE: Final = (
    _shape(
        b"POST",
        rb"/publishers/" + _PUBLISHER + rb"/models/(?P<model>(?!count-tokens:)" + _MODEL + rb"):"
        rb"(?:" + _PREDICT + rb"|embedContent)",
        PathClass.INFERENCE,
    ),
    _shape(
        b"POST",
        rb"/publishers/" + _PUBLISHER + rb"/models/(?P<model>" + _MODEL + rb"):(?:countTokens|computeTokens)",
        PathClass.INFERENCE,
        bills=False,
    ),
    _shape(b"POST", rb"/(?P<model>endpoints/" + _ID + rb"):(?:" + _PREDICT + rb")", PathClass.INFERENCE),
    _shape(
        b"POST",
        rb"/(?P<model>endpoints/" + _ID + rb"):(?:countTokens|computeTokens)",
        PathClass.INFERENCE,
        bills=False,
    ),
    _shape(b"POST", rb"/endpoints/" + _ID + rb"/chat/completions", PathClass.INFERENCE),
    # Anthropic's counting is a model of its own, whose body names the model that is meant.
    _shape(
        b"POST", rb"/publishers/anthropic/models/count-tokens:rawPredict", PathClass.INFERENCE, bills=False
    ),
    _shape(b"POST", rb"/interactions", PathClass.INFERENCE),
)
_STATE: Final = (
    rb"/(?:cachedContents|batchPredictionJobs|tuningJobs|operations|interactions)"
    rb"(?:/" + _ID + rb"){0,3}(?::cancel)?"
)
_STATEFUL: Final = (
    *(_shape(method, _STATE, PathClass.STATEFUL) for method in (b"GET", b"POST", b"PATCH", b"DELETE")),
    _shape(
        b"POST",
        rb"/publishers/"
        + _PUBLISHER
        + rb"/models/"
        + _MODEL
        + rb":(?:predictLongRunning|fetchPredictOperation)",
        PathClass.STATEFUL,
    ),
    _shape(
        b"GET",
        rb"/publishers/" + _PUBLISHER + rb"/models/" + _MODEL + rb"/operations/" + _ID,
        PathClass.STATEFUL,
    ),
)
SHAPES: Final = (
    *_INFERENCE,
    _shape(
        b"GET",
        rb"/(?:publishers/" + _PUBLISHER + rb"/)?models(?:/" + _MODEL + rb")?",
        PathClass.FREE,
    ),
    *_STATEFUL,
)
