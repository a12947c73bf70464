"""What people ask the program, for the command line, the web pages and the API alike: functions of (app, …, now) that
return frozen dataclasses. There is no second engine for dry runs: these call the very stages of the pipeline."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from monitor.app import App, channel_url, feeds_to_poll
from monitor.config import Config, load_config
from monitor.config.closest import undeclared
from monitor.dispatch import Digest, Notice
from monitor.entities import Aliases
from monitor.errors import ConfigError, InputError, NotFoundError, SendError
from monitor.events import WINDOW, Stream
from monitor.models import Audit, Delivery, Endpoint, Recipient, Silence
from monitor.pipeline import Polled, audit, make_digest, notify_operators, poll, with_usual
from monitor.pipeline.deliver import setting
from monitor.pipeline.digest import (
    digest_channels,
    digest_delivery,
    digest_key,
    narrowed,
    planned,
    shown_stories,
    windows,
)
from monitor.pipeline.outages import channels_of
from monitor.pipeline.outgoing import Value, message_id
from monitor.query import EntityRef, MacroRef, Node, parse, walk
from monitor.render import MailMessage, PlainMessage, SlackMessage
from monitor.rules import Rules, compile_tree, outline
from monitor.send import compose
from monitor.service.feeds import WORST_FIRST, FeedHealth, feed_briefs, feed_health
from monitor.service.journey import Explained, Told, TopicVerdict, explain, subscriber_of
from monitor.text import Evidence, StoryText
from monitor.timing import next_slot

__all__ = ["Explained", "FeedHealth", "Told", "TopicVerdict", "explain", "feed_health"]  # and all that is defined below

LINE_LIMIT = 32_000_000  # bytes of one line of `monitor match`


def report_bad_config(app: App, state: Mapping[str, Any], now: datetime) -> None:
    """Tell the operators of a configuration that was not loaded, as the daemon put it on record; of one state once."""
    if state.get("ok", True):
        return
    since = datetime.fromisoformat(state["since"]).astimezone(UTC)
    notice = Notice(
        "The configuration was not loaded",
        (*state["problems"][:20], f"The last good configuration goes on running, since {since:%Y-%m-%d %H:%M} UTC."),
    )
    notify_operators(app, f"config:{state['since']}:{'|'.join(state['problems'][:20])}", notice, now)


@dataclass(frozen=True, slots=True)
class Status:
    """The program at a glance. `digests` are (subscriber, local time, instant); `queue` counts messages by state.

    `endpoints` are those that failed last, `affected` the channels that lead to each, `suspended` the addresses that
    nothing is sent to.

    `failing` are the feeds whose last poll failed, `states` the names of the feeds in each state. `silences` are those
    that hold, `audit` the latest daily one.
    """

    feeds: int
    failing: tuple[str, ...]
    unpolled: int
    states: Mapping[str, tuple[str, ...]]
    last_poll: datetime | None
    stories: int
    matches: int
    edits: int
    queue: Mapping[str, int]
    oldest_pending: datetime | None
    endpoints: tuple[Endpoint, ...]
    affected: Mapping[str, Sequence[str]]
    suspended: tuple[Recipient, ...]
    digests: tuple[tuple[str, str, datetime], ...]
    silences: tuple[Silence, ...]
    audit: Audit | None


def status(app: App, now: datetime) -> Status:
    """Return the program's state, from what is recorded."""
    health = feed_briefs(app)
    counts = app.store.archive.counts()
    pending = app.store.outbox.latest(("pending",), 1000)
    endpoints = tuple(app.store.endpoints.failing(now))
    channels = channels_of(app.config) if endpoints else {}
    polled = [feed.polled_at for feed in health if feed.polled_at is not None]
    return Status(
        len(feeds_to_poll(app.config)),
        tuple(sorted(feed.name for feed in health if feed.failures and feed.state != "paused")),
        sum(feed.polled_at is None and feed.state != "paused" for feed in health),
        {state: tuple(feed.name for feed in health if feed.state == state) for state in WORST_FIRST},
        max(polled, default=None),
        counts["stories"],
        counts["matches"],
        counts["edits"],
        app.store.outbox.counts(),
        min((row.created_at for row in pending), default=None),
        endpoints,
        {row.key: channels.get(row.key, ()) for row in endpoints},
        tuple(app.store.endpoints.suspended().values()),
        next_digests(app, now),
        tuple(app.store.policies.silences(now)),
        app.store.audits.latest(),
    )


def next_digests(app: App, now: datetime) -> tuple[tuple[str, str, datetime], ...]:
    """Return the digests to come, the next first: (subscriber, local time, instant)."""
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


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The digests of a moment to come, and whose they are."""

    at: datetime
    who: tuple[str, ...]


def scheduled(app: App, now: datetime) -> tuple[Scheduled, ...]:
    """Return the digests to come by the moment at which they go, the next first."""
    slots: dict[datetime, list[str]] = {}
    for subscriber, _, at in next_digests(app, now):
        slots.setdefault(at, []).append(subscriber)
    return tuple(Scheduled(at, tuple(who)) for at, who in slots.items())


async def poll_now(app: App, names: Sequence[str]) -> list[Polled]:
    """Poll feeds at once, due or not. Raises NotFoundError for a name that is not declared."""
    known = feeds_to_poll(app.config)
    for name in names:
        if name not in known:
            raise NotFoundError(f"no feed `{name}` is declared and enabled; `monitor feeds` lists them")
    await app.db(app.store.feeds.ensure, known, app.now())
    return [await poll(app, name) for name in names]


def match_line(rules: Rules, raw: bytes, number: int) -> dict[str, Any] | None:
    """Return what `monitor match` prints for line `number`, or None for an empty one. Raises InputError."""
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


class Grouper:
    """What `monitor group` holds from line to line: the stories of the window, and the name of each event."""

    def __init__(self, window: float | None) -> None:
        """Group what lies within `window` seconds; None: every story is its own event."""
        self._stream = Stream(window or WINDOW)
        self._off = window is None
        self._names: dict[int, Any] = {}  # of an event: the id of the story it began with
        self._latest = 0.0

    def line(self, raw: bytes, number: int) -> dict[str, Any] | None:
        """Return what is printed for line `number`, or None for an empty one. Raises InputError.

        A story that does not say when it was published, or says no time, counts as published with the one before it.
        """
        if not raw.strip():
            return None
        data = json_object(raw, number)
        story = json_story(data, number)
        if self._off:
            return {"id": story.id, "event": story.id, "why": "events are switched off: every story is its own"}
        self._latest = at = published(data.get("published"), number, self._latest)
        placed = self._stream.place(story, at)
        self._names.setdefault(placed.event, story.id)
        why, refused = placed.decision.why, placed.decision.refused
        if refused is not None:
            why += f"; the nearest refused: {self._names[refused.event]}, likeness {refused.likeness:.2f}"
        if len(self._names) > 2 * len(self._stream) + 1000:
            alive = self._stream.events()
            self._names = {event: name for event, name in self._names.items() if event in alive}
        return {"id": story.id, "event": self._names[placed.event], "why": why}


def published(value: Any, number: int, otherwise: float) -> float:
    """Return an ISO 8601 time in seconds (UTC without a zone), `otherwise` for what is none. Raises InputError."""
    if value is None:
        return otherwise
    if not isinstance(value, str):
        raise InputError(f'line {number}: "published" is {type(value).__name__}, and text is wanted')
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return otherwise


def story_from_json(raw: bytes, number: int) -> StoryText:
    """Return the story on a line. Raises InputError naming the line and what is wrong with it."""
    return json_story(json_object(raw, number), number)


def json_object(raw: bytes, number: int) -> dict[str, Any]:
    """Return the object on a line. Raises InputError naming the line and what is wrong with it."""
    if len(raw) > LINE_LIMIT:
        raise InputError(f"line {number}: longer than {LINE_LIMIT:,} bytes")
    try:
        data = json.loads(raw.decode("utf-8", "replace").lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number}: not a line of JSON: {error}") from error
    if not isinstance(data, dict) or "id" not in data:
        raise InputError(f'line {number}: a story is a JSON object with an "id"')
    return data


def json_story(data: Mapping[str, Any], number: int) -> StoryText:
    """Return the story that an object of line `number` is. Raises InputError."""
    texts: dict[str, Any] = {}
    for name in ("title", "summary", "text", "language", "source", "feed", "url", "author", "country"):
        value = data.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError(f'line {number}: "{name}" is {type(value).__name__}, and text is wanted')
        texts[name] = value or ""
    tags = data.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InputError(f'line {number}: "tags" is a list of texts')
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


def preview_digest(app: App, name: str, at: datetime | None, now: datetime) -> Digest:
    """Return a subscriber's digest as it would go `at` a time (now, if none is given), for the first channel.

    The window is the one of the slot that is coming; for a time in the past, the 24 hours before it.
    """
    subscriber = subscriber_of(app, name)
    slot = planned(subscriber, app.store.slots.all().get(name), now)
    until = at or now
    since = slot.last_at if slot is not None and at is None else until - timedelta(days=1)
    if slot is not None and at is None:
        # Of several windows that end with the slot the regular one, or where it has no topics the weekly one.
        spans = windows(subscriber, slot, slot.next_at)
        since = since if spans[since] else next((begun for begun, topics in spans.items() if topics), since)
        subscriber = narrowed(subscriber, spans[since])
    local = f"{until.astimezone(ZoneInfo(subscriber.timezone)):%Y-%m-%d %H:%M}"
    with app.store.window() as work:
        channel = next(iter(digest_channels(subscriber)), "")
        digest = make_digest(work, app.config, subscriber, channel, since, until, local, now)
    return with_usual(app, digest)


def render_as(
    app: App, value: Value, form: Literal["mail", "slack"], row: Delivery | None = None
) -> MailMessage | SlackMessage | PlainMessage:
    """Return the message for a value, or for the outbox's `row` of it, in a form, whatever its channel is."""
    reader, links, at = setting(app, app.config, value, row)
    make = app.renderer.mail if form == "mail" else app.renderer.slack
    return make(value, reader, app.site, links, at)


def digest_mail(app: App, value: Digest, message: MailMessage) -> EmailMessage:
    """Return a digest's mail as it would go by the subscriber's mail channel, those for digests first."""
    subscriber = subscriber_of(app, value.subscriber)
    via = subscriber.digest.via if subscriber.digest is not None else ()
    names = dict.fromkeys((*via, *subscriber.channels))
    urls = {name: subscriber.channels[name].get_secret_value() for name in names} | {"": ""}
    ways = [(url, message_id(digest_key(replace(value, channel=name)), app.mail_host)) for name, url in urls.items()]
    return addressed(app, message, ways, (subscriber.title, subscriber.name))


def addressed(app: App, message: MailMessage, ways: Sequence[tuple[str, str]], reader: tuple[str, str]) -> EmailMessage:
    """Return a mail as it goes by the first of some (address, Message-ID) that is one of mail.

    Where none is, under the last Message-ID and to a recipient that cannot exist, of the `reader`'s title and name.
    """
    for url, identity in ways:
        with contextlib.suppress(SendError):  # a channel of another kind, or of one who is not switched on yet
            return app.sender.mail(url, message, identity, app.now())
    name, address = parseaddr(app.config.settings.mail_from)
    sender = (name or app.site.name, address or f"news@{app.mail_host}")
    nobody = (reader[0], f"{reader[1]}@no-mail-channel.invalid")
    return compose(message, sender, nobody, ways[-1][1], app.now())


def send_digest(app: App, value: Digest, now: datetime) -> list[Delivery]:
    """Put a digest into the outbox for each of the subscriber's digest channels, under a key of its own."""
    subscriber = subscriber_of(app, value.subscriber)
    rows = []
    for channel in digest_channels(subscriber):
        if channel_url(app.config, subscriber.name, channel) is None:
            raise NotFoundError(f"subscriber `{subscriber.name}` is not enabled, so nothing can be sent")
        one = replace(value, channel=channel)
        row = digest_delivery(app, one, f"{digest_key(one)}:by-hand:{now.isoformat()}", now)
        app.store.outbox.add(row, shown_stories(value))
        rows.append(row)
    return rows


def retry(app: App, ids: Sequence[int], now: datetime) -> list[int]:
    """Make given-up messages due now; return the ids that were. Raises NotFoundError when none is."""
    done = app.store.outbox.requeue(ids, now, now + timedelta(days=3))
    if not done:
        raise NotFoundError(
            f"none of {', '.join(map(str, ids))} is a message that can be retried (dead, held or waiting)"
        )
    return done


def resume_address(app: App, key: str, now: datetime) -> None:
    """Write to a suspended address again, with what was held for it. Raises NotFoundError where it is none."""
    if app.store.endpoints.resume(key, now) is None:
        raise NotFoundError("this address is not suspended (any more); `monitor status` shows those that are")


def cancel(app: App, ids: Sequence[int], now: datetime) -> list[int]:
    """Cancel messages that wait, are held or were given up; return their ids. Raises NotFoundError when none is."""
    done = app.store.outbox.cancel_by_hand(ids, now)
    if not done:
        raise NotFoundError(
            f"none of {', '.join(map(str, ids))} is a message that can be cancelled (waiting, held or dead)"
        )
    return done


def silence(app: App, topic: str, until: datetime, why: str, now: datetime) -> int:
    """Keep a topic from alerting anybody until then; return how many waiting alerts were cancelled.

    Raises NotFoundError for one that is not declared.
    """
    _topic(app, topic)
    return app.store.policies.silence(topic, until, why, now)


def lift_silence(app: App, topic: str, now: datetime) -> None:
    """End a topic's silence. Raises NotFoundError where there is none."""
    if not app.store.policies.lift(topic, now):
        raise NotFoundError(f"`{topic}` is not silenced; `monitor silence` shows which topics are")


def pause(app: App, name: str, until: datetime, now: datetime) -> None:
    """Send a subscriber nothing until then. Raises NotFoundError for one that is not declared."""
    app.store.policies.pause(subscriber_of(app, name).name, until, now)


def resume(app: App, name: str, now: datetime) -> None:
    """End a subscriber's pause. Raises NotFoundError where there is none."""
    if not app.store.policies.resume(name, now):
        raise NotFoundError(f"`{name}` is not paused; `monitor pause` shows who is")


def release(app: App, now: datetime, *, drop: bool, topic: str = "", subscriber: str = "") -> int:
    """Let go, or drop, what the budget holds; return how many messages. Raises NotFoundError where it holds none."""
    count = app.store.policies.release(now, drop=drop, topic=topic, subscriber=subscriber)
    if not count:
        raise NotFoundError("the budget holds no such message; `monitor deliveries --state held` shows what it holds")
    return count


def run_audit(app: App, since: datetime, now: datetime) -> Audit:
    """Return what the audit of all since then finds."""
    return audit(app, since, now)


def _topic(app: App, topic: str) -> None:
    if topic not in app.config.topics:
        raise undeclared("topic", topic, app.config.topics)
