"""When: the next poll, the next try, digest slots, quiet hours. Pure: the present is always an argument."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from monitor.config import DigestSchedule, Feed, Polling, QuietHours

# Minutes × √(stories a day): the interval that minimises the mean delay for a given number of polls grows with
# 1/√rate, and 65 gives about 11 polls a second for 10,000 feeds (measured on 140 news feeds: notes on feeds, 1b).
SQRT_RULE = 65 * 60.0
# The same where the rate changes with the hour: λT²/2 = SQRT_RULE²/2 says that a poll is due when the stories expected
# since the last one have waited for so many seconds in sum.
WAITED = SQRT_RULE**2 / 2 / 86400
HISTORY = timedelta(days=14)  # what a feed's rhythm is learnt from
EXPECTED, MOST_EXPECTED = 12.0, 300.0  # stories a day of a feed of which nothing is known; and at most, of any at first
SMOOTHING = 4.0  # days of the mean that each hour of the day counts for beside its own stories
SUNDAYS = 0.5  # the same for each weekday
OVERLAP = 1 / 3  # of the time that a document covers
PUSHED, PUSHED_MOST = 4.0, 24 * 3600.0  # times its own interval, and seconds, that a pushed feed is left unpolled
SILENT = 6.0  # usual gaps without a story
FEW = 5  # of its polls that brought stories: with no more a feed has no usual gap
WHOLE_LEAST, WHOLE_MOST = 24 * 3600.0, 48 * 3600.0  # seconds between two fetches without validators
MOVED_AFTER, MOVED_POLLS = timedelta(days=6), 10  # Feedbin's time and NewsBlur's count
GONE_AGAIN = 7 * 24 * 3600.0  # seconds
RETRY_BASE, RETRY_FACTOR, RETRY_CAP = 30.0, 3.0, 3600.0
SERVER_DELAY_CAP = 24 * 3600.0
# Soft failures (429, 5xx) and DNS trouble pass more often than a 404 does (Media Cloud's weights).
FAILURE_WEIGHTS = {"soft": 0.5, "dns": 0.25, "hard": 1.0, "blocked": 1.0}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a feed publishes: stories an hour by hour of the day (UTC), and each weekday's part of that (Monday first).

    Simulated with the headlines of 34 outlets, stories wait 15 % less by it than by the mean rate; finer hours, whole
    weeks, bursts and other lengths of history gain nothing more (tests/benchmarks/intervals.py).
    """

    hours: tuple[float, ...]
    weekdays: tuple[float, ...]

    @property
    def per_day(self) -> float:
        """Stories a day, on the average."""
        return sum(self.hours)

    def until_waited(self, now: datetime, waited: float, most: float) -> float:
        """Return in how many seconds the stories expected from `now` on will have waited `waited` s in sum."""
        count = 0.0
        for passed, length, rate in self._hours(now, most):
            gained = count * length + rate * length**2 / 2
            if gained >= waited:  # within this hour, where count · x + rate · x² / 2 is what is wanted
                return min(passed + 2 * waited / (count + math.sqrt(count**2 + 2 * rate * waited)), most)
            waited -= gained
            count += rate * length
        return most

    def until_expected(self, now: datetime, stories: float, most: float) -> float:
        """Return in how many seconds so many stories are expected."""
        for passed, length, rate in self._hours(now, most):
            if rate * length >= stories:
                return min(passed + stories / rate, most)
            stories -= rate * length
        return most

    def _hours(self, now: datetime, most: float) -> Iterator[tuple[float, float, float]]:
        """Yield each hour of the clock from `now` on: in how many seconds it begins, its length, stories a second."""
        passed, length = 0.0, 3600.0 - (now.minute * 60 + now.second + now.microsecond / 1e6)
        while passed < most:
            at = now + timedelta(seconds=passed)
            yield passed, length, self.hours[at.hour] * self.weekdays[at.weekday()] / 3600
            passed, length = passed + length, 3600.0

    def as_list(self) -> list[float]:
        """Return it as it is recorded."""
        return [*self.hours, *self.weekdays]

    @classmethod
    def of(cls, recorded: Sequence[float]) -> Rhythm:
        """Return what `as_list` made; of a feed without a record what is expected of any."""
        if len(recorded) != 24 + 7:
            return cls((EXPECTED / 24,) * 24, (1.0,) * 7)
        return cls(tuple(recorded[:24]), tuple(recorded[24:]))


def learn(seen: Sequence[datetime], since: datetime, now: datetime, expected: float = EXPECTED) -> Rhythm:
    """Return the rhythm of a feed that brought stories at the times `seen`, having been watched `since` then.

    `expected` stories a day count for one more day, so that a new feed has a rhythm too.
    """
    seen = [at for at in seen if at > now - HISTORY]
    days = min(max((now - since) / timedelta(days=1), 0.0), HISTORY / timedelta(days=1))
    mean = max((len(seen) + min(expected, MOST_EXPECTED)) / (days + 1), 1e-6)
    by_hour, by_weekday = [0] * 24, [0] * 7
    for at in seen:
        by_hour[at.hour] += 1
        by_weekday[at.weekday()] += 1
    around = [(by_hour[hour - 1] + by_hour[hour] + by_hour[(hour + 1) % 24]) / 3 for hour in range(24)]
    hours = [(count + SMOOTHING * mean / 24) / (days + SMOOTHING) for count in around]
    weekdays = [(by_weekday[day] + SUNDAYS * mean) / ((days / 7 + SUNDAYS) * mean) for day in range(7)]
    scale = mean / sum(hours)
    return Rhythm(tuple(hour * scale for hour in hours), tuple(weekdays))


def document_span(claimed: Collection[datetime], now: datetime) -> float | None:
    """Return how many seconds the stories of a document cover, by their claimed times; None when these do not say.

    The oldest tenth is left out: one story that is kept at the top for weeks says nothing of how fast the others go.
    """
    times = sorted(at for at in claimed if at <= now + timedelta(hours=1))
    if len(times) < 3:
        return None
    return (times[-1] - times[len(times) // 10]).total_seconds() or None


def bounds(feed: Feed, polling: Polling) -> tuple[float, float]:
    """Return the shortest and the longest interval of a feed in seconds: its own bounds, else those of all."""
    least = feed.min if feed.min is not None else min(polling.min, feed.max or polling.min)
    return least, feed.max if feed.max is not None else max(polling.max, least)


def poll_interval(
    feed: Feed,
    polling: Polling,
    rhythm: Rhythm,
    now: datetime,
    *,
    span: float | None = None,
    floor: float = 0.0,
    pushed: bool = False,
) -> float:
    """Return the seconds from `now` to the next poll of a healthy feed.

    By its rhythm, within the bounds, and at most a third of the `span` that its document covers, so that nothing is
    pushed out of it unseen. The `floor` that the server asks for goes above all of these, up to a day; what is fixed
    by `every` is the operators' own word. One whose stories are `pushed` is asked less often, and once a day at least.
    """
    if feed.every is not None:
        return feed.every
    least, most = bounds(feed, polling)
    if span is not None:
        most = min(most, max(span * OVERLAP, least))
    wait = rhythm.until_waited(now, WAITED, most)
    if pushed:
        wait = max(wait, min(PUSHED * wait, most, PUSHED_MOST))
    return max(wait, least, min(floor, SERVER_DELAY_CAP))


def silent_at(news: Sequence[datetime], since: datetime, now: datetime) -> datetime | None:
    """Return when a feed counts as silent if nothing more comes: after six of its usual gaps, in its own hours.

    `news` are the times of the polls that brought stories. A night or a weekend at which the feed is always quiet is
    no gap, and a busy hour does not make the mean gap shorter. None for a feed with too little history.
    """
    news = sorted({at for at in news if at > now - HISTORY})
    if len(news) <= FEW:
        return None
    rhythm = learn(news, since, now, expected=0.0)
    usual = rhythm.until_expected(now, SILENT, 2 * HISTORY.total_seconds())
    return now + timedelta(seconds=max(usual, SILENT * 86400 / rhythm.per_day))


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
    shortest, longest = bounds(feed, polling)
    if feed.every is not None:
        shortest = feed.every
    delay = min(shortest * (1 + FAILURE_WEIGHTS[kind] * failures), max(longest, shortest))
    return delay if retry_after is None else max(delay, min(retry_after, SERVER_DELAY_CAP))


def whole_due(due_at: datetime | None, now: datetime) -> bool:
    """Whether a feed's document is to be asked for without validators, since these may lie (notes on feeds, rule 4)."""
    return due_at is None or due(due_at, WHOLE_MOST, now)


def next_whole(now: datetime, rng: random.Random) -> datetime:
    """Return when that is due again: 24 to 48 hours later."""
    return now + timedelta(seconds=rng.uniform(WHOLE_LEAST, WHOLE_MOST))


def spread(seconds: float, rng: random.Random, *, first: bool = False) -> float:
    """Return `seconds` within ±5 %, so that feeds polled together drift apart; short fixed intervals stay exact.

    After a `first` poll it is a random part of the second half, for feeds that begin together.
    """
    if seconds < 60:
        return seconds
    return seconds * (rng.uniform(0.5, 1.0) if first else rng.uniform(0.95, 1.05))


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


def _slots(schedule: DigestSchedule, zone: ZoneInfo, day: date) -> list[Slot]:
    """The slots of a local date."""
    if day.weekday() not in schedule.days:
        return []
    return [Slot(f"{day:%Y-%m-%d} {at}", _instant(day, at, zone)) for at in schedule.at]


def _in_order(slot: Slot) -> tuple[datetime, str]:
    return slot.at, slot.local


def next_slot(schedule: DigestSchedule, zone: ZoneInfo, after: datetime) -> Slot:
    """Return the first slot later than `after`."""
    today = after.astimezone(zone).date()
    for day in (today + timedelta(days=n) for n in range(-1, 10)):
        later = [slot for slot in _slots(schedule, zone, day) if slot.at > after]
        if later:
            # Where clocks change at midnight (Nuuk), a skipped time of this date comes after the next date's first.
            later += [slot for slot in _slots(schedule, zone, day + timedelta(days=1)) if slot.at > after]
            return min(later, key=_in_order)
    raise AssertionError("a schedule has a slot each week")


def last_slot(schedule: DigestSchedule, zone: ZoneInfo, until: datetime) -> Slot:
    """Return the latest slot at or before `until`: the one a daemon that was down catches up with."""
    today = until.astimezone(zone).date()
    for day in (today + timedelta(days=n) for n in range(1, -11, -1)):
        before = [slot for slot in _slots(schedule, zone, day) if slot.at <= until]
        if before:
            before += [slot for slot in _slots(schedule, zone, day - timedelta(days=1)) if slot.at <= until]
            return max(before, key=_in_order)
    raise AssertionError("a schedule has a slot each week")


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
