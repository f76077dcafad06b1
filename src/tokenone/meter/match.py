"""Finds which model of a list a name means: by the publisher's clauses, the first that fits.

Law: names come in lower case; an index gives the answer that trying every clause in order would give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from tokenone.errors import ConfigRefused

T = TypeVar("T")


class Clause(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One test of a model's name; `any` and `all` combine others."""

    kind: str
    text: str = ""
    parts: tuple[Clause, ...] = ()

    def fits(self, model: str) -> bool:
        """Says whether the name, in lower case, passes."""
        return _TESTS[self.kind](self, model)

    def alternatives(self) -> tuple[Clause, ...]:
        """Returns the tests of which one has to pass."""
        return self.parts if self.kind == "any" else (self,)

    def fits_by(self, mark: str, model: str) -> bool:
        """Says whether the name passes by a test that itself says `mark`."""
        if self.parts:
            return self.fits(model) and any(part.fits_by(mark, model) for part in self.parts)
        return mark in self.text and self.fits(model)

    def check(self) -> None:
        """Raises ConfigRefused for a test that this version does not know."""
        if self.kind not in _TESTS:
            raise ConfigRefused("the price book has an unknown match clause; compile it again")
        for part in self.parts:
            part.check()
        if self.kind == "regex":
            try:
                re.compile(self.text)
            except re.error:
                raise ConfigRefused("the price book has a broken pattern; compile it again") from None


_TESTS: Final[dict[str, Callable[[Clause, str], bool]]] = {
    "equals": lambda clause, model: model == clause.text,
    "starts_with": lambda clause, model: model.startswith(clause.text),
    "ends_with": lambda clause, model: model.endswith(clause.text),
    "contains": lambda clause, model: clause.text in model,
    "regex": lambda clause, model: re.search(clause.text, model) is not None,
    "any": lambda clause, model: any(part.fits(model) for part in clause.parts),
    "all": lambda clause, model: all(part.fits(model) for part in clause.parts),
}


class Index(Generic[T]):
    """A list made quick to search: names that clauses spell out by themselves, the other tests in order."""

    __slots__ = ("_exact", "_tests", "_values")

    def __init__(self, rows: Sequence[tuple[Clause, T]]) -> None:
        self._values = [value for _, value in rows]
        self._exact: dict[str, int] = {}
        self._tests: list[tuple[int, Clause]] = []
        for place, (whole, _) in enumerate(rows):
            for clause in whole.alternatives():
                if clause.kind == "equals":
                    self._exact.setdefault(clause.text, place)
                else:
                    self._tests.append((place, clause))

    def first(self, name: str) -> T | None:
        """Returns what stands beside the first clause that fits."""
        best = self._exact.get(name, len(self._values))
        for place, clause in self._tests:
            if place >= best:
                break
            if clause.fits(name):
                best = place
                break
        return self._values[best] if best < len(self._values) else None
