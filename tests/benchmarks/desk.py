"""The desk on a large archive: each page's server time and bytes, and how long a draft takes in the rule lab.

`python -m tests.benchmarks.desk [--stories N] [--keep DIR]`, and `--memory` for what 10,000 requests do to the memory.
With `--keep` a second run finds the archive of the first.

The archive is made up: 100,000 stories of 60 days in 1,000 feeds, 200 topics, 10,000 messages, words drawn with the
frequencies of English text; one event has 200 stories of 60 outlets. Times are wall-clock and processor seconds of this
process, whose pages are asked for in it, without a network: on a busy machine only the latter say what a page costs.
Memory is resident memory, as the kernel counts it. It fails where a page is over its bound.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import insert
from sqlalchemy.engine import Connection
from sqlmodel import func, select

from monitor.app import App, open_app
from monitor.dispatch import Alert, StoryView, TopicRef
from monitor.models import Decision, Delivery, DeliveryStory, Event, FeedState, Match, Sighting, Story
from monitor.service.lab import try_query
from monitor.store import fulltext
from monitor.web import create_app
from monitor.web.backend import WebBackend
from monitor.web.serve import parts
from tests import make

NOW = datetime(2026, 11, 24, 14, 32, tzinfo=UTC)
DAYS, FEEDS, TOPICS, MESSAGES = 60, 1_000, 200, 10_000
TRY = "/lab?q=w1500+AND+(border+OR+troops)&topic=topic-3&days=30"
PAGES = (
    "/", "/topics", "/topics/topic-3", "/topics/topic-3?days=90&order=newest", "/stories/{story}", "/stories/{large}",
    "/stories?story=border", "/feeds", "/feeds?state=problems", "/events", "/deliveries",
    "/deliveries?state=sent&before=5000", "/subscribers", "/subscribers/s1", "/subscribers/s1/digest",
    "/subscribers/s1/digest/mail", "/subscribers/s1/digest?message=alert", "/s/{token}",
    "/lab", "/lab?q=a+NEAR+border+AND+%40nobody", TRY, "/api/stories", "/api/stories/{large}", "/api/events",
    "/api/feeds", "/topics/topic-3.atom", "/metrics",
)  # fmt: skip
LARGE = 200  # stories of the newest event
MOST_CPU, MOST_BYTES = 0.1, 60_000  # of a page; a draft that takes longer says on the way how far it is
REQUESTS, MARK = 10_000, 1_000  # for the memory, and after how many of them it is looked at
DRAFTS = 10  # rounds in one of which a draft is tried: each takes as long as fifty other pages
EVERYDAY = "the of and to in a is that for it as was with be by on not he his but at are this have from"
OURS = "border troops sanctions frontier soldiers strike port grain price embargo battalion convoy ferry"
QUERIES = (
    "border AND troops", "(troops OR soldier*) NEAR/12 (border OR frontier)", "title:sanctions", "the AND of",
    "w1500 OR w1600",
)  # fmt: skip


def vocabulary() -> tuple[list[str], list[float]]:
    """Words and their weights: rank for rank as in English (Zipf), everyday words first."""
    words = [*f"{EVERYDAY} {OURS}".split(), *(f"w{number}" for number in range(20_000))]
    return words, [1 / (rank + 2.7) for rank in range(len(words))]


def build(folder: Path, stories: int) -> App:
    """Make the archive and open it."""
    chance = random.Random(7)
    words, weights = vocabulary()
    pool = chance.choices(words, weights, k=400_000)
    topics = "topics:\n" + "".join(
        f"  topic-{n}: {{title: Topic number {n}, query: 'w{n * 7} AND (w{n * 3 + 1} OR border)'}}\n"
        for n in range(TOPICS)
    )
    feeds = "feeds:\n" + "".join(
        f'  f{n}: {{url: "https://f{n}.example/rss", source: Outlet {n}}}\n' for n in range(FEEDS)
    )
    people = "subscribers:\n" + "".join(
        f'  s{n}: {{channels: {{mail: "mailto://127.0.0.1:2525?to=s{n}@corvid.example"}}, digest: {{at: ["17:00"]}}, '
        f"subscriptions: [{{topics: all, alert: {{via: [mail]}}, digest: true}}]}}\n"
        for n in range(20)
    )
    config = make.config(folder / "config", topics=topics, feeds=feeds, subscribers=people)
    app = open_app(config, folder / "data", lambda: NOW)
    began = time.perf_counter()
    with app.store.write() as session:
        connection = session.connection()
        for done in _stories(connection, chance, pool, stories):
            print(f"{done:,} stories, {time.perf_counter() - began:.0f} s", flush=True)
        _messages(connection, chance, stories)
        _feeds(connection, chance)
        fulltext.drop(connection)
        fulltext.make(connection)  # of what was put in by the table
        print(f"their full-text index, {time.perf_counter() - began:.0f} s", flush=True)
    return app


def _stories(connection: Connection, chance: random.Random, pool: list[str], count: int) -> Iterator[int]:
    """Put stories in, and what was found and decided of them; yield how many there are after each lot."""
    event = 0
    for start in range(1, count + 1, 5_000):
        rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in (Event, Story, Sighting, Match, Decision)}
        for number in range(start, min(start + 5_000, count + 1)):
            at = NOW - timedelta(days=DAYS) * (1 - number / count)
            if number <= count - LARGE or number == count - LARGE + 1 or not event:
                fresh = not event or number == count - LARGE + 1 or chance.random() < 0.8
            else:
                fresh = False  # the newest stories are one event's
            if fresh:
                event += 1
                rows[Event].append(
                    {"id": event, "key": f"k{number}", "started_at": at, "updated_at": at, "stories": 1, "why": ""}
                )
            place = chance.randrange(len(pool) - 800)
            feed = chance.randrange(FEEDS if number <= count - LARGE else 60)
            body = pool[place : place + int(chance.lognormvariate(5, 0.8)) + 20]
            title = " ".join(body[:9])
            rows[Story].append({
                "id": number, "key": f"url:https://f{feed}.example/{number}", "event_id": event, "feed": f"f{feed}",
                "source": f"Outlet {feed}", "url": f"https://f{feed}.example/{number}", "title": title,
                "title_fold": title, "summary": " ".join(body[9:40]), "text": " ".join(body[40:]), "author": "",
                "language": "en", "country": "", "tags": [], "published_raw": "", "claimed_at": at,
                "first_seen_at": at, "effective_at": at, "date_doubtful": False, "content_hash": "", "edits": 0,
            })  # fmt: skip
            rows[Sighting].append({
                "story_id": number, "feed": f"f{feed}", "guid": f"g{number}", "content_hash": "", "seen_at": at,
                "listed_at": at, "baseline": False,
            })  # fmt: skip
            for topic in {int(chance.triangular(0, TOPICS, 0)) for _ in range(chance.choice((0, 0, 1, 1, 2)))}:
                evidence = [{"field": "title", "start": 0, "end": len(body[0]), "term": body[0], "entity": ""}]
                rows[Match].append({
                    "story_id": number, "topic": f"topic-{topic}", "rule": "r", "evidence": evidence, "matched_at": at,
                    "alerting": True,
                })  # fmt: skip
                rows[Decision].append({
                    "story_id": number, "event_id": event, "subscriber": f"s{number % 20}", "reason": "sent",
                    "detail": "",
                    "topics": [], "channels": ["mail"], "decided_at": at, "due_at": at,
                })  # fmt: skip
        for table, found in rows.items():
            if found:
                connection.execute(insert(table), found)
        yield min(start + 5_000, count + 1) - 1


def _messages(connection: Connection, chance: random.Random, stories: int) -> None:
    rows, told = [], []
    first, *more = (
        StoryView(
            id=max(1, stories - n), event_id=1, title="Troops at the border " * 4, url="https://f1.example/1",
            source="Outlet 1", snippet="the border and the troops " * 12, language="en", at=NOW,
        )
        for n in range(6)
    )  # fmt: skip
    alert = Alert("s1", "mail", (TopicRef("topic-3", "Topic number 3", "normal"),), first, more=tuple(more))
    payload = TypeAdapter(Alert).dump_python(alert, mode="json")
    for number in range(1, MESSAGES + 1):
        at = NOW - timedelta(days=30) * (1 - number / MESSAGES)
        state = chance.choices(("sent", "dead", "pending"), (97, 1, 2))[0]
        rows.append({
            "id": number, "key": f"m{number}", "kind": "alert", "subscriber": f"s{number % 20}", "channel": "mail",
            "topics": ["topic-3"], "subject": f"Message {number}", "message_id": f"{number}@x",
            "payload": payload,
            "state": state, "attempts": 1, "fence": 1, "maybe_dup": 0, "created_at": at, "next_attempt_at": at,
            "expires_at": at + timedelta(days=3), "finished_at": at + timedelta(seconds=30), "code": "250",
            "detail": "", "receipt": "250 ok",
        })  # fmt: skip
        told.append({"delivery_id": number, "story_id": max(1, stories * number // MESSAGES)})
    connection.execute(insert(Delivery), rows)
    connection.execute(insert(DeliveryStory), told)


def _feeds(connection: Connection, chance: random.Random) -> None:
    rows = []
    for number in range(FEEDS):
        failures = 5 if number % 50 == 0 else 0
        rows.append({
            "feed": f"f{number}", "url": f"https://f{number}.example/rss", "next_poll_at": NOW + timedelta(minutes=5),
            "polled_at": NOW, "succeeded_at": NOW, "changed_at": NOW, "interval": 600.0, "failures": failures,
            "failing_since": NOW if failures else None, "error": "its server refuses us (403)" if failures else None,
            "took": chance.random(), "rhythm": [1.0] * 24 + [24.0] * 7, "baseline_open": False, "moved_polls": 0,
            "reading": 0.0, "stories": 30, "ttl": 0.0, "told": "",
        })  # fmt: skip
    connection.execute(insert(FeedState), rows)


async def ask(app: Any, path: str) -> tuple[int, int, float, float]:
    """Ask for a page within this process; return its status, bytes, wall-clock and processor seconds."""
    sent: list[Any] = []
    plain, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": plain, "raw_path": plain.encode(), "query_string": query.encode(),
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        "scheme": "http", "root_path": "", "http_version": "1.1",
    }  # fmt: skip

    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in asked:
            return message
        await asyncio.Event().wait()  # nobody goes away: a page that is sent in parts listens for that all the time
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    wall, used = time.perf_counter(), time.process_time()
    await app(scope, receive, send)
    size = sum(len(message.get("body", b"")) for message in sent)
    return sent[0]["status"], size, time.perf_counter() - wall, time.process_time() - used


def paths(app: App, stories: int) -> list[str]:
    """Return the addresses asked for, with a story of its own, one of the large event, and a subscriber's link."""
    token = app.preferences_link("s1", app.now()).rpartition("/")[2]
    return [path.format(story=max(1, stories - 1_000), large=stories - 1, token=token) for path in PAGES]


def served(app: App) -> Any:
    """Return the application as the daemon serves it."""
    return create_app(WebBackend(app), site="Bench", token=None, host_names=[], secret=app.secret, parts=parts(app))


async def pages(app: App, stories: int) -> bool:
    """Print what each page costs, the least of several asks: the machine has other work. Return whether all is well."""
    web, good = served(app), True
    print(f"{'page':60} status   KB   first ms   wall ms    cpu ms")
    for path in paths(app, stories):
        first = await ask(web, path)
        rest = [await ask(web, path) for _ in range(5)]
        wall, used = min(one[2] for one in rest), min(one[3] for one in rest)
        over = first[1] > MOST_BYTES or (used > MOST_CPU and path != TRY)
        good = good and not over
        shown = path if len(path) <= 60 else f"{path[:59]}…"
        print(
            f"{shown:60} {first[0]:6} {first[1] / 1000:4.0f} {first[3] * 1000:10.0f} {wall * 1000:9.0f} "
            f"{used * 1000:9.0f}{' OVER' if over else ''}",
            flush=True,
        )
    return good


def resident() -> float:
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def memory(app: App, stories: int) -> None:
    """Print how resident memory goes on over many requests of all pages in turn."""
    web, asked = served(app), paths(app, stories)
    without = [path for path in asked if path != TRY]
    order = itertools.cycle([*asked, *without * (DRAFTS - 1)])
    began = time.perf_counter()
    for number, path in enumerate(itertools.islice(order, REQUESTS), 1):
        status, *_ = await ask(web, path)
        assert status in (200, 303), path
        if number in (100, 500) or number % MARK == 0:
            gc.collect()
            print(
                f"after {number:6,} requests {resident():6.1f} MB, {time.perf_counter() - began:.0f} s, "
                f"{time.process_time():.0f} of the processor",
                flush=True,
            )


def lab(app: App) -> None:
    """Print how long drafts take over 30 days."""
    # The saved topic has two of the commonest words, so that a fifth of the archive is offered for it alone.
    for query, topic in ((query, topic) for topic in ("", "topic-3", "topic-90") for query in QUERIES):
        wall, used = time.perf_counter(), time.process_time()
        found = try_query(app, query, NOW, topic=topic, days=30, seconds=60)
        print(json.dumps({
            "query": query, "topic": topic, "stories": found.searched, "decided": found.decided, "found": found.hits,
            "seconds": round(time.perf_counter() - wall, 2),
            "cpu": round(time.process_time() - used, 2), "whole": found.whole,
        }), flush=True)  # fmt: skip


def main() -> int:
    """Run it all."""
    options = argparse.ArgumentParser()
    options.add_argument("--stories", type=int, default=100_000)
    options.add_argument("--memory", action="store_true", help="ask for 10,000 pages, and look at the memory")
    options.add_argument("--keep", type=Path, help="a folder to make the archive in, or to find it in")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        if (folder / "data" / "monitor.db").exists():
            from monitor.config import load_config

            app = open_app(load_config(folder / "config", {}), folder / "data", lambda: NOW)
        else:
            began = time.perf_counter()
            app = build(folder, chosen.stories)
            print(f"made in {time.perf_counter() - began:.0f} s")
        with app.store.read() as session:
            stories = session.exec(select(func.count()).select_from(Story)).one()
        good = True
        if chosen.memory:
            asyncio.run(memory(app, stories))
        else:
            good = asyncio.run(pages(app, stories))
            lab(app)
        asyncio.run(app.close())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
