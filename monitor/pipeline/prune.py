"""Old stories that nothing refers to, and old deliveries, go."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from monitor.app import App

log = logging.getLogger(__name__)


def prune(app: App, now: datetime) -> tuple[int, int]:
    """Remove one chunk of what is past its retention; return how many stories and deliveries went."""
    retention, events = app.config.settings.retention, app.config.settings.events
    app.store.archive.prune_sketches(events.window if events is not None else 0.0)
    gone = app.store.archive.prune(
        now - timedelta(seconds=retention.stories), now - timedelta(seconds=retention.deliveries)
    )
    if gone[0]:
        app.grouping = None  # it may hold some of the stories, whose numbers SQLite gives to others
    app.store.preferences.prune(now)
    if any(gone):
        log.info("retention: removed %d stories and %d deliveries", *gone)
    return gone
