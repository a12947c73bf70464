"""Days that are out of the ordinary → messages: a topic with far more stories than usual, or with none for long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.app import App
from monitor.config import Config, Subscriber, Topic
from monitor.dispatch import ANY_TOPIC, StoryView, VolumeAlert, held_until, one_each_event, topic_ref
from monitor.models import Delivery
from monitor.pipeline.budget import Budget
from monitor.pipeline.outgoing import delivery, view, with_first
from monitor.store import Spending
from monitor.text import Evidence
from monitor.volume import Span, day, earlier, is_spike, usual

log = logging.getLogger(__name__)

DAYS = 14  # whose counts a message shows
STORIES = 5  # of a spike


def volume_due(app: App) -> list[Delivery]:
    """Make the messages of topics with a `spike` or that are `quiet`; return those that were put into the outbox.

    A spike is told once a day, in the zone of the installation, and a quiet time once. What goes wrong with one topic
    is logged, and tried again with the next call.
    """
    config, now = app.config, app.now()
    made: list[Delivery] = []
    for topic in config.topics.values():
        if topic.spike is None and topic.quiet is None:
            continue
        try:
            for key, found in _found(app, config, topic, now):
                with app.store.spending() as work:
                    made += _tell(app, work, config, key, found, now)
        except Exception:  # whatever a topic's rows hold keeps no other topic back
            log.exception("the volume of %s could not be looked at", topic.name)
    return made


def usual_of(app: App, topic: str, span: Span) -> float | None:
    """Return how many stories of a topic are usual in a span of the clock; None where it is too new to say."""
    spans = earlier(span, ZoneInfo(app.config.settings.timezone))
    bounds = app.store.volumes.bounds(topic)
    return usual(app.store.volumes.counts(topic, spans), spans, bounds[0] if bounds else None)


def _found(app: App, config: Config, topic: Topic, now: datetime) -> Iterator[tuple[str, VolumeAlert]]:
    zone, volumes = ZoneInfo(config.settings.timezone), app.store.volumes
    bounds = volumes.bounds(topic.name)
    latest = bounds[1] if bounds else volumes.followed_since(topic.name)
    if latest is None:
        return  # no story was there yet that it could match
    ref, today = topic_ref(config, topic.name), day(now, zone)
    blank = VolumeAlert("", "", ref, "quiet", latest, now)
    if topic.spike is not None and bounds is not None:
        (count,) = volumes.counts(topic.name, [today])
        if count >= topic.spike.at_least:
            expected = usual_of(app, topic.name, today)
            if is_spike(count, expected, topic.spike.times, topic.spike.at_least):
                days = volumes.counts(topic.name, [*earlier(today, zone, 1, DAYS - 1)[::-1], today])
                stories = _stories(app, config, topic.name, today[0], now)
                spike = replace(blank, kind="spike", since=today[0], count=count, usual=expected, days=tuple(days))
                yield f"spike:{topic.name}:{today[0].astimezone(zone):%Y-%m-%d}", replace(spike, stories=stories)
    if topic.quiet is not None and now - latest >= timedelta(seconds=topic.quiet):
        # Where nothing at all came in, it is not the topic that is quiet.
        half = latest + (now - latest) / 2
        if volumes.came_in(latest, half) and volumes.came_in(half, now):
            days = volumes.counts(topic.name, [*earlier(today, zone, 1, DAYS - 1)[::-1], today])
            expected = usual_of(app, topic.name, (latest, now))
            yield f"quiet:{topic.name}:{latest:%Y-%m-%dT%H:%M:%SZ}", replace(blank, usual=expected, days=tuple(days))


def _stories(app: App, config: Config, topic: str, since: datetime, until: datetime) -> tuple[StoryView, ...]:
    with app.store.window() as work:
        views = [
            view(config, story, [Evidence(**part) for part in match.evidence], others)
            for match, story, others in work.matches({topic}, since, until)
            if match.alerting
        ]
        return with_first(work, one_each_event(views)[:STORIES])


def _tell(app: App, work: Spending, config: Config, key: str, found: VolumeAlert, now: datetime) -> Iterator[Delivery]:
    """Put a message into the outbox for each who is not to be left alone now; who is has it with a later call, if it
    still holds then."""
    standing, budget, topic = work.standing(now), Budget(app, work, now), found.topic.name
    if topic in standing.silenced:
        return
    for subscriber in config.subscribers.values():
        off = standing.muted.get(subscriber.name, frozenset())
        if not subscriber.enabled or subscriber.name in standing.paused or {ANY_TOPIC, topic} & off:
            continue
        due = held_until(config, subscriber, (topic,), now) or now
        for channel in _channels(subscriber, topic):
            one = replace(found, subscriber=subscriber.name, channel=channel)
            subject = f"{found.topic.title}: {'far more than usual' if found.kind == 'spike' else 'quiet'}"
            whole = f"volume:{subscriber.name}:{channel}:{key}"
            row = delivery(app, whole, "volume", subscriber.name, channel, one, now, due, (topic,), subject)
            if work.is_known(whole):
                continue
            budget.charge(row)
            work.add_message(row, [story.id for story in one.stories])
            yield row


def _channels(subscriber: Subscriber, topic: str) -> tuple[str, ...]:
    """Return the channels by which a subscriber has alerts of a topic."""
    policies = [s.alert for s in subscriber.subscriptions if s.alert is not None and topic in s.topics]
    return tuple(dict.fromkeys(channel for policy in policies for channel in policy.via))
