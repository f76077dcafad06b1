"""Checks what is pasted as a Bedrock credential, and says why it cannot be one.

Law: the reason never contains a value of the document, nor a member's name that might be one. What passes is of
the right form and no more: the probe proves it.
Sources: "IAM identifiers" (IAM User Guide); "AssumeRole", request parameters (STS API Reference).
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from tokenone.dispatch.providers.bedrock_credential import (
    STS_DOMAINS,
    AccessDocument,
    Document,
    RoleDocument,
    document_in,
)
from tokenone.dispatch.shapes import check_shape
from tokenone.errors import BadSecret, ConfigRefused
from tokenone.types import parse_origin

DOCUMENT_LIMIT: Final = 65_536

_API_KEYS: Final = (b"ABSK", b"bedrock-api-key-")
_KEY_ID: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
_SECRET: Final = re.compile(r"[A-Za-z0-9/+=]{40,128}")
_SESSION: Final = re.compile(r"[A-Za-z0-9/+=]{16,16384}")
_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2}")
_ROLE: Final = re.compile(r"arn:(aws[a-z-]{0,16}):iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_FORMS: Final[dict[str, type[AccessDocument | RoleDocument]]] = {
    "aws": AccessDocument,
    "aws-assume-role": RoleDocument,
}
_MEMBER_NAME: Final = re.compile(r"[A-Za-z_]{1,32}")


def check_secret(secret: bytes) -> None:
    """Raises BadSecret for what is neither a Bedrock API key nor one of the two documents."""
    if secret.startswith(b"{"):
        _check_document(secret)
        return
    if secret.lstrip().startswith((b"{", b"\xef\xbb\xbf")):
        raise BadSecret("the document must begin with its brace: remove what stands before it")
    if secret.startswith((b"AKIA", b"ASIA")):
        raise BadSecret(
            "this is an access-key id, half of a credential: give a document with `type`, `access_key_id` and "
            "`secret_access_key`"
        )
    if _SECRET.fullmatch(secret.decode("latin-1")) and len(secret) == 40:
        raise BadSecret(
            "this looks like a secret access key, half of a credential: give a document with `type`, "
            "`access_key_id` and `secret_access_key`"
        )
    check_shape(secret, own=_API_KEYS, provider="Bedrock")


def _check_document(secret: bytes) -> None:
    if len(secret) > DOCUMENT_LIMIT:
        raise BadSecret(f"a document has at most {DOCUMENT_LIMIT} bytes")
    _check_members(secret)
    document = document_in(secret)
    if document is None:
        raise BadSecret("a member of the document is not a text")
    check_access(document)
    if isinstance(document, RoleDocument):
        _check_role(document)
    elif document.region is not None and not _REGION.fullmatch(document.region):
        raise BadSecret("`region` is not an AWS region, such as us-east-1 or us-gov-west-1")


def _check_members(secret: bytes) -> None:
    """Looks at the members' names alone, so that the reason can tell which one is wrong."""
    try:
        pairs = json.loads(secret, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise BadSecret("the document is not whole JSON; paste it from its first brace to its last") from None
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadSecret("the document names a member more than once")
    kind = members.get("type")
    form = _FORMS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise BadSecret("the document's `type` is neither `aws` nor `aws-assume-role`")
    known = form.__struct_fields__
    strange = [name for name in members if name not in known and name != "type"]
    if strange:
        told = f" `{strange[0]}`" if _MEMBER_NAME.fullmatch(strange[0]) else ""
        raise BadSecret(
            f"the document has a member{told} that its type does not know: it knows {_list(known)}"
        )
    required = [field.name for field in msgspec.structs.fields(form) if field.required]
    missing = [name for name in required if not members.get(name)]
    if missing:
        raise BadSecret(f"the document lacks {_list(missing)}")


class _Pairs(list[tuple[str, object]]):
    """The members of an object, repeated ones included."""


def _list(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def check_access(document: Document) -> None:
    """Raises BadSecret unless the access key in a document is one that AWS may have given out."""
    if not _KEY_ID.fullmatch(document.access_key_id):
        raise BadSecret("`access_key_id` does not begin with AKIA or ASIA, as the ids of access keys do")
    if not _SECRET.fullmatch(document.secret_access_key):
        raise BadSecret("`secret_access_key` is not the 40 characters that AWS gives out; paste it whole")
    temporary = document.access_key_id.startswith("ASIA")
    if temporary and document.session_token is None:
        raise BadSecret("a temporary access key (ASIA…) needs its `session_token`")
    if not temporary and document.session_token is not None:
        raise BadSecret("a lasting access key (AKIA…) has no `session_token`; these belong to different keys")
    if document.session_token is not None and not _SESSION.fullmatch(document.session_token):
        raise BadSecret(
            "`session_token` has characters that AWS does not use; paste it whole, without breaks"
        )


def _check_role(document: RoleDocument) -> None:
    role = _ROLE.fullmatch(document.role_arn)
    if role is None or role[1] not in STS_DOMAINS:
        raise BadSecret("`role_arn` is not a role's: arn:aws:iam::123456789012:role/name")
    if not _REGION.fullmatch(document.region):
        raise BadSecret("`region` is not an AWS region, such as us-east-1 or us-gov-west-1")
    if document.external_id is not None and not _EXTERNAL_ID.fullmatch(document.external_id):
        raise BadSecret("`external_id` has characters that AWS does not allow there")
    if not _SESSION_NAME.fullmatch(document.session_name):
        raise BadSecret("`session_name` is not 2 to 64 of the characters that AWS allows there")
    try:
        parse_origin(document.origin)
    except ConfigRefused:
        raise BadSecret("`sts_origin` is not https://host or https://host:port") from None
