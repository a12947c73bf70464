"""Events as operators see and change them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import case, update
from sqlmodel import Session, col, func, select

from monitor.dispatch import TOLD
from monitor.errors import NotFoundError
from monitor.events import from_json
from monitor.models import Decision, Event, EventChange, Story, StorySketch

Transaction = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class EventStories:
    """An event and its stories, in the order they came."""

    event: Event
    stories: Sequence[Story]


class Events:
    """The events that are recorded, and what operators change of them.

    A change moves stories, what later stories are compared with, and the decisions about them. It is recorded, so that
    a running daemon takes it up with its next story (`Ingest.moved`), and nothing decides it anew.
    """

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def get(self, event_id: int) -> EventStories | None:
        """Return an event with its stories."""
        with self._read() as session:
            event = session.get(Event, event_id)
            return None if event is None else EventStories(event, _stories(session, event_id))

    def latest(self, limit: int) -> list[EventStories]:
        """Return the events of several stories, those that grew last first."""
        with self._read() as session:
            found = select(Event).where(Event.stories > 1).order_by(col(Event.updated_at).desc(), col(Event.id).desc())
            return [EventStories(event, _stories(session, event.id or 0)) for event in session.exec(found.limit(limit))]

    def changes(self) -> Sequence[EventChange]:
        """Return what operators changed, in order."""
        with self._read() as session:
            return session.exec(select(EventChange).order_by(col(EventChange.id))).all()

    def merge(self, into_id: int, event_id: int, now: datetime) -> list[int]:
        """Put all stories of an event into another; return their numbers. Raises NotFoundError."""
        with self._write() as session:
            event, into = _event(session, event_id), _event(session, into_id)
            moved = [story.id or 0 for story in _stories(session, event_id)]
            if event_id == into_id or not moved:
                raise NotFoundError(f"event {event_id} has no stories to put into event {into_id}")
            if _told(session, event_id) and not _told(session, into_id):
                into.key, event.key = event.key, into.key  # so that who was told of it is not told again
            if into.told is not None and event.told is not None:
                into.told = asdict(from_json(into.told).after(from_json(event.told)))
            into.told = into.told or event.told
            _move(session, "merge", event, into, moved, now)
            return moved

    def split(self, event_id: int, story_ids: Collection[int], now: datetime) -> int:
        """Put some stories of an event into one of their own; return its number. Raises NotFoundError."""
        with self._write() as session:
            event = _event(session, event_id)
            stories = _stories(session, event_id)
            moved = [story for story in stories if story.id in story_ids]
            missing = set(story_ids) - {story.id for story in moved}
            if missing or not moved:
                raise NotFoundError(
                    f"event {event_id} has no story {', '.join(map(str, sorted(missing))) or 'to split off'}"
                )
            if len(moved) == len(stories):
                raise NotFoundError(f"event {event_id} has no other stories: there is nothing to split")
            # Both get a key that no message has: by the earlier one the other's stories may have been told of.
            rest = next(story for story in stories if story not in moved)
            event.key, key = (f"{story.key}#{now.isoformat()}" for story in (rest, moved[0]))
            fresh = Event(key=key, started_at=moved[0].first_seen_at, updated_at=now, stories=0)
            session.add(fresh)
            session.flush()
            _move(session, "split", event, fresh, [story.id or 0 for story in moved], now)
            fresh.told = event.told if _told(session, fresh.id or 0) else None
            assert fresh.id is not None
            return fresh.id


def _event(session: Session, event_id: int) -> Event:
    event = session.get(Event, event_id)
    if event is None:
        raise NotFoundError(f"there is no event {event_id}; `monitor events` lists them")
    return event


def _stories(session: Session, event_id: int) -> Sequence[Story]:
    return session.exec(select(Story).where(Story.event_id == event_id).order_by(col(Story.id))).all()


def _told(session: Session, event_id: int) -> bool:
    told = select(func.count()).select_from(Decision)
    return bool(session.exec(told.where(Decision.event_id == event_id, col(Decision.reason).in_(TOLD))).one())


def _move(
    session: Session, kind: Literal["split", "merge"], event: Event, into: Event, moved: Sequence[int], now: datetime
) -> None:
    assert event.id is not None
    assert into.id is not None
    why = f"an operator {'split it from' if kind == 'split' else 'merged it with'} event {event.id}"
    session.execute(
        update(Story).where(col(Story.id).in_(moved)).values(event_id=into.id, event_why=why, event_refused=None)
    )
    # As `Grouping.move` does it.
    voice = case((col(StorySketch.voice) > 0, 2), else_=0)
    sketches = update(StorySketch).where(col(StorySketch.story_id).in_(moved))
    session.execute(sketches.values(event_id=into.id, voice=voice))
    session.execute(update(Decision).where(col(Decision.story_id).in_(moved)).values(event_id=into.id))
    event.stories -= len(moved)
    into.stories += len(moved)
    into.started_at = min(event.started_at, into.started_at) if kind == "merge" else into.started_at
    event.updated_at = into.updated_at = now
    into.why = why
    session.add(EventChange(kind=kind, event_id=event.id, into_id=into.id, story_ids=list(moved), at=now))
