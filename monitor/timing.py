"""When: the next poll, the next try, digest slots, quiet hours. Pure: the present is always an argument."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from monitor.config import DigestSchedule, Feed, Polling, QuietHours

# Minutes × √(stories a day): the interval that minimises the mean delay for a given number of polls grows with
# 1/√rate, and 65 gives about 11 polls a second for 10,000 feeds (measured on 140 news feeds: notes on feeds, 1b).
SQRT_RULE = 65 * 60.0
WHOLE_LEAST, WHOLE_MOST = 24 * 3600.0, 48 * 3600.0  # seconds between two fetches without validators
MOVED_AFTER, MOVED_POLLS = timedelta(days=6), 10  # Feedbin's time and NewsBlur's count
GONE_AGAIN = 7 * 24 * 3600.0  # seconds
RETRY_BASE, RETRY_FACTOR, RETRY_CAP = 30.0, 3.0, 3600.0
SERVER_DELAY_CAP = 24 * 3600.0
# Soft failures (429, 5xx) and DNS trouble pass more often than a 404 does (Media Cloud's weights).
FAILURE_WEIGHTS = {"soft": 0.5, "dns": 0.25, "hard": 1.0, "blocked": 1.0}


def poll_interval(feed: Feed, polling: Polling, per_day: float) -> float:
    """Return the seconds between two polls of a healthy feed that brings `per_day` stories a day."""
    if feed.every is not None:
        return feed.every
    rule = SQRT_RULE / math.sqrt(per_day) if per_day > 0 else polling.max
    return min(max(rule, polling.min), polling.max)


def moved_for_good(since: datetime, polls: int, now: datetime) -> bool:
    """Whether permanent redirects that led to one address for so many polls in a row are to be taken at their word."""
    return polls >= MOVED_POLLS and now - since >= MOVED_AFTER


def failure_delay(feed: Feed, polling: Polling, failures: int, kind: str, retry_after: float | None) -> float:
    """Return the seconds until a failing feed is polled again: linear back-off that never stops for good.

    It starts at the shortest interval, not at the feed's own, so that a feed is back soon after the network or a server
    is, and ends at the longest. `failures` counts those in a row, this one included. A `Retry-After` is honoured, up to
    a day. One that is gone for good is asked once a week, in case it is not.
    """
    if kind == "gone":
        return GONE_AGAIN
    shortest = feed.every if feed.every is not None else polling.min
    delay = min(shortest * (1 + FAILURE_WEIGHTS[kind] * failures), max(polling.max, shortest))
    return delay if retry_after is None else max(delay, min(retry_after, SERVER_DELAY_CAP))


def whole_due(due_at: datetime | None, now: datetime) -> bool:
    """Whether a feed's document is to be asked for without validators, since these may lie (notes on feeds, rule 4)."""
    return due_at is None or due(due_at, WHOLE_MOST, now)


def next_whole(now: datetime, rng: random.Random) -> datetime:
    """Return when that is due again: 24 to 48 hours later."""
    return now + timedelta(seconds=rng.uniform(WHOLE_LEAST, WHOLE_MOST))


def spread(seconds: float, rng: random.Random) -> float:
    """Return `seconds` within ±5 %, so that feeds polled together drift apart; short fixed intervals stay exact."""
    return seconds if seconds < 60 else seconds * rng.uniform(0.95, 1.05)


def due(next_at: datetime, interval: float, now: datetime) -> bool:
    """Whether a stored due time has come; one further ahead than its own interval allows (the clock went back) has."""
    return next_at <= now or next_at - now > timedelta(seconds=interval)


def retry_delay(attempts: int, retry_after: float | None, rng: random.Random) -> float:
    """Return the seconds until the next attempt: full jitter over 30 s × 3ⁿ, at most an hour; Retry-After wins."""
    if retry_after is not None:
        return min(max(retry_after, 1.0), SERVER_DELAY_CAP)
    return max(1.0, rng.uniform(0, min(RETRY_CAP, RETRY_BASE * RETRY_FACTOR ** min(attempts - 1, 20))))


@dataclass(frozen=True, slots=True)
class Slot:
    """A digest's boundary: the instant, and its date and time as declared ("2026-11-25 07:00")."""

    local: str
    at: datetime


def _instant(day: date, at: str, zone: ZoneInfo) -> datetime:
    """One instant for each local date and time: a time that a clock change skips moves forward by the change, and of
    one that comes twice the first is taken. (`fold=0` means just that: PEP 495.)"""
    hour, minute = map(int, at.split(":"))
    return datetime.combine(day, time(hour, minute), tzinfo=zone).astimezone(UTC)


def _slots(schedule: DigestSchedule, zone: ZoneInfo, around: datetime, days: range) -> list[Slot]:
    today = around.astimezone(zone).date()
    dates = [today + timedelta(days=n) for n in days]
    return sorted(
        (
            Slot(f"{day:%Y-%m-%d} {at}", _instant(day, at, zone))
            for day in dates
            if day.weekday() in schedule.days
            for at in schedule.at
        ),
        key=lambda slot: (slot.at, slot.local),
    )


def next_slot(schedule: DigestSchedule, zone: ZoneInfo, after: datetime) -> Slot:
    """Return the first slot later than `after`."""
    return next(slot for slot in _slots(schedule, zone, after, range(-1, 10)) if slot.at > after)


def last_slot(schedule: DigestSchedule, zone: ZoneInfo, until: datetime) -> Slot:
    """Return the latest slot at or before `until`: the one a daemon that was down catches up with."""
    return [slot for slot in _slots(schedule, zone, until, range(-10, 2)) if slot.at <= until][-1]


def quiet_until(quiet: QuietHours, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return when the quiet hours that hold at `now` end, in UTC; None outside of them.

    A night that crosses midnight belongs to the day it begins on, which is the one that `days` names.
    """
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if day.weekday() not in quiet.days:
            continue
        over = quiet.end <= quiet.start
        start = _instant(day, quiet.start, zone)
        end = _instant(day + timedelta(days=1) if over else day, quiet.end, zone)
        if start <= now < end:
            return end
    return None
