"""Due slots → digests. A slot, its window and its deliveries are read and moved in one transaction, so that nothing is
lost between two digests or made twice."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.app import App
from monitor.config import Config, DigestSchedule, Rate, Subscriber
from monitor.dispatch import Digest, Reason, StoryView, build_digest, is_old, window_key
from monitor.models import Delivery, DigestSlot, DigestWindow
from monitor.pipeline.budget import Budget
from monitor.pipeline.outgoing import delivery, view, with_first
from monitor.pipeline.volume import usual_of
from monitor.store import Window
from monitor.text import Evidence
from monitor.timing import last_slot, next_slot

log = logging.getLogger(__name__)

# The slot of a subscriber without digest, once something was held back: one summary, when the limit's time is up.
OVERFLOW = "overflow"
OVERFLOW_LONGEST = timedelta(days=2)  # the longest time that a limit counts over, and then the quiet hours
# The slots of subscribers who are gone are kept so long: one taken out of the files by mistake loses nothing.
FORGET = timedelta(days=30)


def describe(schedule: DigestSchedule, subscriber: Subscriber) -> str:
    """Return a schedule in one line, to notice when it changes."""
    days = "".join(str(day) for day in sorted(schedule.days))
    return f"{','.join(schedule.at)} {days} {subscriber.timezone}"


def planned(subscriber: Subscriber, slot: DigestSlot | None, now: datetime) -> DigestSlot | None:
    """Return the slot that a subscriber should have at `now`; `slot` itself when it is right as it is.

    A changed schedule or zone gets a new next boundary, and its window goes on from the old one, so that nothing falls
    between; one that was taken away ends in a summary. A slot that lies further ahead than its schedule allows, or that
    was closed in the future, is one of a clock that went back.
    """
    since = now if slot is None else min(slot.last_at, now)
    if subscriber.digest is None:
        if slot is None or (slot.schedule == OVERFLOW and slot.next_at - now <= OVERFLOW_LONGEST):
            return slot
        return _overflow(subscriber, since, now)
    described, zone = describe(subscriber.digest, subscriber), ZoneInfo(subscriber.timezone)
    coming = next_slot(subscriber.digest, zone, now)
    fits = slot is not None and slot.schedule == described
    if slot is not None and fits and slot.next_at <= next_slot(subscriber.digest, zone, coming.at).at:
        if slot.last_at <= now:
            return slot
        local, at = slot.local, slot.next_at
    else:
        local, at = coming.local, coming.at
    # A shallow copy of what a weekly digest waits with: changes of a row's JSON are seen by its identity.
    begun = dict(slot.begun) if slot is not None else {}
    return DigestSlot(
        subscriber=subscriber.name, schedule=described, local=local, last_at=since, next_at=at, begun=begun
    )


def schedule_slots(app: App, config: Config, now: datetime) -> None:
    """Give each subscriber's digest its slot, and forget those of subscribers long gone."""
    slots = app.store.slots.all()
    present = {subscriber.name for subscriber in config.subscribers.values() if subscriber.enabled}
    for name in present:
        slot = planned(config.subscribers[name], slots.get(name), now)
        if slot is not None and slot is not slots.get(name):
            app.store.slots.save(slot)
    for name in slots.keys() - present:
        if slots[name].next_at < now - FORGET:
            app.store.slots.drop(name)


def digest_due(app: App) -> list[Delivery]:
    """Make the digests whose boundary has passed; return the messages put into the outbox.

    After downtime over several boundaries there is one digest, for the whole time since the last one. What goes wrong
    with one subscriber's is logged and tried again with the next call; the others' go.
    """
    config, now = app.config, app.now()
    schedule_slots(app, config, now)
    made: list[Delivery] = []
    paused = app.store.policies.paused(now)
    for slot in app.store.slots.all().values():
        subscriber = config.subscribers.get(slot.subscriber)
        # The slots of one who is away stay as they are, so that the first digest afterwards covers all of it.
        if subscriber is None or not subscriber.enabled or slot.next_at > now or slot.subscriber in paused:
            continue
        try:
            made += _close(app, config, subscriber)
        except Exception:
            # One subscriber's row or template must not keep everybody's digest back, whatever is wrong with it.
            log.exception("the digest for %s could not be made; tried again shortly", subscriber.name)
    if made:
        app.wake_delivery.set()
    return made


def _close(app: App, config: Config, subscriber: Subscriber) -> list[Delivery]:
    with app.store.closing() as work:
        # Taken within the transaction: what is matched after it is matched later than this, in the next window.
        now = app.now()
        slot = work.slot(subscriber.name)
        if slot is None or slot.next_at > now:
            return []
        until, local, following = _boundary(subscriber, slot, now)
        spans = windows(subscriber, slot, until)
        if following is not None:
            following.begun = _waiting(subscriber, slot, spans)
        closed, messages = [], []
        budget = Budget(app, work, now)
        for since, topics in spans.items():
            digest = make_digest(work, config, narrowed(subscriber, topics), "", since, until, local, now)
            window = DigestWindow(
                subscriber=subscriber.name,
                since=since,
                until=until,
                local=local,
                stories=sum(section.total for section in digest.sections),
                topics=sorted(topics),
            )
            closed.append(window)
            if not digest.sections and (subscriber.digest is None or subscriber.digest.empty == "skip"):
                log.info("digest for %s at %s: nothing matched, so none is sent", subscriber.name, local)
                continue
            window.channels = list(digest_channels(subscriber))
            # A summary's window is of any length, and what came in it is what was held back: no usual is known of that.
            digest = (
                replace(digest, summary=True, limit=_limit(work, config, subscriber, since, until))
                if following is None
                else with_usual(app, digest)
            )
            each = [replace(digest, channel=channel) for channel in window.channels]
            for row in (digest_delivery(app, one, digest_key(one), now) for one in each):
                budget.charge(row)
                messages.append((row, shown_stories(digest)))
        return work.close(slot, following, closed, messages)


def windows(subscriber: Subscriber, slot: DigestSlot, until: datetime) -> Mapping[datetime, frozenset[str]]:
    """Return the windows that end with a slot, by their beginning, each with the topics whose digest it is.

    That of all topics but weekly ones begins at the last boundary, and is always there: what was held back is in it. A
    topic once a week waits for the first day of the schedule's week, and one that is weekly no more ends its window
    now, so that neither change loses anything.
    """
    often = {topic: s.digest for s in subscriber.subscriptions for topic in s.topics if s.digest}
    often |= {topic: True for s in subscriber.subscriptions for topic in s.topics if s.digest is True}
    is_due = _week_ends(subscriber, slot, until)
    found: dict[datetime, set[str]] = {slot.last_at: set()}
    for topic, digest in often.items():
        if digest is True or is_due:
            begun = datetime.fromisoformat(slot.begun[topic]) if topic in slot.begun else slot.last_at
            found.setdefault(begun, set()).add(topic)
    return {since: frozenset(topics) for since, topics in found.items()}


def _week_ends(subscriber: Subscriber, slot: DigestSlot, until: datetime) -> bool:
    if subscriber.digest is None:
        return False
    weekly = subscriber.digest.model_copy(update={"days": frozenset({min(subscriber.digest.days)})})
    return last_slot(weekly, ZoneInfo(subscriber.timezone), until).at > slot.last_at


def _waiting(subscriber: Subscriber, slot: DigestSlot, closed: Mapping[datetime, Collection[str]]) -> dict[str, str]:
    """Return when the windows begun that are still open after a slot, by topic."""
    done = {topic for topics in closed.values() for topic in topics}
    weekly = {topic for s in subscriber.subscriptions if s.digest for topic in s.topics} - done
    return {topic: slot.begun.get(topic, slot.last_at.isoformat()) for topic in sorted(weekly)}


def narrowed(subscriber: Subscriber, topics: Collection[str]) -> Subscriber:
    """Return a subscriber whose digest has these topics alone."""
    subscriptions = []
    for one in subscriber.subscriptions:
        inside = tuple(topic for topic in one.topics if topic in topics)
        if not one.digest or inside == one.topics:
            subscriptions.append(one)
            continue
        outside = tuple(topic for topic in one.topics if topic not in topics)
        subscriptions += [
            one.model_copy(update={"topics": some, "digest": digest})
            for some, digest in ((inside, True), (outside, False))
            if some
        ]
    return subscriber.model_copy(update={"subscriptions": tuple(subscriptions)})


def _limit(work: Window, config: Config, subscriber: Subscriber, since: datetime, until: datetime) -> Rate | None:
    """Return the limit that held back all that was held back in a window; None where several did, or another reason."""
    limited = work.held_back(subscriber.name, (Reason.LIMITED,), since, until)
    if limited != work.held_back(subscriber.name, held_back_reasons(config), since, until):
        return None
    topics = {topic for _, topic in limited}
    limits = {s.alert.at_most for s in subscriber.subscriptions if s.alert is not None and topics & set(s.topics)}
    return limits.pop() if len(limits) == 1 else None


def _boundary(subscriber: Subscriber, slot: DigestSlot, now: datetime) -> tuple[datetime, str, DigestSlot | None]:
    """Return a due slot's end, the same in the reader's zone, and the slot after it."""
    if subscriber.digest is None or slot.schedule == OVERFLOW:
        return now, _local(subscriber, now), None
    zone = ZoneInfo(subscriber.timezone)
    boundary, local = slot.next_at, slot.local
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
    return boundary, local, following


def digest_channels(subscriber: Subscriber) -> tuple[str, ...]:
    """Return the names of the channels that a subscriber's digests, or summaries, go to."""
    return subscriber.digest.via if subscriber.digest is not None else tuple(subscriber.channels)


def digest_delivery(app: App, digest: Digest, key: str, now: datetime) -> Delivery:
    """Return the outbox's row for a digest under `key`."""
    return delivery(
        app,
        key,
        "digest",
        digest.subscriber,
        digest.channel,
        digest,
        now,
        topics=tuple(section.topic.name for section in digest.sections),
        subject=f"Digest {digest.local}",
    )


def shown_stories(digest: Digest) -> list[int]:
    """Return the ids of the stories that a digest shows."""
    return [story.id for section in digest.sections for story in section.stories]


def digest_key(digest: Digest) -> str:
    """Return the key of a digest's message."""
    return window_key(digest.subscriber, digest.channel, digest.since, digest.until)


def make_digest(
    work: Window,
    config: Config,
    subscriber: Subscriber,
    channel: str,
    since: datetime,
    until: datetime,
    local: str,
    now: datetime,
) -> Digest:
    """Return the digest of (`since`, `until`] for one channel, as it would go at `now`."""
    subscribed = {t for s in subscriber.subscriptions if s.digest for t in s.topics}
    off = work.muted(subscriber.name, now)
    old = config.settings.old_stories
    held_back = work.held_back(subscriber.name, held_back_reasons(config), since, until)
    topics = subscribed | {topic for _, topic in held_back}
    stories: dict[str, list[StoryView]] = {}
    for match, story, others in work.matches(topics, since, until):
        if old.then == "drop" and is_old(story.claimed_at, story.first_seen_at, old.after):
            continue
        if match.topic in subscribed or (story.id, match.topic) in held_back:
            evidence = [Evidence(**part) for part in match.evidence]
            stories.setdefault(match.topic, []).append(view(config, story, evidence, others))
    made = build_digest(config, subscriber, channel, (since, until), local, {} if "*" in off else stories, off)
    sections = tuple(replace(section, stories=with_first(work, section.stories)) for section in made.sections)
    return replace(made, sections=sections)


def with_usual(app: App, digest: Digest) -> Digest:
    """Return a digest that says how many stories are usual for each of its topics, in a window like its own."""
    span = (digest.since, digest.until)
    known = (replace(section, usual=usual_of(app, section.topic.name, span)) for section in digest.sections)
    return replace(digest, sections=tuple(known))


def held_back_reasons(config: Config) -> tuple[Reason, ...]:
    """Return the reasons for which a story is not sent at once but told in the next digest, or in one summary."""
    reasons = (Reason.LIMITED, Reason.PAUSED)
    return (*reasons, Reason.OLD) if config.settings.old_stories.then == "digest" else reasons


def overflow_slot(subscriber: Subscriber, at: datetime, now: datetime) -> DigestSlot:
    """Return the slot by which a subscriber without digest gets one summary, `at`, of what is held back from now on."""
    return _overflow(subscriber, now - timedelta(microseconds=1), at)


def _overflow(subscriber: Subscriber, since: datetime, at: datetime) -> DigestSlot:
    local = _local(subscriber, at)
    return DigestSlot(subscriber=subscriber.name, schedule=OVERFLOW, local=local, last_at=since, next_at=at)


def _local(subscriber: Subscriber, at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(subscriber.timezone)):%Y-%m-%d %H:%M}"
