"""Builders: each makes one thing with defaults, so that a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.config import Config, load_config
from monitor.models import Delivery

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)

TOPICS = """
topics:
  sanctions:
    title: Sanctions
    any: [sanction*, embargo]
  border-deployments:
    title: Border deployments
    severity: high
    all:
      - any: [border, frontier]
      - any: [troops, soldiers]
"""
FEEDS = """
feeds:
  wire: {url: "http://feeds.example/wire.xml", source: Northern Wire, every: 1s, language: en}
  post: {url: "http://feeds.example/post.xml", source: Harbour Post, every: 1s, language: en}
"""
SUBSCRIBERS = """
subscribers:
  ruth:
    name: Ruth Whitcombe
    timezone: Europe/London
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    digest: {at: ["07:00"], via: [mail]}
    subscriptions:
      - {topics: all, alert: {via: [mail]}, digest: true}
"""
MONITOR = """
mail_from: Corvid risk desk <news@corvid.example>
web: off
fetch: {allow_private: [127.0.0.1], per_host: 8, per_host_gap: 0s}
"""


def write_config(
    folder: Path,
    *,
    monitor: str = MONITOR,
    feeds: str = FEEDS,
    topics: str = TOPICS,
    subscribers: str = SUBSCRIBERS,
    entities: str = "",
) -> Path:
    """Write the five files (an empty one is left out) and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"monitor": monitor, "feeds": feeds, "topics": topics, "subscribers": subscribers, "entities": entities}
    for stem, text in files.items():
        if text:
            (folder / f"{stem}.yaml").write_text(text, encoding="utf-8")
    return folder


DATABASE: dict[str, str] = {}  # a MONITOR_DATABASE_URL for `config`, where a test is run on another database


def config(folder: Path, **files: str) -> Config:
    """Return the configuration of the given texts."""
    return load_config(write_config(folder, **files), DATABASE)


def rss(*items: tuple[str, str], title: str = "Wire") -> bytes:
    """Return an RSS document of (guid, title) items; a title may hold `|` before its summary."""
    parts = []
    for guid, text in items:
        headline, _, summary = text.partition("|")
        parts.append(
            f"<item><guid isPermaLink='false'>{guid}</guid><link>https://news.example/{guid}</link>"
            f"<title>{headline}</title><description>{summary}</description></item>"
        )
    return (
        f"<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>{title}</title>"
        f"<link>https://news.example/</link><description/>{''.join(parts)}</channel></rss>"
    ).encode()


def delivery(key: str, *, subscriber: str = "ruth", channel: str = "mail", now: datetime = NOW) -> Delivery:
    """Return a pending message that is due."""
    return Delivery(
        key=key,
        kind="alert",
        subscriber=subscriber,
        channel=channel,
        message_id=f"{key}@corvid.example",
        created_at=now,
        next_attempt_at=now,
        expires_at=now + timedelta(days=3),
    )
