"""The running program, as the web pages ask it."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.app import App
from monitor.links import ALL_TOPICS, Purpose, Target, fingerprint, read
from monitor.preferences import frequency
from monitor.service.choices import get_less
from monitor.store.preferences import TOPIC, UNDO
from monitor.web import IncidentView, LinkView

log = logging.getLogger(__name__)

STUCK = 180.0  # seconds since the last look for due feeds ended; one comes every second


class WebBackend:
    """What the web pages need (`web.Backend`), from the running program."""

    def __init__(self, app: App) -> None:
        self._app = app

    def ready(self) -> tuple[bool, str]:
        """Whether the database answers, and feeds are being polled."""
        ticked = self._app.ticked
        if not self._app.store.ready():
            return False, "The database does not answer."
        if ticked is not None and time.monotonic() - ticked > STUCK:
            return False, "No feed has been looked at for minutes: the log may say why."
        return True, "Ready."

    def describe(self, token: str) -> LinkView | None:
        """What a link is about; None for an unknown one."""
        target = read(self._app.secret, token)
        subscriber = self._app.config.subscribers.get(target.subscriber) if target else None
        if target is None or subscriber is None:
            return None
        app, now = self._app, self._app.now()
        off = app.store.slots.muted(now).get(subscriber.name, frozenset())
        set_ = {row.topic: row for row in app.store.preferences.of(subscriber.name) if row.key == TOPIC}
        # Of a topic that is off with all others, it is the latter that was done and can be undone.
        stopped = set_.get(target.topic) if target.topic in off else None
        title = "" if target.topic == ALL_TOPICS else self._title(target.topic)
        return LinkView(
            subscriber.title,
            title,
            bool({target.topic, ALL_TOPICS} & off),
            subscriber.language,
            stopped is not None and now - stopped.set_at <= UNDO,
            subscriber.enabled and (target.topic == ALL_TOPICS or frequency(subscriber, target.topic) == "alert"),
        )

    def _title(self, topic: str) -> str:
        declared = self._app.config.topics.get(topic)
        return declared.title if declared else topic

    def turn_off(self, token: str) -> bool:
        """Stop what a link is about at once."""
        return self._set(token, "off")

    def turn_on(self, token: str) -> bool:
        """Undo `turn_off`."""
        return self._set(token, None)

    def get_less(self, token: str, how: str) -> datetime | None:
        """Have less come of what a link is about."""
        target, now = read(self._app.secret, token), self._app.now()
        if target is None or target.subscriber not in self._app.config.subscribers:
            return None
        by = f"unsubscribe link {fingerprint(token)}"
        return now + timedelta(days=7) if get_less(self._app, target.subscriber, target.topic, how, now, by) else None

    def _set(self, token: str, setting: str | None) -> bool:
        app = self._app
        target = read(app.secret, token)
        if target is None or target.subscriber not in app.config.subscribers:
            return False
        now, preferences = app.now(), app.store.preferences
        by = f"unsubscribe link {fingerprint(token)}"
        if setting == "off":
            topic = None if target.topic == ALL_TOPICS else target.topic
            app.db_wait(preferences.turn_off, target.subscriber, target.topic, now, None, by)
            app.db_wait(app.store.outbox.cancel_for, target.subscriber, topic, now)
        else:
            app.db_wait(preferences.turn_on, target.subscriber, target.topic, now, by)
        return True

    def incident(self, token: str) -> IncidentView | None:
        """What an acknowledging link is about; None for an unknown one."""
        target = self._holder(token)
        found = self._app.store.escalations.get(target.topic) if target else None
        if target is None or found is None:
            return None
        row, alert = found
        return IncidentView(
            alert.subject,
            self._who(target.subscriber),
            self._who(row.acknowledged_by),
            self._clock(row.acknowledged_at),
            self._clock(row.due_at),
        )

    def acknowledge(self, token: str) -> bool:
        """Acknowledge what a link is about."""
        app, target = self._app, self._holder(token)
        if target is None:
            return False
        now = app.now()
        row = app.db_wait(app.store.escalations.acknowledge, target.topic, target.subscriber, now)
        if row is not None and row.acknowledged_at == now:
            log.info("incident %s was acknowledged by %s", target.topic, target.subscriber)
        return row is not None

    def _holder(self, token: str) -> Target | None:
        """Whose acknowledging link it is: a subscriber's, or that of a channel which alerts go on to."""
        target = read(self._app.secret, token, Purpose.ACKNOWLEDGE)
        if target is None or target.subscriber in self._app.config.subscribers:
            return target
        to = (self._app.config.escalation(topic) for topic in self._app.config.topics)
        return target if any(target.subscriber in channels for channels in to) else None

    def _who(self, name: str) -> str:
        subscriber = self._app.config.subscribers.get(name)
        return subscriber.title if subscriber else name

    def _clock(self, at: datetime | None) -> str:
        zone = ZoneInfo(self._app.config.settings.timezone)
        return f"{at.astimezone(zone):%d %B %H:%M} ({zone.key})" if at else ""
