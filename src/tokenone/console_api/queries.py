"""What may be asked of the lists that are newest first, and of the sums of costs.

Law: unknown parameters are refused, so a misspelt filter never shows too much.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tokenone.canonical import MAX_INTEGER
from tokenone.console_api.shapes import Id, ProviderName, Shape, printable
from tokenone.store.index import GROUPS

Moment = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]


class _Window(Shape):
    from_us: Moment | None = None
    to_us: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z0-9_-]+$")] | None = None

    def columns(self) -> dict[str, str | None]:
        """Returns the filters by column."""
        return self.model_dump(exclude={"from_us", "to_us", "limit", "cursor"})


class CallFilter(_Window):
    tenant: Id | None = None
    project: Id | None = None
    workload: Id | None = None
    token: Id | None = None
    key: Id | None = None
    provider: ProviderName | None = None
    model: Word | None = None
    outcome: Literal["open", "ok", "failed", "refused", "unknown"] | None = None


class EventFilter(_Window):
    actor: Word | None = None
    action: Word | None = None
    target: Word | None = None
    tenant: Id | None = None
    outcome: Literal["ok", "refused"] | None = None


def _groups(text: str) -> str:
    names = text.split(",")
    if len(set(names)) != len(names) or not set(names) <= set(GROUPS):
        raise ValueError("a comma list of " + ", ".join(GROUPS))
    return text


class CostsQuery(Shape):
    group_by: Annotated[str, Field(max_length=100), AfterValidator(_groups)] = "tenant"
    tenant: Id | None = None
    from_us: Moment | None = None
    to_us: Moment | None = None

    def groups(self) -> list[str]:
        return self.group_by.split(",")
