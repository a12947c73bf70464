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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import feedparser
from aiohttp import web
from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, UniqueConstraint, create_engine, select

from monitor.app import App, open_app
from monitor.parse import parse_feed
from monitor.parse.cut import seen
from monitor.pipeline import poll
from tests import make
from tests.benchmarks import publishers
from tests.benchmarks.watched import running_time

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds"
ANSWERS = {"304": 4.0, "same body": 20.0, "one new item": 8.0}  # by how much ours is to be cheaper
LARGEST = 200_000  # bytes
TYPE = "application/rss+xml"


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


class NaiveFeed(SQLModel, table=True):
    """A feed of the naive way."""

    name: str = Field(primary_key=True)
    etag: str | None = None
    checked_at: datetime | None = None


class NaiveStory(SQLModel, table=True):
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
    """Return RSS documents of 40 to 60 items that can be cut: real ones where there are any."""
    found = []
    for path in sorted(path for path in DATA.rglob("*") if path.is_file() and path.stat().st_size <= LARGEST):
        body = path.read_bytes()
        if b"<item>" in body and b"</channel>" in body[-500:]:
            known = parse_feed(body, "https://wire.example/feed.xml").seen
            if known and 40 <= len(seen(known).items) <= 60:
                found.append(body)
    random.Random(5).shuffle(found)
    return found[:most] or [publishers.document(feed, publishers.BEFORE) for feed in range(0, 3 * most, 3)]


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
        await web.TCPSite(runner, "0.0.0.0", 0).start()
        said.send(runner.addresses[0][1])
        await asyncio.to_thread(said.recv)

    asyncio.run(run())


async def measure(folder: Path, count: int, rounds: int) -> list[Cost]:
    """Return what a poll costs with each answer, over so many documents."""
    import httpx

    bodies = documents(count)
    ours_end, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(bodies, theirs), daemon=True)
    server.start()
    base = f"http://127.0.0.1:{await asyncio.to_thread(ours_end.recv)}"
    kinds = dict(zip(ANSWERS, ("304", "same", "new"), strict=True))
    names = {kind: [f"{kind}-{n}" for n in range(len(bodies))] for kind in kinds.values()}
    urls = {name: name.replace("-", "/") for some in names.values() for name in some}
    lines = [f"  {name}: {{url: '{base}/ours/{path}', every: 1d}}\n" for name, path in urls.items()]
    app = open_app(make.config(folder / "config", feeds="feeds:\n" + "".join(lines)), folder / "ours")
    app.store.feeds.ensure({name: feed.url or "" for name, feed in app.config.feeds.items()}, app.now())
    engine = create_engine(f"sqlite:///{folder / 'naive.db'}")
    SQLModel.metadata.create_all(engine, tables=[NaiveFeed.__table__, NaiveStory.__table__])  # type: ignore[attr-defined]
    try:
        async with httpx.AsyncClient() as client:

            async def naively(name: str) -> None:
                await naive_poll(client, engine, name, f"{base}/naive/{urls[name]}")

            async def by_us(name: str) -> None:
                await our_poll(app, name)

            for way in (naively, by_us):  # the first time everything is new
                for name in urls:
                    await way(name)
            return [
                await _compare(answer, names[kind], (naively, by_us), rounds, server.pid)
                for answer, kind in kinds.items()
            ]
    finally:
        await app.close()
        engine.dispose()
        ours_end.send("enough")
        server.join(10)


async def _compare(
    answer: str,
    names: list[str],
    ways: tuple[Callable[[str], Awaitable[None]], Callable[[str], Awaitable[None]]],
    rounds: int,
    server: int | None,
) -> Cost:
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for title, way in zip(("naive", "ours"), ways, strict=True):
            began = running_time(server)
            for name in names:
                await way(name)
            taken.setdefault(title, []).append(1000 * (running_time(server) - began) / len(names))
    return Cost(answer, statistics.median(taken["naive"]), statistics.median(taken["ours"]))


async def our_poll(app: App, name: str) -> None:
    """Poll a feed, which must not fail."""
    polled = await poll(app, name)
    assert polled.result in ("stories", "unchanged"), polled.error


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
