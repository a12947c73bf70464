"""What polls and pages bring, with `kill -9` among them: each story once, as without."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from monitor.models import Decision, Delivery, Match, Page, Sighting, Story
from monitor.store import Store
from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.pipe import Polling

pytestmark = pytest.mark.acceptance

KILLS = 6
TOPICS = "topics: {news: {any: [deal, war, trump, market*, court, china, bank*]}}\n"
SUBSCRIBERS = """
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1:9?to=ruth@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail], at_most: off, wait: 0s}}]
"""
PAGES = 12
MARK = "The harbour authority announced an embargo on grain. "


class Replay:
    """Feeds at /NAME whose next document comes out once the one before is known to be saved: its ETag came back."""

    def __init__(self, documents: dict[str, list[bytes]]) -> None:
        self.documents = documents
        self.at = dict.fromkeys(documents, 0)
        self.done: set[str] = set()
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                replay.answer(self, self.path.strip("/"))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        at = self.at[name]
        if handler.headers.get("If-None-Match") == f'"{at}"':
            if at + 1 == len(self.documents[name]):
                self.done.add(name)
                handler.send_response(304)
                handler.send_header("ETag", f'"{at}"')
                handler.end_headers()
                return
            at = self.at[name] = at + 1
        body = self.documents[name][at]
        handler.send_response(200)
        handler.send_header("ETag", f'"{at}"')
        handler.send_header("Content-Type", "application/rss+xml")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @property
    def ended(self) -> bool:
        return len(self.done) == len(self.documents)

    def feeds(self) -> str:
        port = self._server.server_address[1]
        lines = (
            f"  {name}: {{url: 'http://127.0.0.1:{port}/{name}', every: 1s, first_poll: alert}}\n"
            for name in self.documents
        )
        return "feeds:\n" + "".join(lines)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def outcome(store: Store) -> dict[str, Any]:
    """Return all that must not hang on when polls came, and on what was killed."""
    with store.read() as session:
        stories = {story.id: story for story in session.exec(select(Story))}
        return {
            "stories": Counter(story.key for story in stories.values()),
            "headlines": {story.key: story.title for story in stories.values()},
            "sightings": Counter((row.feed, row.guid) for row in session.exec(select(Sighting))),
            "matches": Counter((stories[row.story_id].key, row.topic) for row in session.exec(select(Match))),
            "alerts": Counter(row.key for row in session.exec(select(Delivery)) if row.kind == "alert"),
        }


async def uninterrupted(folder: Path, documents: dict[str, list[bytes]]) -> dict[str, Any]:
    """Return what the documents come to without any kill."""
    replay = Replay(documents)
    try:
        pipe = Polling(folder, feeds=replay.feeds(), topics=TOPICS, subscribers=SUBSCRIBERS)
        while not replay.ended:
            for name in documents.keys() - replay.done:
                await pipe.poll(name)
                pipe.forward(seconds=1)
        await pipe.app.close()
        return outcome(pipe.app.store)
    finally:
        replay.close()


def killed(process: DaemonProcess, longest: float) -> None:
    """Start the daemon, and kill it at a random moment within so many seconds, time and again."""
    rng = random.Random(5)
    for kill in range(KILLS):
        with running(process, "--only", "poll"):
            wait_for(partial(_begun, process, kill + 1), 120, "the daemon to begin")
            time.sleep(rng.uniform(0.2, longest))
            process.kill()


def _begun(process: DaemonProcess, times: int) -> bool:
    return process.log.count("News Monitor ") >= times


@pytest.mark.timeout(400)
def test_replayed_polls_come_to_the_same_with_kills_among_them(tmp_path: Path, shared_data: Path) -> None:
    documents: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted((shared_data / "polls").glob("*_*.xml")):
        documents[path.name.partition("_")[0]].append(path.read_bytes())
    assert sum(map(len, documents.values())) > 20
    expected = asyncio.run(uninterrupted(tmp_path / "alone", documents))
    replay = Replay(documents)
    folder = make.write_config(tmp_path / "config", feeds=replay.feeds(), topics=TOPICS, subscribers=SUBSCRIBERS)
    process = DaemonProcess(folder, tmp_path / "data")
    try:
        killed(process, 2.5)
        assert not replay.ended, "the kills were to fall among the polls"
        with running(process, "--only", "poll"):
            wait_for(partial(_begun, process, KILLS + 1), 120, "the daemon to begin")
            wait_for(lambda: replay.ended, 200, "the last documents")
            assert process.stop() == 0
    finally:
        replay.close()
    with database(process.data) as store:
        found = outcome(store)
    assert max(found["stories"].values()) == 1
    assert sum(found["stories"].values()) > 100
    for what, wanted in expected.items():
        assert found[what] == wanted, what


@contextmanager
def pages() -> Iterator[dict[int, str]]:
    """Serve a page on a host of its own for each story; yields their addresses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = "".join(f"<p>{MARK}It holds until further notice, paragraph {n}.</p>" for n in range(12))
            found = f"<html><body><article><h1>News of the harbour</h1>{text}</article></body></html>".encode()
            self.send_response(404 if self.path == "/robots.txt" else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: Any) -> None:
            pass

    servers = [ThreadingHTTPServer((f"127.0.0.{150 + n}", 0), Handler) for n in range(PAGES)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield {n: f"http://127.0.0.{150 + n}:{server.server_address[1]}/story" for n, server in enumerate(servers)}
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address only")
@pytest.mark.timeout(400)
def test_each_page_is_read_and_told_of_once_with_kills_among_them(tmp_path: Path) -> None:
    with pages() as addresses:
        items = "".join(
            f"<item><guid isPermaLink='false'>{n}</guid><link>{url}</link><title>News of the harbour {n}</title></item>"
            for n, url in addresses.items()
        )
        replay = Replay({"wire": [f"<rss version='2.0'><channel><title>x</title>{items}</channel></rss>".encode()]})
        folder = make.write_config(
            tmp_path / "config",
            monitor=make.MONITOR.replace("[127.0.0.1]", "[127.0.0.0/8]"),
            feeds=replay.feeds().replace("first_poll", "full_text: always, first_poll"),
            topics="topics: {grain: {any: [embargo]}}\n",
            subscribers=SUBSCRIBERS,
        )
        process = DaemonProcess(folder, tmp_path / "data")
        try:
            killed(process, 9)  # a host's page comes five seconds after its robots.txt
            with running(process, "--only", "poll"), database(process.data) as store:
                wait_for(partial(_begun, process, KILLS + 1), 120, "the daemon to begin")
                wait_for(lambda: all(page.due_at is None for page in rows(store, Page)), 90, "the pages")
                assert process.stop() == 0
                assert [bool(story.page_at) and MARK in story.text for story in rows(store, Story)] == [True] * PAGES
                assert len(rows(store, Match)) == PAGES
                assert Counter(row.reason for row in rows(store, Decision)) == {"sent": PAGES}
                assert len({row.key for row in rows(store, Delivery)}) == len(rows(store, Delivery)) == PAGES
        finally:
            replay.close()


def rows(store: Store, table: type[Any]) -> list[Any]:
    with store.read() as session:
        return list(session.exec(select(table)).all())
