"""The daemon-wide budget: messages beyond it are held, and the operators told once.

It is there for mistakes (a feed re-dated, a topic too broad), which would else mail everybody before anyone could stop
it. What is held waits for a person: `monitor release` lets it go or drops it.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta

from monitor.app import App
from monitor.dispatch import Notice, per
from monitor.models import Delivery
from monitor.pipeline.outgoing import notices
from monitor.store import OVER_BUDGET, Spending

log = logging.getLogger(__name__)


class Budget:
    """Charges the messages of one transaction, `work`, which begins at `now`."""

    def __init__(self, app: App, work: Spending, now: datetime) -> None:
        self._app, self._work, self._now = app, work, now
        self._limit = app.config.settings.budget
        self._made: int | None = None
        self._topics: Counter[str] = Counter()  # of this transaction's messages, which need not be in the tables yet

    def charge(self, row: Delivery) -> bool:
        """Mark a message that is about to be put into the outbox as held where the budget is used up; whether it is."""
        if self._limit is None:
            return False
        since = self._now - timedelta(seconds=self._limit.per)
        if self._made is None:
            self._made = self._work.messages_since(since)
        self._topics.update(row.topics)
        if self._made < self._limit.count:
            self._made += 1
            return False
        row.state, row.code = "held", OVER_BUDGET
        row.detail = f"the budget of {per(self._limit, 'message')} was used up"
        if not self._work.is_holding():
            self._tell_operators(since)
        return True

    def _tell_operators(self, since: datetime) -> None:
        assert self._limit is not None
        budget = per(self._limit, "message")
        log.error("the budget of %s is used up: further messages are held until `monitor release`", budget)
        counts = self._topics + self._work.topics_between(since, self._now)
        topics = [f"{name} ({count:,})" for name, count in counts.most_common(3)]
        lines = (
            f"The budget of {budget} is used up. Further messages are made, and held: nothing is lost, and nobody gets "
            "them before you say so.",
            *([f"Most of the latest messages are about {', '.join(topics)}."] if topics else []),
            "Polling goes on, and new messages go out again as the time passes that the budget counts over.",
            "`monitor deliveries --state held` shows what is held; `monitor release` sends it and `release --drop` "
            "drops it: `--topic T` and `--subscriber S` choose. Of what is held later you are told once this is empty.",
        )
        title = f"Messages are held: the budget of {budget} is used up"
        for row in notices(self._app, f"budget:{self._now.isoformat()}", Notice(title, lines), self._now):
            self._work.add_message(row)
