"""The manners of polling (docs/reference/polling.md) against a real server; the clock is a hand's."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import StoreError
from monitor.models import FeedState
from monitor.pipeline import poll
from monitor.pipeline.poll import Polled
from tests import make
from tests.fakes import Answer, FeedServer
from tests.pipe import Pipe

ONE = make.rss(("1", "Old news"))
TWO = make.rss(("1", "Old news"), ("2", "Sanctions agreed"))
MODIFIED = "Wed, 25 Nov 2026 05:00:00 GMT"


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


class Polling(Pipe):
    """A Pipe whose feed `wire` is polled from the server."""

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


@pytest.fixture
async def pipe(tmp_path: Path, server: FeedServer) -> AsyncIterator[Polling]:
    opened = Polling(tmp_path, feeds=f"feeds: {{wire: {{url: '{server.url()}', source: Wire}}}}")
    yield opened
    await opened.app.close()


def sent(server: FeedServer, *names: str) -> tuple[str | None, ...]:
    """Return headers of the last request."""
    return tuple(server.asked[-1].headers.get(name) for name in names)


# Conditional GET


async def test_validators_go_back_as_they_came_and_a_304_is_nothing_new(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(ONE, etag='W/"x, y"', last_modified=MODIFIED))
    assert (await pipe.poll()).result == "stories"
    assert sent(server, "If-None-Match", "If-Modified-Since") == (None, None)
    assert (await pipe.poll()).result == "unchanged"
    assert sent(server, "If-None-Match", "If-Modified-Since") == ('W/"x, y"', MODIFIED)
    assert pipe.state().status == 304


async def test_validators_are_saved_with_the_stories_or_not_at_all(
    server: FeedServer, pipe: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.route("/feed.xml", Answer(ONE, etag='"1"'), Answer(TWO, etag='"2"'))
    await pipe.poll()

    def full(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["monitor.pipeline.ingest"]._Saver, "first_time", full)
        with pytest.raises(StoreError):
            await pipe.poll()
    assert pipe.state().etag == '"1"'
    done = (await pipe.poll()).ingested
    assert done is not None
    assert done.new == 1
    assert pipe.state().etag == '"2"'


async def test_a_304_refreshes_the_validators_that_it_brings(server: FeedServer, pipe: Polling) -> None:
    fresh = Answer(status=304, headers={"ETag": '"2"'})
    server.route("/feed.xml", Answer(ONE, headers={"ETag": '"1"', "Last-Modified": MODIFIED}), fresh)
    await pipe.poll()
    await pipe.poll()
    assert (pipe.state().etag, pipe.state().last_modified) == ('"2"', MODIFIED)


async def test_no_validator_is_sent_that_the_server_no_longer_sends(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(ONE, etag='"1"', last_modified=MODIFIED), Answer(ONE, last_modified="x"))
    await pipe.poll()
    assert (await pipe.poll()).result == "unchanged"
    assert (pipe.state().etag, pipe.state().last_modified) == (None, "x")


async def test_a_document_is_asked_for_without_validators_every_24_to_48_hours(
    server: FeedServer, pipe: Polling
) -> None:
    # A server that says 304 for ever, though there is news.
    stuck = Answer(TWO, headers={"ETag": '"1"'}, etag='"1"')
    server.route("/feed.xml", Answer(ONE, etag='"1"'), stuck)
    await pipe.poll()
    due = pipe.state().whole_due_at
    assert due is not None
    assert timedelta(hours=24) <= due - pipe.time <= timedelta(hours=48)
    pipe.forward(hours=23, minutes=59)
    assert (await pipe.poll()).result == "unchanged"
    pipe.time = due
    done = (await pipe.poll()).ingested
    assert done is not None
    assert done.new == 1
    assert sent(server, "If-None-Match", "A-IM", "Cache-Control") == (None, None, None)
    assert (await pipe.poll()).result == "unchanged"


async def test_the_same_body_is_not_read_again_even_under_another_etag(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(ONE, etag='"1"'), Answer(ONE, etag='"2"'))
    await pipe.poll()
    assert (await pipe.poll()).result == "unchanged"
    assert (pipe.state().status, pipe.state().etag) == (200, '"2"')


async def test_another_body_under_the_same_etag_is_read(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", *(Answer(body, headers={"ETag": '"1"'}) for body in (ONE, TWO)))
    await pipe.poll()
    assert (await pipe.poll()).result == "stories"


async def test_a_body_that_could_not_be_read_fails_each_time(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(b"<html>down for repairs</html>", etag='"x"', content_type="text/html"))
    for failures in (1, 2, 3):
        assert (await pipe.poll()).result == "failed"
        assert (pipe.state().failures, pipe.state().body_hash, pipe.state().etag) == (failures, None, None)


async def test_a_delta_is_asked_for_and_takes_nothing_away(server: FeedServer, pipe: Polling) -> None:
    whole = Answer(TWO, etag='"1"')
    server.route("/feed.xml", whole, Answer(make.rss(("3", "Grain")), 226, {"IM": "feed", "ETag": '"2"'}), whole)
    await pipe.poll()
    assert sent(server, "A-IM") == (None,)
    done = (await pipe.poll()).ingested
    assert sent(server, "A-IM", "If-None-Match") == ("feed", '"1"')
    assert done is not None
    assert done.new == 1
    state = pipe.state()
    # The next document may be the whole one of before: it must be read, and is asked for against the delta's tag.
    assert (state.status, state.etag, state.stories, state.body_hash) == (226, '"2"', 2, None)
