"""Feed health and the poll schedule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete as sa_delete
from sqlalchemy import update as sa_update
from sqlmodel import Session, col, func, select

from monitor.models import Delivery, FeedDocument, FeedState, HubLease, Sighting, SiteRest
from monitor.store import outbox
from monitor.timing import SERVER_DELAY_CAP, due

Transaction = Callable[[], AbstractContextManager[Session]]
LISTED_WITHIN = timedelta(days=1)
MOST_SEEN = 10_000
LONGEST_REST = timedelta(seconds=SERVER_DELAY_CAP)


class Feeds:
    """Reads and writes of `feed_state`."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def ensure(self, feeds: Mapping[str, str], now: datetime) -> None:
        """Give each feed (name → address) that has none a state, due now; a changed address begins anew.

        The validators of the other address are dropped, its hub's pushes are no longer wanted, and the first document
        is a baseline where it shares no story with what is known.
        """
        with self._write() as session:
            known = {state.feed: state for state in session.exec(select(FeedState))}
            for name, url in feeds.items():
                state = known.get(name)
                if state is None:
                    session.add(FeedState(feed=name, url=url, next_poll_at=now))
                elif state.url != url:
                    session.delete(state)
                    session.execute(sa_delete(FeedDocument).where(col(FeedDocument.feed) == name))
                    session.execute(
                        sa_update(HubLease)
                        .where(col(HubLease.feed) == name, col(HubLease.state) != "leaving")
                        .values(state="leaving", next_at=now, tries=0)
                    )
                    session.flush()
                    session.add(FeedState(feed=name, url=url, next_poll_at=now, changed_at=state.changed_at))

    def states(self) -> dict[str, FeedState]:
        """Return all states by feed."""
        with self._read() as session:
            return {state.feed: state for state in session.exec(select(FeedState))}

    def get(self, feed: str) -> FeedState | None:
        """Return one feed's state."""
        with self._read() as session:
            return session.get(FeedState, feed)

    def due(self, feeds: Collection[str], now: datetime) -> list[FeedState]:
        """Return the states of those `feeds` to poll now, the longest overdue first.

        A due time further ahead than the feed's own interval allows is due: the clock went back.
        """
        with self._read() as session:
            rows = session.exec(select(FeedState).order_by(col(FeedState.next_poll_at)))
            return [s for s in rows if s.feed in feeds and due(s.next_poll_at, s.interval, now)]

    def update(self, feed: str, **values: Any) -> None:
        """Set fields of a feed's state; none, where its address is no longer the `url` among them."""
        with self._write() as session:
            update(session, feed, values)

    def document(self, feed: str) -> str:
        """Return the items of a feed's last document, as they were saved with its stories, or ""."""
        with self._read() as session:
            found = session.get(FeedDocument, feed)
            return "" if found is None else found.seen

    def rest(self, site: str, now: datetime) -> datetime | None:
        """Return until when `site` is to be left alone; None when it is not."""
        with self._read() as session:
            row = session.get(SiteRest, site)
            # One further ahead than any may be (the clock went back) is none.
            return row.until if row is not None and now < row.until <= now + LONGEST_REST else None

    def set_rest(self, site: str, until: datetime, now: datetime) -> None:
        """Leave `site` alone; forget the rests that are over."""
        with self._write() as session:
            session.execute(sa_delete(SiteRest).where(col(SiteRest.until) <= now))
            session.merge(SiteRest(site=site, until=until))

    def tell(self, told: Mapping[str, str], messages: Collection[Delivery]) -> None:
        """Put messages about feeds into the outbox, and record of each feed what is told of it."""
        with self._write() as session:
            for message in messages:
                outbox.add(session, message, ())
            for feed, what in told.items():
                update(session, feed, {"told": what})

    def make_due(self, feed: str, now: datetime) -> None:
        """Have a feed polled with the next look for due ones, if it is known."""
        with self._write() as session:
            session.execute(sa_update(FeedState).where(col(FeedState.feed) == feed).values(next_poll_at=now))

    def hurry(self, since: datetime, now: datetime) -> None:
        """Make the feeds due that have failed without any answer since a time."""
        with self._write() as session:
            session.execute(
                sa_update(FeedState)
                .where(
                    col(FeedState.failures) > 0,
                    col(FeedState.status).is_(None),
                    col(FeedState.failing_since) >= since,
                )
                .values(next_poll_at=now)
            )

    def known(self, feed: str, guids: Collection[str]) -> dict[str, str]:
        """Return the content hash that each of `guids` had when last seen in `feed`."""
        with self._read() as session:
            return {s.guid: s.content_hash for s in sightings(session, feed, guids)}

    def seen(self, feed: str, since: datetime) -> tuple[datetime | None, list[datetime]]:
        """Return when `feed` was first seen to have a story, and since `since` the times of those that came later.

        What a first poll brings is no news; of the others the latest `MOST_SEEN`.
        """
        with self._read() as session:
            first = session.exec(select(func.min(Sighting.seen_at)).where(Sighting.feed == feed)).one()
            if first is None:
                return None, []
            rows = session.exec(
                select(Sighting.seen_at)
                .where(
                    Sighting.feed == feed,
                    col(Sighting.baseline).is_(False),
                    col(Sighting.seen_at) > max(first, since),
                )
                .order_by(col(Sighting.seen_at).desc())
                .limit(MOST_SEEN)
            )
            return first, list(rows)


def update(session: Session, feed: str, values: Mapping[str, Any], seen: str | None = None) -> None:
    """Set fields of a feed's state within a transaction, and the items of its document where they are given.

    `url` among them is the declared address that was asked: where another one is declared by now nothing is set, since
    what one address answers says nothing of another, which is due.
    """
    state = session.get(FeedState, feed)
    assert state is not None, f"feed {feed} has no state"
    if values.get("url", state.url) != state.url:
        return
    for name, value in values.items():
        setattr(state, name, value)
    if seen is not None:
        session.merge(FeedDocument(feed=feed, seen=seen))


def listed(session: Session, feed: str, guids: Collection[str], now: datetime) -> None:
    """Record that the feed's document has `guids`, for those of which it was not recorded within `LISTED_WITHIN`."""
    wanted = list(guids)
    for start in range(0, len(wanted), 500):
        session.execute(
            sa_update(Sighting)
            .where(
                col(Sighting.feed) == feed,
                col(Sighting.guid).in_(wanted[start : start + 500]),
                col(Sighting.listed_at) <= now - LISTED_WITHIN,
            )
            .values(listed_at=now)
        )


def sightings(session: Session, feed: str, guids: Collection[str]) -> list[Sighting]:
    """Return the sightings of `guids` in `feed`, in chunks that every database takes."""
    wanted = list(guids)
    found: list[Sighting] = []
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        found += session.exec(select(Sighting).where(Sighting.feed == feed, col(Sighting.guid).in_(chunk))).all()
    return found
