"""What a poll costs, ours against the naive way; see `tests.benchmarks.polling`.

The naive way is what one writes first: httpx with validators, feedparser as it comes, and a row of an ORM for each
story, looked for and committed one by one. Both keep their client and their database open.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import multiprocessing
import random
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import feedparser
from aiohttp import web
from sqlalchemy import Engine
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, UniqueConstraint, create_engine, select

from monitor.app import open_app
from monitor.parse import parse_feed
from monitor.parse.cut import seen
from monitor.pipeline import poll_due
from tests import make
from tests.benchmarks import publishers
from tests.benchmarks.before import MONITOR
from tests.benchmarks.watched import running_time

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds"
ANSWERS = {"304": 4.0, "same body": 20.0, "one new item": 8.0}  # by how much ours is to be cheaper
KINDS = dict(zip(ANSWERS, ("304", "same", "new"), strict=True))
LARGEST = 200_000  # bytes
TYPE = "application/rss+xml"
PAUSE = 1.1  # seconds, over `fetch.per_host_gap`


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time a poll, medians of rounds."""

    answer: str
    naive: float
    ours: float

    @property
    def ratio(self) -> float:
        """Return how many times as much the naive way takes."""
        return self.naive / self.ours


class Naive(SQLModel, registry=registry()):
    """Tables of the naive way: no part of the program's own, which tests compare with the migrations."""


class NaiveFeed(Naive, table=True):
    """A feed of the naive way."""

    name: str = Field(primary_key=True)
    etag: str | None = None
    checked_at: datetime | None = None


class NaiveStory(Naive, table=True):
    """A story of the naive way."""

    __table_args__ = (UniqueConstraint("feed", "guid"),)
    id: int | None = Field(default=None, primary_key=True)
    feed: str
    guid: str
    url: str
    title: str
    summary: str
    seen_at: datetime


def documents(most: int) -> list[bytes]:
    """Return so many RSS documents of 40 to 60 items that can be cut: real ones (some again) where there are any."""
    paths = sorted(path for path in DATA.rglob("*") if path.is_file() and path.stat().st_size <= LARGEST)
    random.Random(5).shuffle(paths)
    found: list[bytes] = []
    for path in paths:
        body = path.read_bytes()
        # To count the tags takes a thousandth of the time of finding out by a whole parse.
        if 40 <= body.count(b"<item>") <= 60 and b"</channel>" in body[-500:]:
            known = parse_feed(body, "https://wire.example/feed.xml").seen
            if known and 40 <= len(seen(known).items) <= 60:
                found.append(body)
        if len(found) == most:
            break
    return list(itertools.islice(itertools.cycle(found), most)) or [
        publishers.document(feed, publishers.BEFORE) for feed in range(0, 3 * most, 3)
    ]


def with_item(body: bytes, number: int) -> bytes:
    """Return a document with one more item before the others."""
    item = (
        f"<item><guid isPermaLink='false'>fresh-{number}</guid><link>https://wire.example/fresh/{number}</link>"
        f"<title>{publishers.title(1, number)}</title><description>{publishers.text(number)}</description></item>"
    )
    head, _, rest = body.partition(b"<item>")
    return head + item.encode() + b"<item>" + rest


def _serve(bodies: list[bytes], said: Connection) -> None:
    """Serve the documents at /CLIENT/ANSWER/NUMBER, in a process of its own."""
    packed = [gzip.compress(body) for body in bodies]
    numbers = itertools.count(1)

    async def answer(request: web.Request) -> web.StreamResponse:
        kind, number = request.match_info["kind"], int(request.match_info["number"])
        headers = {"Content-Type": TYPE, "Content-Encoding": "gzip"}
        if kind == "304":
            headers["ETag"] = '"as-it-was"'
            if request.headers.get("If-None-Match"):
                return web.Response(status=304, headers={"ETag": headers["ETag"]})
        body = gzip.compress(with_item(bodies[number], next(numbers))) if kind == "new" else packed[number]
        return web.Response(body=body, headers=headers)

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/{client}/{kind}/{number}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.SockSite(runner, publishers.loopback_socket()).start()
        said.send(runner.addresses[0][1])
        await asyncio.to_thread(said.recv)

    asyncio.run(run())


async def measure(folder: Path, count: int, rounds: int) -> list[Cost]:
    """Return what a poll costs with each answer, over so many documents."""
    import httpx

    bodies = documents(count)
    our_end, server_end = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(bodies, server_end), daemon=True)
    server.start()
    port = await asyncio.to_thread(our_end.recv)
    engine = create_engine(f"sqlite:///{folder / 'naive.db'}", pool_size=count)
    Naive.metadata.create_all(engine)
    found = []
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            for answer, kind in KINDS.items():
                urls = {f"{kind}-{n}": f"http://127.0.1.{n + 1}:{port}/CLIENT/{kind}/{n}" for n in range(len(bodies))}
                ours = Ours(folder / kind, {name: url.replace("CLIENT", "ours") for name, url in urls.items()})
                naive = partial(naive_polls, client, engine, urls)
                try:
                    found.append(await _compare(answer, len(bodies), naive, ours.polls, rounds, server.pid))
                finally:
                    await ours.app.close()
            return found
    finally:
        engine.dispose()
        our_end.send("enough")
        server.join(10)


async def _compare(
    answer: str,
    count: int,
    naive: Callable[[], Awaitable[None]],
    ours: Callable[[], Awaitable[None]],
    rounds: int,
    server: int | None,
) -> Cost:
    taken: dict[str, list[float]] = {}
    for number in range(rounds + 2):
        # A feed is polled minutes apart: its poll does not wait for the pause between two requests to its host.
        await asyncio.sleep(PAUSE)
        for title, polls in (("naive", naive), ("ours", ours)):
            began = running_time(server)
            await polls()
            if number >= 2:  # by then nothing is new any more, and all that is made once is made
                taken.setdefault(title, []).append(1000 * (running_time(server) - began) / count)
    return Cost(answer, statistics.median(taken["naive"]), statistics.median(taken["ours"]))


class Ours:
    """An app whose feeds are due whenever `polls` is called."""

    def __init__(self, folder: Path, urls: Mapping[str, str]) -> None:
        self._now = datetime.now(UTC)
        self._urls = urls
        lines = [f"  {name}: {{url: '{url}', every: 1s}}\n" for name, url in urls.items()]
        config = make.config(folder / "config", monitor=MONITOR, feeds="feeds:\n" + "".join(lines))
        self.app = open_app(config, folder / "data", clock=lambda: self._now)
        self.app.store.feeds.ensure(urls, self._now)

    async def polls(self) -> None:
        """Poll each feed once, as the daemon's tick does."""
        self._now += timedelta(seconds=2)
        polled = await asyncio.gather(*await poll_due(self.app))
        assert len(polled) == len(self._urls)
        failed = [one.error for one in polled if one.result not in ("stories", "unchanged")]
        assert not failed, failed


async def naive_polls(client: object, engine: Engine, urls: Mapping[str, str]) -> None:
    """Poll each feed once, all at the same time, as ours are."""
    await asyncio.gather(*(naive_poll(client, engine, name, url) for name, url in urls.items()))


async def naive_poll(client: object, engine: Engine, name: str, url: str) -> None:
    """Poll a feed as one would without thinking of what it costs."""
    import httpx

    assert isinstance(client, httpx.AsyncClient)
    with Session(engine) as session:
        feed = session.get(NaiveFeed, name) or NaiveFeed(name=name)
        answer = await client.get(url, headers={"If-None-Match": feed.etag} if feed.etag else {})
        feed.etag, feed.checked_at = answer.headers.get("ETag"), datetime.now(UTC)
        session.add(feed)
        session.commit()
        if answer.status_code == 304:
            return
        for entry in feedparser.parse(io.BytesIO(answer.content)).entries:
            guid = entry.get("id") or entry.get("link", "")
            known = select(NaiveStory).where(NaiveStory.feed == name, NaiveStory.guid == guid)
            if session.exec(known).first() is None:
                story = NaiveStory(
                    feed=name,
                    guid=guid,
                    url=entry.get("link", ""),
                    title=entry.get("title", ""),
                    summary=entry.get("summary", ""),
                    seen_at=datetime.now(UTC),
                )
                session.add(story)
                session.commit()
