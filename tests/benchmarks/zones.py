"""Every time zone × seven times of day × two years of digest slots: no day without its slot, none with two.

    python -m tests.benchmarks.zones

tests/test_zones.py looks at the days around the changes of clocks alone. 599 zones: 3.07 million slots, about two
minutes and a half of processor time.
"""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from monitor.config import DigestSchedule
from tests.test_zones import DAYS, FIRST, TIMES, ZONES, slots


def main() -> None:
    """Count slots, days without one and days with two."""
    begun, count, missing, twice = time.process_time(), 0, 0, 0
    dates = {f"{FIRST + timedelta(days=n):%Y-%m-%d}" for n in range(DAYS)}
    last = FIRST + timedelta(days=DAYS - 1)
    for number, name in enumerate(ZONES, 1):
        for at in TIMES:
            made = list(slots(DigestSchedule(at=(at,)), ZoneInfo(name), FIRST, last))
            days = [slot.local[:10] for slot in made]
            count += len(made)
            missing += len(dates - set(days))
            twice += len(days) - len(set(days))
            assert all(a.at < b.at for a, b in pairwise(made)), name
        if number % 50 == 0:
            print(f"{number} zones, {count:,} slots, {time.process_time() - begun:.0f} s", flush=True)
    print(f"{len(ZONES)} zones × {len(TIMES)} times × {DAYS} days: {count:,} slots, {missing} missing, {twice} twice")


if __name__ == "__main__":
    main()
