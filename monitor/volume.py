"""How much of a topic there is, against what is usual. Pure.

Usual is the median of the same weekday over the last eight weeks; a topic of less than three is too new to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

WEEKS, WEEKS_LEAST = 8, 3

Span = tuple[datetime, datetime]  # from the first, not included, to the last


def day(now: datetime, zone: ZoneInfo) -> Span:
    """Return the day of `now`, from its midnight in `zone` to the next."""
    local = now.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC)


def earlier(span: Span, zone: ZoneInfo, days: int = 7, count: int = WEEKS) -> list[Span]:
    """Return the same hours of the clock `days` before, and so on: `count` spans, the latest first."""
    since, until = (moment.astimezone(zone) for moment in span)
    steps = (timedelta(days=days * step) for step in range(1, count + 1))
    # Differences of local times go by the clock on the wall, through changes of it.
    return [((since - step).astimezone(UTC), (until - step).astimezone(UTC)) for step in steps]


def usual(counts: Sequence[int], spans: Sequence[Span], first: datetime | None) -> float | None:
    """Return what is usual by the `counts` in `spans`, of a topic whose first match was at `first`.

    None where it is too new to say: spans that began before it count for nothing.
    """
    known = [count for count, (since, _) in zip(counts, spans, strict=True) if first is not None and since >= first]
    # The week of the first match is one of them in part, which is enough to say that the topic was followed.
    return float(median(known)) if len(known) >= WEEKS_LEAST else None


def is_spike(count: int, usual: float | None, times: float, at_least: int) -> bool:
    """Whether a day's `count` is `times` the usual one, and `at_least` so many; never where usual is not known."""
    return usual is not None and count >= at_least and count >= times * usual
