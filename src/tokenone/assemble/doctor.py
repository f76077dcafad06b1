"""`tokenone doctor`: examines an installation and says of each thing how it stands and what to do about it.

Law: it changes nothing, running or not; one line per thing on stdout, `--json` for programs; exit 1 when
something is wrong, 0 with advice alone. Colour appears on a terminal only. What is examined, and how, is in
`at_rest` (files) and `at_work` (what answers).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from tokenone.assemble import at_rest, at_work
from tokenone.assemble.finding import Finding, Level

STYLES: Final = {Level.OK: "green", Level.ADVICE: "yellow", Level.WRONG: "bold red"}


async def examine(directory: Path) -> list[Finding]:
    """Returns the findings in the order of a start: what comes first is what to mend first."""
    settings, found = at_rest.settings_of(directory)
    if settings is None:
        return found
    roots, more = at_rest.roots_of(directory, settings)
    found += more
    keys, more = at_rest.keys_of(directory, settings, roots)
    found += more
    found += at_rest.auditor(directory)
    found += [finding async for finding in at_work.databases(directory, settings)]
    book = at_rest.price_book(directory)
    found.append(book)
    told = await at_work.statuses(directory)
    found += at_rest.ledger(directory, settings, keys, frozenset(told))
    found += at_rest.certificates(settings)
    found.append(at_rest.space(directory, settings))
    found += at_work.workers(told, book.said if book.level is Level.OK else None)
    found += at_work.ports(settings, running=bool(told))
    return found


def show(found: list[Finding], console: Console) -> None:
    """Prints a line per finding and a line of counts."""
    width = max(len(finding.check) for finding in found)
    for finding in found:
        line = Text(f"{finding.level.value:<6}", style=STYLES[finding.level])
        line.append(f"  {finding.check:<{width}}  {finding.said}", style="default not bold")
        if finding.do:
            line.append(f" → {finding.do}", style="default bold")
        console.print(line, soft_wrap=True)
    counts = Counter(finding.level for finding in found)
    console.print(", ".join(f"{counts[level]} {level.value}" for level in Level), soft_wrap=True)


def main() -> None:
    """`python -m tokenone.assemble.doctor --dir DIR [--json]`."""
    parser = argparse.ArgumentParser(prog="tokenone doctor", description="Examine an installation.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = asyncio.run(examine(chosen.dir))
    well = all(finding.level is not Level.WRONG for finding in found)
    if chosen.json:
        told = {"ok": well, "findings": [asdict(finding) for finding in found]}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        show(found, Console(markup=False, highlight=False))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
