"""Between bodies and rows, and the ETag that goes with a row.

Law: a body that passed its shape converts; what an answer shows is what its shape lists, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tokenone.errors import PreconditionFailed

R = TypeVar("R", bound=msgspec.Struct)
M = TypeVar("M", bound=BaseModel)
_ETAG: Final = re.compile(r'"(\d{1,18})"')


def row_of(kind: type[R], body: BaseModel, **more: Any) -> R:
    """Makes a row from a body and what only we know."""
    return msgspec.convert(body.model_dump() | more, kind)


def shown(kind: type[M], row: msgspec.Struct, **more: Any) -> M:
    """Makes an answer from a row: the fields of the answer's shape and no others."""
    return kind.model_validate(msgspec.to_builtins(row) | more)


def edit_of(kind: type[R], patch: BaseModel) -> Callable[[R], R]:
    """Returns what replaces the fields that the patch has set."""
    changed = patch.model_dump(exclude_unset=True)

    def edit(row: R) -> R:
        current = {name: getattr(row, name) for name in row.__struct_fields__}
        return msgspec.convert(current | changed, kind, builtin_types=(bytes,), from_attributes=False)

    return edit


def tag(response: Response, revision: int) -> None:
    """Sets the ETag of a row."""
    response.headers["ETag"] = f'"{revision}"'


def wanted_revision(request: Request) -> int | None:
    """Reads If-Match; None without one or for `*`, PreconditionFailed for a tag that was never ours."""
    header = request.headers.get("if-match", "*").strip()
    if header == "*":
        return None
    found = _ETAG.fullmatch(header)
    if found is None:
        raise PreconditionFailed
    return int(found[1])
