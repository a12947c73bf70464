"""What of an event that was told is worth telling again, by what is recorded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property

from monitor.config import Config
from monitor.dispatch import SEVERITIES, Change, topic_ref
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
        story, topics = self._story, [match.topic for match in self._matches]
        ranks = (SEVERITIES.index(topic_ref(self._config, topic).severity) for topic in topics)
        found = (e.entity for match in self._matches for e in match.evidence if e.entity)
        entities = self._config.entities
        return account(
            story.title,
            topics=topics,
            severity=max(ranks, default=0),
            sources=len(self._work.outlets(self._event_id, "")) or 1,
            story=story.id or 0,
            source=story.source,
            entities=dict.fromkeys(entities[name].title if name in entities else name for name in found),
        )

    @cached_property
    def news(self) -> tuple[News, ...]:
        """What is materially new; nothing where nobody was told anything."""
        return () if self._told is None else news_since(self._told, self.now)

    @cached_property
    def material(self) -> str:
        """What is materially new, in one line, for the record."""
        return said(self.news, self._config)

    def changes(self, why: str) -> tuple[Change, ...]:
        """Return what an update says is new; one that came for another reason, `why`, says how many outlets tell it."""
        if why == self.material or any(one.kind == "severity" for one in self.news):
            return tuple(_change(one, self._config) for one in self.news)
        return (Change("sources", str(self.now.sources)),)

    def told(self) -> None:
        """Record that somebody was told."""
        told = self.now if self._told is None else self.now.after(self._told)
        self._work.set_account(self._event_id, asdict(told))


def said(news: Sequence[News], config: Config) -> str:
    """Return what is new in one line, for the record."""
    return "; ".join(_said(_change(one, config)) for one in news)


def _change(one: News, config: Config) -> Change:
    """A piece of news as messages show it: by the names that people know."""
    if one.kind == "topic":
        return Change("topic", topic_ref(config, one.now).title)
    if one.kind == "severity":
        return Change("severity", SEVERITIES[int(one.now)], SEVERITIES[int(one.was)])
    return Change(one.kind, one.now, one.was, one.about)


def _said(one: Change) -> str:
    match one.kind:
        case "topic":
            return f"also {one.now}"
        case "severity":
            return f"now {one.now}"
        case "sources":
            return f"{one.now} outlets, {one.was} before"
        case "fact":
            what = f"{one.now} {one.about}".strip()
            return f"{what}, {one.was} before" if one.was else what
        case _:
            return f"{one.kind} by {one.now}"
