"""Reads a credential that is a document of typed fields, and says what is wrong with one that does not fit.

Law: a reason names members and never what stands in them. A form is a frozen struct with `tag_field="type"`,
`forbid_unknown_fields` and texts as members; what a text must look like is its `Meta`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec

from tokenone.errors import BadSecret

LONGEST: Final = 65_536
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
T = TypeVar("T", bound=msgspec.Struct)

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_members: Final = msgspec.json.Decoder(dict[str, object])


def is_document(secret: bytes) -> bool:
    """Says whether a secret is a document and not a text."""
    return secret.lstrip()[:1] == b"{"


def read_document(secret: bytes, forms: tuple[type[T], ...]) -> T:
    """Returns the document as one of `forms`; raises BadSecret with the member at fault."""
    if len(secret) > LONGEST:
        raise BadSecret(f"the document is longer than {LONGEST} bytes")
    try:
        members = _members.decode(secret)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadSecret("the document is not one JSON object; paste it whole") from None
    by_tag = {form.__struct_config__.tag: form for form in forms}
    kind = members.pop("type", None)
    form = by_tag.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise BadSecret(f"the document's `type` must be {' or '.join(f'`{tag}`' for tag in by_tag)}")
    _check_names(members, form)
    for name, value in members.items():
        _check_member(form, name, value)
    try:
        return msgspec.json.decode(secret, type=form)
    except msgspec.ValidationError:
        raise BadSecret("the document names a member more than once") from None


def _check_names(members: Mapping[str, object], form: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(form)
    surplus = [name for name in members if name not in {field.name for field in fields}]
    if surplus:
        raise BadSecret(f"the document has a member that its form does not know{_named(surplus[0])}")
    missing = [field.name for field in fields if field.required and field.name not in members]
    if missing:
        raise BadSecret(f"the document lacks {' and '.join(f'`{name}`' for name in missing)}")


def _check_member(form: type[msgspec.Struct], name: str, value: object) -> None:
    wanted = next(field.type for field in msgspec.structs.fields(form) if field.name == name)
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        raise BadSecret(f"the document's `{name}` is empty or not of its form") from None


def _named(name: str) -> str:
    """Returns a member's name to show, unless it looks like anything but a name."""
    return f": `{name}`" if _NAME.fullmatch(name) else ""
