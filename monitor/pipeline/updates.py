"""What of an event that was told is worth telling again, by what is recorded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property

from monitor.config import Config
from monitor.dispatch import SEVERITIES, Decided, topic_ref
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
        kept = work.told(story.event_id)
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

    def of(self, decided: Decided) -> str:
        """Say what of it a subscriber is to hear again, by the subscriptions that were decided on; "" for nothing."""
        if self._told is None or not decided.channels:
            return ""
        for subscription in self._config.subscribers[decided.subscriber].subscriptions:
            alert = subscription.alert
            if alert is None or not {*subscription.topics} & {*decided.topics}:
                continue
            if alert.updates == "material" and self.news:
                return said(self.news, self._config)
            if isinstance(alert.updates, int) and self._told.sources < alert.updates <= self.now.sources:
                return said((News("sources", str(self.now.sources), str(self._told.sources)),), self._config)
        return ""

    def key(self, decided: Decided) -> str:
        """Return the key of an update, made as the first message's is: of what publishers wrote."""
        return f"{decided.key}#{self._story.key}#{self._story.edits}"

    def told(self) -> None:
        """Record that somebody was told."""
        told = self.now if self._told is None else self.now.after(self._told)
        self._work.set_told(self._event_id, asdict(told))


def said(news: Sequence[News], config: Config) -> str:
    """Return what is new in one line."""
    return "Update: " + "; ".join(_said(one, config) for one in news)


def _said(one: News, config: Config) -> str:
    match one.kind:
        case "topic":
            return f"also {topic_ref(config, one.now).title}"
        case "severity":
            return f"now {SEVERITIES[int(one.now)]}"
        case "sources":
            return f"{one.now} outlets, {one.was} before"
        case "fact":
            what = f"{one.now} {one.about}".strip()
            return f"{what}, {one.was} before" if one.was else what
        case _:
            return f"{one.kind} by {one.now}"
