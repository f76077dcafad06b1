"""What people and programs see: tables on a terminal, tab-separated lines in a pipe, JSON where asked.

Law: data on stdout, everything else on stderr; what the console says is shown as text, never as markup or
control characters; nothing is cut off but on a terminal.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokenone.cli.client import Document
from tokenone.cli.exits import ProblemAnswer, advice_of, code_of, status_of
from tokenone.errors import TokenOneError
from tokenone.money import usd_text


class Column(NamedTuple):
    """A heading and how its cell is read from a row."""

    heading: str
    show: Callable[[Document], str]


class Output:
    """One command's way to speak; `as_json` is set by `--json`."""

    def __init__(self) -> None:
        self.as_json = False
        self._out = Console(markup=False, highlight=False)
        self._err = Console(stderr=True, markup=False, highlight=False)

    def rows(self, rows: Iterable[Document], columns: Sequence[Column]) -> None:
        """Shows a list: a JSON array, a table on a terminal, tab-separated lines elsewhere."""
        if self.as_json:
            self._json(list(rows))
        elif self._out.is_terminal:
            self._table(rows, columns)
        else:
            _lines(rows, columns)

    def one(self, document: Document) -> None:
        """Shows one row, a field a line."""
        if self.as_json:
            self._json(document)
            return
        columns = (Column("field", lambda row: row["field"]), Column("value", lambda row: row["value"]))
        pairs = ({"field": _heading(name), "value": plain(name, value)} for name, value in _flat(document))
        if self._out.is_terminal:
            self._table(pairs, columns)
        else:
            _lines(pairs, columns, heading=False)

    def text(self, text: str, document: Document) -> None:
        """Shows `text` alone on a line, so that a shell can take it; the whole document with `--json`."""
        if self.as_json:
            self._json(document)
        else:
            sys.stdout.write(printable(text) + "\n")

    def say(self, sentence: str) -> None:
        """Tells people something; silent with `--json`."""
        if not self.as_json:
            self._err.print(Text(printable(sentence)), soft_wrap=True)

    def complain(self, error: TokenOneError) -> None:
        """Says what went wrong and what to do next."""
        if self.as_json:
            told = {"code": code_of(error), "status": status_of(error), "detail": error.detail}
            told["advice"] = advice_of(error)
            if isinstance(error, ProblemAnswer):
                told["request_id"] = error.request_id
            sys.stderr.write(json.dumps(told) + "\n")
            return
        self._err.print(Text(sentence_of(error), style="red"), soft_wrap=True)

    def _json(self, value: object) -> None:
        sys.stdout.write(json.dumps(value, indent=2 if self._out.is_terminal else None) + "\n")

    def _table(self, rows: Iterable[Document], columns: Sequence[Column]) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column.heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(column.show(row))) for column in columns))
        self._out.print(table)


def sentence_of(error: TokenOneError) -> str:
    """Joins what went wrong and what to do next, unless they are the same."""
    detail, advice = printable(error.detail), printable(advice_of(error))
    id = error.request_id if isinstance(error, ProblemAnswer) else None
    request = f" [{printable(str(id))}]" if id else ""
    said = detail if detail == advice else f"{detail.rstrip('.')}. {advice}"
    return f"tokenone: {said}{request}"


def write_csv(rows: Iterable[Document], names: Sequence[str]) -> None:
    """Writes rows as CSV with a heading line to stdout; nested values as JSON, absent ones empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = (row.get(name) for name in names)
        writer.writerow([json.dumps(v) if isinstance(v, (dict, list)) else _formula_safe(v) for v in values])


def write_json_lines(rows: Iterable[Document]) -> None:
    """Writes one JSON object a line to stdout."""
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")


def field(name: str, heading: str | None = None) -> Column:
    """A column that shows one field."""
    return Column(heading or _heading(name), lambda row: plain(name, row.get(name)))


def _heading(name: str) -> str:
    """Shows a field's name without what its value shows by itself: the unit."""
    return name.removesuffix("_us").removesuffix("_nano").replace("_", " ")


def _flat(document: Document, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields a document's fields in order, those of inner objects as `outer.inner`, of lists as `outer.1`."""
    for name, value in document.items():
        inner = value
        if isinstance(value, list) and any(isinstance(one, dict) for one in value):
            inner = {str(number): one for number, one in enumerate(value, 1)}
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", None if inner == {} else inner


def plain(name: str, value: Any) -> str:
    """Shows a value by what its name says it is: `_us` a time, `_nano` money."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_nano") and isinstance(value, int):
        return f"${usd_text(value)}"
    if name.endswith("_us") and isinstance(value, int):
        return moment(value) if value > _SPAN_LIMIT_US else f"{value / 1_000_000:g} s"
    if isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value):
        return ", ".join(str(one) for one in value)
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    first, _, rest = str(value).partition("\n")
    return f"{first} … ({rest.count(chr(10)) + 1} more lines)" if rest else first


_SPAN_LIMIT_US = 10**15
"""Microseconds below this are a span (31 years), above it a time since 1970 (after 2001)."""


def moment(at_us: int) -> str:
    """Shows a time as UTC to the second."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def printable(text: str) -> str:
    """Replaces control characters, which a terminal would obey."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _lines(rows: Iterable[Document], columns: Sequence[Column], *, heading: bool = True) -> None:
    lines = ("\t".join(printable(column.show(row)) for column in columns) for row in rows)
    first = next(lines, None)  # fetched before anything is written: a refusal leaves stdout empty
    if heading:
        sys.stdout.write("\t".join(column.heading for column in columns) + "\n")
    for line in [] if first is None else chain([first], lines):
        sys.stdout.write(line + "\n")


def _formula_safe(value: Any) -> Any:
    """Keeps a spreadsheet from taking a name for a formula, and a terminal from obeying it."""
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return "'" + shown if shown[:1] in ("=", "+", "-", "@") else shown
