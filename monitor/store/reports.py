"""What pages and programs read: counts by day, events by coverage, messages by state. Rows are always bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import String, case, column, literal_column, values
from sqlalchemy import select as sa_select
from sqlalchemy.orm import defer
from sqlmodel import Session, and_, col, func, or_, select

from monitor.models import Decision, Delivery, DeliveryStory, Match, Sighting, Story, Verdict
from monitor.rules.preselect import Expression
from monitor.store import fulltext
from monitor.text import StoryText

Transaction = Callable[[], AbstractContextManager[Session]]
Standing = Literal["failed", "retrying", "held", "queued", "sent", "cancelled"]
STANDINGS: tuple[Standing, ...] = ("failed", "retrying", "held", "queued", "sent", "cancelled")
CHUNK = 500  # stories read at a time
MOST_DAYS = 400  # of counts that are kept
MOST_STORIES = 100  # of one event
MOST_MATCHES = 12  # of one story, whose words are marked
MOST_EVIDENCE = 2_000  # matches whose words are counted


@dataclass(frozen=True, slots=True)
class Covered:
    """An event with stories that match: the outlets that carry those, and when the latest matched."""

    event_id: int
    sources: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class Read:
    """A story as rules see it, with its event, when it was first seen, and the time that it claims."""

    id: int
    event_id: int
    at: datetime
    claimed_at: datetime | None
    text: StoryText


@dataclass(frozen=True, slots=True)
class Since:
    """What came since a time: stories, those of them that match a topic, and their events; the latest of all ever."""

    stories: int
    matched: int
    events: int
    latest: datetime | None


class Reports:
    """Reads for pages. Days that are over do not change any more, so their counts are kept."""

    def __init__(self, read: Transaction) -> None:
        self._read = read
        self._days: dict[tuple[datetime, datetime], Mapping[str, int]] = {}

    def since(self, at: datetime) -> Since:
        """Return what came since a time; first polls' stories are no news, and count as stories only."""
        with self._read() as session:
            stories = session.exec(select(func.count()).select_from(Story).where(col(Story.first_seen_at) >= at)).one()
            matched, events = session.exec(
                select(func.count(func.distinct(Match.story_id)), func.count(func.distinct(Story.event_id)))
                .join(Story, col(Story.id) == col(Match.story_id))
                .where(col(Match.matched_at) >= at, col(Match.alerting).is_(True))
            ).one()
            latest = session.exec(select(func.max(Story.first_seen_at))).one()
            return Since(stories, matched, events, latest)

    def numbers_since(self, at: datetime, wanted: Expression | None = None) -> list[int]:
        """Return the ids of the stories first seen since a time that may have what is `wanted`, the newest first."""
        query = select(Story.id).where(col(Story.first_seen_at) >= at).order_by(col(Story.id).desc())
        with self._read() as session:
            if wanted is not None:
                query = query.where(fulltext.among(session, wanted))
            return list(session.connection().execute(query).scalars())

    def reading(self, numbers: Sequence[int]) -> Iterator[list[Read]]:
        """Yield the stories of these ids as rules see them, in their order, in chunks of a transaction.

        One that retention has removed meanwhile is left out.
        """
        columns: tuple[Any, ...] = (
            Story.id, Story.event_id, Story.first_seen_at, Story.claimed_at, Story.title, Story.summary, Story.text,
            Story.language, Story.source, Story.feed, Story.tags, Story.url, Story.author, Story.country,
        )  # fmt: skip
        for start in range(0, len(numbers), CHUNK):
            some = sa_select(*columns).where(col(Story.id).in_(numbers[start : start + CHUNK]))
            with self._read() as session:
                # Past the session, which would take as long as rules take to decide.
                rows = session.connection().execute(some.order_by(col(Story.id).desc())).all()
            yield [_read(*row) for row in rows]

    def only_first_polls(self, numbers: Sequence[int]) -> set[int]:
        """Return those of the stories that were seen in feeds' first polls alone."""
        found: set[int] = set()
        for start in range(0, len(numbers), CHUNK):
            some = col(Sighting.story_id).in_(numbers[start : start + CHUNK])
            news = func.sum(case((col(Sighting.baseline), 0), else_=1))
            grouped = select(Sighting.story_id).where(some).group_by(col(Sighting.story_id)).having(news == 0)
            with self._read() as session:
                found.update(number for number in session.exec(grouped) if number is not None)
        return found

    def outlet_times(self, event_ids: Sequence[int]) -> dict[int, dict[str, datetime]]:
        """Return when each source of events' stories first told of them."""
        found: dict[int, dict[str, datetime]] = {}
        first = func.min(Story.first_seen_at)
        for start in range(0, len(event_ids), CHUNK):
            some = col(Story.event_id).in_(event_ids[start : start + CHUNK])
            grouped = (
                select(Story.event_id, Story.source, first).where(some).group_by(col(Story.event_id), Story.source)
            )
            with self._read() as session:
                for event_id, source, at in session.exec(grouped):
                    found.setdefault(event_id or 0, {})[source] = at
        return found

    def by_day(self, bounds: Sequence[datetime], now: datetime) -> list[Mapping[str, int]]:
        """Return how many stories matched each topic as news, between each two of `bounds`, which go upward."""
        found: list[Mapping[str, int]] = []
        with self._read() as session:
            for start, end in pairwise(bounds):
                counts = self._days.get((start, end))
                if counts is None:
                    rows = session.exec(
                        select(Match.topic, func.count())
                        .where(
                            col(Match.matched_at) >= start, col(Match.matched_at) < end, col(Match.alerting).is_(True)
                        )
                        .group_by(col(Match.topic))
                    )
                    counts = dict(rows.all())
                    # A transaction that began before the day's end may end a little after it.
                    if end < now - timedelta(minutes=5):
                        self._days[start, end] = counts
                found.append(counts)
        while len(self._days) > MOST_DAYS:
            self._days.pop(next(iter(self._days)), None)
        return found

    def events_by_topic(self, since: datetime) -> dict[str, int]:
        """Return how many events each topic matched since a time."""
        pairs = (
            select(Match.topic, Story.event_id)
            .join(Story, col(Story.id) == col(Match.story_id))
            .where(col(Match.matched_at) >= since, col(Match.alerting).is_(True))
        )
        with self._read() as session:
            return dict(Counter(topic for topic, _ in set(session.connection().execute(pairs))))

    def first_polls(self, topic: str) -> int:
        """Return how many stories of feeds' first polls match a topic."""
        with self._read() as session:
            return session.exec(
                select(func.count()).select_from(Match).where(Match.topic == topic, col(Match.alerting).is_(False))
            ).one()

    def last_matches(self, topics: Collection[str]) -> dict[str, datetime]:
        """Return when each of `topics` last matched: one look into the index for each, since all matches are many."""
        if not topics:
            return {}
        named = values(column("name", String), name="named").data([(topic,) for topic in topics]).cte()
        last = sa_select(func.max(col(Match.matched_at))).where(col(Match.topic) == named.c.name).scalar_subquery()
        with self._read() as session:
            rows = session.execute(sa_select(named.c.name, last)).all()
            return {topic: at for topic, at in rows if at is not None}

    def first_seen(self) -> datetime | None:
        """Return since when there are stories."""
        with self._read() as session:
            return session.exec(select(func.min(Story.first_seen_at))).one()

    def covered(
        self, since: datetime, topic: str | None = None, *, newest: bool = False, limit: int = 10, skip: int = 0
    ) -> tuple[int, list[Covered]]:
        """Return how many events matched since a time, and some of them: the most widely covered, or newest, first."""
        wanted = [col(Match.matched_at) >= since]
        if topic is not None:
            wanted.append(col(Match.topic) == topic)
        sources = func.count(func.distinct(Story.source)).label("sources")
        latest = func.max(Match.matched_at).label("latest")
        grouped = (
            select(Story.event_id, sources, latest)
            .join(Match, col(Match.story_id) == col(Story.id))
            .where(*wanted)
            .group_by(col(Story.event_id))
        )
        order = (latest.desc(), sources.desc()) if newest else (sources.desc(), latest.desc())
        with self._read() as session:
            total = session.exec(select(func.count()).select_from(grouped.subquery())).one()
            rows = session.exec(grouped.order_by(*order, col(Story.event_id).desc()).limit(limit).offset(skip)).all()
            return total, [Covered(event_id, count, at) for event_id, count, at in rows if event_id is not None]

    def stories_of(self, event_ids: Collection[int]) -> dict[int, list[Story]]:
        """Return the stories of events without their text, the earliest first."""
        found: dict[int, list[Story]] = {event_id: [] for event_id in event_ids}
        with self._read() as session:
            for event_id in event_ids:
                found[event_id] = list(
                    session.exec(
                        select(Story)
                        .where(Story.event_id == event_id)
                        .order_by(col(Story.id))
                        .limit(MOST_STORIES)
                        .options(defer(Story.text), defer(Story.tags))  # type: ignore[arg-type]  # SQLModel's fields are columns
                    ).all()
                )
        return found

    def texts(self, story_ids: Collection[int]) -> dict[int, str]:
        """Return the text of stories."""
        with self._read() as session:
            rows = session.exec(select(Story.id, Story.text).where(col(Story.id).in_(story_ids)))
            return {story_id: text for story_id, text in rows if story_id is not None}

    def topics_of(self, story_ids: Collection[int]) -> dict[int, list[str]]:
        """Return the topics that stories match."""
        found: dict[int, list[str]] = {}
        pairs = select(Match.story_id, Match.topic).where(col(Match.story_id).in_(story_ids)).order_by(col(Match.id))
        with self._read() as session:
            for story_id, topic in session.connection().execute(pairs):
                found.setdefault(story_id, []).append(topic)
        return found

    def evidence_of(self, story_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
        """Return what was found in stories, by the first of the topics that each matches."""
        found: dict[int, list[dict[str, Any]]] = {}
        with self._read() as session:
            for story_id in story_ids:
                first = select(Match.evidence).where(Match.story_id == story_id).order_by(col(Match.id))
                found[story_id] = [one for evidence in session.exec(first.limit(MOST_MATCHES)) for one in evidence]
        return found

    def reasons_of(self, story_ids: Collection[int]) -> dict[int, dict[str, set[str]]]:
        """Return the reasons of the decisions about stories' events: by event, and by subscriber."""
        found: dict[int, dict[str, set[str]]] = {}
        with self._read() as session:
            rows = session.exec(
                select(Decision.event_id, Decision.subscriber, Decision.reason)
                .where(col(Decision.story_id).in_(story_ids))
                .distinct()
            )
            for event_id, subscriber, reason in rows:
                found.setdefault(event_id, {}).setdefault(subscriber, set()).add(reason)
        return found

    def alerts_of(self, event_ids: Collection[int]) -> dict[int, dict[str, list[tuple[str, int]]]]:
        """Return how the alerts about events stand, their states and attempts: by event, and by subscriber."""
        found: dict[int, dict[str, list[tuple[str, int]]]] = {}
        columns: tuple[Any, ...] = (
            Story.event_id, Delivery.id, Delivery.subscriber, Delivery.state, Delivery.attempts,
        )  # fmt: skip
        rows = (
            sa_select(*columns)
            .join(DeliveryStory, col(DeliveryStory.story_id) == col(Story.id))
            .join(Delivery, col(Delivery.id) == col(DeliveryStory.delivery_id))
            .where(col(Story.event_id).in_(event_ids), col(Delivery.kind) == "alert")
            .distinct()
        )
        with self._read() as session:
            for event_id, _, subscriber, state, attempts in session.connection().execute(rows):
                found.setdefault(event_id, {}).setdefault(subscriber, []).append((state, attempts))
        return found

    def words(self, topic: str, since: datetime) -> tuple[dict[str, int], int]:
        """Return in how many stories each word of a topic was found, the commonest first, and of how many."""
        with self._read() as session:
            rows = session.exec(
                select(Match.evidence)
                .where(Match.topic == topic, col(Match.matched_at) >= since)
                .order_by(col(Match.matched_at).desc())
                .limit(MOST_EVIDENCE)
            ).all()
        counts: dict[str, int] = {}
        for evidence in rows:
            for term in {f"@{one['entity']}" if one.get("entity") else one["term"] for one in evidence}:
                counts[term] = counts.get(term, 0) + 1
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0]))), len(rows)

    def came_close(self, topic: str, since: datetime, absent: str) -> tuple[int, int]:
        """Return how many stories came close to a topic since a time, and how many of these for a reason `absent`."""
        wanted: tuple[Any, ...] = (
            col(Verdict.topic) == topic,
            col(Verdict.decided_at) >= since,
            literal_column("NOT matched"),
        )
        removed = case((col(Verdict.note).startswith(absent, autoescape=True), col(Verdict.story_id)))
        near = func.count(func.distinct(Verdict.story_id))
        with self._read() as session:
            row = session.execute(sa_select(near, func.count(func.distinct(removed))).where(*wanted)).one()
            return row[0], row[1]

    def matched_at(self, topic: str, since: datetime) -> list[datetime]:
        """Return when a topic matched as news since a time."""
        wanted = (col(Match.topic) == topic, col(Match.matched_at) >= since, col(Match.alerting).is_(True))
        with self._read() as session:
            return list(session.exec(select(Match.matched_at).where(*wanted)))

    def outlets_of(self, topic: str, since: datetime) -> list[tuple[str, int]]:
        """Return how many of a topic's stories each outlet had, the most first."""
        with self._read() as session:
            count = func.count()
            rows = session.exec(
                select(Story.source, count)
                .join(Match, col(Match.story_id) == col(Story.id))
                .where(Match.topic == topic, col(Match.matched_at) >= since)
                .group_by(col(Story.source))
                .order_by(count.desc(), col(Story.source))
            )
            return [(source, number) for source, number in rows]

    def seen_in(self, feeds: Collection[str], since: datetime) -> dict[str, list[datetime]]:
        """Return when feeds had stories for the first time since a time; first polls' are no news."""
        found: dict[str, list[datetime]] = {feed: [] for feed in feeds}
        with self._read() as session:
            rows = session.exec(
                select(Sighting.feed, Sighting.seen_at).where(
                    col(Sighting.feed).in_(feeds), col(Sighting.seen_at) >= since, col(Sighting.baseline).is_(False)
                )
            )
            for feed, at in rows:
                found[feed].append(at)
        return found

    def standings(self, now: datetime) -> dict[Standing, int]:
        """Return how many messages stand how."""
        with self._read() as session:
            states = dict(session.exec(select(Delivery.state, func.count()).group_by(col(Delivery.state))).all())
            waiting: dict[Standing, int] = {
                name: session.exec(select(func.count()).select_from(Delivery).where(_standing(name, now))).one()
                for name in ("retrying", "held")
            }
        queued = states.get("pending", 0) + states.get("held", 0) - sum(waiting.values()) + states.get("sending", 0)
        return {
            "failed": states.get("dead", 0), **waiting, "queued": queued, "sent": states.get("sent", 0),
            "cancelled": states.get("cancelled", 0),
        }  # fmt: skip

    def sent_since(self, at: datetime) -> list[tuple[datetime, datetime]]:
        """Return when each message taken since a time was made and taken."""
        with self._read() as session:
            rows = session.exec(
                select(Delivery.created_at, Delivery.finished_at).where(
                    col(Delivery.state) == "sent", col(Delivery.finished_at) >= at
                )
            )
            return [(made, taken) for made, taken in rows if taken is not None]

    def messages(
        self, now: datetime, standing: Standing | None = None, before: int = 0, limit: int = 50
    ) -> list[Delivery]:
        """Return messages without what they say, the latest first: those that stand so, with an id below `before`."""
        query = select(Delivery).order_by(col(Delivery.id).desc()).limit(limit)
        query = query.options(defer(Delivery.payload))  # type: ignore[arg-type]  # as above
        if standing is not None:
            query = query.where(_standing(standing, now))
        if before:
            query = query.where(col(Delivery.id) < before)
        with self._read() as session:
            return list(session.exec(query).all())

    def latest_of(self, subscriber: str, kind: str, limit: int) -> list[Delivery]:
        """Return the latest messages of a kind to a subscriber, with what they say, the latest first."""
        query = select(Delivery).where(Delivery.subscriber == subscriber, Delivery.kind == kind)
        with self._read() as session:
            return list(session.exec(query.order_by(col(Delivery.created_at).desc()).limit(limit)).all())

    def waiting(self, limit: int = 10) -> list[Delivery]:
        """Return the messages that go out next, without what they say."""
        query = select(Delivery).where(Delivery.state == "pending").order_by(col(Delivery.next_attempt_at)).limit(limit)
        with self._read() as session:
            return list(session.exec(query.options(defer(Delivery.payload))).all())  # type: ignore[arg-type]  # as above

    def message(self, delivery_id: int) -> Delivery | None:
        """Return a message."""
        with self._read() as session:
            return session.get(Delivery, delivery_id)

    def stories_told(self, delivery_id: int) -> list[tuple[int, str]]:
        """Return the stories that a message tells of: their ids and headlines."""
        with self._read() as session:
            rows = session.exec(
                select(Story.id, Story.title)
                .join(DeliveryStory, col(DeliveryStory.story_id) == col(Story.id))
                .where(DeliveryStory.delivery_id == delivery_id)
                .order_by(col(Story.id))
                .limit(MOST_STORIES)
            )
            return [(story_id, title) for story_id, title in rows if story_id is not None]

    def page(self, table: type[Any], before: int, limit: int, **fields: Any) -> list[Any]:
        """Return rows of a table with an id below `before` (0: from the latest on) and these values, latest first."""
        query = select(table).order_by(col(table.id).desc()).limit(limit)
        if before:
            query = query.where(col(table.id) < before)
        for name, value in fields.items():
            if value:
                query = query.where(getattr(table, name) == value)
        with self._read() as session:
            return list(session.exec(query).all())

    def matched(self, topic: str, before: int, limit: int) -> list[tuple[Match, Story]]:
        """Return a topic's matches with their stories, the latest first, those with an id below `before`."""
        query = select(Match, Story).join(Story, col(Story.id) == col(Match.story_id)).where(Match.topic == topic)
        if before:
            query = query.where(col(Match.id) < before)
        with self._read() as session:
            return [
                (match, story)
                for match, story in session.exec(query.order_by(col(Match.matched_at).desc()).limit(limit))
            ]


def _read(story_id: int, event_id: int, at: datetime, claimed_at: datetime | None, *told: Any) -> Read:
    title, summary, text, language, source, feed, tags, url, author, country = told
    seen = StoryText(str(story_id), title, summary, text, language, source, feed, tuple(tags), url, author, country)
    return Read(story_id, event_id, at, claimed_at, seen)


def _standing(name: Standing, now: datetime) -> Any:
    """The condition under which a message stands so. One that waits for its first try is held until it is due.

    So is one that waits for a person (the budget is used up, or its address suspended), whenever it was due.
    """
    pending = col(Delivery.state) == "pending"
    match name:
        case "failed":
            return col(Delivery.state) == "dead"
        case "retrying":
            return and_(pending, col(Delivery.attempts) > 0)
        case "held":
            waits = and_(pending, col(Delivery.attempts) == 0, col(Delivery.next_attempt_at) > now)
            return or_(waits, col(Delivery.state) == "held")
        case "queued":
            due = and_(pending, col(Delivery.attempts) == 0, col(Delivery.next_attempt_at) <= now)
            return or_(due, col(Delivery.state) == "sending")
        case _:
            return col(Delivery.state) == name
