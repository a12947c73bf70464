"""Digest slots and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select, tuple_

from monitor.dispatch import Report
from monitor.models import Decision, Delivery, DigestSlot, DigestWindow, Match, Story
from monitor.store import outbox
from monitor.store.ingest import outlets
from monitor.store.policies import Spending, muted, paused

Transaction = Callable[[], AbstractContextManager[Session]]
# Matches of a window that one digest looks at; what lies beyond is far past what it can show.
WINDOW_LIMIT = 20_000
BASELINE_AGE = timedelta(days=1)


class Slots:
    """Reads and writes of digest slots, and reads of what is turned off."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def all(self) -> dict[str, DigestSlot]:
        """Return all slots by subscriber."""
        with self._read() as session:
            return {slot.subscriber: slot for slot in session.exec(select(DigestSlot))}

    def save(self, slot: DigestSlot) -> None:
        """Save a slot, in place of the subscriber's earlier one."""
        with self._write() as session:
            session.merge(slot)

    def drop(self, subscriber: str) -> None:
        """Forget a subscriber's slot."""
        with self._write() as session:
            slot = session.get(DigestSlot, subscriber)
            if slot is not None:
                session.delete(slot)

    def muted(self, now: datetime | None = None) -> dict[str, frozenset[str]]:
        """Return the topics that each subscriber turned off; `*` stands for all. At `now`, where that is given."""
        with self._read() as session:
            return muted(session, now)


class Window(Spending):
    """Reads of what a digest is made of, within one open transaction."""

    def muted(self, subscriber: str, now: datetime | None = None) -> frozenset[str]:
        """Return the topics that a subscriber turned off; `*` stands for all. At `now`, where that is given."""
        return muted(self._session, now).get(subscriber, frozenset())

    def paused(self, now: datetime) -> dict[str, datetime]:
        """Return the subscribers who are away, and until when."""
        return paused(self._session, now)

    def matches(
        self, topics: Collection[str], since: datetime, until: datetime
    ) -> list[tuple[Match, Story, tuple[str, ...]]]:
        """Return the matches of `topics` in (`since`, `until`] with their story and the event's other outlets.

        A first poll's stories are among them when they are younger than a day at `since`: older ones are no news.
        """
        fresh = since - BASELINE_AGE
        rows = self._session.exec(
            select(Match, Story)
            .join(Story, col(Story.id) == col(Match.story_id))
            .where(
                col(Match.topic).in_(topics),
                col(Match.matched_at) > since,
                col(Match.matched_at) <= until,
                # An effective time is first sight where the claim lies far back, so the claim itself counts here.
                col(Match.alerting).is_(True) | (func.coalesce(Story.claimed_at, Story.effective_at) > fresh),
            )
            .order_by(col(Match.id).desc())
            .limit(WINDOW_LIMIT)
        ).all()
        sources = outlets(self._session, {story.event_id for _, story in rows if story.event_id is not None})
        return [
            (match, story, tuple(s for s in sources.get(story.event_id or 0, ()) if s != story.source))
            for match, story in rows
        ]

    def first_reports(self, event_ids: Collection[int]) -> dict[int, Report]:
        """Return the earliest report of each event, whichever its topics."""
        of_events = col(Story.event_id).in_(event_ids)
        earliest = select(Story.event_id, func.min(Story.effective_at)).where(of_events).group_by(col(Story.event_id))
        rows = self._session.exec(
            select(Story)
            .where(of_events, tuple_(col(Story.event_id), col(Story.effective_at)).in_(earliest))
            .order_by(col(Story.id).desc())
        )
        return {row.event_id or 0: Report(row.title, row.url, row.source, row.effective_at) for row in rows}

    def held_back(
        self, subscriber: str, reasons: Collection[str], since: datetime, until: datetime
    ) -> set[tuple[int, str]]:
        """Return the (story, topic) pairs not sent to `subscriber` in (`since`, `until`] for one of `reasons`."""
        rows = self._session.exec(
            select(Decision).where(
                Decision.subscriber == subscriber,
                col(Decision.reason).in_(reasons),
                col(Decision.decided_at) > since,
                col(Decision.decided_at) <= until,
            )
        )
        return {(row.story_id, topic) for row in rows for topic in row.topics}


class Closing(Window):
    """The steps that close a slot: what its digest holds is read in the transaction that moves the slot on."""

    def slot(self, subscriber: str) -> DigestSlot | None:
        """Return a subscriber's slot."""
        return self._session.get(DigestSlot, subscriber)

    def close(
        self,
        slot: DigestSlot,
        following: DigestSlot | None,
        windows: Sequence[DigestWindow],
        deliveries: Sequence[tuple[Delivery, Collection[int]]],
    ) -> list[Delivery]:
        """Put a slot's digests into the outbox, record its `windows`, and move to the `following` slot, if there is.

        Returns the digests that were put there: not one whose key was there before.
        """
        added = [delivery for delivery, story_ids in deliveries if outbox.add(self._session, delivery, story_ids)]
        self._session.add_all(windows)
        if following is None:
            self._session.delete(slot)
        else:
            self._session.merge(following)
        return added
