"""Feed health and the poll schedule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, starmap
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Update, and_, bindparam, case, or_
from sqlalchemy import delete as sa_delete
from sqlalchemy import update as sa_update
from sqlmodel import Session, col, func, select, text

from monitor.models import Delivery, FeedDocument, FeedState, HubLease, Outage, Sighting, SiteRest, Story, UTCDateTime
from monitor.store import outbox
from monitor.timing import SERVER_DELAY_CAP, due

T = TypeVar("T")
Transaction = Callable[[], AbstractContextManager[Session]]
LISTED_WITHIN = timedelta(days=1)
# Documents are read as a whole, and what they have is recorded, with the first poll after two days at most.
UNLISTED_AFTER = timedelta(days=4)
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
            known = dict(session.exec(select(FeedState.feed, FeedState.url)).all())
            new = (FeedState(feed=name, url=url, next_poll_at=now) for name, url in feeds.items() if name not in known)
            while some := list(islice(new, 1000)):  # of 50,000 at once the objects alone take 200 MB
                session.bulk_save_objects(some)
            for name, url in feeds.items():
                if known.get(name, url) == url:
                    continue
                state = session.get_one(FeedState, name)
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

    def briefs(self) -> dict[str, Brief]:
        """Return by feed what its state is told by: of many feeds it takes a tenth of the time of `states`."""
        with self._read() as session:
            return {row[0]: Brief(*row) for row in session.connection().execute(_BRIEFS)}

    def rhythms(self) -> dict[str, Sequence[float]]:
        """Return each feed's rhythm."""
        with self._read() as session:
            return dict(session.exec(select(FeedState.feed, FeedState.rhythm)).all())

    def some(self, feeds: Collection[str]) -> dict[str, FeedState]:
        """Return the states of some feeds."""
        with self._read() as session:
            found: dict[str, FeedState] = {}
            for chunk in _chunks(feeds):
                found.update((state.feed, state) for state in session.exec(_STATES, params={"of": chunk}))
            return found

    def remarkable(self, slow: float, since: datetime) -> dict[str, FeedState]:
        """Return, by feed, the states of those that are not simply well, or were not when the operators heard of them.

        These are new, failing, gone, silent, slower than `slow` seconds, moved, or have a possible gap since a time.
        Of many feeds it takes a hundredth of the time of `states`.
        """
        wanted = or_(
            col(FeedState.succeeded_at).is_(None),
            col(FeedState.failures) > 0,
            col(FeedState.gone_since).is_not(None),
            col(FeedState.silent_at) <= col(FeedState.succeeded_at),
            col(FeedState.took) >= slow,
            col(FeedState.address).is_not(None),
            col(FeedState.gap_at) >= since,
            col(FeedState.told) != "",
        )
        with self._read() as session:
            return {state.feed: state for state in session.exec(select(FeedState).where(wanted))}

    def answered(self) -> datetime | None:
        """Return when a server answered last, whatever it said."""
        with self._read() as session:
            return session.exec(select(func.max(FeedState.polled_at)).where(col(FeedState.status).is_not(None))).one()

    def outage(self) -> Outage | None:
        """Return when our own network seemed to be down last, as far as it is on record."""
        with self._read() as session:
            return session.exec(select(Outage)).first()

    def set_outage(self, outage: Outage) -> None:
        """Put that on record, in place of an earlier one."""
        with self._write() as session:
            session.execute(sa_delete(Outage).where(col(Outage.since) != outage.since))
            session.merge(outage)

    def get(self, feed: str) -> FeedState | None:
        """Return one feed's state."""
        with self._read() as session:
            return session.get(FeedState, feed)

    def due(self, free: Callable[[Coming], bool], now: datetime, most: int) -> list[FeedState]:
        """Return the states of feeds to poll now, the longest overdue first: the first `most` that are `free`."""
        with self._read() as session:
            # Row by row: most ticks need few of those that are due after a long stop.
            rows = session.connection().execute(_COMING, {"now": now})
            found = list(islice(filter(free, starmap(Coming, rows)), most))
            rows.close()
            if not found:
                return []
            states = {state.feed: state for state in session.exec(_STATES, params={"of": [one.feed for one in found]})}
            return [states[one.feed] for one in found if one.feed in states]

    def bring_forward(self, now: datetime) -> None:
        """Make the feeds due whose due time is further ahead than their own interval allows: the clock went back."""
        with self._write() as session:
            schedule = select(FeedState.feed, FeedState.next_poll_at, FeedState.interval)
            ahead = session.exec(schedule.where(FeedState.next_poll_at > now)).all()
            update(session, [(feed, {"next_poll_at": now}, None) for feed, at, wait in ahead if due(at, wait, now)])

    def update(self, feed: str, **values: Any) -> None:
        """Set fields of a feed's state; none, where its address is no longer the `url` among them."""
        self.save([(feed, values)])

    def save(self, states: Collection[tuple[str, Mapping[str, Any]]]) -> None:
        """Set fields of several feeds' states, as `update` does."""
        with self._write() as session:
            update(session, [(feed, values, None) for feed, values in states])

    def documents(self, feeds: Collection[str]) -> dict[str, str]:
        """Return by feed the items of its last document, as they were saved with its stories."""
        with self._read() as session:
            found: dict[str, str] = {}
            for chunk in _chunks(feeds):
                found.update((feed, seen) for feed, seen in session.connection().execute(_DOCUMENTS, {"of": chunk}))
            return found

    def rests(self, now: datetime) -> dict[str, datetime]:
        """Return the sites that are to be left alone, and until when."""
        with self._read() as session:
            # One further ahead than any may be (the clock went back) is none.
            rows = session.connection().execute(_RESTS, {"now": now, "most": now + LONGEST_REST})
            return dict(rows.all())

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
            update(session, [(feed, {"told": what}, None) for feed, what in told.items()])

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

    def histories(self, asked: Collection[tuple[str, Collection[str]]], since: datetime) -> list[History]:
        """Return what is known of each feed and of the guids that it brings, with its stories' times since a time."""
        with self._read() as session:
            known = _known(session, asked)
            first, seen = _seen(session, [feed for feed, _ in asked], since)
            return [History(known[feed], first.get(feed), seen.get(feed, ())) for feed, _ in asked]

    def has_any(self, feed: str, keys: Collection[str]) -> bool:
        """Whether a feed had any of the stories of `keys`, under whatever guid."""
        with self._read() as session:
            had = select(Sighting.id).join(Story, col(Story.id) == col(Sighting.story_id)).where(Sighting.feed == feed)
            return any(session.exec(had.where(col(Story.key).in_(some)).limit(1)).first() for some in _chunks(keys))


class Coming(NamedTuple):
    """What is asked of a feed that is due, to see whether there is a place for its poll."""

    feed: str
    succeeded_at: datetime | None
    failures: int
    reading: float


class Brief(NamedTuple):
    """What a feed's state is told by (`pipeline.health.verdict`), and what feeds are listed by."""

    feed: str
    polled_at: datetime | None
    succeeded_at: datetime | None
    gone_since: datetime | None
    silent_at: datetime | None
    failures: int
    took: float
    next_poll_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a feed: the content hash that each guid asked about had when last seen, when it was first seen
    to have a story, and the times of those that came later.

    What a first poll brings is no news; of the others `seen` has the latest `MOST_SEEN`.
    """

    known: Mapping[str, str]
    first: datetime | None
    seen: Sequence[datetime]


# Statements of every poll are made once: to make one takes longer than to run it. They are run past the session, which
# has no objects of theirs.
_COMING = (
    select(FeedState.feed, FeedState.succeeded_at, FeedState.failures, FeedState.reading)
    .where(col(FeedState.next_poll_at) <= bindparam("now"))
    .order_by(col(FeedState.next_poll_at))
)
_BRIEFS = select(*(getattr(FeedState, name) for name in Brief._fields))
_STATES = select(FeedState).where(col(FeedState.feed).in_(bindparam("of", expanding=True)))
_RESTS = select(SiteRest.site, SiteRest.until).where(
    col(SiteRest.until) > bindparam("now"), col(SiteRest.until) <= bindparam("most")
)
_OF_FEED = col(Sighting.feed) == bindparam("of")
_OF_GUIDS = col(Sighting.guid).in_(bindparam("guids", expanding=True))
_OF_FEEDS = col(Sighting.feed).in_(bindparam("feeds", expanding=True))
_KNOWN = select(Sighting.feed, Sighting.guid, Sighting.content_hash).where(_OF_FEEDS, _OF_GUIDS)
_SIGHTINGS = select(Sighting).where(_OF_FEEDS, _OF_GUIDS)
_FIRST = select(Sighting.feed, func.min(Sighting.seen_at)).where(_OF_FEEDS).group_by(col(Sighting.feed))
_SEEN = (
    select(Sighting.feed, Sighting.seen_at)
    .where(_OF_FEEDS, col(Sighting.baseline).is_(False), col(Sighting.seen_at) > bindparam("since"))
    .order_by(col(Sighting.seen_at).desc())
    .limit(bindparam("most"))
)
_LISTED = (
    sa_update(Sighting)
    .where(_OF_FEED, _OF_GUIDS, col(Sighting.listed_at) <= bindparam("before"))
    .values(listed_at=bindparam("now"))
)
_DOCUMENTS = select(FeedDocument.feed, FeedDocument.seen).where(
    col(FeedDocument.feed).in_(bindparam("of", expanding=True))
)
_KEEP_DOCUMENT = text(
    "INSERT INTO feed_document (feed, seen) SELECT feed, :is FROM feed_state WHERE feed = :of AND url = :url"
    " ON CONFLICT (feed) DO UPDATE SET seen = excluded.seen"
)


def _known(session: Session, asked: Collection[tuple[str, Collection[str]]]) -> dict[str, dict[str, str]]:
    """Return by feed the content hash that each of its guids asked about had when last seen there."""
    wanted = {feed: frozenset(guids) for feed, guids in asked}
    found: dict[str, dict[str, str]] = {feed: {} for feed in wanted}
    for chunk in _chunks([(feed, guid) for feed, guids in wanted.items() for guid in guids]):
        feeds, guids = ({place[n] for place in chunk} for n in (0, 1))
        rows = session.connection().execute(_KNOWN, {"feeds": list(feeds), "guids": list(guids)})
        for feed, guid, content_hash in rows:
            if guid in wanted[feed]:
                found[feed][guid] = content_hash
    return found


def _seen(
    session: Session, feeds: Collection[str], since: datetime
) -> tuple[dict[str, datetime], dict[str, list[datetime]]]:
    """Return by feed when it was first seen to have a story, and since `since` the times of those that came later."""
    first: dict[str, datetime] = {}
    seen: dict[str, list[datetime]] = {}
    for chunk in _chunks(feeds):
        first.update((feed, at) for feed, at in session.connection().execute(_FIRST, {"feeds": chunk}))
        wanted = {"feeds": chunk, "since": since, "most": MOST_SEEN * len(chunk)}
        for feed, at in session.connection().execute(_SEEN, wanted):
            if at > first[feed] and len(seen.setdefault(feed, [])) < MOST_SEEN:
                seen[feed].append(at)
    return first, seen


def update(session: Session, states: Collection[tuple[str, Mapping[str, Any], str | None]]) -> None:
    """Set fields of feeds' states within a transaction, and the items of each one's document where they are given.

    `url` among them is the declared address that was asked: where another one is declared by now nothing is set, since
    what one address answers says nothing of another, which is due. `was_due` is when the poll that brings them was due:
    where the feed was made due anew meanwhile (its hub told of news, our network is back), the sooner time stands.
    """
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for feed, values, _ in states:
        if values:
            named = {f"new_{name}": value for name, value in values.items()}
            alike.setdefault(tuple(values), []).append({"of": feed, **named})
    for names, rows in alike.items():
        session.connection().execute(_setting(names), rows)
    documents = [
        {"of": feed, "is": seen, "url": values.get("url")} for feed, values, seen in states if seen is not None
    ]
    if documents:
        session.connection().execute(_KEEP_DOCUMENT, documents)


@lru_cache(maxsize=100)
def _setting(names: tuple[str, ...]) -> Update:
    """Return the statement that sets these fields. To make it takes ten times as long as to run it."""
    statement = sa_update(FeedState).where(col(FeedState.feed) == bindparam("of"))
    if "url" in names:
        statement = statement.where(col(FeedState.url) == bindparam("new_url"))
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names if name != "was_due"}
    if "was_due" in names:
        stored, fresh = col(FeedState.next_poll_at), bindparam("new_next_poll_at", type_=UTCDateTime)
        sooner = and_(stored != bindparam("new_was_due", type_=UTCDateTime), stored < fresh)
        values["next_poll_at"] = case((sooner, stored), else_=fresh)
    return statement.values(values)


def listed(session: Session, feed: str, guids: Collection[str], now: datetime) -> None:
    """Record that the feed's document has `guids`, for those of which it was not recorded within `LISTED_WITHIN`."""
    for chunk in _chunks(guids):
        session.connection().execute(_LISTED, {"of": feed, "guids": chunk, "before": now - LISTED_WITHIN, "now": now})


def sightings(session: Session, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Sighting]:
    """Return the sightings at `places`, each a feed and a guid."""
    found: dict[tuple[str, str], Sighting] = {}
    for chunk in _chunks(places):
        feeds, guids = ({place[n] for place in chunk} for n in (0, 1))
        for row in session.exec(_SIGHTINGS, params={"feeds": list(feeds), "guids": list(guids)}):
            found[row.feed, row.guid] = row
    return found


def _chunks(some: Collection[T]) -> Iterator[list[T]]:
    """Yield `some` by so many as every database takes in one statement."""
    wanted = list(some)
    for start in range(0, len(wanted), 500):
        yield wanted[start : start + 500]
