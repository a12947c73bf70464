"""Many feeds at once, as `python -m tests.benchmarks.polling load` has them, in small."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.polling import load

FEEDS, EVERY, SECONDS = 1_000, 40.0, 20.0


@pytest.mark.acceptance
@pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address only")
@pytest.mark.timeout(280)
def test_a_thousand_feeds_are_polled_in_time_and_each_story_comes_once(tmp_path: Path) -> None:
    found = load(FEEDS, EVERY, SECONDS, tmp_path)
    print(found)
    assert found.polls >= 0.8 * FEEDS / EVERY * SECONDS
    assert found.late_most <= 5
    assert found.published > 50
    assert (found.lost, found.doubled) == (0, 0)
