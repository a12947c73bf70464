"""Decides who is told what, when and why: matches × subscriptions → decisions, alerts and digests. Pure.

Every subscriber whose subscription covers a matched topic gets a decision with a reason, also when nothing is sent:
that is what `monitor explain` shows, and why nothing goes missing silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

from monitor.config import Config, Rate, Subscriber, Subscription
from monitor.text import Evidence
from monitor.timing import quiet_until

SEVERITIES = ("low", "normal", "high", "critical")
STORIES_A_TOPIC = 5
STORIES_A_DIGEST = 40


@dataclass(frozen=True, slots=True)
class TopicRef:
    """A topic as a message names it."""

    name: str
    title: str
    severity: str


@dataclass(frozen=True, slots=True)
class StoryView:
    """A story as a message shows it: evidence points into `title` and `snippet`; `others` are the other outlets.

    `page`: what matched was found on the story's own page, and not in the feed. `regard` is the weight of its source.
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
    regard: float = 1.0


@dataclass(frozen=True, slots=True)
class Alert:
    """One story told at once. `reason` says why it comes late, or is empty."""

    subscriber: str
    channel: str
    topics: tuple[TopicRef, ...]
    story: StoryView
    entities: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DigestSection:
    """A topic within a digest: its most widely covered stories, and how many there are beyond them.

    `total` counts stories, `usual` how many a window of this length has; None where that is too new to say.
    """

    topic: TopicRef
    stories: tuple[StoryView, ...]
    total: int
    more: int = 0
    usual: float | None = None


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
class Notice:
    """A message to the operators about the program itself."""

    title: str
    lines: tuple[str, ...]


class Reason(StrEnum):
    """Why an event was or was not sent to a subscriber at once."""

    SENT = "sent"
    HELD = "held"
    LIMITED = "limited"
    DIGEST = "digest"
    MUTED = "muted"
    OLD = "old"
    BASELINE = "baseline"
    ALREADY_TOLD = "already told"


@dataclass(frozen=True, slots=True)
class Incident:
    """A story that matched, as `decide` needs it. `topics` are those that are news to subscribers.

    `event_key` is the key of the story that the event began with. Keys are made of what publishers wrote and not of row
    numbers, so that a database begun anew does not give an old Message-ID to another message, which receivers would
    drop.
    """

    story_key: str
    event_key: str
    topics: tuple[str, ...]
    baseline: bool
    claimed_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that went out, or is held until `at`, as limits count it."""

    at: datetime
    topics: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """One subscriber's decision. `key` is the event's (or story's); a delivery goes to each of `channels`."""

    subscriber: str
    reason: Reason
    detail: str
    topics: tuple[str, ...]
    channels: tuple[str, ...] = ()
    key: str = ""
    not_before: datetime | None = None


def decide(
    config: Config,
    incident: Incident,
    muted: Mapping[str, frozenset[str]],
    alerts: Mapping[str, Sequence[Told]],
    now: datetime,
) -> tuple[Decided, ...]:
    """Return the decisions for each enabled subscriber whose subscriptions cover one of the incident's topics.

    It is one for each, or two where the limits of some of the subscriptions are reached. `muted` holds the topics each
    subscriber turned off (`*`: all of them); `alerts` each subscriber's alerts within the longest limit, held ones too.
    """
    decided: list[Decided] = []
    for subscriber in config.subscribers.values():
        if not subscriber.enabled:
            continue
        covering = [(s, [t for t in incident.topics if t in s.topics]) for s in subscriber.subscriptions]
        covering = [(subscription, topics) for subscription, topics in covering if topics]
        if covering:
            off = muted.get(subscriber.name, frozenset())
            past = alerts.get(subscriber.name, ())
            decided += _decide_one(config, subscriber, covering, incident, off, past, now)
    return tuple(decided)


def _decide_one(
    config: Config,
    subscriber: Subscriber,
    covering: list[tuple[Subscription, list[str]]],
    incident: Incident,
    off: frozenset[str],
    past: Sequence[Told],
    now: datetime,
) -> list[Decided]:
    topics = tuple(t for t in incident.topics if any(t in ts for _, ts in covering))

    def no(reason: Reason, detail: str) -> list[Decided]:
        return [Decided(subscriber.name, reason, detail, topics)]

    if "*" in off:
        return no(Reason.MUTED, "unsubscribed by the link in a mail")
    wanted = [(s, [t for t in ts if t not in off]) for s, ts in covering]
    wanted = [(s, ts) for s, ts in wanted if ts]
    if not wanted:
        return no(Reason.MUTED, "the topic was turned off by the link in a mail")
    if incident.baseline:
        return no(Reason.BASELINE, "present at the feed's first poll, which raises no alert")
    alerting = [(s, ts) for s, ts in wanted if s.alert is not None]
    if not alerting:
        return no(Reason.DIGEST, "the subscription asks for the digest only")
    old = config.settings.old_stories
    if old.then != "alert" and is_old(incident.claimed_at, incident.seen_at, old.after):
        return no(Reason.OLD, f"first seen {_days(incident)} after its own date: {old.then}")
    free: list[tuple[Subscription, list[str]]] = []
    full: list[tuple[Subscription, list[str]]] = []
    for subscription, ts in alerting:
        at = held_until(config, subscriber, ts, now) or now
        (full if _is_full(subscription, past, at) else free).append((subscription, ts))
    told = tuple(t for t in topics if any(t in ts for _, ts in free))
    beyond = tuple(t for t in topics if t not in told and any(t in ts for _, ts in full))
    decided = []
    if told:
        channels = tuple(dict.fromkeys(c for s, _ in free if s.alert is not None for c in s.alert.via))
        by_story = any(s.alert is not None and s.alert.each == "story" for s, _ in free)
        key = incident.story_key if by_story else incident.event_key
        until = held_until(config, subscriber, told, now)
        reason, detail = Reason.SENT, ""
        if until is not None:
            reason, detail = Reason.HELD, f"quiet hours until {until:%H:%M} UTC"
        decided.append(Decided(subscriber.name, reason, detail, told, channels, key, until or now))
    if beyond:
        limit = next(s.alert.at_most for s, _ in full if s.alert is not None)
        assert limit is not None  # one without is never full
        decided.append(Decided(subscriber.name, Reason.LIMITED, f"{_per(limit)} reached", beyond))
    return decided


def is_old(claimed_at: datetime | None, seen_at: datetime, after: float) -> bool:
    """Whether a story was first seen more than `after` seconds after its claimed time. No date: not old."""
    return claimed_at is not None and seen_at - claimed_at > timedelta(seconds=after)


def _days(incident: Incident) -> str:
    assert incident.claimed_at is not None
    days = (incident.seen_at - incident.claimed_at).days
    return f"{days} day{'' if days == 1 else 's'}"


def _is_full(subscription: Subscription, past: Sequence[Told], at: datetime) -> bool:
    """Whether a subscription's limit leaves no room for an alert that goes out `at`. Only its own alerts count."""
    alert = subscription.alert
    if alert is None or alert.at_most is None:
        return False
    since = at - timedelta(seconds=alert.at_most.per)
    topics, channels = set(subscription.topics), set(alert.via)
    own = (t for t in past if since < t.at <= at and topics & {*t.topics} and channels & {*t.channels})
    return sum(1 for _ in own) >= alert.at_most.count


def _per(limit: Rate) -> str:
    unit = {60.0: "minute", 3600.0: "hour", 86400.0: "day"}.get(limit.per, f"{limit.per:g} seconds")
    return f"the limit of {limit.count} alerts a{'n' if unit == 'hour' else ''} {unit} was"


def held_until(config: Config, subscriber: Subscriber, topics: Iterable[str], now: datetime) -> datetime | None:
    """Return when a subscriber's quiet hours let out what would go at `now` about `topics`; None: at once."""
    quiet = subscriber.quiet_hours
    if quiet is None:
        return None
    worst = max((SEVERITIES.index(topic_ref(config, t).severity) for t in topics), default=0)
    if quiet.except_severity is not None and worst >= SEVERITIES.index(quiet.except_severity):
        return None
    return quiet_until(quiet, ZoneInfo(subscriber.timezone), now)


def topic_ref(config: Config, name: str) -> TopicRef:
    """Return how messages name topic `name`, also when it is no longer declared."""
    topic = config.topics.get(name)
    return TopicRef(name, topic.title, topic.severity) if topic else TopicRef(name, name, "normal")


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

    Topics come in the subscriber's order. Within a topic the events with most outlets come first, then the newest;
    an event is shown once a topic, at most `STORIES_A_TOPIC` a topic and `STORIES_A_DIGEST` in all.
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
    """Return the topics of a digest in the subscriber's order: those subscribed for it, then any that limits held."""
    subscribed = [t for s in subscriber.subscriptions if s.digest for t in s.topics]
    left_over = [t for s in subscriber.subscriptions for t in s.topics if stories.get(t)]
    return tuple(t for t in dict.fromkeys(subscribed + left_over) if t not in off and "*" not in off)


def one_each_event(stories: Sequence[StoryView]) -> list[StoryView]:
    """Return the lead of each event among `stories`, the most widely covered event first."""
    first: dict[int, StoryView] = {}
    for story in sorted(stories, key=lambda s: (-s.regard, s.at, s.id)):
        first.setdefault(story.event_id, story)
    return sorted(first.values(), key=lambda s: (-len(s.others), -s.at.timestamp(), s.id))
