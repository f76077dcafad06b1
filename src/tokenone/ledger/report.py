"""What verifying a ledger found, for people and as JSON.

Law: `ok` means that everything given was checked and nothing was found; the first finding names the first
bad record.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

MAX_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: which numbered check, and where."""

    check: int
    slot: int | None
    segment: str | None
    offset: int
    seq: int
    detail: str

    def __str__(self) -> str:
        where = f"slot {self.slot}, {self.segment}, offset {self.offset}, seq {self.seq}"
        return f"check {self.check}: {where if self.slot is not None else 'ledger'}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Tail:
    """Bytes behind the last signed batch of a log: a running writer's, or what a crash left."""

    slot: int
    segment: str
    offset: int
    length: int
    detail: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """A signed admission: a torn tail cut off, or damage that the chain went around."""

    slot: int
    seq: int
    cause: str
    file: str
    offset: int
    last_seq: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where a slot's verified chain ends."""

    slot: int
    seq: int
    link: str
    boot: int
    open: int
    """Intents without an outcome yet; all of the last boot."""


@dataclass(slots=True)
class Report:
    """The whole result; counts are of what was read and verified."""

    key_from: str = ""
    """`given`, or `log.json`: then it proves only that the files agree with each other."""
    segments: int = 0
    batches: int = 0
    entries: int = 0
    erased: int = 0
    boots: int = 0
    macs: int = 0
    """Entries whose MAC was checked with the auditor's key."""
    witnesses: int = 0
    """Receipts whose batch is in the log."""
    problems: list[Problem] = field(default_factory=list)
    """The first hundred."""
    problem_count: int = 0
    tails: list[Tail] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.problem_count == 0

    @property
    def first(self) -> Problem | None:
        """The first finding, which names the first bad record."""
        return self.problems[0] if self.problems else None

    def add(self, problem: Problem) -> None:
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def to_json(self) -> dict[str, Any]:
        """Returns the report as a JSON object."""
        return {"ok": self.ok, **asdict(self)}
