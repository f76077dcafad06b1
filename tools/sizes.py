"""Size limits as a check: no module over 500 lines, no function over 60, no file named utils and the like.

Prints each offender and exits 1; prints the largest module and function otherwise.
"""

import ast
import subprocess
import sys
from pathlib import Path

MODULE_LINES = 500
FUNCTION_LINES = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}


def tracked() -> list[Path]:
    """Lists the Python files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return [path for line in listed.stdout.split() if (path := Path(line)).exists()]


def functions(tree: ast.AST) -> list[tuple[int, str, int]]:
    """Yields (length, name, line) of every function below `tree`."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [((node.end_lineno or node.lineno) - node.lineno + 1, node.name, node.lineno) for node in found]


def main() -> int:
    offenders: list[str] = []
    longest_module, longest_function = (0, ""), (0, "")
    for path in tracked():
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        longest_module = max(longest_module, (lines, str(path)))
        if lines > MODULE_LINES:
            offenders.append(f"{path}: {lines} lines, {MODULE_LINES} allowed")
        if path.stem in BANNED_NAMES:
            offenders.append(f"{path}: name it after the one thing inside")
        for length, name, line in functions(ast.parse(text)):
            longest_function = max(longest_function, (length, f"{path}:{line} {name}"))
            if length > FUNCTION_LINES:
                offenders.append(f"{path}:{line}: {name} has {length} lines, {FUNCTION_LINES} allowed")
    for offender in offenders:
        print(offender, file=sys.stderr)  # noqa: T201
    print(f"sizes: longest module {longest_module}, longest function {longest_function}")  # noqa: T201
    return 1 if offenders else 0


if __name__ == "__main__":
    sys.exit(main())
