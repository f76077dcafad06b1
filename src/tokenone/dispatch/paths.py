"""Sorts provider paths into classes, and refuses spellings that an upstream might read otherwise.

Law: a path that is not listed has no class and is refused; a path with dot segments, empty segments,
backslashes, an encoded slash, backslash or percent sign, or letters, digits and marks that nobody needs to
encode is never listed: RFC 3986 (6.2.2.2) has servers read `%63heckpoints` as `checkpoints`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

from tokenone.types import PathClass

_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._~:@!$&'()*+,=%-]+)+")
_DISGUISED: Final = re.compile(
    rb"/\.{1,2}(?:/|$)|%(?![0-9A-Fa-f]{2})|%(?:2[fF5]|5[cC]|[01][0-9A-Fa-f]|7[fF])"
    rb"|%(?:2[dDeE]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9aA]|5[fF]|7[eE])"  # RFC 3986's unreserved characters
)


class Shape(NamedTuple):
    """Paths of one form: `form` is matched against the whole raw path, and its group `model`, if it has one,
    names the model. It decides which percent-escapes a segment may have."""

    method: bytes
    form: re.Pattern[bytes]
    kind: PathClass
    bills: bool = True
    """Says whether a call on it costs anything."""


@dataclass(frozen=True, slots=True)
class PathTable:
    """`exact` is looked up by method and whole path, `shapes` are tried in order, `below` goes by leading
    segments, any method."""

    exact: Mapping[tuple[bytes, bytes], PathClass]
    below: tuple[tuple[bytes, PathClass], ...]
    free: tuple[bytes, ...] = ()
    """Paths of which GET and GET {path}/{id} cost nothing."""
    unbilled: frozenset[bytes] = field(default_factory=frozenset)
    """Inference paths that the provider does not charge for."""
    shapes: Sequence[Shape] = ()

    def classify(self, method: bytes, path: bytes) -> PathClass | None:
        """Returns the class of `path` (below the origin, query allowed), None if it is unknown."""
        path = path.partition(b"?")[0]
        known = self.exact.get((method, path))
        if known is not None:
            return known
        for shape in self.shapes:
            if shape.method == method and shape.form.fullmatch(path):
                return shape.kind
        if not _PLAIN.fullmatch(path) or _DISGUISED.search(path):
            return None
        if method == b"GET" and any(_is_collection_or_item(path, listed) for listed in self.free):
            return PathClass.FREE
        for prefix, kind in self.below:
            if path == prefix or path.startswith(prefix + b"/"):
                return kind
        return None

    def model(self, path: bytes) -> str | None:
        """Returns the model that the path names, decoded; None where paths do not."""
        path = path.partition(b"?")[0]
        for shape in self.shapes:
            found = shape.form.fullmatch(path)
            if found is not None and "model" in shape.form.groupindex and found["model"] is not None:
                return unquote(found["model"].decode("ascii"))
        return None

    def bills(self, path: bytes) -> bool:
        """Says whether a call on this inference path costs anything."""
        path = path.partition(b"?")[0]
        if path in self.unbilled:
            return False
        return all(shape.bills or not shape.form.fullmatch(path) for shape in self.shapes)


def _is_collection_or_item(path: bytes, listed: bytes) -> bool:
    if path == listed:
        return True
    return path.startswith(listed + b"/") and b"/" not in path[len(listed) + 1 :]


def posts(*paths: bytes) -> dict[tuple[bytes, bytes], PathClass]:
    """Returns the exact entries of inference paths: POST and nothing else."""
    return {(b"POST", path): PathClass.INFERENCE for path in paths}
