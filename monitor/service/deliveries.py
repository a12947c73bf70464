"""The outbox on its page: what went out, what waits and until when, and the digests that are to come."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.app import App
from monitor.models import Delivery
from monitor.service import Scheduled, scheduled
from monitor.service.desk import midnights, zone
from monitor.store.reports import Standing

A_PAGE = 50  # messages
SLOTS = 4  # digests to come that are shown


@dataclass(frozen=True, slots=True)
class DeliveriesView:
    """A part of the outbox. `hours` are (the hour's beginning, messages taken), the present one last.

    `scheduled` are digests to come, the next first: no messages yet, and on the first page of all of them.
    """

    rows: tuple[Delivery, ...]
    scheduled: tuple[Scheduled, ...]
    standings: Mapping[Standing, int]
    standing: Standing | None
    more: int
    hours: tuple[tuple[datetime, int], ...]
    sent_today: int
    median: float | None
    slowest: float | None


def deliveries_view(app: App, now: datetime, *, standing: Standing | None = None, before: int = 0) -> DeliveriesView:
    """Return a page of the outbox, those that stand so, with an id below `before`."""
    reports = app.store.reports
    rows = reports.messages(now, standing, before, A_PAGE + 1)
    today = midnights(app, now, 1)[0]
    hour = now.astimezone(zone(app)).replace(minute=0, second=0, microsecond=0)
    sent = reports.sent_since(min(today, hour - timedelta(hours=23)))
    hours = [hour - timedelta(hours=back) for back in range(23, -1, -1)]
    counts = Counter(int((taken - hours[0]) / timedelta(hours=1)) for _, taken in sent if taken >= hours[0])
    took = sorted((taken - made).total_seconds() for made, taken in sent if taken >= today)
    return DeliveriesView(
        rows=tuple(rows[:A_PAGE]),
        scheduled=() if standing or before else scheduled(app, now)[:SLOTS],
        standings=reports.standings(now),
        standing=standing,
        more=rows[A_PAGE - 1].id or 0 if len(rows) > A_PAGE else 0,
        hours=tuple((at, counts[number]) for number, at in enumerate(hours)),
        sent_today=len(took),
        median=statistics.median(took) if took else None,
        slowest=took[-1] if took else None,
    )
