"""The running program, as the web pages ask it."""

from __future__ import annotations

import time

from monitor.app import App
from monitor.links import ALL_TOPICS, read
from monitor.web import LinkView

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
        off = self._app.store.slots.muted(self._app.now()).get(subscriber.name, frozenset())
        title = "" if target.topic == ALL_TOPICS else self._title(target.topic)
        return LinkView(subscriber.title, title, bool({target.topic, ALL_TOPICS} & off))

    def _title(self, topic: str) -> str:
        declared = self._app.config.topics.get(topic)
        return declared.title if declared else topic

    def turn_off(self, token: str) -> bool:
        """Stop what a link is about at once."""
        return self._set(token, "off")

    def turn_on(self, token: str) -> bool:
        """Undo `turn_off`."""
        return self._set(token, None)

    def _set(self, token: str, setting: str | None) -> bool:
        app = self._app
        target = read(app.secret, token)
        if target is None or target.subscriber not in app.config.subscribers:
            return False
        now = app.now()
        app.db_wait(app.store.slots.set_preference, target.subscriber, target.topic, setting, now)
        if setting == "off":
            topic = None if target.topic == ALL_TOPICS else target.topic
            app.db_wait(app.store.outbox.cancel_for, target.subscriber, topic, now)
        return True
