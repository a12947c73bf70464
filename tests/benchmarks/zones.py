"""Every time zone × two years of digest slots and quiet hours, day by day, against a clock that is let run.

    python -m tests.benchmarks.zones

tests/test_zones.py looks at the days around the changes of clocks alone, at more moments of them. Here are all days:
the slot of each of seven times of day (one a local date, at the first instant that shows the time, or later by the
change that skips it), and of each of seven quiet hours the moment before they begin, the first, the last and the next.
"""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from monitor.config import DigestSchedule, QuietHours
from monitor.timing import quiet_until
from tests.test_zones import DAYS, FIRST, QUIET, STEP, TIMES, ZONES, expected, instants, slots

DATES = [FIRST + timedelta(days=n) for n in range(DAYS)]


def check_slots(name: str, found: dict[datetime, datetime]) -> tuple[int, int, int, int]:
    """Return how many slots a zone has, days without one, days with two, and slots at another time than is due."""
    count = missing = twice = wrong = 0
    for at in TIMES:
        made = list(slots(DigestSchedule(at=(at,)), ZoneInfo(name), FIRST, DATES[-1]))
        days = [slot.local[:10] for slot in made]
        count += len(made)
        missing += len({f"{day:%Y-%m-%d}" for day in DATES} - set(days))
        twice += len(days) - len(set(days))
        wrong += sum(slot.at != expected(found, date.fromisoformat(slot.local[:10]), at) for slot in made)
        wrong += sum(before.at >= after.at for before, after in pairwise(made))
    return count, missing, twice, wrong


def check_nights(name: str, found: dict[datetime, datetime]) -> tuple[int, int]:
    """Return how many nights of quiet hours a zone has, and moments of them at which they hold otherwise than due."""
    zone, count, wrong = ZoneInfo(name), 0, 0
    for begin, end, _ in QUIET:
        quiet, over = QuietHours(start=begin, end=end), timedelta(days=end <= begin)
        nights = [(expected(found, day, begin), expected(found, day + over, end)) for day in DATES[1:-1]]
        for (_, before), (start, stop), (after, later) in zip(nights, nights[1:], nights[2:], strict=False):
            if start >= stop:  # all of it is skipped by a change of clocks
                continue
            count += 1
            first = start if before <= start else before  # a night that a change makes longer ends before the next
            wrong += quiet_until(quiet, zone, first) != stop
            wrong += quiet_until(quiet, zone, stop - STEP) != stop
            if before <= start - STEP:
                wrong += quiet_until(quiet, zone, start - STEP) is not None
            wrong += quiet_until(quiet, zone, stop) != (later if after <= stop < later else None)
    return count, wrong


def main() -> None:
    """Count slots and nights, and what is wrong with them."""
    begun = time.process_time()
    count = missing = twice = wrong = nights = amiss = 0
    for number, name in enumerate(ZONES, 1):
        found = instants(ZoneInfo(name), FIRST, DATES[-1])
        made = check_slots(name, found)
        count, missing, twice, wrong = (a + b for a, b in zip((count, missing, twice, wrong), made, strict=True))
        held, other = check_nights(name, found)
        nights, amiss = nights + held, amiss + other
        if number % 50 == 0:
            print(f"{number} zones, {count:,} slots, {time.process_time() - begun:.0f} s", flush=True)
        if any(made[1:]) or other:
            print(f"{name}: {made[1:]}, {other} moments of quiet hours")
    print(
        f"{len(ZONES)} zones × {DAYS} days: {count:,} slots, {missing} missing, {twice} twice, {wrong} at other times\n"
        f"{nights:,} nights of quiet hours, {amiss} moments otherwise than due; {time.process_time() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
