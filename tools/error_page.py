"""Writes docs/errors.md from the error tree, so that the page lists every code and never another.

It reads `tokenone.errors` alone. Run it from the repository's root; a test holds the file against it.
"""

from __future__ import annotations

from pathlib import Path

from tokenone import errors
from tokenone.errors import TokenOneError

FAMILIES = (
    (errors.CallerError, "The request itself", "Correct it and send it again."),
    (errors.DeniedError, "Denied", "Identified or not, the scope does not allow it."),
    (errors.ProviderError, "The provider", "It refused, broke off or stayed silent."),
    (errors.IntegrityError, "Integrity", "Something does not verify; nothing was used."),
    (errors.OperatorError, "The operator", "Roots, disk, database or configuration."),
    (TokenOneError, "Others", ""),
)
OPENING = """\
# Errors

Made by `tools/error_page.py` from `src/tokenone/errors.py`.

Every refusal of the gateway or the console carries a **code**, which is stable: programs decide by it.

On the data plane it stands in the header `x-tokenone-error` and in the body's `error.code`, in the dialect of the \
path that was called (OpenAI's or Anthropic's shape), with `x-tokenone-error-origin: gateway`. A provider's own \
refusal comes back as it came, with `x-tokenone-error-origin: provider`. `x-should-retry: false` says that the same \
request cannot succeed by being sent again. The management API answers RFC 9457 problems with the same `code`.
"""


def all_below(kind: type[TokenOneError]) -> list[type[TokenOneError]]:
    """Returns a class and its descendants as the source orders them."""
    return [kind, *(found for child in kind.__subclasses__() for found in all_below(child))]


def page() -> str:
    """Returns the page."""
    lines = [OPENING]
    told: set[type[TokenOneError]] = set()
    for family, title, meaning in FAMILIES:
        rows = [kind for kind in all_below(family) if kind.__module__ == errors.__name__ and kind not in told]
        told.update(rows)
        lines += [f"## {title}\n", *([meaning + "\n"] if meaning else [])]
        lines += ["| code | status | what to do |", "|---|---|---|"]
        lines += [f"| `{kind.code}` | {kind.status} | {kind.advice} |" for kind in rows]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    Path("docs/errors.md").write_text(page(), encoding="utf-8")
