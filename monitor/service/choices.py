"""What a subscriber can choose, with the volume to expect, and what is recorded when it does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from monitor.app import App
from monitor.config import Subscriber
from monitor.errors import NotFoundError
from monitor.links import ALL_TOPICS, sign
from monitor.preferences import (
    FREQUENCIES,
    Difference,
    Frequency,
    differences,
    frequency,
    offered,
    signed_up,
    written,
)
from monitor.store.preferences import EVERYTHING, TOPIC, Setting
from monitor.volume import day

A_PAGE = 30  # topics; more make a page of over 60 KB
LOOKS_BACK = timedelta(days=28)
NEW = timedelta(days=7)  # an archive that is younger says nothing of what to expect
BACK_AT = time(7)  # the local time at which a pause ends
LONGEST_PAUSE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Volume:
    """How many events a topic has: a day on the average, None where that is too new to say; and `today`."""

    per_day: float | None
    today: int


@dataclass(frozen=True, slots=True)
class TopicChoice:
    """A topic that a subscriber may choose, and how often it is told of it now."""

    name: str
    title: str
    often: Frequency
    volume: Volume


@dataclass(frozen=True, slots=True)
class Choices:
    """What a subscriber has now. `quiet` is as it is recorded, `usual_at` when the files have its digests go out.

    `topics` are those of one page, from number `skip` on, of `every`. `left_at` is when it unsubscribed from
    everything; `unsubscribe` the token by which it does.
    """

    name: str
    title: str
    topics: tuple[TopicChoice, ...]
    every: int
    skip: int
    timezone: str
    language: str
    quiet: str
    digest_at: str
    usual_at: tuple[str, ...]
    paused_until: datetime | None
    left_at: datetime | None
    unsubscribe: str


def declared_of(app: App, name: str) -> Subscriber | None:
    """Return a subscriber as the files, or its signing up, have it: without what it set."""
    found = app.declared.subscribers.get(name)
    if found is None and name in app.config.subscribers:
        row = app.store.preferences.asked(name)
        found = signed_up(app.declared, (row,)).get(name) if row is not None else None
    return found


def choices_of(app: App, name: str, now: datetime, skip: int = 0) -> Choices | None:
    """Return what a subscriber can choose; None for one that there is not, or that is switched off."""
    declared, layered = declared_of(app, name), app.config.subscribers.get(name)
    if declared is None or layered is None or not layered.enabled:
        return None
    set_ = {(row.key, row.topic): row for row in app.store.preferences.of(name)}
    off = app.store.slots.muted(now).get(name, frozenset())
    names = offered(app.declared, declared)
    skip = skip if 0 <= skip < len(names) else 0
    shown = names[skip : skip + A_PAGE]
    expected = volumes(app, shown, now)
    everything = set_.get((TOPIC, EVERYTHING))
    return Choices(
        name=name,
        title=layered.title,
        topics=tuple(
            TopicChoice(
                topic,
                app.declared.topics[topic].title,
                "off" if topic in off else frequency(layered, topic),
                expected[topic],
            )
            for topic in shown
        ),
        every=len(names),
        skip=skip,
        timezone=layered.timezone,
        language=layered.language,
        quiet=written(layered.quiet_hours),
        digest_at=set_["digest_at", ""].setting if ("digest_at", "") in set_ else "",
        usual_at=declared.digest.at if declared.digest is not None else (),
        paused_until=app.store.policies.paused(now).get(name),
        left_at=everything.set_at if everything is not None and ALL_TOPICS in off else None,
        unsubscribe=sign(app.secret, name),
    )


def volumes(app: App, topics: Collection[str], now: datetime) -> Mapping[str, Volume]:
    """Return what to expect of topics: their events of the last four weeks, by the grouping that alerts go by."""
    first = app.store.reports.first_seen()
    span = min(now - first, LOOKS_BACK) if first is not None else timedelta(0)
    of_all = app.store.volumes.events(topics, now - LOOKS_BACK)
    today = app.store.volumes.events(topics, day(now, ZoneInfo(app.config.settings.timezone))[0])
    days = span / timedelta(days=1)
    return {
        topic: Volume(of_all.get(topic, 0) / days if span >= NEW else None, today.get(topic, 0)) for topic in topics
    }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscriber asks for; None leaves a thing as it is. `paused_until` is a date's beginning, "" for none."""

    topics: Mapping[str, Frequency]
    timezone: str | None = None
    language: str | None = None
    quiet: str | None = None
    digest_at: str | None = None
    pause: datetime | str | None = None
    start_again: bool = False


def choose(app: App, name: str, wanted: Wanted, now: datetime, by: str) -> int:
    """Record what a subscriber asks for, and have it hold at once; return how many things changed.

    What is as the files have it is taken back and not recorded, so that it follows them. Raises NotFoundError.
    """
    declared, before = declared_of(app, name), choices_of(app, name, now)
    if declared is None or before is None:
        raise NotFoundError(f"there is no subscriber `{name}` that is switched on")
    preferences, layered = app.store.preferences, app.config.subscribers[name]
    off = app.store.slots.muted(now).get(name, frozenset())
    settings = []
    for topic, often in wanted.topics.items():
        if topic not in offered(app.declared, declared) or often not in FREQUENCIES:
            continue
        if often != ("off" if topic in off else frequency(layered, topic)):
            settings.append(Setting(TOPIC, "" if often == frequency(declared, topic) else often, topic))
    for key, value, files in (
        ("timezone", wanted.timezone, declared.timezone),
        ("language", wanted.language, declared.language),
        ("quiet_hours", wanted.quiet, written(declared.quiet_hours)),
        ("digest_at", wanted.digest_at, ""),
    ):
        if value is not None and value != (before.digest_at if key == "digest_at" else _now(layered, key)):
            settings.append(Setting(key, "" if value == files else value))
    changed = app.db_wait(preferences.set, name, settings, now, by)
    for setting in settings:
        if setting.setting == "off":
            app.db_wait(app.store.outbox.cancel_for, name, setting.topic, now)
    if wanted.start_again:
        changed += app.db_wait(preferences.turn_on, name, EVERYTHING, now, by)
    if wanted.pause is not None and (wanted.pause or None) != before.paused_until:
        if before.paused_until is not None:
            app.db_wait(app.store.policies.resume, name, now, by)
        if isinstance(wanted.pause, datetime):
            app.db_wait(app.store.policies.pause, name, wanted.pause, now, by)
        changed += 1
    app.db_wait(app.take_up)
    return changed


def _now(layered: Subscriber, key: str) -> str:
    return written(layered.quiet_hours) if key == "quiet_hours" else str(getattr(layered, key))


def get_less(app: App, name: str, topic: str, how: str, now: datetime, by: str) -> bool:
    """Have a subscriber get less of a topic, or of all (`*`): `week`, nothing for a week; `daily`, one mail a day.

    False where there is nothing that this could be.
    """
    view, declared = choices_of(app, name, now), declared_of(app, name)
    if view is None or declared is None or how not in ("week", "daily"):
        return False
    if how == "daily":
        names = offered(app.declared, declared) if topic == ALL_TOPICS else (topic,)
        layered, off = app.config.subscribers[name], app.store.slots.muted(now).get(name, frozenset())
        at_once = [one for one in names if one not in off and frequency(layered, one) == "alert"]
        choose(app, name, Wanted(dict.fromkeys(at_once, "daily")), now, by)
    elif topic == ALL_TOPICS:
        choose(app, name, Wanted({}, pause=pause_end(now.date() + timedelta(days=7), view.timezone)), now, by)
    else:
        app.db_wait(app.store.preferences.turn_off, name, topic, now, now + timedelta(days=7), by)
    return True


def pause_end(on: date, zone: str) -> datetime:
    """Return when a pause until a date ends: in the morning of it."""
    return datetime.combine(on, BACK_AT, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def differs(app: App, name: str) -> tuple[Difference, ...]:
    """Return where what a subscriber set differs from the files."""
    declared = declared_of(app, name)
    if declared is None:
        return ()
    return differences(declared, app.store.preferences.of(name), offered(app.declared, declared))
