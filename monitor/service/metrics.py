"""How the program does, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from monitor import __version__
from monitor.app import App
from monitor.endpoints import Trouble, standing
from monitor.service.desk import midnights
from monitor.service.feeds import WORST_FIRST, feed_briefs
from monitor.service.record import running


def metrics(app: App, now: datetime) -> str:
    """Return the metrics; names and labels are stable, and nothing of a publisher is in them."""
    reports, health, config = app.store.reports, feed_briefs(app), running(app.data)
    counts = app.store.archive.counts()
    states: Counter[str] = Counter(feed.state for feed in health)
    polled = max((feed.polled_at for feed in health if feed.polled_at is not None), default=None)
    waiting = reports.waiting(1)
    today = midnights(app, now, 1)
    topics = reports.by_day(today, now)[0]
    written = _Writer()
    written.add("monitor_info", "gauge", "The version that runs.", {f'version="{__version__}"': 1})
    written.add("monitor_config_ok", "gauge", "1 while the files as they stand are in use.", {"": int(config.ok)})
    if config.loaded_at is not None:
        stamp = config.loaded_at.timestamp()
        written.add("monitor_config_loaded_timestamp_seconds", "gauge", "When what runs was loaded.", {"": stamp})
    written.add("monitor_feeds", "gauge", "Feeds by state.", {f'state="{s}"': states.get(s, 0) for s in WORST_FIRST})
    if polled is not None:
        stamp = polled.timestamp()
        written.add("monitor_last_poll_timestamp_seconds", "gauge", "When a feed was last polled.", {"": stamp})
    written.add("monitor_stories", "gauge", "Stories in the archive.", {"": counts["stories"]})
    written.add("monitor_matches", "gauge", "Matches in the archive.", {"": counts["matches"]})
    standings = {f'standing="{name}"': number for name, number in reports.standings(now).items()}
    written.add("monitor_deliveries", "gauge", "Messages by how they stand.", standings)
    endpoints = Counter(standing(row.failures) for row in app.store.endpoints.failing(now))
    troubles = {f'state="{state}"': endpoints[state] for state in get_args(Trouble)}
    written.add("monitor_endpoints", "gauge", "Servers and services that take no messages, by state.", troubles)
    suspended = len(app.store.endpoints.suspended())
    written.add("monitor_suspended_addresses", "gauge", "Addresses that refuse messages.", {"": suspended})
    due = max((now - row.next_attempt_at).total_seconds() for row in waiting) if waiting else 0
    written.add("monitor_delivery_overdue_seconds", "gauge", "How long the next message is overdue.", {"": max(due, 0)})
    written.add(
        "monitor_topic_stories_today",
        "gauge",
        "Stories that matched a topic today.",
        {f'topic="{name}"': topics.get(name, 0) for name in app.config.topics},
    )
    audit = app.store.audits.latest()
    if audit is not None:
        stamp = audit.at.timestamp()
        written.add("monitor_audit_timestamp_seconds", "gauge", "When the records were last audited.", {"": stamp})
        written.add("monitor_audit_wrong", "gauge", "What the last audit found wrong.", {"": audit.wrong})
    return written.text


class _Writer:
    def __init__(self) -> None:
        self.text = ""

    def add(self, name: str, kind: str, told: str, values: Mapping[str, float]) -> None:
        """Write a metric; labels are names of ours, which hold no quote (`config.checks` sees to it)."""
        self.text += f"# HELP {name} {told}\n# TYPE {name} {kind}\n"
        for labels, value in values.items():
            self.text += f"{name}{f'{{{labels}}}' if labels else ''} {value:.15g}\n"
