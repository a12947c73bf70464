"""What the desk shows: how all runs, what each topic catches, which feeds and messages need a person."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from monitor.app import OPERATORS, App
from monitor.config import Topic
from monitor.entities import Aliases
from monitor.errors import NotFoundError
from monitor.models import Delivery, Recipient, Story
from monitor.query import EntityRef, parse, parse_item, walk
from monitor.rules import ABSENT, queries
from monitor.service import scheduled
from monitor.service.feeds import FeedBrief, FeedHealth, feed_briefs, feed_health
from monitor.service.marks import Piece, pieces
from monitor.service.outcomes import Stand, outcomes
from monitor.service.record import Running, running
from monitor.snippets import cut, snippet
from monitor.store.reports import Covered, Since, Standing
from monitor.text import Evidence

SPARK = 14  # days of a small chart
WEEKS = 8  # of which the same weekday says what is usual
TOO_NEW = timedelta(weeks=3)
NOTABLE = 2  # times the usual, from which on it is said how many
A_PAGE = 50  # topics on a page
HEADLINE = 200  # characters of one in a list; the story's own page has all
TOPICS_SHOWN = 12  # on the desk
ATTENTION = 6  # things of a kind that are listed by themselves


@dataclass(frozen=True, slots=True)
class Usual:
    """What a topic usually has in a day: the middle of the same weekdays, and the band that half of them lie in.

    `times` is how many times as many there are today; None where that is not worth a word.
    """

    middle: float
    low: float
    high: float
    times: float | None


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic on the desk; `days` are stories a day, today's last; `usual` is None while it is too new to say."""

    name: str
    title: str
    days: tuple[int, ...]
    events: int
    usual: Usual | None


@dataclass(frozen=True, slots=True)
class OtherStory:
    """A story of an event beside its first."""

    id: int
    title: str
    source: str


@dataclass(frozen=True, slots=True)
class EventView:
    """An event as pages show it, by the first of its stories that matched. `topics` are (name, title).

    It was `first` seen, and its `latest` story came, then.
    `became` says of how many subscribers what became of it (`outcomes`): sent, failed, waiting, or kept back and why.
    """

    id: int
    story: int
    title: tuple[Piece, ...]
    snippet: tuple[Piece, ...]
    source: str
    sources: int
    topics: tuple[tuple[str, str], ...]
    first: datetime
    latest: datetime
    others: tuple[OtherStory, ...]
    became: Mapping[str, int]
    language: str = ""


@dataclass(frozen=True, slots=True)
class Coming:
    """What goes out next: a message, or the digest of some subscribers."""

    at: datetime
    kind: Literal["message", "digest"]
    who: tuple[str, ...]
    message: Delivery | None = None


@dataclass(frozen=True, slots=True)
class DeskView:
    """The desk: exceptions first, then what happens, then what comes."""

    running: Running
    since: Since
    failed: tuple[Delivery, ...]
    suspended: tuple[Recipient, ...]
    feeds: tuple[FeedBrief, ...]
    troubled: tuple[FeedHealth, ...]
    troubled_count: int
    standings: Mapping[Standing, int]
    sent_today: int
    topics: tuple[TopicRow, ...]
    last: Mapping[str, datetime | None]
    events: tuple[EventView, ...]
    event_count: int
    coming: tuple[Coming, ...]


def zone(app: App) -> ZoneInfo:
    """Return the zone of pages."""
    return ZoneInfo(app.config.settings.timezone)


def midnights(app: App, now: datetime, days: int) -> list[datetime]:
    """Return when each of the latest `days` days began where the pages are read, today's last, and when today ends."""
    here = zone(app)
    today = now.astimezone(here).date()
    return [_midnight(today - timedelta(days=back), here) for back in range(days - 1, -2, -1)]


def _midnight(day: date, here: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=here)


def desk(app: App, now: datetime) -> DeskView:
    """Return the desk."""
    bounds = midnights(app, now, 7 * WEEKS + 1)
    today = bounds[-2]
    reports = app.store.reports
    found, covered = reports.covered(today, limit=6)
    standings = reports.standings(now)
    feeds = feed_briefs(app)
    topics = _topic_rows(app, bounds, now)
    troubled = [feed.name for feed in feeds if feed.state in ("broken", "silent") or feed.gone]
    return DeskView(
        running=running(app.data),
        since=reports.since(today),
        failed=tuple(reports.messages(now, "failed", limit=ATTENTION)) if standings["failed"] else (),
        suspended=tuple(
            sorted(app.store.endpoints.suspended().values(), key=lambda one: (one.subscriber, one.channel))
        ),
        feeds=feeds,
        troubled=feed_health(app, troubled[:ATTENTION]),
        troubled_count=len(troubled),
        standings=standings,
        sent_today=len(reports.sent_since(today)),
        topics=topics,
        last=last_matches(app, topics[:TOPICS_SHOWN]),
        events=events(app, covered),
        event_count=found,
        coming=_coming(app, now),
    )


def topics_view(app: App, now: datetime) -> tuple[TopicRow, ...]:
    """Return all topics, those with the most stories today first."""
    return _topic_rows(app, midnights(app, now, 7 * WEEKS + 1), now)


def last_matches(app: App, rows: Sequence[TopicRow]) -> dict[str, datetime | None]:
    """Return when each of some topics matched last, None for one that never did."""
    found = app.store.reports.last_matches([row.name for row in rows])
    return {row.name: found.get(row.name) for row in rows}


def _topic_rows(app: App, bounds: Sequence[datetime], now: datetime) -> tuple[TopicRow, ...]:
    reports = app.store.reports
    counts = reports.by_day(bounds, now)
    happened = reports.events_by_topic(bounds[-2])
    young = _too_new(app, now)
    rows = []
    for name, topic in app.config.topics.items():
        days = tuple(day.get(name, 0) for day in counts)
        usual = None if young else usually(days)
        rows.append(TopicRow(name, topic.title, days[-SPARK:], happened.get(name, 0), usual))
    return tuple(sorted(rows, key=lambda row: (-row.days[-1], -sum(row.days), row.title.casefold())))


def _too_new(app: App, now: datetime) -> bool:
    first = app.store.reports.first_seen()
    return first is None or now - first < TOO_NEW


def usually(days: Sequence[int]) -> Usual:
    """Return what is usual for the last of `days`: the middle and the middle half of the same weekdays before it."""
    same = days[-8::-7][:WEEKS] or (0,)
    middle = statistics.median(same)
    low, _, high = statistics.quantiles(same, n=4, method="inclusive") if len(same) > 1 else (middle, middle, middle)
    today = days[-1]
    many = today >= NOTABLE * max(middle, 1) and today >= 3
    return Usual(middle, low, high, today / max(middle, 1) if many else None)


def events(app: App, covered: Sequence[Covered]) -> tuple[EventView, ...]:
    """Return events as pages show them."""
    reports = app.store.reports
    stories = reports.stories_of([one.event_id for one in covered])
    ids = [story.id for found in stories.values() for story in found if story.id is not None]
    topics = reports.topics_of(ids)
    reasons, alerts = reports.reasons_of(ids), reports.alerts_of(list(stories))
    made = []
    for one in covered:
        of_it = stories[one.event_id]
        lead = next((story for story in of_it if story.id in topics), None)
        if lead is not None:
            named = tuple(dict.fromkeys(topic for story in of_it for topic in topics.get(story.id or 0, ())))
            sent = {name: [Stand(*row) for row in rows] for name, rows in alerts.get(one.event_id, {}).items()}
            became = outcomes(reasons.get(one.event_id, {}), sent)
            made.append((one, lead, of_it, named, became))
    leads = [lead.id or 0 for _, lead, *_ in made]
    texts, found = reports.texts(leads), reports.evidence_of(leads)
    return tuple(
        _event(app, one, lead, of_it, named, became, texts.get(lead.id or 0, ""), found.get(lead.id or 0, ()))
        for one, lead, of_it, named, became in made
    )


def _event(
    app: App,
    one: Covered,
    lead: Story,
    stories: Sequence[Story],
    topics: Sequence[str],
    became: Mapping[str, int],
    text: str,
    found: Iterable[Mapping[str, Any]],
) -> EventView:
    assert lead.id is not None
    evidence = [Evidence(**part) for part in found]
    passage, marks = snippet(lead.summary, text, evidence, 240)
    return EventView(
        id=one.event_id,
        story=lead.id,
        title=tuple(pieces(cut(lead.title, HEADLINE), "title", evidence)),
        snippet=() if passage.casefold() == lead.title.casefold() else tuple(pieces(passage, "snippet", marks)),
        source=lead.source,
        sources=max(one.sources, len({story.source for story in stories})),
        topics=tuple((name, title_of(app, name)) for name in topics),
        first=lead.first_seen_at,
        latest=max(one.latest, *(story.first_seen_at for story in stories)),
        others=tuple(
            OtherStory(s.id, cut(s.title, HEADLINE // 2), s.source)
            for s in stories
            if s is not lead and s.id is not None
        ),
        became=became,
        language=lead.language,
    )


def title_of(app: App, topic: str) -> str:
    """Return a topic's title, also when it is no longer declared."""
    declared = app.config.topics.get(topic)
    return declared.title if declared else topic


def name_of(app: App, subscriber: str) -> str:
    """Return a subscriber's name for people, also of one who is no longer declared."""
    if subscriber == OPERATORS:
        return "the operators"
    declared = app.config.subscribers.get(subscriber)
    return declared.title if declared else subscriber


def _coming(app: App, now: datetime) -> tuple[Coming, ...]:
    messages = [Coming(row.next_attempt_at, "message", (row.subscriber,), row) for row in app.store.reports.waiting(4)]
    digests = [Coming(one.at, "digest", one.who) for one in scheduled(app, now)[:3]]
    return tuple(sorted((*messages, *digests), key=lambda one: one.at))


def named(app: App, who: str) -> str:
    """Return which subscriber a person means, by its name or title in any case; "" for none, or more than one."""
    if who in app.config.subscribers:
        return who
    said = who.strip().casefold()
    fits = [one.name for one in app.config.subscribers.values() if said in (one.name.casefold(), one.title.casefold())]
    return fits[0] if len(fits) == 1 else ""


@dataclass(frozen=True, slots=True)
class EventsView:
    """A part of the events of the latest `period` days (today's for 1), of `found`."""

    rows: tuple[EventView, ...]
    found: int
    period: int
    newest: bool
    skipped: int


EVENTS_A_PAGE = 10


def events_view(app: App, now: datetime, *, period: int = 1, newest: bool = False, skip: int = 0) -> EventsView:
    """Return events of all topics: the most widely covered, or the newest, first."""
    period = period if period in PERIODS else 1
    since = midnights(app, now, period)[0]
    found, covered = app.store.reports.covered(since, newest=newest, limit=EVENTS_A_PAGE, skip=skip)
    return EventsView(events(app, covered), found, period, newest, skip)


@dataclass(frozen=True, slots=True)
class TopicView:
    """A topic's page: its rule, what it caught by day, by event, by word and by outlet in the latest `period` days.

    `hours` are the latest 24 and what it caught in each, the present one last, where one day is asked for. That
    many stories came `close` and did not match; of these, what must be absent `removed` some.
    """

    topic: Topic
    place: str
    query: str
    entities: tuple[tuple[str, tuple[str, ...]], ...]
    period: int
    days: tuple[tuple[date, int], ...]
    hours: tuple[tuple[datetime, int], ...]
    usual: Usual | None
    today: int
    events_today: int
    first_polls: int
    events: tuple[EventView, ...]
    event_count: int
    newest: bool
    words: tuple[tuple[str, int], ...]
    outlets: tuple[tuple[str, int], ...]
    looked_at: int
    close: int
    removed: int
    alerted: int
    digested: int


PERIODS = (1, 7, 30, 90)


def topic_view(
    app: App, name: str, now: datetime, *, period: int = 30, newest: bool = False, skip: int = 0
) -> TopicView:
    """Return a topic's page. Raises NotFoundError."""
    topic = app.config.topics.get(name)
    if topic is None:
        raise NotFoundError(f"no topic `{name}` is declared")
    period = period if period in PERIODS else 30
    reports = app.store.reports
    bounds = midnights(app, now, max(period, 7 * WEEKS + 1))
    counts = [day.get(name, 0) for day in reports.by_day(bounds, now)]
    since = bounds[-1 - period]
    if period == 1:
        since = now - timedelta(days=1)
    event_count, covered = reports.covered(since, name, newest=newest, limit=8, skip=skip)
    words, looked_at = reports.words(name, since)
    close, removed = reports.came_close(name, since, ABSENT)
    subscribers = [one for one in app.config.subscribers.values() if one.enabled]
    days = [bound.date() for bound in bounds[:-1]]
    return TopicView(
        topic=topic,
        place=_place(app, topic),
        query=written(topic),
        entities=_entities(app, topic),
        period=period,
        days=tuple(zip(days, counts, strict=True))[-max(period, SPARK) :],
        hours=_hours(app, name, now) if period == 1 else (),
        usual=None if _too_new(app, now) else usually(counts),
        today=counts[-1],
        events_today=reports.events_by_topic(bounds[-2]).get(name, 0),
        first_polls=reports.first_polls(name),
        events=events(app, covered),
        event_count=event_count,
        newest=newest,
        words=tuple(words.items())[:12],
        outlets=tuple(reports.outlets_of(name, since)),
        looked_at=looked_at,
        close=close,
        removed=removed,
        alerted=sum(any(s.alert and name in s.topics for s in one.subscriptions) for one in subscribers),
        digested=sum(any(s.digest and name in s.topics for s in one.subscriptions) for one in subscribers),
    )


def _hours(app: App, topic: str, now: datetime) -> tuple[tuple[datetime, int], ...]:
    hour = now.astimezone(zone(app)).replace(minute=0, second=0, microsecond=0)
    # By the instant: in a zone's own time an hour comes twice, or not at all, where its clock changes.
    hours = [(hour.astimezone(UTC) - timedelta(hours=back)).astimezone(hour.tzinfo) for back in range(23, -1, -1)]
    times = app.store.reports.matched_at(topic, hours[0])
    counts = Counter(int((at - hours[0]) / timedelta(hours=1)) for at in times)
    return tuple((at, counts[number]) for number, at in enumerate(hours))


def _place(app: App, topic: Topic) -> str:
    place = app.config.place("topics", topic.name)
    return f"{place.file.rpartition('/')[2]} line {place.line}" if place.line else ""


def written(topic: Topic) -> str:
    """Return what a topic's rule says, lists as the query that means the same."""
    parts = [f"({topic.query.strip()})" if topic.query and _has_lists(topic) else (topic.query or "").strip()]
    groups = [_group(group.any) for group in topic.all]
    parts.append(f" NEAR/{topic.near} ".join(groups) if topic.near is not None else "\nAND ".join(groups))
    parts.append(_group(topic.any))
    text = "\nAND ".join(part for part in parts if part)
    absent = "".join(f"\nNOT {_item(item)}" for item in topic.none)
    return (text + absent).strip()


def _has_lists(topic: Topic) -> bool:
    return bool(topic.any or topic.all or topic.none)


def _group(items: Sequence[str]) -> str:
    told = [_item(item) for item in items]
    return "" if not told else told[0] if len(told) == 1 else f"({' OR '.join(told)})"


def _item(item: str) -> str:
    text = str(parse_item(item))
    return f"({text})" if " AND " in text or " OR " in text else text


def _entities(app: App, topic: Topic) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What the names after @ in a topic stand for, those in its macros included: the first of each one's aliases."""
    config = app.config
    texts = [(text, is_item) for path, text, is_item in queries(config) if path[:2] == ("topics", topic.name)]
    named: dict[str, None] = {}
    seen: set[str] = set()
    while texts:
        text, is_item = texts.pop()
        for node in walk(parse_item(text) if is_item else parse(text, part=True)):
            if isinstance(node, EntityRef):
                named.setdefault(node.name)
            elif (macro := getattr(node, "name", "")) in config.macros and macro not in seen:
                seen.add(macro)
                texts.append((config.macros[macro], False))
    if not named:
        return ()
    aliases: Aliases = app.rules.aliases
    return tuple((name, _stands_for(aliases, name)) for name in named)


_ALIASES = 12


def _stands_for(aliases: Aliases, name: str) -> tuple[str, ...]:
    members = aliases.members(name)
    told = (
        [f"@{one}" for one in members]
        if members != (name,)
        else [f"{alias.text} (weak)" if alias.weak else alias.text for alias in aliases.of(name)]
    )
    return (*told[:_ALIASES], *((f"and {len(told) - _ALIASES} more",) if len(told) > _ALIASES else ()))
