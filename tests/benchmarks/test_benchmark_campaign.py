"""A whole run at the smallest pace: every scenario that a bar needs is measured, and no call fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.bars import judge
from benchmarks.scenarios import Pace

from benchmarks import campaign, document

SMALLEST = Pace(
    quick=True,
    warm_up=0.2,
    closed_seconds=0.3,
    open_seconds=0.3,
    rate=50,
    connections=(64,),
    latencies_ms=(0,),
    many_streams=20,
    stream_seconds=1.0,
    growth_keys=(10, 20),
    growth_entries=(0, 2000),
    first_byte_streams=10,
    rounds=1,
)


@pytest.mark.long
def test_every_bar_but_the_sizes_that_were_not_asked_for_is_measured(tmp_path: Path) -> None:
    results = campaign.run(tmp_path, SMALLEST, with_peers=False, say=lambda _: None)
    missing = [finding.bar.promise for finding in judge(results) if finding.measured is None]
    assert missing == ["memory at 1,000 keys", "memory at 100,000 keys"]
    assert [note for note in results.notes if "failed" in note or "not measured" in note] == []
    assert "## The bars" in document.render(results)
    assert list(tmp_path.glob("gateway-*")) == []
