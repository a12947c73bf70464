"""Real captured documents through the daemon: none stops it, all that can be is read, each story comes once."""

from __future__ import annotations

import asyncio
import io
import mimetypes
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import feedparser
import pytest
from sqlmodel import col, func, select

from monitor.app import App, open_app
from monitor.models import Sighting, Story
from monitor.pipeline import poll
from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.fakes import Answer, FeedServer

TYPES = {".json": "application/feed+json", ".atom": "application/atom+xml", ".rdf": "application/rdf+xml"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def guess_type(self, path: Any) -> str:
        suffix = Path(str(path)).suffix
        return TYPES.get(suffix) or mimetypes.guess_type(str(path))[0] or "application/xml"


@pytest.fixture
def serve_folder() -> Iterator[Any]:
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def serve(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def plain_entries(body: bytes) -> set[tuple[str, str, str]]:
    """Return the different entries that feedparser finds by itself."""
    try:
        found = feedparser.parse(io.BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    except Exception:  # noqa: BLE001 - feedparser may raise anything; see test_parse.py for these
        return set()
    return {(e.get("id", ""), e.get("link", ""), e.get("title", "")) for e in found.entries}


@pytest.mark.acceptance
@pytest.mark.timeout(600)
def test_every_real_document_is_polled_and_gives_its_stories(
    shared_data: Path, tmp_path: Path, serve_folder: Any
) -> None:
    root = shared_data / "feeds"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    assert len(files) >= 400
    base = serve_folder(root)
    feeds = {f"feed-{n:03}": path for n, path in enumerate(files)}
    lines = [
        f"  {name}: {{url: '{base}/{quote(str(path.relative_to(root)))}', every: 1d}}\n" for name, path in feeds.items()
    ]
    config = make.write_config(tmp_path / "config", feeds="feeds:\n" + "".join(lines))
    process = DaemonProcess(config, tmp_path / "data")
    with running(process):
        wait_for(lambda: _polled(process.data) == len(files), 400, "every document to be polled")
        assert process.alive
        assert process.stop() == 0
    with database(process.data) as store:
        states = store.feeds.states()
        with store.read() as session:
            seen = dict(session.exec(select(Sighting.feed, func.count()).group_by(col(Sighting.feed))).all())
    short = []
    for name, path in feeds.items():
        entries = plain_entries(path.read_bytes())
        if seen.get(name, 0) < len(entries):
            short.append((path.name, seen.get(name, 0), len(entries), states[name].error))
    assert short == [], f"{len(short)} documents gave fewer stories than feedparser finds in them"
    assert "failed unexpectedly" not in process.log
    unread = [(feeds[name].name, state.error) for name, state in states.items() if state.error]
    print(f"{len(files)} documents, {sum(seen.values())} stories, {len(unread)} not readable: {unread}")


def _polled(data: Path) -> int:
    if not (data / "monitor.db").exists():
        return 0
    with database(data) as store:
        return store.ready() and sum(state.polled_at is not None for state in store.feeds.states().values())


@pytest.mark.acceptance
@pytest.mark.timeout(300)
@pytest.mark.parametrize("outlet", ["ft-home", "wsj_world"])
def test_replayed_polls_give_each_story_once_and_edits_as_edits(shared_data: Path, tmp_path: Path, outlet: str) -> None:
    polls = sorted((shared_data / "polls").glob(f"{outlet}_*.xml"))
    assert len(polls) >= 10
    with FeedServer() as server:
        # The name of each answer is its ETag: the daemon asks with the one before.
        url = server.route("/feed.xml", *(Answer(path.read_bytes(), etag=f'"{path.name}"') for path in polls))
        config = make.config(tmp_path / "config", feeds=f"feeds:\n  wire: {{url: '{url}', source: Wire, every: 1s}}\n")
        app = open_app(config, tmp_path / "data")
        stories, edits = asyncio.run(_replay(app, len(polls)))
        asked = [request.headers.get("If-None-Match") for request in server.asked]
    assert asked == [None, *(f'"{path.name}"' for path in polls[:-1])]
    wanted_stories, wanted_edits = _expected(polls)
    assert stories == wanted_stories
    assert edits == wanted_edits


async def _replay(app: App, polls: int) -> tuple[set[str], int]:
    app.store.feeds.ensure({"wire": app.config.feeds["wire"].url or ""}, app.now())
    try:
        for _ in range(polls):
            polled = await poll(app, "wire")
            assert polled.result != "failed", polled.error
        with app.store.read() as session:
            guids = session.exec(select(Sighting.guid)).all()
            assert len(guids) == len(set(guids)) == session.exec(select(func.count()).select_from(Story)).one()
            return set(guids), session.exec(select(func.sum(Story.edits))).one()
    finally:
        await app.close()


def _expected(polls: list[Path]) -> tuple[set[str], int]:
    """Return the guids over all polls, and how often a story's title, summary or link changed; markup is no word."""
    last: dict[str, tuple[str, str, str]] = {}
    edits = 0
    for document in polls:
        found = feedparser.parse(io.BytesIO(document.read_bytes()), sanitize_html=False, resolve_relative_uris=False)
        for entry in found.entries:
            words = (entry.get("title", ""), re.sub("<[^>]*>", "", entry.get("summary", "")), entry.get("link", ""))
            edits += entry.id in last and last[entry.id] != words
            last[entry.id] = words
    return set(last), edits
