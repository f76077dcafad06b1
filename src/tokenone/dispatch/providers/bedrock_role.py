"""Assumes a role with an access key: what to ask STS, and how to read its answer.

Law: pure. The answer is taken as JSON, or matched as XML (never parsed, so nothing in it is expanded); what is
handed on is a document of an access key, of the checked form. Refusals say nothing of the secret.
Source: "AssumeRole" (STS API Reference).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

import msgspec

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.mint import Mint, Minted, MintRequest
from tokenone.dispatch.providers.bedrock_credential import (
    AccessDocument,
    RoleDocument,
    access_key,
    document_in,
)
from tokenone.dispatch.providers.bedrock_pasted import check_access
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.sigv4 import Place, sign
from tokenone.errors import BadSecret, UpstreamAuth, UpstreamBroken
from tokenone.types import Headers, parse_origin

ROLE_SECONDS: Final = 3600
"""Every role allows an hour, and one that another role assumes no more."""
_OK: Final = 200


class _Credentials(msgspec.Struct, frozen=True, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        return "_Credentials()"


class _Result(msgspec.Struct, frozen=True):
    credentials: _Credentials = msgspec.field(name="Credentials")


class _Response(msgspec.Struct, frozen=True):
    result: _Result = msgspec.field(name="AssumeRoleResult")


class _Answer(msgspec.Struct, frozen=True):
    response: _Response = msgspec.field(name="AssumeRoleResponse")


_answer: Final = msgspec.json.Decoder(_Answer)
_OPENING: Final = b"<Credentials>"
_CLOSING: Final = b"</Credentials>"
_XML_MEMBER: Final = re.compile(rb"\s*+<([A-Za-z]{1,32})>\s*+([A-Za-z0-9/+=:.-]{1,16384}+)\s*+</\1>\s*+")
_WANTED: Final = (b"AccessKeyId", b"SecretAccessKey", b"SessionToken")


def _ask(plaintext: bytes, now_us: int) -> MintRequest | None:
    """Returns the signed AssumeRole request of a role's document, None for any other secret."""
    role = document_in(plaintext)
    if not isinstance(role, RoleDocument):
        return None
    fields = {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": role.role_arn,
        "RoleSessionName": role.session_name,
        "DurationSeconds": str(ROLE_SECONDS),
    }
    if role.external_id is not None:
        fields["ExternalId"] = role.external_id
    body = urlencode(fields).encode("ascii")
    headers: Headers = [
        (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
        (b"accept", b"application/json"),
    ]
    authority = parse_origin(role.origin).authority.encode("ascii")
    unsigned = Unsigned(b"POST", authority, b"/", headers, body, now_us)
    signed = sign(unsigned, access_key(role), Place(role.region.encode(), b"sts"))
    return MintRequest(role.origin, b"POST", b"/", signed, body)


def _read(plaintext: bytes, status: int, body: bytes) -> Minted:
    """Returns the role's temporary key, as a document; raises UpstreamAuth for a refusal."""
    if status != _OK:
        if b"Throttl" in body:
            raise UpstreamBroken("STS asks for fewer requests")
        raise UpstreamAuth("STS refused to let the access key assume the role")
    found = lenient(_answer, body)
    credentials = _in_xml(body) if found is None else found.response.result.credentials
    role = document_in(plaintext)
    if credentials is None or role is None:
        raise UpstreamBroken("STS answered without the role's credentials")
    temporary = AccessDocument(
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        session_token=credentials.session_token,
        region=role.region,
    )
    try:
        check_access(temporary)
    except BadSecret:
        raise UpstreamBroken("STS answered with credentials of another form") from None
    return Minted(msgspec.json.encode(temporary), ROLE_SECONDS)


def _in_xml(body: bytes) -> _Credentials | None:
    """Finds the one `Credentials` element of an answer in XML. It is matched, not parsed: declarations, entities
    and attributes have no meaning here, and what has them does not match."""
    if body.count(_OPENING) != 1 or body.count(_CLOSING) != 1 or b"<!" in body:
        return None
    at, end = body.index(_OPENING) + len(_OPENING), body.index(_CLOSING)
    members: dict[bytes, bytes] = {}
    while at < end:
        found = _XML_MEMBER.match(body, at, end)
        if found is None or found[1] in members:
            return None
        members[found[1]] = found[2]
        at = found.end()
    values = [members.get(name) for name in _WANTED]
    texts = [value.decode("ascii") for value in values if value is not None]
    return _Credentials(*texts) if len(texts) == len(_WANTED) else None


ASSUME_ROLE: Final = Mint(_ask, _read)
