"""What of an event that was told is worth telling again, by what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property

from monitor.config import Config
from monitor.dispatch import Change
from monitor.events import Account, News, account, from_json, news_since
from monitor.models import Story
from monitor.rules import TopicMatch
from monitor.store import Ingest


class Updates:
    """What a story that matched brings to its event, against what was told of that before, to anybody."""

    def __init__(self, config: Config, work: Ingest, story: Story, matches: Sequence[TopicMatch]) -> None:
        assert story.event_id is not None
        self._config, self._work, self._story, self._matches = config, work, story, matches
        self._event_id = story.event_id
        kept = work.account(story.event_id)
        self._told = None if kept is None else from_json(kept)

    @cached_property
    def now(self) -> Account:
        """What there is to tell."""
        story, entities = self._story, self._config.entities
        found = (e.entity for match in self._matches for e in match.evidence if e.entity)
        return account(
            story.title,
            sources=len(self._work.outlets(self._event_id, "")) or 1,
            story=story.id or 0,
            source=story.source,
            entities=dict.fromkeys(entities[name].title if name in entities else name for name in found),
        )

    @cached_property
    def material(self) -> tuple[Change, ...]:
        """What is materially new; nothing where nobody was told anything."""
        return () if self._told is None else changes(news_since(self._told, self.now))

    def told(self) -> None:
        """Record that somebody was told."""
        told = self.now if self._told is None else self.now.after(self._told)
        self._work.set_account(self._event_id, asdict(told))


def changes(news: Iterable[News]) -> tuple[Change, ...]:
    """Return news as messages show it."""
    return tuple(Change(one.kind, one.now, one.was, one.about) for one in news)
