"""How many stories matched a topic, and when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from sqlmodel import Session, col, func, select

from monitor.models import Match, Policy, Story

Transaction = Callable[[], AbstractContextManager[Session]]


class Volumes:
    """Counts of matches. What a feed's first poll brought is old news, and counts for nothing."""

    def __init__(self, read: Transaction) -> None:
        self._read = read

    def counts(self, topic: str, spans: Sequence[tuple[datetime, datetime]]) -> list[int]:
        """Return how many stories matched a topic in each span, from its first moment to before its last."""
        with self._read() as session:
            counted = select(func.count()).select_from(Match).where(Match.topic == topic, col(Match.alerting).is_(True))
            at = col(Match.matched_at)
            return [session.exec(counted.where(at >= since, at < until)).one() for since, until in spans]

    def events(self, topics: Collection[str], since: datetime) -> dict[str, int]:
        """Return how many events each of `topics` matched since a time; those without any are left out."""
        with self._read() as session:
            rows = session.exec(
                select(Match.topic, func.count(func.distinct(Story.event_id)))
                .join(Story, col(Story.id) == col(Match.story_id))
                .where(col(Match.topic).in_(topics), col(Match.matched_at) >= since, col(Match.alerting).is_(True))
                .group_by(col(Match.topic))
            )
            return dict(rows.all())

    def bounds(self, topic: str) -> tuple[datetime, datetime] | None:
        """Return when a topic matched first and last; None: never yet."""
        with self._read() as session:
            asked = select(func.min(Match.matched_at), func.max(Match.matched_at)).where(
                Match.topic == topic, col(Match.alerting).is_(True)
            )
            first, last = session.exec(asked).one()
            return None if first is None else (first, last)

    def followed_since(self, topic: str) -> datetime | None:
        """Return when the first story came that a topic was tried on; None: none yet."""
        with self._read() as session:
            tried = col(Policy.rules)[topic].as_string().is_not(None)
            return session.exec(select(func.min(Policy.since)).where(tried)).one()

    def came_in(self, since: datetime, until: datetime) -> bool:
        """Whether any story at all came in between two times."""
        with self._read() as session:
            found = select(Story.id).where(col(Story.first_seen_at) >= since, col(Story.first_seen_at) < until).limit(1)
            return session.exec(found).first() is not None
