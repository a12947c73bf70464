"""A poll leaves out of the parsing what an earlier one saved, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from monitor.app import App, open_app
from monitor.errors import StoreError
from monitor.models import Sighting, Story
from monitor.parse import ParsedFeed
from monitor.pipeline import poll
from monitor.pipeline.lanes import QUICK, SMALL
from tests import make
from tests.fakes import Answer, FeedServer

ONE, TWO, THREE, FOUR = ((str(n), f"Sanctions agreed, part {n}") for n in range(1, 5))


class Wire:
    """A feed whose documents are polled one by one; `parsed` is what the worker returned of each."""

    def __init__(self, folder: Path, server: FeedServer) -> None:
        self.time, self.server, self.parsed = make.NOW, server, list[ParsedFeed]()
        self.quick: list[bool] = []  # whether each was to be read together with others
        feeds = f"feeds:\n  wire: {{url: '{server.url()}', every: 1h, first_poll: alert}}\n"
        self.app = open_app(make.config(folder / "config", feeds=feeds), folder / "data", lambda: self.time)
        self.app.store.feeds.ensure({"wire": server.url()}, self.time)
        self._run: Any = self.app.workers.run
        self.app.workers.run = self._record  # type: ignore[assignment,method-assign]

    async def _record(self, *call: Any, timeout: float, quick: bool) -> Any:  # noqa: ASYNC109 - as the workers have it
        self.quick.append(quick)
        read, seconds = await self._run(*call, timeout=timeout, quick=quick)
        self.parsed.append(read)
        return read, seconds

    async def poll(self, *items: tuple[str, str], hours: float = 1) -> list[str]:
        """Poll a document of `items` and return the guids of those that were parsed."""
        self.time += timedelta(hours=hours)
        self.server.route("/feed.xml", Answer(make.rss(*items)))
        assert (await poll(self.app, "wire")).result == "stories"
        return [story.guid for story in self.parsed[-1].stories]

    def rows(self, table: type[Any]) -> list[Any]:
        with self.app.store.read() as session:
            return list(session.exec(select(table)).all())


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    with FeedServer() as server:
        wire = Wire(tmp_path, server)
        yield wire
        app: App = wire.app
        await app.close()


async def test_a_poll_parses_what_is_new_and_saves_what_a_whole_parse_would(wire: Wire) -> None:
    assert await wire.poll(ONE, TWO) == ["1", "2"]
    assert await wire.poll(THREE, ONE, TWO) == ["3"]
    assert await wire.poll(FOUR, THREE, (ONE[0], "Sanctions agreed, corrected")) == ["4", "1"]
    stories = {row.key.rpartition("/")[2]: (row.title, row.edits) for row in wire.rows(Story)}
    assert stories == {
        "1": ("Sanctions agreed, corrected", 1),
        **{guid: (title, 0) for guid, title in (TWO, THREE, FOUR)},
    }
    state = wire.app.store.feeds.get("wire")
    assert state is not None
    assert state.stories == 3


async def test_only_a_document_that_is_known_to_be_quick_is_read_together_with_others(wire: Wire) -> None:
    await wire.poll(ONE)  # nothing is known of a feed that is new
    await wire.poll(TWO, ONE)
    wire.app.store.feeds.update("wire", reading=2 * QUICK)
    await wire.poll(THREE, TWO)  # its last one took long
    await wire.poll(FOUR, (ONE[0], "Long " * SMALL))
    assert wire.quick == [False, True, False, False]


async def test_stories_that_are_not_parsed_again_count_as_listed(wire: Wire) -> None:
    items = [ONE, TWO]
    await wire.poll(*items)
    for n in range(10, 16):
        items = [(str(n), f"Story {n}"), *items]
        assert await wire.poll(*items, hours=20) != []
    # The whole reading is due after two days at most, and comes with the next poll.
    assert {row.guid for row in wire.rows(Sighting) if wire.time - row.listed_at > timedelta(hours=48 + 20)} == set()
    wire.app.store.archive.prune(wire.time - timedelta(days=2), wire.time - timedelta(days=2))
    assert {"1", "2"} <= {row.guid for row in wire.rows(Sighting)}


async def test_a_document_is_parsed_whole_every_day_or_two(wire: Wire) -> None:
    assert await wire.poll(ONE) == ["1"]
    assert await wire.poll(TWO, ONE, hours=23) == ["2"]
    assert await wire.poll(THREE, TWO, ONE, hours=26) == ["3", "2", "1"]
    assert await wire.poll(FOUR, THREE, TWO, ONE) == ["4"]
    assert await wire.poll(THREE, ONE, hours=-72) == ["3", "1"]  # the clock went back


async def test_what_could_not_be_saved_is_parsed_again(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is full")

    await wire.poll(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["monitor.pipeline.poll"], "ingest", broken)  # the package's `poll` is a function
        with pytest.raises(StoreError):
            await wire.poll(TWO, ONE)
    assert await wire.poll(TWO, ONE) == ["2"]
    assert len(wire.rows(Story)) == 2


async def test_what_is_known_outlives_a_restart_and_not_another_address(wire: Wire) -> None:
    await wire.poll(ONE)
    assert wire.app.store.feeds.documents(["wire"])["wire"]
    wire.app.store.feeds.ensure({"wire": "https://elsewhere.example/feed.xml"}, wire.time)
    assert wire.app.store.feeds.documents(["wire"]) == {}
