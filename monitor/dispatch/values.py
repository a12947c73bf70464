"""What messages are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from monitor.config import Rate
from monitor.text import Evidence

SEVERITIES = ("low", "normal", "high", "critical")


@dataclass(frozen=True, slots=True)
class TopicRef:
    """A topic as a message names it."""

    name: str
    title: str
    severity: str


@dataclass(frozen=True, slots=True)
class Report:
    """Another outlet's report of an event."""

    title: str
    url: str
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StoryView:
    """A story as a message shows it: evidence points into `title` and `snippet`; `others` are the other outlets.

    `page`: what matched was found on the story's own page, and not in the feed. `reports` are some or all of the other
    outlets' reports, the earliest first, and `latest` is the time of the event's newest; `weight` orders events, the
    heaviest first: it is that of all its outlets together, and `regard` that of its source alone. `event_key` is the
    event's own key, by which mail programs put its messages into one thread.
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
    reports: tuple[Report, ...] = ()
    latest: datetime | None = None
    weight: float = 0.0
    regard: float = 1.0
    event_key: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is new in an update: what it is `now` and what it `was`; each may be left empty.

    `sources`: how many outlets. `fact`: a number or name in the headline, `about` what it counts, as `events.News` has
    it ("dead"). `entity`: a declared one that it names too. `headline`: another headline. `topic`: the title of a topic
    that matches now. `severity`: one of SEVERITIES. `correction`, `retraction`: `now` is the outlet. `words`: a
    sentence in `now`, shown as it stands.
    """

    kind: Literal["sources", "fact", "entity", "headline", "topic", "severity", "correction", "retraction", "words"]
    now: str = ""
    was: str = ""
    about: str = ""


def said(news: Iterable[Change]) -> str:
    """Return what is new in one line, for the record."""
    return "; ".join(map(_said, news))


def _said(one: Change) -> str:
    match one.kind:
        case "topic":
            return f"also {one.now}"
        case "severity":
            return f"now {one.now}"
        case "sources":
            return f"{one.now} outlets tell of it" + (f", {one.was} before" if one.was else "")
        case "fact":
            what = f"{one.now} {one.about}".strip()
            return f"{what}, {one.was} before" if one.was else what
        case "entity":
            return f"names {one.now}"
        case "correction" | "retraction":
            return f"{one.kind} by {one.now}"
        case _:
            return one.now


@dataclass(frozen=True, slots=True)
class Opening:
    """What the message that opened a thread was about: an update has the same subject, so that mail programs thread."""

    topics: tuple[TopicRef, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """Why an alert goes on to others: of its `readers`, by their titles, none acknowledged it within `seconds`.

    `language` is the first one's, for the channel that it goes on to declares none.
    """

    readers: tuple[str, ...]
    seconds: float
    language: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One story told at once. `reason` says why it comes late, or is empty.

    With `news` it is an update of an event that was told before, in the message of `opening`. `more` are the other
    events that were gathered into this message, and `beyond` is how many there are besides. `held_since`: when quiet
    hours began to hold it. One that goes on to others since it was `unacknowledged` was asked for by somebody else.
    """

    subscriber: str
    channel: str
    topics: tuple[TopicRef, ...]
    story: StoryView
    entities: tuple[str, ...] = ()
    reason: str = ""
    news: tuple[Change, ...] = ()
    opening: Opening | None = None
    more: tuple[StoryView, ...] = ()
    beyond: int = 0
    held_since: datetime | None = None
    unacknowledged: Unacknowledged | None = None


@dataclass(frozen=True, slots=True)
class DigestSection:
    """A topic within a digest: its events of most weight, and how many there are beyond them.

    `total` counts stories, `usual` how many a window of this length has; None where that is too new to say, or where
    nobody counted.
    """

    topic: TopicRef
    stories: tuple[StoryView, ...]
    total: int
    more: int = 0
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """What matched in (`since`, `until`]. `local` is the slot in the reader's zone; `quiet` topics without story.

    A `summary` is what was held back from a reader without digest; `limit` is the limit that did, where nothing else
    did.
    """

    subscriber: str
    channel: str
    since: datetime
    until: datetime
    local: str
    sections: tuple[DigestSection, ...]
    quiet: tuple[TopicRef, ...] = ()
    summary: bool = False
    limit: Rate | None = None


@dataclass(frozen=True, slots=True)
class VolumeAlert:
    """A topic that matches far more than usual (`spike`), or has matched nothing since `since` (`quiet`).

    `count` and `usual` are stories in (`since`, `until`], `usual` None where it is too new to say; `days` are the
    stories of each of the last days, today's last. `stories` are a spike's events, the heaviest first.
    """

    subscriber: str
    channel: str
    topic: TopicRef
    kind: Literal["spike", "quiet"]
    since: datetime
    until: datetime
    count: int = 0
    usual: float | None = None
    days: tuple[int, ...] = ()
    stories: tuple[StoryView, ...] = ()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one who asked by the sign-up page is sent, by mail to the address that is its `channel`.

    It leads to the page that confirms, or for one who `is_known`, a subscriber already, to the settings.
    """

    subscriber: str
    channel: str
    language: str
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to the operators about the program itself."""

    title: str
    lines: tuple[str, ...]
