"""The feeds on their page: those that cannot be relied on first, with what each brought in two weeks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from monitor.app import App
from monitor.service.desk import SPARK, midnights
from monitor.service.feeds import FeedHealth, feed_briefs, feed_health
from monitor.timing import Rhythm

FEEDS_A_PAGE = 40


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A feed on the page: its health, and stories a day, today's last."""

    health: FeedHealth
    host: str
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FeedsView:
    """A part of the feeds, and how many there are in each state; `found` is how many fit what was asked for."""

    rows: tuple[FeedRow, ...]
    counts: Mapping[str, int]
    found: int
    skipped: int
    total: int
    declared: int


FeedOrder = Literal["problems", "name", "stories", "slowest", "last", "next"]


def feeds_view(
    app: App, now: datetime, *, words: str = "", state: str = "", order: str = "problems", skip: int = 0
) -> FeedsView:
    """Return the feeds whose name, publisher or address has `words`, of a state (or `problems`), a page of them."""
    health = feed_briefs(app)
    wanted = words.casefold().strip()
    fitting = [
        feed
        for feed in health
        if (not wanted or any(wanted in text.casefold() for text in (feed.name, feed.source, feed.url)))
        and (not state or feed.state == state or (state == "problems" and feed.is_problem))
    ]
    never = datetime.min.replace(tzinfo=now.tzinfo)
    if order == "name":
        fitting.sort(key=lambda feed: feed.name)
    elif order == "stories":
        rhythms = app.store.feeds.rhythms()
        fitting.sort(key=lambda feed: -Rhythm.of(rhythms.get(feed.name, ())).per_day)
    elif order == "slowest":
        fitting.sort(key=lambda feed: -feed.took)
    elif order == "last":
        fitting.sort(key=lambda feed: feed.polled_at or never)
    elif order == "next":
        fitting.sort(key=lambda feed: feed.next_poll_at or now + timedelta(days=999))
    shown = feed_health(app, [feed.name for feed in fitting[skip : skip + FEEDS_A_PAGE]])
    bounds = midnights(app, now, SPARK)
    seen = app.store.reports.seen_in([feed.name for feed in shown], bounds[0])
    rows = tuple(FeedRow(feed, urlsplit(feed.url).hostname or "", _by_day(seen[feed.name], bounds)) for feed in shown)
    counts: Counter[str] = Counter(feed.state for feed in health)
    return FeedsView(rows, counts, len(fitting), skip, sum(feed.state != "paused" for feed in health), len(health))


def _by_day(times: Iterable[datetime], bounds: Sequence[datetime]) -> tuple[int, ...]:
    here = bounds[0].tzinfo
    counts = Counter(at.astimezone(here).date() for at in times)
    return tuple(counts[bound.date()] for bound in bounds[:-1])
