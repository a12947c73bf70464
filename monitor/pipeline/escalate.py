"""Alerts that nobody acknowledged in time go on to the next channel of their topic, each once."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.app import OPERATORS, App
from monitor.dispatch import Alert
from monitor.models import Delivery
from monitor.pipeline.outgoing import delivery, escalating, value_of, wait_of

log = logging.getLogger(__name__)


def escalate_due(app: App, now: datetime) -> list[Delivery]:
    """Put what is due to go on into the outbox; return the messages. Uses the database.

    Where it goes is the word of the topics as they are declared now. An alert that was turned off by all who were to
    get it goes no further.
    """
    made = []
    for row, alert, told in app.store.escalations.due(now):
        topic = escalating(app.config, alert.topics)
        channels = list(app.config.escalation(topic)) if topic is not None else []
        if topic is None or not told or row.step >= len(channels):
            app.store.escalations.go_on(row.incident, row.step, None, None)
            continue
        wait = wait_of(app.config, topic)
        more = row.step + 1 < len(channels)
        following = now + timedelta(seconds=wait) if more else None
        channel = channels[row.step]
        names = ", ".join(_title(app, name) for name in told)
        waited = _spoken(wait * (row.step + 1))
        message = _message(app, alert, channel, f"Not acknowledged within {waited}: it was sent to {names}", now)
        if app.store.escalations.go_on(row.incident, row.step, following, message):
            log.warning("“%s” was not acknowledged within %s: it goes on to %s", alert.subject, waited, channel)
            made.append(message)
    return made


def _message(app: App, alert: Delivery, channel: str, reason: str, now: datetime) -> Delivery:
    value = value_of(alert)
    assert isinstance(value, Alert)  # alerts alone begin an incident
    row = delivery(
        app,
        f"escalation:{channel}:{alert.incident}",
        "escalation",
        OPERATORS,
        channel,
        replace(value, subscriber=OPERATORS, channel=channel, reason=reason),
        now,
        topics=tuple(alert.topics),
        subject=alert.subject,
    )
    row.incident = alert.incident
    return row


def _title(app: App, name: str) -> str:
    subscriber = app.config.subscribers.get(name)
    return subscriber.title if subscriber is not None else name


def _spoken(seconds: float) -> str:
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds:g} seconds"
