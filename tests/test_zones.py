"""Digest slots and quiet hours in every time zone there is, over two years, around each change of their clocks.

Away from a change nothing depends on the zone, so only a day of such a stretch is looked at; `python -m
tests.benchmarks.zones` goes through all days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest

from monitor.config import DigestSchedule, QuietHours
from monitor.timing import Slot, next_slot, quiet_until

FIRST, DAYS = date(2026, 1, 1), 731
TIMES = ("00:00", "00:30", "01:30", "02:00", "02:30", "07:00", "23:30")
ZONES = sorted(available_timezones())
STEP = timedelta(minutes=15)  # the offsets of these years, and the changes of clocks, are multiples of it
# A part of the zones each, so that a failure names its part and several processes share the work.
PARTS = [ZONES[start::6] for start in range(6)]

QUIET = [
    # (from, to, minutes as declared)
    ("22:00", "07:00", 540),
    ("00:00", "06:00", 360),
    ("23:30", "00:30", 60),
    ("01:30", "02:30", 60),
    ("02:15", "02:45", 30),
    ("02:30", "01:30", 1380),
    ("07:00", "06:45", 1425),
]


@cache
def change_dates(name: str) -> tuple[date, ...]:
    """The dates on which a zone's clocks change."""
    zone, found = ZoneInfo(name), []
    before = datetime.combine(FIRST, time(0), UTC).astimezone(zone).utcoffset()
    for number in range(1, DAYS + 1):
        at = datetime.combine(FIRST + timedelta(days=number), time(0), UTC).astimezone(zone)
        if at.utcoffset() != before:
            before = at.utcoffset()
            found.append(at.date())
    return tuple(found)


def stretches(name: str) -> Iterator[tuple[date, date]]:
    """Yield (first, last) dates that hold a zone's changes, or some day where it has none."""
    for day in change_dates(name) or (FIRST + timedelta(days=100),):
        yield day - timedelta(days=1), day + timedelta(days=1)


def instants(zone: ZoneInfo, first: date, last: date) -> dict[datetime, datetime]:
    """Return the first instant of each wall-clock time of these dates, found by letting the time pass."""
    at, end = (datetime.combine(day, time(0), UTC) + shift for day, shift in (
        (first, timedelta(days=-1)), (last, timedelta(days=2))))  # fmt: skip
    found: dict[datetime, datetime] = {}
    while at < end:
        found.setdefault(at.astimezone(zone).replace(tzinfo=None), at)
        at += STEP
    return found


def expected(found: dict[datetime, datetime], day: date, at: str) -> datetime:
    """Return when a digest is due: the first instant that shows the time; where it is skipped, later by the change."""
    wall = datetime.combine(day, time.fromisoformat(at))
    if wall in found:
        return found[wall]
    before, late = wall, timedelta(0)
    while before not in found:
        before, late = before - STEP, late + STEP
    return found[before] + late


def slots(schedule: DigestSchedule, zone: ZoneInfo, first: date, last: date) -> Iterator[Slot]:
    """Yield the slots of these local dates as the daemon goes through them: each is looked for from the one before."""
    slot = next_slot(schedule, zone, datetime.combine(first, time(0), UTC) - timedelta(days=2))
    while slot.local[:10] <= f"{last:%Y-%m-%d}":
        if slot.local[:10] >= f"{first:%Y-%m-%d}":
            yield slot
        slot = next_slot(schedule, zone, slot.at)


@pytest.mark.parametrize("part", range(len(PARTS)))
def test_each_local_date_has_one_slot_of_each_time_in_every_zone(part: int) -> None:
    for name in PARTS[part]:
        zone = ZoneInfo(name)
        for first, last in stretches(name):
            found = instants(zone, first, last)
            dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
            due = {at: [expected(found, day, at) for day in dates] for at in TIMES}
            for at in TIMES:
                made = list(slots(DigestSchedule(at=(at,)), zone, first, last))
                assert [slot.local for slot in made] == [f"{day:%Y-%m-%d} {at}" for day in dates], name
                assert [slot.at for slot in made] == due[at], name
            several = [slot.at for slot in slots(DigestSchedule(at=TIMES), zone, first, last)]
            # Two times that a change makes one instant are one digest.
            assert several == sorted({one for times in due.values() for one in times}), name


@pytest.mark.parametrize("part", range(len(PARTS)))
def test_quiet_hours_end_and_are_never_longer_than_declared_and_the_change(part: int) -> None:
    for name in PARTS[part]:
        zone = ZoneInfo(name)
        for day in change_dates(name) or (FIRST,):
            start = datetime.combine(day, time(0), UTC) - timedelta(days=1)
            times = [start + n * 2 * STEP for n in range(3 * 48)]
            walls = [at.astimezone(zone) for at in times]
            offsets = [offset for wall in walls if (offset := wall.utcoffset()) is not None]
            change = max(offsets) - min(offsets)
            far = [(at, wall.time()) for at, wall in zip(times, walls, strict=True) if is_far(at, zone)]
            for begin, end, declared in QUIET:
                ends = check_quiet(QuietHours(start=begin, end=end), zone, times, timedelta(minutes=declared), change)
                for at, wall in far:
                    assert is_inside(wall, begin, end) == (ends[at] is not None), (name, at)


def check_quiet(
    quiet: QuietHours, zone: ZoneInfo, times: list[datetime], declared: timedelta, change: timedelta
) -> dict[datetime, datetime | None]:
    """Follow the quiet hours through `times`, and return their end at each: what is held is let out in time."""
    ends = {at: quiet_until(quiet, zone, at) for at in times}
    for end in {end for end in ends.values() if end is not None}:
        held = [at for at, until in ends.items() if until == end]
        assert end - min(held) <= declared + change, (zone, quiet, end)
        assert min(held) < end, (zone, quiet, end)
        # One night has no hole: what comes in it is let out together.
        assert held == [at for at in times if min(held) <= at < end], (zone, quiet, end)
        # A break that a change skips is a moment long: what was held goes, and the next night begins.
        assert quiet_until(quiet, zone, end) is None or timedelta(days=1) - declared <= change, (zone, quiet, end)
    return ends


def is_far(at: datetime, zone: ZoneInfo) -> bool:
    """Whether no change of clocks is within a day."""
    day = timedelta(days=1)
    return (at - day).astimezone(zone).utcoffset() == (at + day).astimezone(zone).utcoffset()


def is_inside(wall: time, begin: str, end: str) -> bool:
    """Whether a time on a wall is in the quiet hours as declared."""
    start, stop = time.fromisoformat(begin), time.fromisoformat(end)
    return start <= wall < stop if start < stop else not stop <= wall < start
