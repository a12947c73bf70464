"""Reads of what was recorded, and its pruning."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, col, func, or_, select

from monitor.models import (
    Audit,
    Decision,
    Delivery,
    DeliveryStory,
    DigestWindow,
    Escalation,
    Event,
    Match,
    Page,
    Sighting,
    Silence,
    Story,
    StorySketch,
    Verdict,
)
from monitor.rules.preselect import in_title
from monitor.store import fulltext
from monitor.store.feeds import UNLISTED_AFTER
from monitor.store.ingest import outlets
from monitor.text import StoryText, words
from monitor.urls import canonical_url

Transaction = Callable[[], AbstractContextManager[Session]]
PRUNE_CHUNK = ROWS_CHUNK = 500
MOST_WORDS = 40  # of a headline asked about
MOST_FOUND = 1_000  # headlines that are looked at, the newest


@dataclass(frozen=True, slots=True)
class Journey:
    """All that is recorded of one story."""

    story: Story
    event: Event | None
    page: Page | None
    outlets: tuple[str, ...]
    sightings: Sequence[Sighting]
    matches: Sequence[Match]
    verdicts: Sequence[Verdict]
    decisions: Sequence[Decision]
    deliveries: Sequence[Delivery]


class Archive:
    """Stories and what became of them."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def find(self, asked: str, limit: int = 10) -> Sequence[Story]:
        """Return stories by id, by address (however it is decorated), or by words of the headline.

        The best come first: those whose headline is `asked`, then those that have it as a phrase, then those that have
        its words, all as whole words with case and accents folded; among equals the newest.
        """
        asked = asked.strip()
        with self._read() as session:
            story = session.get(Story, int(asked)) if asked.isdecimal() and len(asked) < 18 else None
            if story is not None:
                return [story]
            newest = select(Story).order_by(col(Story.id).desc())
            if "://" in asked:
                page = or_(Story.url == asked, Story.key == f"url:{canonical_url(asked)}")
                return session.exec(newest.where(page).limit(limit)).all()
            wanted = tuple(word.folded for word in words(asked)[:MOST_WORDS])
            ranked = heapq.nsmallest(limit, self._with_words(session, wanted))
            return [found for _, number in ranked if (found := session.get(Story, -number)) is not None]

    def _with_words(self, session: Session, wanted: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """Yield (how far from `wanted` the headline is, minus the id) of the stories whose headline has the words."""
        if not wanted:
            return
        among = fulltext.among(session, in_title(wanted))
        titles = select(Story.id, Story.title).where(among).order_by(col(Story.id).desc()).limit(MOST_FOUND)
        for story_id, title in session.exec(titles):
            own = tuple(word.folded for word in words(title))
            if story_id is not None and set(wanted) <= set(own):
                starts = range(len(own) - len(wanted) + 1)
                is_phrase = any(own[start : start + len(wanted)] == wanted for start in starts)
                yield 0 if own == wanted else 1 if is_phrase else 2, -story_id

    def journey(self, story_id: int) -> Journey | None:
        """Return all that is recorded of a story."""
        with self._read() as session:
            story = session.get(Story, story_id)
            if story is None:
                return None
            event = session.get(Event, story.event_id) if story.event_id else None
            told = (
                select(Delivery)
                .join(DeliveryStory, col(DeliveryStory.delivery_id) == col(Delivery.id))
                .join(Story, col(Story.id) == col(DeliveryStory.story_id))
            )
            return Journey(
                story,
                event,
                session.get(Page, story_id),
                outlets(session, {event.id}).get(event.id, ()) if event and event.id else (),
                session.exec(select(Sighting).where(Sighting.story_id == story_id)).all(),
                session.exec(select(Match).where(Match.story_id == story_id)).all(),
                session.exec(select(Verdict).where(Verdict.story_id == story_id).order_by(col(Verdict.id))).all(),
                session.exec(select(Decision).where(Decision.story_id == story_id)).all(),
                session.exec(told.where(Story.event_id == story.event_id).distinct()).all(),
            )

    def seen_as(self, feed: str, guid: str) -> int | None:
        """Return the number of the story that a feed has under a guid."""
        with self._read() as session:
            return session.exec(select(Sighting.story_id).where(Sighting.feed == feed, Sighting.guid == guid)).first()

    def reason_for(self, subscriber: str, story_ids: Collection[int]) -> str:
        """Return why a subscriber was told of stories, by the latest decision that made a message of one of them."""
        with self._read() as session:
            row = session.exec(
                select(Decision)
                .where(
                    Decision.subscriber == subscriber,
                    col(Decision.story_id).in_(story_ids),
                    col(Decision.due_at).is_not(None),
                )
                .order_by(col(Decision.id).desc())
            ).first()
            return "" if row is None else f"{row.reason}: {row.detail}" if row.detail else row.reason

    def matched_since(self, story_id: int, limit: int = 200) -> list[tuple[Story, tuple[str, ...], bool]]:
        """Return the stories with an id above `story_id` that match a topic, their topics, and whether they alert."""
        with self._read() as session:
            rows = session.exec(
                select(Story, Match)
                .join(Match, col(Match.story_id) == col(Story.id))
                .where(col(Story.id) > story_id)
                .order_by(col(Story.id), col(Match.id))
                .limit(limit)
            ).all()
            found: dict[int | None, tuple[Story, tuple[str, ...], bool]] = {}
            for story, match in rows:
                _, topics, alerting = found.get(story.id, (story, (), False))
                found[story.id] = (story, (*topics, match.topic), alerting or match.alerting)
            return list(found.values())

    def rows(
        self, table: type[Story | Match | Delivery], since: datetime | None = None
    ) -> Iterator[tuple[Story | Match | Delivery, Story | None]]:
        """Yield the rows of a table, those of `since` or later, by id; a match with its story.

        They are read in chunks, each in a transaction of its own, so that an export of any length holds no memory and
        keeps no writer waiting.
        """
        when = {Story: Story.first_seen_at, Match: Match.matched_at, Delivery: Delivery.created_at}[table]
        last = 0
        while True:
            query = select(table).where(col(table.id) > last).order_by(col(table.id)).limit(ROWS_CHUNK)
            if since is not None:
                query = query.where(col(when) >= since)
            with self._read() as session:
                rows: Sequence[Any] = session.exec(query).all()
                wanted = {row.story_id for row in rows if isinstance(row, Match)}
                stories = {story.id: story for story in session.exec(select(Story).where(col(Story.id).in_(wanted)))}
            for row in rows:
                yield row, stories.get(row.story_id) if isinstance(row, Match) else None
            if len(rows) < ROWS_CHUNK:
                return
            last = rows[-1].id

    def counts(self) -> dict[str, int]:
        """Return how many stories, matches and edits there are."""
        with self._read() as session:
            return {
                "stories": session.exec(select(func.count()).select_from(Story)).one(),
                "matches": session.exec(select(func.count()).select_from(Match)).one(),
                # Few have any, and an index holds those: all rows are the whole archive with its texts.
                "edits": session.exec(select(func.coalesce(func.sum(Story.edits), 0)).where(Story.edits > 0)).one(),
            }

    def prune_sketches(self, window: float) -> int:
        """Remove what stories that left the events' window were compared by; return how many there were."""
        with self._write() as session:
            latest = session.exec(select(func.max(StorySketch.arrived))).one()
            if latest is None:
                return 0
            gone = session.execute(delete(StorySketch).where(col(StorySketch.arrived) < latest - window))
            return gone.rowcount or 0  # type: ignore[attr-defined]  # a CursorResult, which has it

    def prune(self, stories_before: datetime, deliveries_before: datetime) -> tuple[int, int]:
        """Remove stories and finished deliveries older than the given times; return how many of each.

        A story that an unfinished or kept delivery tells of stays. Sightings stay without their story, so that a feed
        that still lists an old story does not bring it back as new; they go with the deliveries' age, counted from when
        the feed's document last had the story. Those of a feed's latest document stay, however old it is.
        """
        with self._write() as session:
            old = session.exec(
                select(Delivery.id)
                .where(
                    col(Delivery.created_at) < deliveries_before,
                    col(Delivery.state).in_(("sent", "held", "dead", "cancelled")),
                )
                .limit(PRUNE_CHUNK)
            ).all()
            session.execute(delete(DeliveryStory).where(col(DeliveryStory.delivery_id).in_(old)))
            session.execute(delete(Escalation).where(col(Escalation.delivery_id).in_(old)))
            session.execute(delete(Delivery).where(col(Delivery.id).in_(old)))
            for kind, at in ((DigestWindow, DigestWindow.until), (Silence, Silence.until), (Audit, Audit.at)):
                session.execute(delete(kind).where(col(at) < deliveries_before))
            kept = select(DeliveryStory.story_id)
            rows = session.exec(
                select(Story.id, Story.event_id)
                .where(col(Story.first_seen_at) < stories_before, col(Story.id).not_in(kept))
                .limit(PRUNE_CHUNK)
            ).all()
            gone = [story_id for story_id, _ in rows]
            for table in (Match, Verdict, Decision, Page, StorySketch):
                session.execute(delete(table).where(col(table.story_id).in_(gone)))
            session.execute(update(Sighting).where(col(Sighting.story_id).in_(gone)).values(story_id=None))
            leaving = session.exec(select(Story).where(col(Story.id).in_(gone)))
            fulltext.forget(session, [fulltext.row(story) for story in leaving])
            session.execute(delete(Story).where(col(Story.id).in_(gone)))
            left = select(Story.id).where(col(Story.event_id) == col(Event.id)).exists()
            session.execute(delete(Event).where(col(Event.id).in_({event_id for _, event_id in rows}), ~left))
            # Those that an operator merged into others.
            session.execute(delete(Event).where(col(Event.stories) == 0, col(Event.updated_at) < stories_before))
            forgotten = (col(Sighting.story_id).is_(None), col(Sighting.listed_at) < deliveries_before)
            for feed in session.exec(select(Sighting.feed).where(*forgotten).distinct()).all():
                latest = session.exec(select(func.max(Sighting.listed_at)).where(Sighting.feed == feed)).one()
                unlisted = col(Sighting.listed_at) < latest - UNLISTED_AFTER
                session.execute(delete(Sighting).where(*forgotten, col(Sighting.feed) == feed, unlisted))
            return len(gone), len(old)


def story_text(story: Story) -> StoryText:
    """Return a recorded story as rules see it."""
    return StoryText(
        str(story.id or ""),
        story.title,
        story.summary,
        story.text,
        story.language,
        story.source,
        story.feed,
        tuple(story.tags),
        story.url,
        story.author,
        story.country,
    )
