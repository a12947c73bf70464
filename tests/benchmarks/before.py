"""A configuration of many feeds and a database in which each has been polled: what a daemon has after a few weeks.

Polling 50,000 feeds for the first time takes their servers and us half an hour, so the rows are written directly, as
polls of `tests.benchmarks.publishers` would have left them.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

from monitor.parse import parse_feed
from monitor.parse.cut import Place, Seen, header_mark, mark, pieces
from monitor.pipeline.ingest import content_hash
from monitor.store import Store
from monitor.timing import learn
from monitor.urls import canonical_url
from tests import make
from tests.benchmarks import publishers

FEEDS_A_FILE = 10_000
MONITOR = """
web: off
mail_from: news@corvid.example
fetch: {allow_private: [127.0.0.0/8]}
"""


def config_text(folder: Path, feeds: int, port: int, every: float) -> None:
    """Write the configuration: the topics and subscribers of tests, and so many feeds in files of 10,000."""
    make.write_config(folder, monitor=MONITOR, feeds="")
    (folder / "feeds").mkdir()
    for start in range(0, feeds, FEEDS_A_FILE):
        lines = [
            f"  outlet-{n}: {{url: '{publishers.url(n, port)}', source: Outlet {n}, every: {every:.0f}s}}\n"
            for n in range(start, min(start + FEEDS_A_FILE, feeds))
        ]
        (folder / "feeds" / f"{start}.yaml").write_text("feeds:\n" + "".join(lines), encoding="utf-8")


def polled_before(data: Path, feeds: int, port: int, every: float) -> None:
    """Write the database; the feeds come due spread over the next `every` seconds."""
    store = Store("sqlite:///monitor.db", data)
    store.migrate()
    store.close()
    now, rng = datetime.now(UTC), random.Random(9)
    with sqlite3.connect(data / "monitor.db") as database:
        database.execute("PRAGMA synchronous=OFF")
        for n in range(feeds):
            if publishers.sends_documents(n):
                _insert(database, "feed_document", [{"feed": f"outlet-{n}", "seen": _seen(n, port)}])
                _insert(database, "sighting", _sightings(n, now))
            _insert(database, "feed_state", [_state(n, port, now, every, rng)])


def _insert(database: sqlite3.Connection, table: str, rows: Any) -> None:
    rows = list(rows)
    columns = ", ".join(rows[0])
    marks = ", ".join("?" * len(rows[0]))
    database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", [tuple(row.values()) for row in rows])


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def _items() -> range:
    return range(publishers.BEFORE, publishers.BEFORE - publishers.ITEMS, -1)


def _seen(feed: int, port: int) -> str:
    found = pieces(publishers.document(feed, publishers.BEFORE).decode())
    assert found is not None
    places = [
        Place(publishers.guid(feed, item), mark(canonical_url(publishers.item_link(feed, item)))) for item in _items()
    ]
    marks = map(mark, found.items)
    return Seen(header_mark(found, publishers.url(feed, port)), dict(zip(marks, places, strict=True))).written()


_PARSED = dict(zip(_items(), parse_feed(publishers.document(0, publishers.BEFORE)).stories, strict=True))


def _sightings(feed: int, now: datetime) -> Iterator[dict[str, Any]]:
    for item, parsed in _PARSED.items():
        own = replace(parsed, title=publishers.title(feed, item), url=publishers.item_link(feed, item))
        at = _time(now - timedelta(hours=publishers.BEFORE - item + feed % 7))
        yield {
            "feed": f"outlet-{feed}",
            "guid": publishers.guid(feed, item),
            "content_hash": content_hash(own),
            "seen_at": at,
            "listed_at": _time(now - timedelta(hours=(feed + item) % 24)),
            "baseline": 0,
        }


def _state(feed: int, port: int, now: datetime, every: float, rng: random.Random) -> dict[str, Any]:
    due = now + timedelta(seconds=rng.uniform(0, every))
    before = due - timedelta(seconds=every)
    body = publishers.document(feed, publishers.BEFORE) if publishers.sends_documents(feed) else b""
    rhythm = learn([now - timedelta(hours=n) for n in range(publishers.ITEMS)], now - timedelta(days=20), now)
    return {
        "feed": f"outlet-{feed}",
        "url": publishers.url(feed, port),
        "next_poll_at": _time(due),
        "polled_at": _time(before),
        "succeeded_at": _time(before),
        "changed_at": _time(before),
        "baseline_at": _time(now - timedelta(days=20)),
        "interval": every,
        "etag": publishers.etag(feed, publishers.BEFORE),
        "body_hash": blake2b(body, digest_size=16).hexdigest() if body else None,
        "whole_due_at": _time(now + timedelta(hours=rng.uniform(0, 36))),
        "baseline_open": 0,
        "reading": 0.01,
        "moved_polls": 0,
        "status": 200 if body else 304,
        "failures": 0,
        "stories": publishers.ITEMS,
        "span": 50 * 3600.0,
        "ttl": 0.0,
        "rhythm": json.dumps(rhythm.as_list()),
        "took": 0.05,
        "told": "",
    }
