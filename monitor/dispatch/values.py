"""What messages are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitor.text import Evidence

SEVERITIES = ("low", "normal", "high", "critical")


@dataclass(frozen=True, slots=True)
class TopicRef:
    """A topic as a message names it."""

    name: str
    title: str
    severity: str


@dataclass(frozen=True, slots=True)
class StoryView:
    """A story as a message shows it: evidence points into `title` and `snippet`; `others` are the other outlets.

    `page`: what matched was found on the story's own page, and not in the feed. `event_key` is the event's own key,
    by which mail programs put its messages into one thread.
    """

    id: int
    event_id: int
    title: str
    url: str
    source: str
    snippet: str
    language: str
    at: datetime
    evidence: tuple[Evidence, ...] = ()
    others: tuple[str, ...] = ()
    edited: bool = False
    page: bool = False
    event_key: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """A story told at once, with any `further` ones that came within the subscription's `wait`.

    `reason` says why it comes late or again, or is empty.
    """

    subscriber: str
    channel: str
    topics: tuple[TopicRef, ...]
    story: StoryView
    entities: tuple[str, ...] = ()
    reason: str = ""
    further: tuple[StoryView, ...] = ()


@dataclass(frozen=True, slots=True)
class DigestSection:
    """A topic within a digest: its most widely covered stories, and how many there are beyond them."""

    topic: TopicRef
    stories: tuple[StoryView, ...]
    total: int
    more: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """What matched in (`since`, `until`]. `local` is the slot in the reader's zone; `quiet` topics without story."""

    subscriber: str
    channel: str
    since: datetime
    until: datetime
    local: str
    sections: tuple[DigestSection, ...]
    quiet: tuple[TopicRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to the operators about the program itself."""

    title: str
    lines: tuple[str, ...]
