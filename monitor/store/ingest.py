"""The steps of the one transaction that saves a poll."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Insert, bindparam, insert
from sqlalchemy.orm import make_transient_to_detached
from sqlmodel import Session, col, func, select, text

from monitor.dispatch import TOLD, alert_key
from monitor.events import Row
from monitor.models import (
    Decision,
    Delivery,
    DeliveryStory,
    DigestSlot,
    Event,
    EventChange,
    Match,
    Page,
    Sighting,
    Story,
    StorySketch,
    Verdict,
    new_row,
)
from monitor.store import feeds, fulltext, outbox, policies
from monitor.store.policies import Spending

REPORTS = 4  # of other outlets, that an alert shows
_COLUMNS = ("story_id", "event_id", *Row._fields[2:])  # of StorySketch, in the order of a Row
_EVENTS_LOCK = 0x6576656E7473  # any number that no other lock has

# Made once: to make a statement takes longer than to run it.
_OF_KEYS = select(Story).where(col(Story.key).in_(bindparam("keys", expanding=True)))
_SIGHTINGS, _SKETCHES = insert(Sighting), insert(StorySketch)
_INSERTS: dict[type[Event | Story], tuple[Insert, tuple[str, ...]]] = {
    table: (insert(table), tuple(name for name in table.model_fields if name != "id")) for table in (Event, Story)
}

New = TypeVar("New", Event, Story)


class Ingest(Spending):
    """Reads and writes within one open transaction; nothing is saved until its context ends.

    A first poll brings thousands of stories. So what is asked of each is read ahead for many (`expect`), what can only
    be new is not looked for, and rows that nothing needs the number of wait in `_later` and are written together.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._later: list[Match | Decision | Verdict] = []
        self._sightings: list[dict[str, Any]] = []
        self._sketches: list[dict[str, Any]] = []
        self._words: list[fulltext.Row] = []
        # Read ahead, or made here: what is not in them is looked for in the database.
        self._keys: dict[str, Story | None] = {}
        self._matches: dict[int, dict[str, Match]] = {}
        self._events: dict[int, Event] = {}
        self._policies: dict[str, int] = {}

    def expect(self, keys: Collection[str]) -> None:
        """Read ahead the stories of `keys`."""
        self._keys.update(dict.fromkeys(keys))
        wanted = list(keys)
        for start in range(0, len(wanted), 500):
            for story in self._session.exec(_OF_KEYS, params={"keys": wanted[start : start + 500]}):
                self._keys[story.key] = story

    def settle(self) -> None:
        """Write what waits."""
        self._session.flush()
        # In one statement a table. Their numbers do not come back, so a match is read anew when it is asked for again.
        self._session.bulk_save_objects(self._later, preserve_order=False)
        for row in self._later:
            if isinstance(row, Match):
                self._matches.pop(row.story_id, None)
        self._later = []
        for statement, rows in ((_SIGHTINGS, self._sightings), (_SKETCHES, self._sketches)):
            if rows:
                self._session.connection().execute(statement, rows)
        fulltext.add(self._session, self._words)
        self._sightings, self._sketches, self._words = [], [], []

    def sightings(self, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Sighting]:
        """Return the sightings at `places`, each a feed and a guid."""
        return feeds.sightings(self._session, places)

    def story(self, story_id: int | None) -> Story | None:
        """Return a story by id; None also for one that retention removed."""
        return None if story_id is None else self._session.get(Story, story_id)

    def by_key(self, key: str) -> Story | None:
        """Return the story of a key."""
        if key not in self._keys:
            self._keys[key] = self._session.exec(select(Story).where(Story.key == key)).first()
        return self._keys[key]

    def add_sighting(
        self, story: Story, feed: str, guid: str, content_hash: str, now: datetime, baseline: bool
    ) -> None:
        """Record that `story` is in `feed` under `guid`."""
        assert story.id is not None
        self._sightings.append(
            {
                "story_id": story.id,
                "feed": feed,
                "guid": guid,
                "content_hash": content_hash,
                "seen_at": now,
                "listed_at": now,
                "baseline": baseline,
            }
        )

    def listed(self, feed: str, guids: Collection[str], now: datetime) -> None:
        """Record that the feed's document has `guids` at `now`."""
        feeds.listed(self._session, feed, guids, now)

    def guids(self, story: Story, feed: str) -> set[str]:
        """Return the guids under which `story` was seen in `feed`."""
        self.settle()
        rows = self._session.exec(select(Sighting.guid).where(Sighting.story_id == story.id, Sighting.feed == feed))
        return set(rows)

    def only_baseline(self, story: Story) -> bool:
        """Whether `story` has been seen only in feeds' first polls so far."""
        self.settle()
        rows = self._session.exec(select(Sighting.baseline).where(Sighting.story_id == story.id))
        return all(rows)

    def add_story(self, story: Story, event_id: int | None, now: datetime) -> Story:
        """Save a new story in an event of its own, or in event `event_id`."""
        event = self._event(event_id) if event_id is not None else None
        if event is None:
            event = self._insert(new_row(Event, key=story.key, started_at=now, updated_at=now, why=story.event_why))
        else:
            event.stories += 1
            event.updated_at, event.why = now, story.event_why
        assert event.id is not None
        self._events[event.id] = event
        story.event_id = event.id
        self._insert(story)
        assert story.id is not None
        self._keys[story.key] = story
        self._matches[story.id] = {}
        self.index(story)
        return story

    def _insert(self, row: New) -> New:
        """Insert a row now, for its number, and keep it as one that was read.

        A flush of the session does the same, and takes three times as long for each story.
        """
        statement, names = _INSERTS[type(row)]
        values = {name: getattr(row, name) for name in names}
        (row.id,) = self._session.connection().execute(statement, values).inserted_primary_key or (None,)
        make_transient_to_detached(row)
        self._session.add(row)
        return row

    def index(self, story: Story) -> None:
        """Put a story's words into the full-text index."""
        self._words.append(fulltext.row(story))

    def unindex(self, story: Story) -> None:
        """Take a story's words out of the full-text index, before they change."""
        self.settle()
        fulltext.forget(self._session, [fulltext.row(story)])

    def has_event(self, event_id: int) -> bool:
        """Whether an event is still there: it goes with its last story."""
        return self._event(event_id) is not None

    def add_sketch(self, row: Row) -> None:
        """Save what later stories are compared with."""
        self._sketches.append(dict(zip(_COLUMNS, row, strict=True)))

    def sketches(self, after: int) -> Iterator[Row]:
        """Yield what is saved of the stories with a number above `after`, in their order.

        Until the transaction ends no other process adds any: where stories belong hangs on those before them.
        """
        bind = self._session.get_bind()
        if bind.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
            self._session.execute(text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=_EVENTS_LOCK))
        columns = (getattr(StorySketch, name) for name in _COLUMNS)
        found = select(*columns).where(col(StorySketch.story_id) > after).order_by(col(StorySketch.story_id))
        for row in self._session.execute(found.execution_options(yield_per=1000)):
            yield Row(*row)

    def moved(self, after: int) -> tuple[int, list[tuple[int, int]]]:
        """Return the number of the latest change by operators, and (story, event) of those above number `after`."""
        latest = self._session.exec(select(func.max(EventChange.id))).one() or 0
        if latest == after:
            return latest, []
        changes = select(EventChange).where(col(EventChange.id) > after).order_by(col(EventChange.id))
        return latest, [(story, one.into_id) for one in self._session.exec(changes) for story in one.story_ids]

    def _event(self, event_id: int) -> Event | None:
        event = self._events.get(event_id) or self._session.get(Event, event_id)
        if event is not None:
            self._events[event_id] = event  # which else the session would forget
        return event

    def event_key(self, event_id: int) -> str:
        """Return the key of an event: that of the story it began with."""
        event = self._event(event_id)
        assert event is not None  # it goes with its last story
        return event.key

    def is_shared(self, event_id: int) -> bool:
        """Whether an event has, or had, another story."""
        event = self._event(event_id)
        return event is None or event.stories > 1

    def account(self, event_id: int) -> dict[str, Any] | None:
        """Return the `events.Account` of what was told of an event, as `set_account` left it."""
        event = self._event(event_id)
        return None if event is None else event.told

    def set_account(self, event_id: int, told: dict[str, Any]) -> None:
        """Keep what was told of an event."""
        event = self._event(event_id)
        assert event is not None
        event.told = told

    def outlets(self, event_id: int, but: str) -> tuple[str, ...]:
        """Return the sources of an event's stories other than `but`, earliest first."""
        event = self._event(event_id)
        if event is not None and event.stories == 1:
            return ()
        return tuple(source for source in outlets(self._session, {event_id}).get(event_id, ()) if source != but)

    def reports(self, event_id: int, but: str) -> tuple[tuple[Story, ...], datetime]:
        """Return the first report of each outlet of an event other than `but`, at most REPORTS, the earliest first; and
        the time of the event's newest story.
        """
        of_event = select(Story).where(Story.event_id == event_id, Story.source != but)
        first: dict[str, Story] = {}
        for story in self._session.exec(of_event.order_by(col(Story.effective_at), col(Story.id)).limit(10 * REPORTS)):
            first.setdefault(story.source, story)
        latest = self._session.exec(select(func.max(Story.effective_at)).where(Story.event_id == event_id)).one()
        return tuple(first.values())[:REPORTS], latest

    def matches(self, story: Story) -> dict[str, Match]:
        """Return the matches of a story by topic."""
        assert story.id is not None
        if story.id not in self._matches:
            rows = self._session.exec(select(Match).where(Match.story_id == story.id))
            self._matches[story.id] = {match.topic: match for match in rows}
        return dict(self._matches[story.id])

    def add(self, row: Match | Decision | Verdict) -> None:
        """Save a match, why it is one, or a decision."""
        if isinstance(row, Match):
            self._matches.setdefault(row.story_id, {})[row.topic] = row
        self._later.append(row)

    def page(self, story: Story) -> Page | None:
        """Return the record of a story's page; None where it was never wanted."""
        return self._session.get(Page, story.id)

    def add_page(self, page: Page) -> None:
        """Save that a story's page is to be read."""
        self._session.add(page)

    def deliveries(self, keys: Sequence[str]) -> dict[str, Delivery]:
        """Return the messages of `keys` that are in the outbox, by key."""
        found: dict[str, Delivery] = {}
        for start in range(0, len(keys), 500):
            some = select(Delivery).where(col(Delivery.key).in_(keys[start : start + 500]))
            found.update((row.key, row) for row in self._session.exec(some))
        return found

    def put_into(self, deliveries: Sequence[Delivery], story_id: int) -> None:
        """Let messages tell of a story; those that are not in the outbox are put there, under keys that nobody has."""
        if not deliveries:
            return
        self._session.add_all(deliveries)
        self._session.flush()
        known = set(self._session.exec(select(DeliveryStory.delivery_id).where(DeliveryStory.story_id == story_id)))
        wanted = {row.id for row in deliveries if row.id is not None} - known
        self._session.add_all(DeliveryStory(delivery_id=number, story_id=story_id) for number in sorted(wanted))
        for row in deliveries:
            outbox.watch(self._session, row)  # also one that was there: a topic that came to it may ask for that

    def add_slot(self, slot: DigestSlot) -> None:
        """Save a digest slot for a subscriber who has none."""
        if self._session.get(DigestSlot, slot.subscriber) is None:
            self._session.add(slot)
            self._session.flush()

    def policy_id(
        self, version: str, make: Callable[[], tuple[dict[str, str], dict[str, list[str]]]], now: datetime
    ) -> int:
        """Return the id of the policy in force (see `policies.policy_id`)."""
        if version not in self._policies:
            self._policies[version] = policies.policy_id(self._session, version, make, now)
        return self._policies[version]

    def alerts(self, since: datetime) -> Sequence[Decision]:
        """Return the decisions whose alerts go out from `since` on, those that still wait among them."""
        self.settle()
        return self._session.exec(
            select(Decision).where(col(Decision.due_at) > since, col(Decision.reason).in_(TOLD))
        ).all()

    def messages_about(self, event_id: int) -> list[tuple[Decision, Mapping[str, Delivery]]]:
        """Return the decisions that made messages about an event, with these by channel, without those cancelled."""
        self.settle()
        rows = self._session.exec(
            select(Decision).where(Decision.event_id == event_id, col(Decision.reason).in_(TOLD))
        ).all()
        keys = {alert_key(row.subscriber, channel, row.key): row for row in rows for channel in row.channels}
        found: dict[str, Delivery] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), 500):
            some = select(Delivery).where(col(Delivery.key).in_(wanted[start : start + 500]))
            found.update(
                (row.key, row) for row in self._session.exec(some) if row.state != "cancelled" or row.maybe_dup
            )
        return [
            (row, {c: found[key] for c in row.channels if (key := alert_key(row.subscriber, c, row.key)) in found})
            for row in rows
        ]

    def outlet_times(self, event_id: int) -> tuple[datetime, ...]:
        """Return when each source of an event's stories first told of it."""
        rows = self._session.exec(
            select(func.min(Story.first_seen_at)).where(Story.event_id == event_id).group_by(Story.source)
        )
        return tuple(sorted(rows))

    def update_feeds(self, states: Collection[tuple[str, Mapping[str, Any], str | None]]) -> None:
        """Set fields of feeds' states and what their documents had, in the same transaction as their stories."""
        feeds.update(self._session, states)


def outlets(session: Session, event_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Return the sources of each event's stories, earliest first."""
    wanted = list(event_ids)
    found: dict[int, dict[str, None]] = {}
    for start in range(0, len(wanted), 500):
        rows = session.exec(
            select(Story.event_id, Story.source)
            .where(col(Story.event_id).in_(wanted[start : start + 500]))
            .order_by(col(Story.id))
        )
        for event_id, source in rows:
            assert event_id is not None  # it is one of those asked for
            found.setdefault(event_id, {})[source] = None
    return {event_id: tuple(sources) for event_id, sources in found.items()}
