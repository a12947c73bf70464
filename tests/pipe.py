"""The data path in process: stories go in as a feed's parsed document, a hand moves the clock, rows come out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import SQLModel, select

from monitor.app import open_app
from monitor.config import load_config
from monitor.models import Decision, Delivery, FeedState
from monitor.parse import ParsedStory
from monitor.pipeline import Incoming, Ingested, Polled, ingest, match_stories, poll
from monitor.rules import compile_rules
from tests import make

T = TypeVar("T", bound=SQLModel)
START = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)


def item(
    guid: str, title: str, *, url: str | None = None, published: datetime | None = None, summary: str = ""
) -> ParsedStory:
    """Return a document's story; without `url` it has an address of its own."""
    link = f"https://news.example/{guid}" if url is None else url
    raw = published.isoformat() if published else ""
    return ParsedStory(guid, link, title, summary, "", "", raw, published, (), "en", link)


class Pipe:
    """An App on a database of its own whose clock stands until `forward`."""

    def __init__(self, folder: Path, start: datetime = START, **files: str) -> None:
        self.folder, self.time = folder, start
        self.app = open_app(make.config(folder / "config", **files), folder / "data", lambda: self.time)
        self._ensure()

    def _ensure(self) -> None:
        feeds = {feed.name: feed.address for feed in self.app.config.feeds.values()}
        self.app.store.feeds.ensure(feeds, self.time)

    def reload(self, **files: str) -> None:
        """Go over to other files; one that is not given stands as it was."""
        for stem, text in files.items():
            (self.folder / "config" / f"{stem}.yaml").write_text(text, encoding="utf-8")
        config = load_config(self.folder / "config", {})
        self.app.use(config, compile_rules(config))
        self._ensure()

    def close(self) -> None:
        """Close the database and what was started beside it."""
        self.app.store.close()
        for workers in (self.app.workers, self.app.suspect_workers, self.app.page_workers):
            workers.close()

    def restart(self) -> None:
        """Go on with what is in the database alone."""
        config = self.app.config
        self.close()
        self.app = open_app(config, self.folder / "data", lambda: self.time)

    def forward(self, **by: float) -> None:
        self.time += timedelta(**by)

    def at(self, hour: int, minute: int = 0, *, day: int | None = None) -> None:
        """Set the clock to a time in UTC, of the same day or another of the month."""
        self.time = self.time.replace(day=day or self.time.day, hour=hour, minute=minute, second=0, microsecond=0)

    def put(self, feed: str, *stories: ParsedStory, baseline: bool = False) -> Ingested:
        """Take a document in, which holds `stories` and nothing else."""
        app, declared = self.app, self.app.config.feeds[feed]
        ready = match_stories(app.rules, declared, stories, "en", {})
        listed = [story.guid for story in stories]
        return ingest(app, [Incoming(app.config, declared, ready, {"polled_at": self.time}, baseline, listed)])[0]

    def rows(self, table: type[T]) -> Sequence[T]:
        with self.app.store.read() as session:
            return session.exec(select(table)).all()

    def deliveries(self, kind: str) -> list[Delivery]:
        return [row for row in self.rows(Delivery) if row.kind == kind]

    def told(self, kind: str) -> list[tuple[str, list[str]]]:
        """Return (subscriber, headlines) of every message of a kind, in the order in which they were made."""
        return [(row.subscriber, headlines(row)) for row in self.deliveries(kind)]

    def reasons(self) -> list[tuple[str, str]]:
        return [(row.subscriber, row.reason) for row in self.rows(Decision)]


class Polling(Pipe):
    """A Pipe whose feeds are polled from a server."""

    async def poll(self, name: str = "wire") -> Polled:
        return await poll(self.app, name)

    def state(self, name: str = "wire") -> FeedState:
        found = self.app.store.feeds.get(name)
        assert found is not None
        return found

    @property
    def wait(self) -> float:
        """Seconds from now until the feed is due."""
        return (self.state().next_poll_at - self.time).total_seconds()


def headlines(row: Delivery) -> list[str]:
    """Return the headlines that a message shows."""
    payload: dict[str, Any] = row.payload
    if row.kind == "alert":
        return [payload["story"]["title"]]
    return [story["title"] for section in payload["sections"] for story in section["stories"]]
