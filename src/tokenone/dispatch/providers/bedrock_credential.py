"""Bedrock's credentials: an API key as text, an AWS access key, or a role to assume with one.

Law: a document is one of two typed forms; what a pasted one must look like is in `bedrock_pasted.py`, how a
role's key is got in `bedrock_role.py`. A role is never used by its access key itself: without the role's own
temporary key nothing is signed.
Sources: "Amazon Bedrock API keys" and "Bedrock endpoints" (AWS documentation).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from tokenone.dispatch.credential import Unsigned, bearer
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.sigv4 import AccessKey, Place, sign, without_signature
from tokenone.errors import KeyUnusable
from tokenone.types import Headers

_HOST: Final = re.compile(
    rb"(?:.*\.)?(?P<service>bedrock(?:-[a-z]+)*?)(?:-fips)?"
    rb"\.(?P<region>[a-z]{2,4}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2})\.[a-z0-9.-]+(?::[0-9]+)?"
)
# Where STS answers, by partition (botocore's list of partitions).
STS_DOMAINS: Final = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
    "aws-eusc": "amazonaws.eu",
}


class AccessDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="aws"):
    """An access key; a temporary one has a session token."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    region: str | None = None
    """Needed where the endpoint's host does not name it."""

    def __repr__(self) -> str:
        return "AccessDocument()"


class RoleDocument(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="aws-assume-role"
):
    """An access key and the role that it may assume."""

    access_key_id: str
    secret_access_key: str
    role_arn: str
    region: str
    """Whose STS is asked."""
    session_token: str | None = None
    external_id: str | None = None
    session_name: str = "tokenone"
    sts_origin: str | None = None
    """Where STS is, if not at its partition's usual host."""

    def __repr__(self) -> str:
        return "RoleDocument()"

    @property
    def origin(self) -> str:
        """The origin of STS that is asked; it must be among the endpoint's."""
        if self.sts_origin is not None:
            return self.sts_origin
        return f"https://sts.{self.region}.{STS_DOMAINS[self.role_arn.split(':')[1]]}"


Document: TypeAlias = AccessDocument | RoleDocument
_document: Final = msgspec.json.Decoder(Document)


def document_in(plaintext: bytes) -> Document | None:
    """Returns the document that a secret is, None for a text and for what is no document of Bedrock's."""
    return lenient(_document, plaintext) if plaintext.startswith(b"{") else None


def authorise(unsigned: Unsigned, plaintext: bytes) -> Headers:
    """Returns the headers with the key as a bearer, or signed with the access key."""
    if not plaintext.startswith(b"{"):
        return [*without_signature(unsigned.headers), bearer(plaintext)]
    document = document_in(plaintext)
    if document is None:
        raise KeyUnusable("the key's document is none of Bedrock's forms")
    if not isinstance(document, AccessDocument):
        raise KeyUnusable("the role's temporary key is missing, and its own access key is never used here")
    place = place_of(unsigned.authority.lower())
    if place is None and document.region is not None:
        place = Place(document.region.encode(), b"bedrock")
    if place is None:
        raise KeyUnusable("neither the endpoint's host nor the key's document names an AWS region")
    return sign(unsigned, access_key(document), place)


@lru_cache(maxsize=256)
def place_of(authority: bytes) -> Place | None:
    """Returns region and service that an endpoint's host names: all partitions', FIPS and private ones alike.

    `bedrock-mantle` is a service of its own; every other Bedrock host signs for `bedrock`.
    """
    found = _HOST.fullmatch(authority)
    if found is None:
        return None
    return Place(found["region"], b"bedrock-mantle" if found["service"] == b"bedrock-mantle" else b"bedrock")


def access_key(document: Document) -> AccessKey:
    """Returns the access key that a document holds."""
    token = document.session_token
    return AccessKey(
        document.access_key_id.encode(),
        document.secret_access_key.encode(),
        None if token is None else token.encode(),
    )
