"""Tells a real credential from text that merely has its form: checksums, entropy, placeholders, headers.

Law: pure functions of the candidate alone, cost bounded by its length; nobody is asked whether it works.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter
from itertools import pairwise
from typing import Final

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER: Final = re.compile(
    r"(?i)example|placeholder|redacted|your[-_]?(?:api|key|token)|xxxx|\*\*\*|\.\.\.|0{8}|1234567|abcdefg|changeme|dummy"
)
_MAX_HEADER: Final = 4096


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    length = len(text)
    return -sum(count / length * math.log2(count / length) for count in Counter(text).values())


def looks_random(text: str, bits: float = 3.0) -> bool:
    """Says whether `text` could come from a random generator: no placeholder, no runs, enough entropy."""
    if _PLACEHOLDER.search(text) or entropy(text) < bits:
        return False
    steps = sum(1 for left, right in pairwise(text) if 0 <= ord(right) - ord(left) <= 1)
    return steps * 3 < len(text)


def mixed(text: str) -> bool:
    """Says whether upper case, lower case and digits all occur, as in a random base-62 string of length 40."""
    return any(map(str.isupper, text)) and any(map(str.islower, text)) and any(map(str.isdigit, text))


def base62(number: int) -> str:
    """Six digits in base 62, most significant first (GitHub's, npm's and our own tokens' checksum form)."""
    digits = []
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def crc_ends(body: str, checksum: str) -> bool:
    """Says whether `checksum` is the CRC-32 of `body` in base 62."""
    return base62(zlib.crc32(body.encode("ascii", "replace"))) == checksum


def github_checksum(token: str) -> bool:
    """GitHub's and npm's tokens: the last six characters check the 30 after the prefix.

    Source: github.blog/2021-04-05-behind-githubs-new-authentication-token-formats."""
    body = token.rsplit("_", 1)[1]
    return crc_ends(body[:-6], body[-6:])


def own_checksum(token: str) -> bool:
    """Our caller tokens: the last part checks everything before the last underscore (docs/spec/token.md)."""
    body, _, checksum = token.rpartition("_")
    return crc_ends(body, checksum)


def jwt_header(token: str) -> bool:
    """Says whether the first part decodes to a JSON object that names an algorithm other than none."""
    head = token.split(".", 1)[0]
    if len(head) > _MAX_HEADER:
        return False
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    algorithm = header.get("alg") if isinstance(header, dict) else None
    return isinstance(algorithm, str) and algorithm.lower() != "none"
