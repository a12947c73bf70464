"""Hostile servers and documents: each is a value, costs no more than its limits, and keeps no good feed waiting."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from monitor.app import App
from monitor.errors import StoreError
from monitor.models import FeedState, Sighting, Story
from monitor.parse import parse_feed
from monitor.pipeline import Ingested, ingest, poll, poll_due
from monitor.pipeline.lanes import PARSE_DEADLINE, SLOW, is_suspect
from monitor.workers import Workers
from tests import make
from tests.fakes import Answer, FeedServer
from tests.hostile import HostileServer, SlowNames
from tests.pipe import Pipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address only")

MONITOR = """
mail_from: Corvid risk desk <news@corvid.example>
web: off
fetch: {allow_private: [127.0.0.0/8], per_host_gap: 0s, timeout: 3s}
"""
# What a feed's health says of each; a number stands for the stories that are read all the same.
WANTED: dict[str, str | int] = {
    "drip": "did not answer within 3 s",
    "drip-headers": "did not answer within 3 s",
    "silence": "did not answer within 3 s",
    "no-end-of-headers": "Too many headers",
    "no-end-of-header": "more than 65536 bytes",
    "no-end-of-interim-answers": "",
    "no-end-of-body": "",  # too large, or too late
    "length-too-long": "broke off",
    "length-too-short": "not HTTP",
    "length-negative": "not HTTP",
    "length-twice": "not HTTP",
    "bad-chunks": "not HTTP",
    "huge-chunk": "broke off",
    "http-0.9": "not HTTP",
    "not-http": "not HTTP",
    "reset": "",
    "gzip-bomb": "larger than 10 MB",
    "gzip-bomb-in-gzip": "binary data",
    "gzip-twice": "not asked for",
    "deflate-bomb": "larger than 10 MB",
    "brotli": "not asked for",
    "gzip-broken-off": "broke off",
    "redirect-loop": "redirected more than 4 times",
    "redirect-private": "private or reserved address",
    "redirect-mapped": "private or reserved address",
    "redirect-file": "no usable address",
    "not-modified": "unasked",
    "empty": "empty",
    "page": "web page",
    "100000-stories": 5000,
    "new-stories-each-time": 1000,
    "long-author": 1,
    "many-categories": 1,
    "many-attributes": 1,
    "comments": 1,
    "style": 1,
    "billion-laughs": 1,
    "entities": 1,
    "external": 1,
    "deep": "longer than 10 seconds",
    "deep-html": 1,
    "deep-json": "not a JSON Feed",
    "one-word": 1,
    "nul-bytes": 1,
    "half-a-surrogate": 1,
    "utf-7": 1,
    "utf-16-lie": 1,
    "no-markup-end": 1,
    "cdata": 1,
}


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


@pytest.fixture
def good() -> Iterator[FeedServer]:
    with FeedServer() as running:
        running.route("/feed.xml", Answer(make.rss(("1", "Sanctions agreed"))))
        yield running


def feeds(**urls: str) -> str:
    return "feeds:\n" + "".join(f"  {name}: {{url: '{url}', first_poll: alert}}\n" for name, url in urls.items())


class Polling(Pipe):
    def __init__(self, folder: Path, **urls: str) -> None:
        super().__init__(folder, monitor=MONITOR, feeds=feeds(**urls))

    def start(self, name: str) -> asyncio.Task[object]:
        return asyncio.create_task(poll(self.app, name))

    def reading(self, name: str) -> float:
        state = self.app.store.feeds.get(name)
        assert state is not None
        return state.reading


@pytest.fixture
async def pipe(tmp_path: Path, hostile: HostileServer, good: FeedServer) -> AsyncIterator[Polling]:
    """Good feeds and slow ones, with two workers whatever the machine has."""
    slow = {f"slow{n}": hostile.url("deep", n + 1) for n in range(3)}
    opened = Polling(tmp_path, good=good.url(), **slow)
    two_workers(opened.app)
    yield opened
    await opened.app.close()


def two_workers(app: App) -> None:
    app.workers, app.newcomers = Workers(2, partial(parse_feed, b"", "")), asyncio.Semaphore(1)


async def test_every_behaviour_is_a_value_with_a_reason_and_costs_bounded_memory(
    tmp_path: Path, hostile: HostileServer, good: FeedServer
) -> None:
    assert set(WANTED) == set(hostile.names)
    names = {name: f"h{number}" for number, name in enumerate(hostile.names)}
    urls = {key: hostile.url(name, number) for number, (name, key) in enumerate(names.items())}
    pipe = Polling(tmp_path, good=good.url(), **urls)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        done = dict(zip(names, await asyncio.gather(*(poll(pipe.app, key) for key in names.values())), strict=True))
        assert (await poll(pipe.app, "good")).result == "stories"
    finally:
        await pipe.app.close()
    for name, wanted in WANTED.items():
        polled = done[name]
        if isinstance(wanted, int):
            assert polled.result == "stories", (name, polled)
            state = pipe.app.store.feeds.get(names[name])
            assert state is not None
            assert (state.stories, name) == (wanted, name)
        else:
            assert polled.result == "failed", (name, polled)
            assert wanted in polled.error, (name, polled.error)
    assert "seen" not in hostile.asked, "an external entity was fetched"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{len(WANTED)} behaviours at once: {grown:.0f} MB")
    # All of them at once hold at most 10 MB each, and bombs no more: unpacked they are 200 MB each.
    assert grown < 400


# Lanes


async def test_what_takes_long_is_stopped_read_apart_and_read_apart_from_then_on(
    pipe: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.pipeline.lanes.PARSE_DEADLINE", 2.5)
    assert (await poll(pipe.app, "slow0")).result == "failed"
    assert pipe.reading("slow0") > SLOW

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("read among the quick")

    monkeypatch.setattr(pipe.app.workers, "run", never)
    assert (await poll(pipe.app, "slow0")).result == "failed"


async def test_that_a_feed_is_suspect_is_on_record_before_it_is_read_at_length(pipe: Polling) -> None:
    reading = pipe.start("slow0")
    while not pipe.reading("slow0"):
        assert not reading.done()
        await asyncio.sleep(0.05)
    assert pipe.reading("slow0") == PARSE_DEADLINE
    reading.cancel()


async def test_a_suspect_whose_documents_are_quick_again_is_one_no_more(pipe: Polling, good: FeedServer) -> None:
    pipe.app.store.feeds.update("good", reading=PARSE_DEADLINE)
    assert (await poll(pipe.app, "good")).result == "stories"
    assert pipe.reading("good") < SLOW
    assert good.count() == 1


async def test_suspects_keep_no_good_feed_waiting(pipe: Polling) -> None:
    for name in ("slow0", "slow1", "slow2"):
        pipe.app.store.feeds.update(name, reading=PARSE_DEADLINE)
    slow = [pipe.start(f"slow{n}") for n in range(3)]
    await asyncio.sleep(0.5)
    assert (await poll(pipe.app, "good")).result == "stories"
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()


async def test_new_feeds_leave_a_worker_to_those_that_are_known(pipe: Polling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.pipeline.lanes.QUICK_DEADLINE", 60.0)  # else they would be stopped
    assert (await poll(pipe.app, "good")).result == "stories"
    slow = [pipe.start(f"slow{n}") for n in range(3)]
    await asyncio.sleep(0.5)
    pipe.app.store.feeds.update("good", body_hash=None)
    assert (await poll(pipe.app, "good")).result == "stories"
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()


async def test_new_and_failing_feeds_hold_at_most_half_of_the_places(tmp_path: Path, hostile: HostileServer) -> None:
    hanging = {f"h{n}": hostile.url("silence", n) for n in range(20)}
    with FeedServer() as server:
        pipe = Polling(tmp_path, **hanging, known=server.route("/feed.xml", Answer(make.rss(("1", "Old")))))
        await poll(pipe.app, "known")
        for name in list(hanging)[:10]:
            pipe.app.store.feeds.update(name, succeeded_at=pipe.time, failures=3)
        pipe.forward(days=1)
        tasks = await poll_due(pipe.app, limit=8)
        assert len(tasks) == 5
        assert "known" in pipe.app.in_flight
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert pipe.app.doubtful == set()
        await pipe.app.close()


@pytest.mark.parametrize(("first_poll", "alerts"), [("baseline", 0), ("alert", 120)])
async def test_a_document_of_which_a_crash_saved_a_part_is_saved_to_its_end_as_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_poll: str, alerts: int
) -> None:
    with FeedServer() as server:
        stories = [(f"{n}", f"Sanctions number {n} agreed") for n in range(120)]
        url = server.route("/feed.xml", Answer(make.rss(*stories), etag='"one"'))
        declared = f"feeds: {{wire: {{url: '{url}', first_poll: {first_poll}}}}}"
        subscribers = make.SUBSCRIBERS.replace("alert: {via: [mail]}", "alert: {via: [mail], at_most: off}")
        pipe = Pipe(tmp_path, feeds=declared, subscribers=subscribers)
        calls = 0

        def crash(*given: Any) -> list[Ingested]:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise StoreError("the disk is full")
            return ingest(*given)

        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["monitor.pipeline.poll"], "ingest", crash)
            with pytest.raises(StoreError):
                await poll(pipe.app, "wire")
        assert 0 < len(pipe.rows(Story)) < 120
        state = pipe.app.store.feeds.get("wire")
        assert state is not None
        assert state.etag is None
        await poll(pipe.app, "wire")
        assert Counter(story.title for story in pipe.rows(Story)) == Counter(title for _, title in stories)
        assert len(pipe.deliveries("alert")) == alerts
        assert {sighting.baseline for sighting in pipe.rows(Sighting)} == {first_poll == "baseline"}
        # What comes later is news.
        server.route("/feed.xml", Answer(make.rss(("new", "Sanctions lifted"), *stories)))
        await poll(pipe.app, "wire")
        assert len(pipe.deliveries("alert")) == alerts + 1
        await pipe.app.close()


async def test_a_huge_document_lets_other_feeds_be_saved_before_its_end(
    tmp_path: Path, hostile: HostileServer, good: FeedServer
) -> None:
    pipe = Polling(tmp_path, good=good.url(), huge=hostile.url("100000-stories"))
    huge = pipe.start("huge")
    while len(pipe.rows(Story)) == 0:
        assert not huge.done()
        await asyncio.sleep(0.02)
    assert (await poll(pipe.app, "good")).result == "stories"
    assert not huge.done()
    huge.cancel()
    await pipe.app.close()


def test_only_a_long_reading_makes_a_feed_suspect() -> None:
    state = FeedState(feed="a", url="u", next_poll_at=make.NOW)
    assert not is_suspect(state)
    state.failures, state.reading = 5, 0.3
    assert not is_suspect(state)


async def test_names_that_are_never_found_keep_no_good_feed_waiting(
    tmp_path: Path, good: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = SlowNames()
    monkeypatch.setattr("socket.getaddrinfo", names)
    slow = {f"slow{n}": f"http://slow{n}.tarpit.example/" for n in range(100)}  # more than there are threads for
    pipe = Polling(tmp_path, good=f"http://good.example:{good.port}/feed.xml", **slow)
    try:
        await pipe.start("good")
        await pipe.app.close_fetchers()  # which remember where a host is
        waiting = [asyncio.create_task(poll(pipe.app, name)) for name in slow]
        await asyncio.sleep(0.5)
        assert (await poll(pipe.app, "good")).result == "unchanged"
        assert not any(task.done() for task in waiting)
        assert await asyncio.wait_for(asyncio.to_thread(int, "1"), 2) == 1  # nor other threads' work
        failed = await asyncio.gather(*waiting)
        assert all("was not found in time (DNS)" in one.error for one in failed)
    finally:
        names.end()
        await pipe.app.close()
