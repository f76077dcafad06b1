"""A canary walks every error branch of the gateway, in this process: coverage says that none was left out, and a
recording detector that it saw content and never the canary.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from kit.branches import Branch, branches, watched
from kit.canaries import Watch, of_token, provider_keys
from kit.fronts import caller
from kit.grounds import lay_out, outside
from kit.inprocess import InProcess, Manner
from kit.logbook import Logbook
from kit.scripted import Scripted
from kit.stories import STORIES
from kit.stories_of_custom import STORIES_OF_CUSTOM
from kit.stories_of_keys import STORIES_OF_KEYS, allowing
from kit.stories_of_routes import STORIES_OF_ROUTES
from kit.stories_of_unified import STORIES_OF_UNIFIED
from kit.until import until
from kit.walk import Defective, FullDisk, Walk
from tokenone.detect.secrets import SecretsDetector
from tokenone.testing.recording import RecordingDetector

EXCUSED: dict[tuple[str, str], str] = {
    ("call/settle.py", 'raise AssertionError("an attempt has one outcome")'): (
        "guards a law that no input can break: every closing path asks `closed` or `owes_outcome` first"
    ),
}
"""(module, text of the line) → why no walk gets there."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("walk")
    recorder, disk, keys, output = RecordingDetector(), FullDisk(), provider_keys(), io.StringIO()
    manner = Manner(detectors=(recorder, Defective(), SecretsDetector()), disk=disk)
    with (
        everything_said(output),
        watched() as executed,
        outside(folder) as world,
        Scripted(lambda _: b"") as scripted,
        caller() as http,
        InProcess(folder, allowing(manner, scripted.origin, folder)) as house,
    ):
        grounds = lay_out(house, world, keys)
        watch = Watch(keys)
        for name in ("good", "revoked", "strict", "expired"):
            watch.add(f"token {name}", of_token(grounds.places[name].token))
        logbook = Logbook(house.directory / "ledger")
        made = Walk(house, grounds, scripted, keys, watch, recorder, disk, logbook, http, output, executed)
        for story in (
            *STORIES,
            *STORIES_OF_KEYS,
            *STORIES_OF_UNIFIED,
            *STORIES_OF_CUSTOM,
            *STORIES_OF_ROUTES,
        ):
            story(made)
        until(lambda: not logbook.unclosed(), "every outcome")
    watch.saw("output", output.getvalue())
    return made


@contextmanager
def everything_said(output: io.StringIO) -> Iterator[None]:
    """Collects what this process logs, at the lowest level."""
    before, handler = structlog.get_config(), logging.StreamHandler(output)
    logging.getLogger().addHandler(handler)
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        structlog.configure(**before)


# ── what is left of it ─────────────────────────────────────────────────────────────────────────────────────
def excused(branch: Branch) -> bool:
    return (branch.module, branch.text) in EXCUSED


@pytest.mark.parametrize(
    "branch",
    [branch for branch in branches() if not excused(branch)],
    ids=lambda one: f"{one.module}:{one.line}",
)
def test_every_error_branch_was_walked(walk: Walk, branch: Branch) -> None:
    assert walk.executed.ran(branch), branch.text


def test_excuses_are_about_lines_that_exist_and_are_not_walked(walk: Walk) -> None:
    unwalked = {(branch.module, branch.text) for branch in branches() if not walk.executed.ran(branch)}
    assert set(EXCUSED) <= unwalked


def test_the_canary_is_nowhere(walk: Walk) -> None:
    assert walk.watch.leaks(walk.house.directory / "ledger") == []


def test_the_detectors_saw_content_and_never_the_canary(walk: Walk) -> None:
    assert walk.recorder.saw("the recorder sees this")
    assert len(walk.recorder.texts) > 100
    seen = Watch(walk.keys)
    seen.saw("shown to a detector", "\n".join(walk.recorder.texts))
    assert seen.leaks() == []


def test_defects_are_told_by_their_kind_alone(walk: Walk) -> None:
    said = walk.output.getvalue()
    assert '"RuntimeError"' in said
    assert "cannot cope" not in said
    assert walk.house.defects == [], "nothing reached the loop's last resort"


def test_every_intent_has_its_outcome(walk: Walk) -> None:
    assert walk.logbook.unclosed() == []


def test_a_detector_that_is_shown_the_canary_would_be_found(walk: Walk) -> None:
    seen = Watch(walk.keys)
    seen.saw("shown to a detector", f"authorization: Bearer {walk.keys['openai']}")
    assert seen.leaks()
