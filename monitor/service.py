"""What people ask the program, for the command line, the web pages and the API alike: functions of (app, …, now) that
return frozen dataclasses. There is no second engine for dry runs: these call the very stages of the pipeline."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from monitor.app import App, channel_url, feeds_to_poll
from monitor.config import Config, Subscriber, load_config
from monitor.dispatch import Digest, Notice
from monitor.entities import Aliases
from monitor.errors import ConfigError, MonitorError, NotFoundError, Problem
from monitor.models import Delivery, FeedState, Story
from monitor.pipeline import Polled, make_digest, notify_operators, poll, schedule_slots
from monitor.pipeline.outgoing import delivery
from monitor.query import EntityRef, MacroRef, Node, parse, walk
from monitor.render import MailMessage, PlainMessage, SlackMessage
from monitor.rules import Explanation, Rules, compile_rules, compile_tree, outline, run_examples, too_common, warnings
from monitor.send import Sender
from monitor.store.archive import Journey
from monitor.store.peek import newest_stories
from monitor.text import Evidence, StoryText
from monitor.timing import next_slot

SAMPLE, SAMPLE_LEAST = 1_000, 50  # stories of the archive that `check` tries topics on: at most, and at least
SAMPLE_TIME = 2.0  # seconds for that
LINE_LIMIT = 32_000_000  # bytes of one line of `monitor match`


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and the rules made of it."""

    config: Config
    rules: Rules


def load(folder: Path, env: Mapping[str, str]) -> Loaded:
    """Return the configuration in `folder`, checked whole, addresses included. Raises ConfigError."""
    config = load_config(folder, env)
    problems = list(_address_problems(config))
    rules: Rules | None = None
    try:
        rules = compile_rules(config)
    except ConfigError as error:
        problems = [*error.problems, *problems]
    if rules is None or problems:
        raise ConfigError(sorted((*config.problems, *problems), key=lambda p: (p.file, p.line, p.column)))
    return Loaded(config, rules)


@dataclass(frozen=True, slots=True)
class Checked:
    """What `monitor check` found; `ok` when nothing is an error."""

    problems: tuple[Problem, ...]
    topics: int = 0
    examples: int = 0
    feeds: int = 0
    subscribers: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing found is an error."""
        return not any(problem.level == "error" for problem in self.problems)


def check(folder: Path, env: Mapping[str, str], data: Path | None = None) -> Checked:
    """Check everything in `folder` and run every topic's examples.

    `data`: the program's data folder; where it has an archive, topics that match too much of it are warned of.
    """
    try:
        loaded = load(folder, env)
    except ConfigError as error:
        return Checked(error.problems)
    config = loaded.config
    problems = [*config.problems, *warnings(config, loaded.rules), *run_examples(config, loaded.rules)]
    if data is not None:
        problems += _too_common(loaded, data)
    return Checked(
        tuple(problems),
        len(config.topics),
        sum(len(t.examples.match) + len(t.examples.no_match) for t in config.topics.values()),
        len(feeds_to_poll(config)),
        sum(s.enabled for s in config.subscribers.values()),
    )


def _too_common(loaded: Loaded, data: Path) -> tuple[Problem, ...]:
    """Warn of topics that match too much of the archive's newest stories; says nothing where it has too few."""
    stories = newest_stories(loaded.config.settings.database_url, data, SAMPLE)
    if len(stories) < SAMPLE_LEAST:
        return ()
    span = stories[0].first_seen_at - stories[-1].first_seen_at
    per_day = len(stories) / max(span / timedelta(days=1), 1)
    until = time.monotonic() + SAMPLE_TIME
    in_time = (story_text(story) for story in stories if time.monotonic() < until)
    return too_common(loaded.config, loaded.rules, in_time, per_day)


def _address_problems(config: Config) -> Iterator[Problem]:
    """Yield the channels' addresses that Apprise cannot use; those of subscribers that are switched off may wait."""
    sender = Sender(config.settings.mail_from)
    addresses: dict[tuple[str | int, ...], str] = {}
    for index, operator in enumerate(config.settings.operators):
        addresses["operators", index] = operator.get_secret_value()
    named = {url.get_secret_value(): name for name, url in config.settings.channels.items()}
    for name, channel in config.settings.channels.items():
        addresses["channels", name] = channel.get_secret_value()
    for subscriber in config.subscribers.values():
        for name, channel in subscriber.channels.items():
            if subscriber.enabled and channel.get_secret_value() not in named:
                addresses["subscribers", subscriber.name, "channels", name] = channel.get_secret_value()
    for path, url in addresses.items():
        wrong = sender.check(url)
        if wrong:
            place = config.place(*path)
            yield Problem("error", place.file, place.line, place.column, wrong, "see docs/howto/channels.md")


def report_bad_config(app: App, problems: Sequence[Problem], now: datetime) -> None:
    """Tell the operators, once for the same problems, that the configuration was not loaded."""
    lines = tuple(str(problem) for problem in problems if problem.level == "error")[:20]
    key = f"config:{'|'.join(lines)}"
    notice = Notice("The configuration was not loaded", (*lines, "The last good configuration goes on running."))
    notify_operators(app, key, notice, now)


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """A feed as an operator sees it. `state` is new | ok | failing."""

    name: str
    source: str
    url: str
    state: Literal["new", "ok", "failing"]
    polled_at: datetime | None
    changed_at: datetime | None
    next_poll_at: datetime | None
    interval: float
    stories: int
    failures: int
    failing_since: datetime | None
    error: str
    note: str


def feed_health(app: App) -> tuple[FeedHealth, ...]:
    """Return the health of every declared feed that is polled: those that fail first."""
    states = app.store.feeds.states()
    found = []
    for name, url in feeds_to_poll(app.config).items():
        state = states.get(name) or FeedState(feed=name, url=url, next_poll_at=app.now())
        verdict: Literal["new", "ok", "failing"] = (
            "failing" if state.failures else "ok" if state.succeeded_at else "new"
        )
        found.append(
            FeedHealth(
                name,
                app.config.feeds[name].source or name,
                url,
                verdict,
                state.polled_at,
                state.changed_at,
                state.next_poll_at if name in states else None,
                state.interval,
                state.stories,
                state.failures,
                state.failing_since,
                state.error or "",
                state.note or "",
            )
        )
    return tuple(sorted(found, key=lambda feed: (feed.state != "failing", feed.name)))


@dataclass(frozen=True, slots=True)
class Status:
    """The program at a glance. `digests` are (subscriber, local time, instant); `queue` counts messages by state."""

    feeds: int
    failing: tuple[str, ...]
    unpolled: int
    last_poll: datetime | None
    stories: int
    matches: int
    edits: int
    queue: Mapping[str, int]
    oldest_pending: datetime | None
    digests: tuple[tuple[str, str, datetime], ...]


def status(app: App, now: datetime) -> Status:
    """Return the program's state, from what is recorded."""
    health = feed_health(app)
    counts = app.store.archive.counts()
    pending = app.store.outbox.latest(("pending",), 1000)
    polled = [feed.polled_at for feed in health if feed.polled_at is not None]
    return Status(
        len(health),
        tuple(feed.name for feed in health if feed.state == "failing"),
        sum(feed.state == "new" for feed in health),
        max(polled, default=None),
        counts["stories"],
        counts["matches"],
        counts["edits"],
        app.store.outbox.counts(),
        min((row.created_at for row in pending), default=None),
        _next_digests(app, now),
    )


def _next_digests(app: App, now: datetime) -> tuple[tuple[str, str, datetime], ...]:
    slots = app.store.slots.all()
    found = []
    for subscriber in app.config.subscribers.values():
        if not subscriber.enabled or subscriber.digest is None:
            continue
        slot = slots.get(subscriber.name)
        if slot is None:
            coming = next_slot(subscriber.digest, ZoneInfo(subscriber.timezone), now)
            found.append((subscriber.name, coming.local, coming.at))
        else:
            found.append((subscriber.name, slot.local, slot.next_at))
    return tuple(sorted(found, key=lambda row: row[2]))


async def poll_now(app: App, names: Sequence[str]) -> list[Polled]:
    """Poll feeds at once, due or not. Raises NotFoundError for a name that is not declared."""
    known = feeds_to_poll(app.config)
    for name in names:
        if name not in known:
            raise NotFoundError(f"no feed `{name}` is declared and enabled; `monitor feeds` lists them")
    await app.db(app.store.feeds.ensure, known, app.now())
    return [await poll(app, name) for name in names]


def match_line(rules: Rules, raw: bytes, number: int) -> dict[str, Any] | None:
    """Return what `monitor match` prints for line `number`, or None for an empty one. Raises MonitorError."""
    if not raw.strip():
        return None
    story = story_from_json(raw, number)
    return {
        "id": story.id,
        "topics": {match.topic: [_span(e) for e in match.evidence] for match in rules.match(story)},
        "entities": {name: [_span(e) for e in evidence] for name, evidence in rules.entities(story).items()},
    }


def _span(evidence: Evidence) -> dict[str, Any]:
    return {"field": evidence.field, "start": evidence.start, "end": evidence.end, "term": evidence.term}


def story_from_json(raw: bytes, number: int) -> StoryText:
    """Return the story on a line. Raises MonitorError naming the line and what is wrong with it."""
    if len(raw) > LINE_LIMIT:
        raise MonitorError(f"line {number}: longer than {LINE_LIMIT:,} bytes")
    try:
        data = json.loads(raw.decode("utf-8", "replace").lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise MonitorError(f"line {number}: not a line of JSON: {error}") from error
    if not isinstance(data, dict) or "id" not in data:
        raise MonitorError(f'line {number}: a story is a JSON object with an "id"')
    texts: dict[str, Any] = {}
    for name in ("title", "summary", "text", "language", "source", "feed", "url", "author", "country"):
        value = data.get(name)
        if value is not None and not isinstance(value, str):
            raise MonitorError(f'line {number}: "{name}" is {type(value).__name__}, and text is wanted')
        texts[name] = value or ""
    tags = data.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise MonitorError(f'line {number}: "tags" is a list of texts')
    return StoryText(id=data["id"], tags=tuple(tags), **texts)


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """A query as it is read: its tree as written, and with macros put in; each line of the latter with its depth.

    `note` says why the configuration's names were not looked up, or is empty.
    """

    written: Node
    tree: Node
    lines: tuple[tuple[int, str], ...]
    note: str = ""


def read_query(text: str, folder: Path, env: Mapping[str, str]) -> ReadQuery:
    """Return how a query is read, with the macros and entities of the configuration in `folder` if there is one.

    Raises QueryError.
    """
    written = parse(text)
    config, note = Config(), f"there is no configuration in {folder}: names after @ and $ were not looked up"
    found = folder.is_dir()
    if found:
        try:
            config, note = load_config(folder, env), ""
        except ConfigError:
            found, note = False, f"{folder} has mistakes (see `monitor check`): names after @ and $ were not looked up"
    if not found:
        named = any(isinstance(node, EntityRef | MacroRef) for node in walk(written))
        return ReadQuery(written, written, tuple(outline(written)), note if named else "")
    aliases = Aliases(config)
    tree = compile_tree(text, config, aliases)
    return ReadQuery(written, tree, tuple(outline(tree, aliases)))


@dataclass(frozen=True, slots=True)
class TopicVerdict:
    """A topic and a story: whether it matched, and for one that did not, why."""

    topic: str
    title: str
    matched: bool
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Explained:
    """A story's journey, and what the rules running now say of it."""

    journey: Journey
    verdicts: tuple[TopicVerdict, ...]


def explain(app: App, words: str, topic: str | None = None) -> Explained:
    """Return the journey of the newest story that `words` finds. Raises NotFoundError when there is none."""
    found = app.store.archive.find(words, 1)
    if not found or found[0].id is None:
        raise NotFoundError(f"no story is found by {words!r}: give its address, its id or words of its headline")
    journey = app.store.archive.journey(found[0].id)
    assert journey is not None
    if topic is not None and topic not in app.config.topics:
        raise NotFoundError(f"no topic `{topic}` is declared; `monitor check` names them")
    text = story_text(journey.story)
    matched = {match.topic for match in journey.matches}
    verdicts = tuple(
        TopicVerdict(name, declared.title, name in matched, app.rules.explain(text, name))
        for name, declared in app.config.topics.items()
        if topic in (None, name)
    )
    return Explained(journey, verdicts)


def story_text(story: Story) -> StoryText:
    """Return a recorded story as rules see it."""
    return StoryText(
        str(story.id or ""),
        story.title,
        story.summary,
        story.text,
        story.language,
        story.source,
        story.feed,
        tuple(story.tags),
        story.url,
        story.author,
        story.country,
    )


def preview_digest(app: App, name: str, at: datetime | None, now: datetime) -> Digest:
    """Return a subscriber's digest as it would go `at` a time (now, if none is given), for the first channel.

    The window is the one of the slot that is coming; for a time in the past, the 24 hours before it.
    """
    subscriber = _subscriber(app, name)
    schedule_slots(app, app.config, now)
    slot = app.store.slots.all().get(name)
    until = at or now
    since = slot.last_at if slot is not None and at is None else until - timedelta(days=1)
    via = subscriber.digest.via if subscriber.digest is not None else tuple(subscriber.channels)
    local = f"{until.astimezone(ZoneInfo(subscriber.timezone)):%Y-%m-%d %H:%M}"
    return make_digest(app, app.config, subscriber, next(iter(via), ""), since, until, local)


def _subscriber(app: App, name: str) -> Subscriber:
    subscriber = app.config.subscribers.get(name)
    if subscriber is None:
        known = ", ".join(app.config.subscribers) or "none"
        raise NotFoundError(f"no subscriber `{name}` is declared (declared: {known})")
    return subscriber


def render_as(app: App, value: Digest, form: Literal["mail", "slack"]) -> MailMessage | SlackMessage | PlainMessage:
    """Return a digest's message in a form, whatever its channel is."""
    reader = app.reader(_subscriber(app, value.subscriber))
    topics = (*(s.topic.name for s in value.sections), *(topic.name for topic in value.quiet))
    links = app.links(value.subscriber, topics)
    make = app.renderer.mail if form == "mail" else app.renderer.slack
    return make(value, reader, app.site, links, app.now())


def send_digest(app: App, value: Digest, now: datetime) -> list[Delivery]:
    """Put a digest into the outbox for each of the subscriber's digest channels, under a key of its own."""
    subscriber = _subscriber(app, value.subscriber)
    via = subscriber.digest.via if subscriber.digest is not None else tuple(subscriber.channels)
    rows = []
    for channel in via:
        if channel_url(app.config, subscriber.name, channel) is None:
            raise NotFoundError(f"subscriber `{subscriber.name}` is not enabled, so nothing can be sent")
        digest = make_digest(app, app.config, subscriber, channel, value.since, value.until, value.local)
        key = f"digest:{subscriber.name}:{channel}:by-hand:{now.isoformat()}"
        topics = tuple(section.topic.name for section in digest.sections)
        row = delivery(
            app, key, "digest", subscriber.name, channel, digest, now, topics=topics, subject=f"Digest {value.local}"
        )
        app.store.outbox.add(row, [s.id for section in digest.sections for s in section.stories])
        rows.append(row)
    return rows


def retry(app: App, ids: Sequence[int], now: datetime) -> list[int]:
    """Make given-up messages due now; return the ids that were. Raises NotFoundError when none is."""
    done = app.store.outbox.requeue(ids, now, now + timedelta(days=3))
    if not done:
        raise NotFoundError(f"none of {', '.join(map(str, ids))} is a message that can be retried (dead or waiting)")
    return done
