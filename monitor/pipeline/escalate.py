"""Alerts that nobody acknowledged in time go on to the next channel of their topic, each once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.app import OPERATORS, App
from monitor.dispatch import Alert, Unacknowledged
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
        waited = wait * (row.step + 1)
        message = _message(app, alert, channel, _why(app, told, waited), now)
        if app.store.escalations.go_on(row.incident, row.step, following, message):
            log.warning("“%s” was not acknowledged within %g s: it goes on to %s", alert.subject, waited, channel)
            made.append(message)
    return made


def _message(app: App, alert: Delivery, channel: str, why: Unacknowledged, now: datetime) -> Delivery:
    value = value_of(alert)
    assert isinstance(value, Alert)  # alerts alone begin an incident
    row = delivery(
        app,
        f"escalation:{channel}:{alert.incident}",
        "escalation",
        OPERATORS,
        channel,
        replace(value, subscriber=OPERATORS, channel=channel, reason="", held_since=None, unacknowledged=why),
        now,
        topics=tuple(alert.topics),
        subject=alert.subject,
    )
    row.incident = alert.incident
    return row


def _why(app: App, told: Sequence[str], waited: float) -> Unacknowledged:
    readers = [app.reader(app.config.subscribers.get(name)) for name in told]
    titles = (reader.title if reader.name else name for name, reader in zip(told, readers, strict=True))
    return Unacknowledged(tuple(titles), waited, readers[0].language)
