"""What would have gone out: stories in their own time through the pipeline itself, on a database that is thrown away.

Nothing is fetched and nothing sent. Every message goes at its time at the first attempt, so that limits, quiet hours,
digests and updates come out as a daemon would have had them that was never late.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any

from monitor.app import open_app
from monitor.config import Config, Feed
from monitor.models import Delivery
from monitor.parse import ParsedStory
from monitor.pipeline import Incoming, digest_due, ingest, match_stories, schedule_slots, volume_due
from monitor.rules import Rules
from monitor.service import json_object, json_story, published
from monitor.text import StoryText
from monitor.urls import canonical_url

LOOK = timedelta(hours=1)  # between two looks at the volume of topics, as the daemon's are a minute apart
LONGEST = timedelta(days=8)  # after the last story: the digests that are to tell of it, weekly ones too
LEAP = timedelta(days=30)  # between two stories, from which on a third is to agree
_FIRST, _LAST = 0.0, 221_845_392_000.0  # seconds: of a time before 1970, or after the year 8999, none is known
_LEASE, _AT_ONCE = 60.0, 1000


@dataclass(frozen=True, slots=True)
class Message:
    """A message that would go `at` a time: its kind (alert, digest, volume, notice), the stories' ids, and why."""

    at: datetime
    subscriber: str
    channel: str
    kind: str
    topics: tuple[str, ...]
    stories: tuple[Any, ...]
    reason: str


class Replay:
    """Takes stories in the order they come, and yields the messages as they would go."""

    def __init__(self, config: Config, rules: Rules) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="monitor-replay-", ignore_cleanup_errors=True)
        settings = config.settings.model_copy(update={"database_url": "sqlite:///replay.db"})
        self._config = replace(config, settings=settings)
        self._now = self._looked = datetime.fromtimestamp(0, UTC)
        self._app = open_app(self._config, Path(self._folder.name), lambda: self._now, rules=rules)
        self._app.store.migrate()
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._ids: dict[int, Any] = {}  # of a story of the database: the latest id that it was given
        self._began = False
        self._watched = any(topic.spike or topic.quiet for topic in config.topics.values())

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        asyncio.run(self._app.close())
        self._folder.cleanup()

    def lines(self, lines: Iterable[bytes]) -> Iterator[Message]:
        """Yield the messages of stories on lines of JSON; then those that wait yet. Raises InputError.

        A story without a time, or with an earlier one, counts as published with the one before it; those before any
        that has one, with that. So does one that is far ahead of the one before, unless the next one agrees: a single
        mistake of a publisher would take the clock years on.
        """
        for story, at in _timed(lines):
            yield from self.story(story, at)
        yield from self.finish()

    def story(self, story: StoryText, at: datetime) -> Iterator[Message]:
        """Take a story in, and yield the messages that go up to its time."""
        if not self._began:
            self._began, self._now, self._looked = True, at, at
            schedule_slots(self._app, self._config, at - timedelta(seconds=1))  # a window begins after its first moment
        yield from self._until(max(at, self._now))
        feed = self._feed(story)
        link = canonical_url(story.url) if story.url else ""
        parsed = ParsedStory(
            str(story.id), story.url, story.title, story.summary, story.text, story.author,
            self._now.isoformat(), self._now, story.tags, story.language, link,
        )  # fmt: skip
        ready = match_stories(self._app.rules, feed, [parsed], story.language, {})
        ingest(self._app, [Incoming(self._config, feed, ready, {}, baseline=False, listed=[parsed.guid])])
        row = self._app.store.archive.seen_as(feed.name, parsed.guid)
        if row is not None:
            self._ids[row] = story.id
        yield from self._go()

    def finish(self) -> Iterator[Message]:
        """Yield what waits yet: for the end of quiet hours, of a limit, or for the next digest."""
        if self._began:
            slots = [slot.next_at for slot in self._app.store.slots.all().values()]
            yield from self._until(min(max(slots, default=self._now), self._now + LONGEST), volume=False)
            while (due := self._app.store.outbox.next_due()) is not None and due <= self._now + LONGEST:
                yield from self._until(due, volume=False)

    def _until(self, end: datetime, *, volume: bool = True) -> Iterator[Message]:
        """Let the clock run to `end`, stopping wherever something is due."""
        store = self._app.store
        while True:
            moments = [slot.next_at for slot in store.slots.all().values()]
            if (due := store.outbox.next_due()) is not None:
                moments.append(due)
            if volume and self._watched:
                moments.append(self._looked + LOOK)
            soonest = min((moment for moment in moments if moment > self._now), default=end)
            if soonest > end:
                break
            self._now = soonest
            if volume and self._watched and self._now >= self._looked + LOOK:
                self._looked = self._now
                volume_due(self._app)
            yield from self._go()
            if self._now >= end:
                break
        self._now = max(self._now, end)

    def _go(self) -> Iterator[Message]:
        """Make the digests that are due, and let everything go that is."""
        outbox = self._app.store.outbox
        digest_due(self._app)
        while rows := outbox.claim(self._now, _LEASE, _AT_ONCE):
            for row in rows:
                assert row.id is not None
                outbox.finish(row.id, row.fence, self._now, "replayed", "", "")
                yield self._message(row)

    def _message(self, row: Delivery) -> Message:
        assert row.id is not None
        stories = self._app.store.outbox.stories_of(row.id)
        why = self._app.store.archive.reason_for(row.subscriber, stories) if row.kind == "alert" else ""
        return Message(
            self._now,
            row.subscriber,
            row.channel,
            row.kind,
            tuple(row.topics),
            tuple(self._ids[story] for story in stories if story in self._ids),
            why or row.kind,
        )

    def _feed(self, story: StoryText) -> Feed:
        """Return the declared feed of a story, or one that stands in for it."""
        name = story.feed or story.source or "replay"
        known = self._feeds.get((name, story.source))
        if known is not None:
            return known
        declared = self._config.feeds.get(name)
        values: dict[str, Any] = {"first_poll": "alert", "enabled": True}
        if declared is None:
            taken = f"{name} {len(self._feeds)}" if any(one == name for one, _ in self._feeds) else name
            made = Feed(name=taken, url="http://replay.invalid/", source=story.source or name)
            feed = made.model_copy(update=values)
        else:
            feed = declared.model_copy(update={**values, "source": story.source or declared.source})
        self._feeds[name, story.source] = feed
        self._config = replace(self._config, feeds={**self._config.feeds, feed.name: feed})
        self._app.use(self._config, self._app.rules)
        self._app.store.feeds.ensure({feed.name: feed.address}, self._now)
        return feed


def _timed(lines: Iterable[bytes]) -> Iterator[tuple[StoryText, datetime]]:
    """Yield the stories on lines of JSON with the times that they count as published at. Raises InputError."""
    last: datetime | None = None
    undated: list[StoryText] = []
    ahead: tuple[StoryText, datetime] | None = None
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        data = json_object(raw, number)
        story, seconds = json_story(data, number), published(data.get("published"), number, nan)
        at = datetime.fromtimestamp(seconds, UTC) if _FIRST <= seconds < _LAST else None
        if ahead is not None and last is not None:
            early, leapt = ahead
            last, ahead = leapt if at is not None and abs(at - leapt) <= LEAP else last, None
            yield early, last
        if last is None:
            undated.append(story)
            if at is not None:
                last = at
                yield from ((one, at) for one in undated)
        elif at is not None and at - last > LEAP:
            ahead = story, at
        else:
            last = max(last, at or last)
            yield story, last
    if last is None:
        yield from ((one, datetime.fromtimestamp(_FIRST, UTC)) for one in undated)
    elif ahead is not None:
        yield ahead[0], last
