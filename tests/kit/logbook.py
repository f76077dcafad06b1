"""What a gateway's ledger holds, by call: read from its segment files while it goes on writing."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from kit.until import until
from tokenone.ledger.reader import Reader

Entry = tuple[str, dict[str, Any]]


class Logbook:
    """Follows every slot's log below a `ledger` folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[str, Reader] = {}
        self._calls: dict[str, list[Entry]] = defaultdict(list)
        self.entries: list[Entry] = []

    def refresh(self) -> None:
        """Reads what is new."""
        for place in sorted(self._folder.iterdir()):
            if place.is_dir() and place.name not in self._readers:
                self._readers[place.name] = Reader(place)
        for reader in self._readers.values():
            while found := reader.read():
                for entry in found:
                    self.entries.append((entry.kind, entry.fields))
                    if "call" in entry.fields:
                        self._calls[entry.fields["call"]].append((entry.kind, entry.fields))

    def of(self, call: str) -> list[Entry]:
        """Returns a call's entries so far."""
        self.refresh()
        return list(self._calls.get(call, ()))

    def closed(self, call: str) -> list[Entry]:
        """Returns a call's entries once it was refused, or every intent has its outcome."""
        return until(lambda: _closed(self.of(call)), f"the entries of {call}")

    def counted(self) -> Counter[str]:
        """Returns how often strangers were refused, by code, as far as it was flushed."""
        self.refresh()
        counts: Counter[str] = Counter()
        for kind, fields in self.entries:
            if kind == "deny-aggregate":
                counts[fields["code"]] += fields["count"]
        return counts

    def unclosed(self) -> list[str]:
        """Returns the calls whose intents and outcomes do not match one to one."""
        self.refresh()
        return [
            call
            for call, entries in self._calls.items()
            if _attempts(entries, "intent") != _attempts(entries, "outcome")
        ]


def _attempts(entries: list[Entry], kind: str) -> list[int]:
    return sorted(fields["attempt"] for found, fields in entries if found == kind)


def _closed(entries: list[Entry]) -> list[Entry]:
    kinds = [kind for kind, _ in entries]
    if "deny" in kinds:
        return entries
    whole = "intent" in kinds and _attempts(entries, "intent") == _attempts(entries, "outcome")
    last = any(kind == "outcome" and fields["final"] for kind, fields in entries)
    return entries if whole and last else []
