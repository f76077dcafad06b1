"""The whole run: where it connected to is recorded and judged at its end; properties are not timed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from kit.egress import Account, Recorder

pytest_plugins = ["kit.houses", "kit.postgres", "kit.battered"]

# How fast examples are made says something about the machine's load and nothing about a law.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

_RECORDER = pytest.StashKey[Recorder]()
_ACCOUNT = pytest.StashKey[Account | None]()


def pytest_configure(config: pytest.Config) -> None:
    recorder = config.stash[_RECORDER] = Recorder()
    recorder.start()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run that contacted anything but this machine."""
    made = session.config.stash[_ACCOUNT] = session.config.stash[_RECORDER].finish()
    if made is not None and not made.clean and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left = [item for item in terminalreporter.stats.get("deselected", ()) if item.get_closest_marker("long")]
    if left:
        terminalreporter.write_line(f"left out: {len(left)} long campaigns, which make test-long runs")
    made = config.stash.get(_ACCOUNT, None)
    if made is not None:
        terminalreporter.write_line(made.line(), green=made.clean, red=not made.clean)
