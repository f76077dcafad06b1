"""The project's text is true of its code, leads nowhere that is not there, and names no machine but the reader's."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from tokenone import main as command_line
from tokenone.config import Settings
from tokenone.dispatch.providers import PROVIDERS, anthropic, openai
from tokenone.types import PathClass, Provider

REPOSITORY = Path(__file__).parents[2]


@cache
def tracked(ending: str = "") -> tuple[Path, ...]:
    """Files that are, or are about to be, the project's."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", f"*{ending}"]
    listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return tuple(path for line in listed.stdout.splitlines() if (path := REPOSITORY / line).is_file())


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


PAGES = tracked(".md")
MODULES = tracked(".py")


# ── nothing of where it was written ────────────────────────────────────────────────────────────────────────
# Each is put together here, so that this file does not hold what it looks for.
ELSEWHERE = {
    "a path of one machine": r"(?:^|[\s\"'`(=:])/(?:"
    + "|".join(("work", "root", "home", "Users"))
    + r")/[a-z]{2}",
    "a package registry": "|".join((r"py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.(?:org|com)")),
    "a ticket by its number": r"(?i)\b(?:iss" + r"ue|ticket|tas" + r"k) ?#?\d",
    "somebody's plan": r"\b(?:DES" + r"IGN|STY" + r"LE|PL" + r"AN|PROVI" + r"DERS)\.md",
    "a place beside the repository": r"(?<![.\w/])\.\./sha" + r"red\b",
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_no_file_tells_of_where_it_was_written(what: str) -> None:
    pattern = re.compile(ELSEWHERE[what], re.M)
    locks = {REPOSITORY / "requirements.lock", REPOSITORY / "benchmarks/peers.lock"}
    readable = [path for path in tracked() if path not in locks and "vectors" not in path.parts]
    found = [
        f"{named(path)}: {hit[0].strip()}" for path in readable for hit in pattern.finditer(text_of(path))
    ]
    assert found == []


def test_locks_hold_no_address() -> None:
    assert [named(path) for path in tracked(".lock") if "://" in text_of(path)] == []


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.M)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as code hosts make them."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text_of(page)))
    return {heading.strip().replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(text_of(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = text_of(REPOSITORY / "README.md")
    assert "\nmake demo" in readme
    assert "\nmake test" in readme


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    """By links, or by lying in a folder that is linked."""
    reached: set[Path] = set()
    fresh = {REPOSITORY / "README.md"}
    while fresh:
        reached |= fresh
        pages = {path for path in fresh if path.suffix == ".md"}
        folders = {path for path in fresh if path.is_dir()}
        linked = {
            (page.parent / hit.partition("#")[0]).resolve()
            for page in pages
            for hit in LINK.findall(text_of(page))
        }
        fresh = (linked | {page for folder in folders for page in folder.glob("*.md")}) - reached
        fresh = {path for path in fresh if path.exists()}
    assert [named(page) for page in PAGES if page not in reached] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(REPOSITORY / "Makefile"), re.M))
    for page in PAGES:
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", text_of(page), re.M):
            assert target in targets, f"{named(page)}: make {target}"


# ── commands ───────────────────────────────────────────────────────────────────────────────────────────────
SPAN = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^ *```[a-z]*\n(.*?)^ *```", re.M | re.S)
CALL = re.compile(r"(?:^|[|(]|`) *tokenone (?!\[)([^|\n#]*)", re.M)


def commands_of(page: Path) -> Iterator[str]:
    """What a page tells its reader to type behind `tokenone`."""
    text = text_of(page)
    blocks = [block.replace("\\\n", " ") for block in FENCED.findall(text)]
    for code in (*blocks, *SPAN.findall(FENCED.sub("", text))):
        yield from CALL.findall(code)


def along(words: list[str]) -> list[Any]:
    """The commands that a line names, from `tokenone` itself on."""
    command: Any = get_command(command_line.app)
    found, rest = [command], list(words)
    while hasattr(command, "commands") and rest:
        if rest[0].startswith("--"):  # an option of `tokenone` itself, and its value
            rest = rest[2:]
            continue
        command = command.commands[rest.pop(0)]
        found.append(command)
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands_of(page))], ids=named)
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    for line in commands_of(page):
        words = line.split()
        commands = along([word.strip("`'\"") for word in words])
        known = {option for command in commands for parameter in command.params for option in parameter.opts}
        given = set(re.findall(r"(?<!\S)--[a-z-]+", line))
        assert given - {"--help"} <= known, line


# ── what the pages promise to list ─────────────────────────────────────────────────────────────────────────
def settings() -> Iterator[str]:
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from (f"{field.name}.{inner.name}" for inner in msgspec.structs.fields(field.type))
        else:
            yield field.name


def test_the_page_of_settings_lists_every_setting_and_no_other() -> None:
    page = text_of(REPOSITORY / "docs/configuration.md")
    rows = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \|", page, re.M)
    assert sorted(name for row in rows for name in SPAN.findall(row)) == sorted(settings())


def test_the_page_of_errors_is_that_of_the_code() -> None:
    """Run `python tools/error_page.py` after a change to the tree."""
    spec = importlib.util.spec_from_file_location("error_page", REPOSITORY / "tools/error_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert text_of(REPOSITORY / "docs/errors.md") == module.page()


def path_rows() -> dict[str, tuple[list[str], list[str]]]:
    """Class of the data plane's page → OpenAI's and Anthropic's paths in it."""
    page = text_of(REPOSITORY / "docs/data-plane.md")
    rows = re.findall(r"^\| (inference|free|stateful|administrative)[^|]*\| ([^|]+)\| ([^|]+)\|$", page, re.M)
    return {kind: (SPAN.findall(one), SPAN.findall(other)) for kind, one, other in rows}


@pytest.mark.parametrize(("provider", "place"), [(Provider.OPENAI, 0), (Provider.ANTHROPIC, 1)])
def test_the_data_planes_page_classes_paths_as_the_gateway_does(provider: Provider, place: int) -> None:
    classify = PROVIDERS[provider].classify
    methods = {"inference": b"POST", "free": b"GET", "stateful": b"GET", "administrative": b"POST"}
    kinds = {"administrative": PathClass.ADMIN} | {kind.value: kind for kind in PathClass}
    for kind, named_paths in path_rows().items():
        for name in named_paths[place]:
            path = f"/v1/{name}".replace("{id}", "x").replace("…", "x").encode()
            assert classify(methods[kind], path) is kinds[kind], name
    table = (openai, anthropic)[place]._PATHS
    listed = {f"/v1/{name}".encode() for name in path_rows()["inference"][place]}
    assert {path for _, path in table.exact} == listed


def test_the_data_planes_page_names_every_header_that_is_ours() -> None:
    page = text_of(REPOSITORY / "docs/data-plane.md")
    sources = [
        path for path in MODULES if named(path).startswith(("src/tokenone/gateway", "src/tokenone/call"))
    ]
    ours = {hit for path in sources for hit in re.findall(r'b"(x-tokenone-[a-z-]*[a-z])"', text_of(path))}
    assert ours
    assert [header for header in ours if f"`{header}`" not in page] == []


# ── words, modules, records ────────────────────────────────────────────────────────────────────────────────
def glossary() -> list[str]:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \|", text_of(REPOSITORY / "docs/glossary.md"), re.M)
    return [word.strip() for row in rows for word in row.split(",")]


def test_a_word_stands_in_the_glossary_once() -> None:
    assert len(set(glossary())) == len(glossary())


@pytest.mark.parametrize("word", glossary())
def test_a_word_of_the_glossary_is_used(word: str) -> None:
    """In the code or on a page; one that nobody uses has lost its meaning."""
    pattern = re.compile(rf"\b{re.escape(word)}", re.I)
    others = [path for path in (*MODULES, *PAGES) if path.name != "glossary.md" and "tests" not in path.parts]
    assert any(pattern.search(text_of(path)) for path in others)


@pytest.mark.parametrize("module", [path for path in MODULES if text_of(path).strip()], ids=named)
def test_a_module_says_in_its_first_line_what_it_does(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(text_of(module)))
    assert docstring is not None
    assert len(docstring.splitlines()[0]) > 15


def test_decision_records_are_counted_without_a_gap_and_say_why_what_and_what_then() -> None:
    records = [page for page in PAGES if re.match(r"docs/decisions/\d{4}-", named(page))]
    assert [int(page.name[:4]) for page in sorted(records)] == list(range(1, len(records) + 1))
    for page in records:
        assert re.findall(r"^\*\*(\w+)\.\*\*", text_of(page), re.M) == ["Context", "Decision", "Consequence"]
        assert text_of(page).startswith(f"# {page.name[:4]} ")
