"""What the adaptive interval is worth on real publishing times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import intervals


@pytest.mark.acceptance
def test_stories_wait_a_quarter_less_than_at_a_fixed_interval_with_as_many_polls(shared_data: Path) -> None:
    assert intervals.main(["--data", str(shared_data / "stories/stream.jsonl")]) == 0


@pytest.mark.acceptance
def test_that_can_be_seen_without_real_publishing_times(capsys: pytest.CaptureFixture[str]) -> None:
    assert intervals.main(["--made-up"]) == 0
    assert "made up for this benchmark" in capsys.readouterr().out
