"""Due slots → digests. A slot and its deliveries move in one transaction, so none is lost or made twice."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.app import App
from monitor.config import Config, DigestSchedule, Subscriber
from monitor.dispatch import Digest, StoryView, build_digest
from monitor.models import Delivery, DigestSlot
from monitor.pipeline.outgoing import delivery, view
from monitor.text import Evidence
from monitor.timing import last_slot, next_slot

log = logging.getLogger(__name__)

# The slot of a subscriber without digest, once a limit held something back: one summary, when the limit's time is up.
OVERFLOW = "overflow"


def describe(schedule: DigestSchedule, subscriber: Subscriber) -> str:
    """Return a schedule in one line, to notice when it changes."""
    days = "".join(str(day) for day in sorted(schedule.days))
    return f"{','.join(schedule.at)} {days} {subscriber.timezone}"


def schedule_slots(app: App, config: Config, now: datetime) -> None:
    """Give each subscriber's digest its slot; a changed schedule or zone gets a new next boundary, and its window goes
    on from the old one, so that nothing falls between."""
    slots = app.store.slots.all()
    for subscriber in config.subscribers.values():
        schedule, slot = subscriber.digest, slots.get(subscriber.name)
        if not subscriber.enabled or schedule is None or not schedule.at:
            continue
        described = describe(schedule, subscriber)
        if slot is not None and slot.schedule == described:
            continue
        following = next_slot(schedule, ZoneInfo(subscriber.timezone), now)
        since = slot.last_at if slot is not None and slot.schedule != OVERFLOW else now
        app.store.slots.save(
            DigestSlot(
                subscriber=subscriber.name,
                schedule=described,
                local=following.local,
                last_at=since,
                next_at=following.at,
            )
        )
    for name in slots.keys() - {s.name for s in config.subscribers.values() if s.enabled}:
        app.store.slots.drop(name)


def digest_due(app: App, now: datetime) -> list[Delivery]:
    """Make the digests whose boundary has passed; return the messages put into the outbox.

    After downtime over several boundaries there is one digest, for the whole time since the last one.
    """
    config = app.config
    schedule_slots(app, config, now)
    made: list[Delivery] = []
    for slot in app.store.slots.all().values():
        subscriber = config.subscribers.get(slot.subscriber)
        if subscriber is None or slot.next_at > now:
            continue
        made += _close(app, config, subscriber, slot, now)
    if made:
        app.wake_delivery.set()
    return made


def _close(app: App, config: Config, subscriber: Subscriber, slot: DigestSlot, now: datetime) -> list[Delivery]:
    zone = ZoneInfo(subscriber.timezone)
    following: DigestSlot | None = None
    boundary, local = slot.next_at, slot.local
    if slot.schedule != OVERFLOW:
        assert subscriber.digest is not None  # `schedule_slots` dropped the slots of those without
        latest = last_slot(subscriber.digest, zone, now)
        if latest.at > boundary:
            boundary, local = latest.at, latest.local
        coming = next_slot(subscriber.digest, zone, boundary)
        following = DigestSlot(
            subscriber=subscriber.name,
            schedule=slot.schedule,
            local=coming.local,
            last_at=boundary,
            next_at=coming.at,
        )
    via = subscriber.digest.via if subscriber.digest is not None else tuple(subscriber.channels)
    rows: list[tuple[Delivery, list[int]]] = []
    for channel in via:
        digest = make_digest(app, config, subscriber, channel, slot.last_at, boundary, local)
        if not digest.sections and (subscriber.digest is None or subscriber.digest.empty == "skip"):
            log.info("digest for %s at %s: nothing matched, so none is sent", subscriber.name, local)
            continue
        shown = [story.id for section in digest.sections for story in section.stories]
        key = digest_key(subscriber.name, channel, local)
        row = delivery(
            app,
            key,
            "digest",
            subscriber.name,
            channel,
            digest,
            now,
            topics=tuple(section.topic.name for section in digest.sections),
            subject=f"Digest {local}",
        )
        rows.append((row, shown))
    if not app.store.slots.close(subscriber.name, slot.next_at, following, rows):
        return []
    return [row for row, _ in rows]


def digest_key(subscriber: str, channel: str, local: str) -> str:
    """Return the key of a digest's message; `local` is its slot ("2026-11-25 07:00")."""
    date, _, time = local.partition(" ")
    return f"digest:{subscriber}:{channel}:{time}:{date}"


def make_digest(
    app: App, config: Config, subscriber: Subscriber, channel: str, since: datetime, until: datetime, local: str
) -> Digest:
    """Return the digest of (`since`, `until`] for one channel, as it would go."""
    subscribed = {t for s in subscriber.subscriptions if s.digest for t in s.topics}
    off = app.store.slots.muted().get(subscriber.name, frozenset())
    limited = app.store.slots.limited(subscriber.name, since, until)
    topics = subscribed | {topic for _, topic in limited}
    stories: dict[str, list[StoryView]] = {}
    for match, story, others in app.store.slots.window(topics, since, until):
        if match.topic in subscribed or (story.id, match.topic) in limited:
            evidence = [Evidence(**part) for part in match.evidence]
            stories.setdefault(match.topic, []).append(view(story, evidence, others))
    kept: Mapping[str, list[StoryView]] = {} if "*" in off else stories
    return build_digest(config, subscriber, channel, (since, until), local, kept, off)


def overflow_slot(subscriber: Subscriber, per: float, now: datetime) -> DigestSlot:
    """Return the slot at which a subscriber without digest gets one summary of what a limit holds back from now on."""
    end = now + timedelta(seconds=per)
    return DigestSlot(
        subscriber=subscriber.name,
        schedule=OVERFLOW,
        local=f"{end.astimezone(ZoneInfo(subscriber.timezone)):%Y-%m-%d %H:%M:%S}",
        last_at=now - timedelta(microseconds=1),
        next_at=end,
    )
