"""Old stories that nothing refers to, and old deliveries, go."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from monitor.app import App

log = logging.getLogger(__name__)


def prune(app: App, now: datetime) -> tuple[int, int]:
    """Remove one chunk of what is past its retention; return how many stories and deliveries went."""
    retention = app.config.settings.retention
    gone = app.store.archive.prune(
        now - timedelta(seconds=retention.stories), now - timedelta(seconds=retention.deliveries)
    )
    if any(gone):
        log.info("retention: removed %d stories and %d deliveries", *gone)
    return gone
