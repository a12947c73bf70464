"""The steps of the one transaction that saves a poll."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from monitor.models import (
    Decision,
    Delivery,
    DeliveryStory,
    DigestSlot,
    Event,
    Match,
    Page,
    Preference,
    Sighting,
    Story,
    Verdict,
)
from monitor.store import feeds, outbox


class Ingest:
    """Reads and writes within one open transaction; nothing is saved until its context ends.

    A first poll brings thousands of stories. So what is asked of each is read ahead for many (`expect`), what can only
    be new is not looked for, and rows that nothing needs the number of wait in `_later` and are written together.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._later: list[Sighting | Match | Decision | Verdict] = []
        # Read ahead, or made here: what is not in them is looked for in the database.
        self._keys: dict[str, Story | None] = {}
        self._headlines: dict[str, list[Story]] = {}
        self._matches: dict[int, dict[str, Match]] = {}
        self._events: dict[int, Event] = {}

    def expect(self, keys: Collection[str], headlines: Collection[str], since: datetime) -> None:
        """Read ahead the stories of `keys` and those with one of `headlines` first seen after `since`."""
        self._keys.update(dict.fromkeys(keys))
        for story in self._session.exec(select(Story).where(col(Story.key).in_(keys))):
            self._keys[story.key] = story
        wanted = [headline for headline in headlines if headline]
        self._headlines.update({headline: [] for headline in wanted})
        found = self._session.exec(
            select(Story)
            .where(col(Story.title_fold).in_(wanted), col(Story.first_seen_at) >= since)
            .order_by(col(Story.id))
        )
        for story in found:
            self._headlines[story.title_fold].append(story)

    def settle(self) -> None:
        """Write what waits."""
        self._session.flush()
        # In one statement a table. Their numbers do not come back, so a match is read anew when it is asked for again.
        self._session.bulk_save_objects(self._later, preserve_order=False)
        for row in self._later:
            if isinstance(row, Match):
                self._matches.pop(row.story_id, None)
        self._later = []

    def sightings(self, feed: str, guids: Collection[str]) -> dict[str, Sighting]:
        """Return the sightings of `guids` in `feed`, by guid."""
        return {sighting.guid: sighting for sighting in feeds.sightings(self._session, feed, guids)}

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
        self._later.append(
            Sighting(
                story_id=story.id,
                feed=feed,
                guid=guid,
                content_hash=content_hash,
                seen_at=now,
                listed_at=now,
                baseline=baseline,
            )
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

    def with_headline(self, headline: str, since: datetime) -> Sequence[Story]:
        """Return the stories with a folded headline first seen after `since`, at most the latest 200."""
        if headline not in self._headlines:
            self.expect((), (headline,), since)
        found = [story for story in self._headlines[headline] if story.title_fold == headline]
        return found[-200:]

    def retitled(self, story: Story) -> None:
        """Take note that a story's headline is another one now."""
        found = self._headlines.get(story.title_fold)
        if found is not None and story not in found:
            found.append(story)

    def add_story(self, story: Story, event_id: int | None, why: str, now: datetime) -> Story:
        """Save a new story in an event of its own, or in event `event_id`."""
        event = self._event(event_id) if event_id is not None else None
        if event is None:
            event = Event(key=story.key, started_at=now, updated_at=now, stories=0)
            self._session.add(event)
        event.stories += 1
        event.updated_at, event.why = now, why
        self._session.flush()
        assert event.id is not None
        self._events[event.id] = event
        story.event_id = event.id
        self._session.add(story)
        self._session.flush()
        assert story.id is not None
        self._keys[story.key] = story
        self._matches[story.id] = {}
        self.retitled(story)
        return story

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

    def outlets(self, event_id: int, but: str) -> tuple[str, ...]:
        """Return the sources of an event's stories other than `but`, earliest first."""
        event = self._event(event_id)
        if event is not None and event.stories == 1:
            return ()
        return tuple(source for source in outlets(self._session, {event_id}).get(event_id, ()) if source != but)

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

    def delivery(self, key: str) -> Delivery | None:
        """Return the message of a key."""
        return self._session.exec(select(Delivery).where(Delivery.key == key)).first()

    def add_delivery(self, delivery: Delivery, story_ids: Collection[int]) -> bool:
        """Put a message into the outbox; False when its key is there already, and then nothing is changed."""
        return outbox.add(self._session, delivery, story_ids)

    def add_to_delivery(self, delivery: Delivery, story_id: int) -> None:
        """Record that a message that is in the outbox tells of a story too."""
        assert delivery.id is not None
        self._session.merge(DeliveryStory(delivery_id=delivery.id, story_id=story_id))

    def add_slot(self, slot: DigestSlot) -> None:
        """Save a digest slot for a subscriber who has none."""
        if self._session.get(DigestSlot, slot.subscriber) is None:
            self._session.add(slot)
            self._session.flush()

    def muted(self) -> dict[str, frozenset[str]]:
        """Return the topics that each subscriber turned off; `*` stands for all."""
        return muted(self._session)

    def alerts(self, now: datetime, longest: float = 86400.0) -> Sequence[Decision]:
        """Return the decisions whose alerts go out from `longest` seconds ago on, those still held among them."""
        return self._session.exec(
            select(Decision).where(
                col(Decision.due_at) > now - timedelta(seconds=longest),
                col(Decision.reason).in_(("sent", "held")),
            )
        ).all()

    def update_feed(self, feed: str, values: Mapping[str, Any], seen: str | None) -> None:
        """Set fields of the feed's state and what its document had, in the same transaction as its stories."""
        feeds.update(self._session, feed, values, seen)


def muted(session: Session) -> dict[str, frozenset[str]]:
    """Return the topics that each subscriber turned off by a signed link."""
    off: dict[str, set[str]] = {}
    for row in session.exec(select(Preference).where(Preference.setting == "off")):
        off.setdefault(row.subscriber, set()).add(row.topic)
    return {subscriber: frozenset(topics) for subscriber, topics in off.items()}


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
