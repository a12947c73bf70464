"""When feeds are polled: how many of a host, how often, and what trouble of our own and a reload do to it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from monitor.app import App, open_app
from monitor.config import load_config
from monitor.errors import StoreError
from monitor.models import Decision, Delivery, Match
from monitor.pipeline import poll, poll_due
from monitor.rules import compile_rules
from monitor.web.backend import STUCK, WebBackend
from tests import make
from tests.fakes import Answer, FeedServer

ALERTING = "first_poll: alert"


def feeds(**urls: str) -> str:
    return "feeds:\n" + "".join(
        f"  {name}: {{url: '{url}', source: {name}, every: 1s, {ALERTING}}}\n" for name, url in urls.items()
    )


@pytest.fixture
async def server() -> AsyncIterator[FeedServer]:
    with FeedServer() as running:
        yield running


def opened(folder: Path, declared: str) -> App:
    app = open_app(make.config(folder / "config", feeds=declared), folder / "data")
    app.store.feeds.ensure({feed.name: feed.address for feed in app.config.feeds.values()}, app.now())
    return app


async def ended(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)


async def test_a_host_that_hangs_holds_no_more_than_its_own_places(tmp_path: Path, server: FeedServer) -> None:
    slow = server.route("/slow", Answer(make.rss(), delay=3))
    good = server.route("/good", Answer(make.rss(("1", "Sanctions agreed"))))
    hanging = {f"slow{n}": slow for n in range(80)}
    app = opened(tmp_path, feeds(**hanging, good=good.replace("127.0.0.1", "localhost")))
    try:
        tasks = await poll_due(app)
        assert len(tasks) == 5
        assert "good" in app.in_flight
        for task in tasks:
            task.cancel()
        await ended(tasks)
    finally:
        await app.close()


async def test_trouble_of_our_own_does_not_ask_the_publisher_again_at_once(
    tmp_path: Path, server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(tmp_path, feeds(wire=server.route("/feed.xml", Answer(make.rss(("1", "Sanctions agreed"))))))

    def broken(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is full")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["monitor.pipeline.poll"], "ingest", broken)  # the package's `poll` is a function
            for _ in range(3):
                if tasks := await poll_due(app):
                    await ended(tasks)
        assert server.count() == 1
        app.not_before["wire"] = (0.0, 30.0)
        (task,) = await poll_due(app)
        assert (await task).result == "stories"
        assert app.not_before == {}
    finally:
        await app.close()


async def test_an_interval_of_a_second_is_one(tmp_path: Path, server: FeedServer) -> None:
    app = opened(tmp_path, feeds(wire=server.route("/feed.xml", Answer(make.rss(), delay=0.4))))
    try:
        await poll(app, "wire")
        state = app.store.feeds.get("wire")
        assert state is not None
        assert state.polled_at is not None
        assert state.next_poll_at - state.polled_at < timedelta(seconds=0.7)
    finally:
        await app.close()


async def test_a_reload_within_a_poll_counts_for_its_stories(tmp_path: Path, server: FeedServer) -> None:
    url = server.route("/feed.xml", Answer(make.rss(("1", "A blockade of the river begins")), delay=0.5))
    app = opened(tmp_path, feeds(wire=url))
    try:
        polling = asyncio.create_task(poll(app, "wire"))
        await asyncio.sleep(0.2)
        topics = make.TOPICS + "  blockades:\n    any: [blockade]\n"
        make.write_config(tmp_path / "config", feeds=feeds(wire=url), topics=topics)
        config = load_config(tmp_path / "config", {})
        app.use(config, compile_rules(config))
        await polling
        with app.store.read() as session:
            assert [match.topic for match in session.exec(select(Match))] == ["blockades"]
            assert [decision.reason for decision in session.exec(select(Decision))] == ["sent"]
    finally:
        await app.close()


async def test_a_feed_that_was_taken_out_within_its_poll_alerts_nobody(tmp_path: Path, server: FeedServer) -> None:
    url = server.route("/feed.xml", Answer(make.rss(("1", "Sanctions agreed")), delay=0.5))
    app = opened(tmp_path, feeds(wire=url, other=server.url("/other")))
    try:
        polling = asyncio.create_task(poll(app, "wire"))
        await asyncio.sleep(0.2)
        make.write_config(tmp_path / "config", feeds=feeds(other=server.url("/other")))
        config = load_config(tmp_path / "config", {})
        app.use(config, compile_rules(config))
        await polling
        with app.store.read() as session:
            assert session.exec(select(Delivery)).all() == []
    finally:
        await app.close()


async def test_an_address_changed_within_a_poll_keeps_its_own_validators_and_is_asked_at_once(
    tmp_path: Path, server: FeedServer
) -> None:
    old = server.route("/old.xml", Answer(make.rss(("1", "Sanctions agreed")), etag='"old"', delay=0.5))
    app = opened(tmp_path, feeds(wire=old))
    try:
        polling = asyncio.create_task(poll(app, "wire"))
        await asyncio.sleep(0.2)
        await app.db(app.store.feeds.ensure, {"wire": server.url("/new.xml")}, app.now())
        await polling
        state = app.store.feeds.get("wire")
        assert state is not None
        assert (state.url, state.etag, state.body_hash) == (server.url("/new.xml"), None, None)
        assert state.next_poll_at <= app.now()
    finally:
        await app.close()


async def reload(app: App, folder: Path, **files: str) -> None:
    """Go over to other files."""
    config = make.config(folder / "config", **files)
    await app.db(app.store.feeds.ensure, {feed.name: feed.address for feed in config.feeds.values()}, app.now())
    app.use(config, compile_rules(config))


def alerts(app: App) -> list[str]:
    with app.store.read() as session:
        return [row.subject for row in session.exec(select(Delivery)) if row.kind == "alert"]


async def test_what_another_address_holds_at_first_is_no_news(tmp_path: Path, server: FeedServer) -> None:
    old = server.route("/old.xml", Answer(make.rss(("1", "Old news")), etag='"same"'))
    new = server.route("/new.xml", Answer(make.rss(("2", "Sanctions agreed")), etag='"same"'))
    app = opened(tmp_path, feeds(wire=old).replace(ALERTING, "first_poll: baseline"))
    try:
        await poll(app, "wire")
        await reload(app, tmp_path, feeds=feeds(wire=new).replace(ALERTING, "first_poll: baseline"))
        assert (await poll(app, "wire")).baseline
        assert "If-None-Match" not in server.asked[-1].headers
        assert alerts(app) == []
    finally:
        await app.close()


async def test_an_address_that_moves_with_its_stories_alerts_of_the_new_ones(
    tmp_path: Path, server: FeedServer
) -> None:
    old = server.route("/old.xml", Answer(make.rss(("1", "Old news"))))
    new = server.route("/new.xml", Answer(make.rss(("1", "Old news"), ("2", "Sanctions agreed"))))
    app = opened(tmp_path, feeds(wire=old).replace(ALERTING, "first_poll: baseline"))
    try:
        await poll(app, "wire")
        await reload(app, tmp_path, feeds=feeds(wire=new).replace(ALERTING, "first_poll: baseline"))
        await poll(app, "wire")
        assert alerts(app) == ["Sanctions agreed"]
    finally:
        await app.close()


async def test_a_feed_taken_out_while_due_ones_are_looked_up_is_not_polled(
    tmp_path: Path, server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(tmp_path, feeds(wire=server.url("/1"), post=server.url("/2")))
    due = app.store.feeds.due

    def slow(*arguments: Any) -> Any:
        found = due(*arguments)
        config = make.config(tmp_path / "config", feeds=feeds(post=server.url("/2")))
        app.use(config, compile_rules(config))
        return found

    monkeypatch.setattr(app.store.feeds, "due", slow)
    try:
        tasks = await poll_due(app)
        assert [task.get_name() for task in tasks] == ["poll post"]
        await ended(tasks)
    finally:
        await app.close()


async def test_a_way_in_that_was_replaced_is_closed_once_nothing_uses_it(tmp_path: Path, server: FeedServer) -> None:
    url = server.route("/feed.xml", Answer(make.rss(("1", "Old news")), delay=0.5))
    app = opened(tmp_path, feeds(wire=url))
    try:
        old = app.fetcher
        polling = asyncio.create_task(poll(app, "wire"))
        await asyncio.sleep(0.2)
        monitor = make.MONITOR.replace("per_host: 8", "per_host: 9")
        await reload(app, tmp_path, monitor=monitor, feeds=feeds(wire=url))
        assert app.fetcher is not old
        assert not old.closed
        assert (await polling).result == "stories"
        assert old.closed
    finally:
        await app.close()


async def test_a_daemon_that_looks_for_no_due_feeds_is_not_ready(tmp_path: Path, server: FeedServer) -> None:
    app = opened(tmp_path, feeds(wire=server.url()))
    try:
        assert WebBackend(app).ready() == (True, "Ready.")
        app.ticked = time.monotonic() - STUCK - 1
        ready, sentence = WebBackend(app).ready()
        assert not ready
        assert "looked at" in sentence
    finally:
        await app.close()
