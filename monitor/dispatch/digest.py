"""Matches of a window → a digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from monitor.config import Config, Subscriber
from monitor.dispatch.decide import ANY_TOPIC, topic_ref
from monitor.dispatch.values import Digest, DigestSection, StoryView

STORIES_A_TOPIC = 5
STORIES_A_DIGEST = 40


def build_digest(
    config: Config,
    subscriber: Subscriber,
    channel: str,
    window: tuple[datetime, datetime],
    local: str,
    stories: Mapping[str, Sequence[StoryView]],
    off: frozenset[str],
) -> Digest:
    """Return the digest of `window` for one channel; `stories` maps each topic to what matched, in any order.

    Topics come in the subscriber's order. Within a topic the heaviest events come first, then those with most outlets,
    then the newest; an event is shown once a topic, at most `STORIES_A_TOPIC` a topic and `STORIES_A_DIGEST` in all.
    """
    sections, quiet, room = [], [], STORIES_A_DIGEST
    for name in digest_topics(subscriber, stories, off):
        found = stories.get(name, ())
        if not found:
            quiet.append(topic_ref(config, name))
            continue
        events = one_each_event(found)
        shown = events[: min(STORIES_A_TOPIC, room)]
        room -= len(shown)
        sections.append(DigestSection(topic_ref(config, name), tuple(shown), len(found), len(events) - len(shown)))
    since, until = window
    return Digest(subscriber.name, channel, since, until, local, tuple(sections), tuple(quiet))


def digest_topics(
    subscriber: Subscriber, stories: Mapping[str, Sequence[StoryView]], off: frozenset[str]
) -> tuple[str, ...]:
    """Return the topics of a digest in the subscriber's order: those subscribed for it, then any that were held back.

    A topic that the subscriber was taken off meanwhile comes last.
    """
    subscribed = [t for s in subscriber.subscriptions if s.digest for t in s.topics]
    left_over = [t for s in subscriber.subscriptions for t in s.topics if stories.get(t)]
    left_over += [t for t, found in stories.items() if found]
    return tuple(t for t in dict.fromkeys(subscribed + left_over) if t not in off and ANY_TOPIC not in off)


def one_each_event(stories: Sequence[StoryView]) -> list[StoryView]:
    """Return the lead of each event among `stories`, the heaviest and most widely covered event first."""
    first: dict[int, StoryView] = {}
    for story in sorted(stories, key=lambda s: (-s.regard, s.at, s.id)):
        first.setdefault(story.event_id, story)
    return sorted(first.values(), key=lambda s: (-s.weight, -len(s.others), -s.at.timestamp(), s.id))
