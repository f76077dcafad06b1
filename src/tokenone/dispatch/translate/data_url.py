"""Takes a data URL apart (RFC 2397)."""

from __future__ import annotations

from tokenone.errors import MalformedBody


def inline(url: str) -> tuple[str, str | None]:
    """Returns media type and base64 of a data URL; of another URL no data."""
    if not url.startswith("data:"):
        return "", None
    head, comma, data = url.partition(",")
    media_type, semicolon, encoding = head[5:].partition(";")
    if not comma or not semicolon or not encoding.endswith("base64"):
        raise MalformedBody("a data URL in the messages is not base64")
    return media_type, data
