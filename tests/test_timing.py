"""When: digest slots across clock changes, quiet hours, back-off."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from monitor import timing
from monitor.config import DigestSchedule, Feed, Polling, QuietHours

ALL_DAYS = frozenset(range(7))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def schedule(*times: str, days: frozenset[int] = ALL_DAYS) -> DigestSchedule:
    return DigestSchedule.model_construct(at=times, days=days, via=("mail",), empty="skip")


def quiet(start: str, end: str, days: frozenset[int] = ALL_DAYS) -> QuietHours:
    return QuietHours.model_construct(start=start, end=end, days=days, except_severity=None)


SLOTS = [
    # (zone, time of day, after, the slot, its instant)
    ("Europe/London", "07:00", "2026-11-25T06:59:59Z", "2026-11-25 07:00", "2026-11-25T07:00:00Z"),
    ("Europe/London", "07:00", "2026-11-25T07:00:00Z", "2026-11-26 07:00", "2026-11-26T07:00:00Z"),
    ("Asia/Kolkata", "00:00", "2026-11-25T18:29:00Z", "2026-11-26 00:00", "2026-11-25T18:30:00Z"),
    # 02:30 does not exist on this day in Berlin: it moves forward by the change.
    ("Europe/Berlin", "02:30", "2027-03-27T23:00:00Z", "2027-03-28 02:30", "2027-03-28T01:30:00Z"),
    # 02:30 comes twice: the first is taken, and the second is none.
    ("Europe/Berlin", "02:30", "2026-10-24T23:00:00Z", "2026-10-25 02:30", "2026-10-25T00:30:00Z"),
    ("Europe/Berlin", "02:30", "2026-10-25T00:30:00Z", "2026-10-26 02:30", "2026-10-26T01:30:00Z"),
    # Midnight does not exist on this day in Cairo, and APScheduler's CronTrigger sends no digest then.
    ("Africa/Cairo", "00:00", "2027-04-29T12:00:00Z", "2027-04-30 00:00", "2027-04-29T22:00:00Z"),
]


@pytest.mark.parametrize(("zone", "time_of_day", "after", "local", "instant"), SLOTS)
def test_the_next_slot_is_one_a_local_date(zone: str, time_of_day: str, after: str, local: str, instant: str) -> None:
    slot = timing.next_slot(schedule(time_of_day), ZoneInfo(zone), at(after))
    assert (slot.local, slot.at) == (local, at(instant))


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"])
@pytest.mark.parametrize("time_of_day", ["00:00", "01:30", "02:00", "02:30", "07:00", "23:59"])
def test_two_years_of_slots_miss_no_date_and_repeat_none(zone: str, time_of_day: str) -> None:
    moment, seen = at("2026-01-01T12:00:00Z"), []
    for _ in range(730):
        slot = timing.next_slot(schedule(time_of_day), ZoneInfo(zone), moment)
        assert slot.at > moment
        moment = slot.at
        seen.append(date.fromisoformat(slot.local.partition(" ")[0]))
    assert seen == [seen[0] + timedelta(days=n) for n in range(730)]


def test_weekday_slots_skip_the_weekend() -> None:
    friday_noon = at("2026-11-27T12:00:00Z")
    slot = timing.next_slot(schedule("07:00", days=frozenset(range(5))), ZoneInfo("UTC"), friday_noon)
    assert slot.local == "2026-11-30 07:00"


def test_several_slots_a_day_come_in_order() -> None:
    declared = schedule("17:00", "07:00")
    first = timing.next_slot(declared, ZoneInfo("UTC"), at("2026-11-25T06:00:00Z"))
    second = timing.next_slot(declared, ZoneInfo("UTC"), first.at)
    assert [first.local, second.local] == ["2026-11-25 07:00", "2026-11-25 17:00"]


def test_catching_up_takes_the_latest_slot_that_has_passed() -> None:
    slot = timing.last_slot(schedule("07:00"), ZoneInfo("Europe/London"), at("2026-11-25T09:00:00Z"))
    assert slot.local == "2026-11-25 07:00"


QUIET = [
    # (from, to, days, now in London, end or None)
    ("22:00", "07:00", ALL_DAYS, "2026-11-25T23:00:00Z", "2026-11-26T07:00:00Z"),
    ("22:00", "07:00", ALL_DAYS, "2026-11-25T06:59:00Z", "2026-11-25T07:00:00Z"),
    ("22:00", "07:00", ALL_DAYS, "2026-11-25T07:00:00Z", None),
    ("22:00", "07:00", ALL_DAYS, "2026-11-25T21:59:00Z", None),
    ("13:00", "14:00", ALL_DAYS, "2026-11-25T13:30:00Z", "2026-11-25T14:00:00Z"),
    # Friday's night reaches into Saturday though Saturday is not named; Saturday's own night does not begin.
    ("22:00", "07:00", frozenset(range(5)), "2026-11-28T03:00:00Z", "2026-11-28T07:00:00Z"),
    ("22:00", "07:00", frozenset(range(5)), "2026-11-28T23:00:00Z", None),
    # The night in which the clocks go back is an hour longer.
    ("22:00", "07:00", ALL_DAYS, "2026-10-24T21:30:00Z", "2026-10-25T07:00:00Z"),
]


@pytest.mark.parametrize(("start", "end", "days", "now", "until"), QUIET)
def test_quiet_hours_hold_until_their_end(
    start: str, end: str, days: frozenset[int], now: str, until: str | None
) -> None:
    found = timing.quiet_until(quiet(start, end, days), ZoneInfo("Europe/London"), at(now))
    assert found == (at(until) if until else None)


def test_a_retry_waits_at_most_three_times_longer_each_time_and_never_over_an_hour() -> None:
    rng = random.Random(1)
    for attempts, most in [(1, 30), (2, 90), (3, 270), (4, 810), (5, 2430), (6, 3600), (50, 3600)]:
        delays = [timing.retry_delay(attempts, None, rng) for _ in range(300)]
        assert min(delays) >= 1
        assert most * 0.9 < max(delays) <= most


def test_a_servers_retry_after_wins_up_to_a_day() -> None:
    assert timing.retry_delay(1, 120, random.Random(1)) == 120
    assert timing.retry_delay(1, 9e9, random.Random(1)) == 86400


def feed(every: float | None) -> Feed:
    return Feed.model_construct(name="f", every=every)


POLLING = Polling.model_construct(min=300.0, max=7200.0)


MONDAY = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def even(per_day: float) -> timing.Rhythm:
    return timing.Rhythm((per_day / 24,) * 24, (1.0,) * 7)


def test_a_fixed_interval_is_kept_and_an_adaptive_one_goes_by_the_root_of_the_rate() -> None:
    def interval(every: float | None, per_day: float) -> float:
        return timing.poll_interval(feed(every), POLLING, even(per_day), MONDAY)

    assert interval(1.0, 500) == 1.0
    assert interval(None, 0) == 7200
    assert interval(None, 1) == pytest.approx(3900)
    assert interval(None, 4) == pytest.approx(1950)
    assert interval(None, 16) == pytest.approx(975)
    assert interval(None, 100_000) == 300


def test_a_feed_may_have_bounds_of_its_own() -> None:
    def interval(per_day: float, **own: float) -> float:
        bounded = feed(None).model_copy(update=own)
        assert timing.failure_delay(bounded, POLLING, 1000, "hard", None) == timing.bounds(bounded, POLLING)[1]
        return timing.poll_interval(bounded, POLLING, even(per_day), MONDAY)

    assert interval(100_000, min=1200.0) == 1200
    assert interval(100_000, min=10_800.0) == 10_800  # above the longest of all
    assert interval(0, max=900.0) == 900
    assert interval(0, max=120.0) == 120  # below the shortest of all
    assert interval(1, min=600.0, max=86_400.0) == pytest.approx(3900)


def test_the_interval_grows_before_quiet_hours_and_ends_with_them() -> None:
    day = timing.Rhythm(tuple(2.0 if 8 <= hour < 20 else 0.0 for hour in range(24)), (1.0,) * 7)
    wide = Polling.model_construct(min=300.0, max=86_400.0)

    def interval(hour: int, minute: int = 0) -> float:
        return timing.poll_interval(feed(None), wide, day, MONDAY.replace(hour=hour, minute=minute))

    assert interval(12) == pytest.approx(3900 / 48**0.5)
    assert interval(20) > 5 * interval(12)
    # The night is slept through, and the first poll is soon after the morning begins.
    assert timedelta(hours=3) < timedelta(seconds=interval(4)) < timedelta(hours=4, minutes=15)


SPANS = [
    # (what the document covers in hours, floor in minutes, the interval in minutes)
    (None, 0, 65),
    (48, 0, 65),
    (1.5, 0, 30),
    (0.1, 0, 5),
    (None, 90, 90),
    (1.5, 180, 180),
    (None, 30, 65),
    (None, 100 * 60, 24 * 60),
]


@pytest.mark.parametrize(("hours", "floor", "minutes"), SPANS)
def test_the_interval_is_a_third_of_what_the_document_covers_and_no_less_than_the_server_asks(
    hours: float | None, floor: float, minutes: float
) -> None:
    span = None if hours is None else hours * 3600
    found = timing.poll_interval(feed(None), POLLING, even(1), MONDAY, span=span, floor=floor * 60)
    assert found == pytest.approx(minutes * 60)
    assert timing.poll_interval(feed(60.0), POLLING, even(1), MONDAY, span=span, floor=floor * 60) == 60


def test_a_pushed_feed_is_polled_four_times_less_often_within_the_same_bounds() -> None:
    wide = Polling(min=60, max=10 * 86400)

    def both(polling: Polling, per_day: float, **other: float) -> tuple[int, ...]:
        found = (
            timing.poll_interval(feed(None), polling, even(per_day), MONDAY, pushed=p, **other) for p in (False, True)
        )
        return tuple(round(seconds / 60) for seconds in found)

    assert both(wide, 100) == (6, 26)
    assert both(POLLING, 1) == (65, 120)
    assert both(wide, 100, span=45 * 60) == (6, 15)
    assert both(wide, 100, floor=3600) == (60, 60)
    assert both(wide, 0.1) == (206, 822)
    assert both(wide, 0.004) == (1028, 1440)  # a day at least
    assert both(wide, 0.001) == (2055, 2055)
    assert timing.poll_interval(feed(60.0), POLLING, even(1), MONDAY, pushed=True) == 60


def test_a_rhythm_is_learnt_from_two_weeks_and_begins_with_what_is_expected() -> None:
    def learnt(*ago: float, watched: float) -> timing.Rhythm:
        seen = [MONDAY - timedelta(days=days) for days in ago]
        return timing.learn(seen, MONDAY - timedelta(days=watched), MONDAY, 24)

    assert learnt(watched=0).per_day == pytest.approx(24)
    assert learnt(watched=0).hours == pytest.approx((1.0,) * 24)
    assert learnt(watched=11).per_day == pytest.approx(2)
    assert learnt(watched=100).per_day == pytest.approx(24 / 15)
    assert learnt(20, 30, watched=100) == learnt(watched=100)
    half_past_nine = learnt(*range(1, 14), watched=14)
    assert half_past_nine.per_day == pytest.approx((13 + 24) / 15)
    assert half_past_nine.hours[9] > 2 * half_past_nine.hours[20]
    assert learnt(1, 8, watched=14).weekdays[6] > 1.5 * learnt(1, 8, watched=14).weekdays[2]
    assert timing.Rhythm.of(half_past_nine.as_list()) == half_past_nine
    assert timing.Rhythm.of([]).per_day == pytest.approx(timing.EXPECTED)


def test_what_a_document_covers_is_not_stretched_by_one_old_story_or_a_future_one() -> None:
    times = [MONDAY - timedelta(hours=n) for n in range(20)]
    assert timing.document_span(times, MONDAY) == 17 * 3600
    pinned = [*times, MONDAY - timedelta(days=400), MONDAY + timedelta(days=3)]
    assert timing.document_span(pinned, MONDAY) == 18 * 3600
    assert timing.document_span(times[:2], MONDAY) is None
    assert timing.document_span([MONDAY] * 9, MONDAY) is None


def news(days: int, hours: range, weekdays: range = range(7)) -> list[datetime]:
    """Return the times of hourly news in some hours of some weekdays, up to `MONDAY`."""
    every = [MONDAY - timedelta(hours=n) for n in range(days * 24)]
    return [at for at in every if at.hour in hours and at.weekday() in weekdays]


def test_a_feed_is_silent_after_six_of_its_usual_gaps_in_its_own_hours() -> None:
    long_ago = MONDAY - timedelta(days=90)

    def silent(seen: list[datetime], now: datetime = MONDAY) -> float | None:
        found = timing.silent_at(seen, long_ago, now)
        return None if found is None else (found - now) / timedelta(hours=1)

    assert silent(news(14, range(24))) == pytest.approx(6, rel=0.1)
    # By day it takes longer than six hours, since the mean gap is two; at night it waits for the morning.
    assert silent(news(14, range(8, 20))) == pytest.approx(12, rel=0.15)
    evening = MONDAY.replace(hour=19) - timedelta(days=1)
    assert (silent(news(14, range(8, 20)), evening) or 0) > 15
    friday = MONDAY - timedelta(days=2, hours=14)
    before = [at for at in news(20, range(8, 20), range(5)) if at <= friday]
    assert (silent(before, friday) or 0) > 60
    assert silent(news(14, range(24))[:5]) is None
    assert silent([]) is None


def test_feeds_that_begin_together_part() -> None:
    rng = random.Random(1)
    first = [timing.spread(600, rng, first=True) for _ in range(200)]
    assert min(first) < 330
    assert 570 < max(first) <= 600
    assert all(570 <= timing.spread(600, rng) <= 630 for _ in range(200))
    assert timing.spread(10, rng, first=True) == 10


def test_failures_back_off_linearly_from_the_shortest_interval_to_the_longest_and_never_stop() -> None:
    feed, polling = Feed(name="wire", url="http://feeds.example/wire.xml"), Polling()
    hard = [timing.failure_delay(feed, polling, n, "hard", None) for n in (1, 2, 3, 1000)]
    assert hard == [600, 900, 1200, 7200]
    assert timing.failure_delay(feed, polling, 1, "dns", None) == 375
    assert timing.failure_delay(feed, polling, 4, "soft", None) == 900
    assert timing.failure_delay(feed, polling, 1, "soft", 7000) == 7000
    assert timing.failure_delay(feed, polling, 1, "soft", 9e9) == 86400
    fixed = feed.model_copy(update={"every": 600.0})
    assert timing.failure_delay(fixed, polling, 1, "hard", None) == 1200


def test_a_due_time_further_ahead_than_its_interval_is_due_because_the_clock_went_back() -> None:
    now = datetime.combine(date(2026, 11, 25), time(12), tzinfo=UTC)
    assert not timing.due(now + timedelta(seconds=60), 300, now)
    assert timing.due(now + timedelta(seconds=301), 300, now)
    assert timing.due(now, 300, now)
