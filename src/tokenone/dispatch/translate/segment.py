"""Puts a model's name into a path.

Law: it stays one segment, whatever the name: everything but unreserved characters is escaped (RFC 3986), and a
name that would climb the path is none.
"""

from __future__ import annotations

from urllib.parse import quote

from tokenone.errors import ModelUnknown


def segment(model: str) -> bytes:
    """Returns the name as one segment; raises ModelUnknown for an empty one or one of dots."""
    if not model.strip("."):
        raise ModelUnknown("no model has such a name")
    return quote(model, safe="", errors="replace").encode("ascii")
