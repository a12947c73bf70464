"""The manners of polling (docs/reference/polling.md) against a real server; the clock is a hand's."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from monitor import __version__
from monitor.errors import StoreError
from monitor.pipeline import poll_due
from tests import make
from tests.fakes import Answer, FeedServer
from tests.pipe import START, Polling, item

ONE = make.rss(("1", "Old news"))
TWO = make.rss(("1", "Old news"), ("2", "Sanctions agreed"))
MODIFIED = "Wed, 25 Nov 2026 05:00:00 GMT"


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


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


# Manners


async def test_a_request_says_who_asks_and_where_to_complain(server: FeedServer, tmp_path: Path) -> None:
    monitor = make.MONITOR + "public_url: https://desk.corvid.example/\n"
    pipe = Polling(tmp_path, monitor=monitor, feeds=f"feeds: {{wire: {{url: '{server.url()}', source: Wire}}}}")
    server.route("/feed.xml", Answer(ONE))
    await pipe.poll()
    await pipe.poll()
    assert sent(server, "User-Agent", "Referer") == (
        f"NewsMonitor/{__version__} (+https://desk.corvid.example/)",
        None,
    )
    pipe.reload(monitor=make.MONITOR)
    await pipe.poll()
    assert sent(server, "User-Agent") == (f"NewsMonitor/{__version__} (news feed reader)",)
    await pipe.app.close()


async def test_feeds_of_one_host_take_turns_with_a_pause(server: FeedServer, tmp_path: Path) -> None:
    monitor = make.MONITOR.replace("per_host: 8, per_host_gap: 0s", "per_host: 1, per_host_gap: 0.2s")
    names = [f"f{n}" for n in range(4)]
    declared = "".join(f"  {name}: {{url: '{server.url(f'/{name}')}', source: Wire}}\n" for name in names)
    pipe = Polling(tmp_path, monitor=monitor, feeds=f"feeds:\n{declared}")
    for name in names:
        server.route(f"/{name}", Answer(ONE, delay=0.05))
    await asyncio.gather(*(pipe.poll(name) for name in names))
    starts = [asked.at for asked in server.asked]
    assert server.at_once == 1
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(starts))
    await pipe.app.close()


# What servers answer


def two_feeds(server: FeedServer, first: str, second: str) -> str:
    """Return feeds.yaml with the server's feeds `one` and `two`, under two names of its host."""
    one = server.url("/1.xml").replace("127.0.0.1", first)
    two = server.url("/2.xml").replace("127.0.0.1", second)
    return f"feeds: {{one: {{url: '{one}', source: One}}, two: {{url: '{two}', source: Two}}}}"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to loopback."""

    def found(_: str, port: int, *__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7200"}, 7200, 7920),
        ({"Retry-After": "Wed, 25 Nov 2026 11:00:00 GMT", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"}, 7200, 7920),
        ({"Retry-After": "99999999"}, 86_400, 95_040),
    ],
)
async def test_a_server_is_left_alone_for_as_long_as_it_says(
    server: FeedServer, pipe: Polling, headers: dict[str, str], least: float, most: float
) -> None:
    for status in (429, 503):
        server.route("/feed.xml", Answer(status=status, headers=headers))
        assert (await pipe.poll()).result == "failed"
        assert least <= pipe.wait <= most
        pipe.time = pipe.state().next_poll_at


@pytest.mark.usefixtures("names")
async def test_a_429_rests_all_feeds_of_the_registrable_domain_through_restarts(
    server: FeedServer, tmp_path: Path
) -> None:
    files = two_feeds(server, "feeds.news.co.uk", "sport.news.co.uk")
    server.route("/1.xml", Answer(status=429, headers={"Retry-After": "3600"}))
    server.route("/2.xml", Answer(ONE))
    first = Polling(tmp_path, feeds=files)
    await first.poll("one")
    await first.app.close()
    pipe = Polling(tmp_path, feeds=files)
    held = await pipe.poll("two")
    assert held.result == "resting"
    assert held.error.startswith("news.co.uk wants to be left alone")
    assert server.count("/2.xml") == 0
    state = pipe.state("two")
    assert (state.failures, state.error) == (0, None)
    assert 3600 <= (state.next_poll_at - pipe.time).total_seconds() <= 3960
    # A little apart each time, so that not all feeds of a site come back at once.
    await pipe.poll("two")
    assert pipe.state("two").next_poll_at != state.next_poll_at
    pipe.time = pipe.state("two").next_poll_at
    assert (await pipe.poll("two")).result == "stories"
    await pipe.app.close()


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("second", ["feeds.news.com", "b.github.io"])
async def test_a_429_rests_no_other_domain(server: FeedServer, tmp_path: Path, second: str) -> None:
    pipe = Polling(tmp_path, feeds=two_feeds(server, "a.github.io", second))
    server.route("/1.xml", Answer(status=429))
    server.route("/2.xml", Answer(ONE))
    await pipe.poll("one")
    assert (await pipe.poll("two")).result == "stories"
    await pipe.app.close()


async def test_a_429_of_a_host_of_our_own_is_about_one_feed(server: FeedServer, tmp_path: Path) -> None:
    monitor = make.MONITOR.replace("per_host: 8", "per_host: 8, own_hosts: [127.0.0.1]")
    pipe = Polling(tmp_path, monitor=monitor, feeds=two_feeds(server, "127.0.0.1", "127.0.0.1"))
    server.route("/1.xml", Answer(status=503, headers={"Retry-After": "3600"}))
    server.route("/2.xml", Answer(ONE))
    await pipe.poll("one")
    assert pipe.state("one").next_poll_at - pipe.time >= timedelta(hours=1)
    assert (await pipe.poll("two")).result == "stories"
    await pipe.app.close()


async def test_requests_that_wait_for_their_turn_rest_too(server: FeedServer, tmp_path: Path) -> None:
    monitor = make.MONITOR.replace("per_host: 8", "per_host: 1")
    pipe = Polling(tmp_path, monitor=monitor, feeds=two_feeds(server, "127.0.0.1", "127.0.0.1"))
    server.route("/1.xml", Answer(status=429, headers={"Retry-After": "3600"}, delay=0.3))
    server.route("/2.xml", Answer(ONE))
    first, second = await asyncio.gather(pipe.poll("one"), pipe.poll("two"))
    assert (first.result, second.result, server.count("/2.xml")) == ("failed", "resting", 0)
    await pipe.app.close()


@pytest.mark.usefixtures("names")
async def test_redirects_into_a_site_that_rests_are_not_followed(server: FeedServer, tmp_path: Path) -> None:
    pipe = Polling(tmp_path, feeds=two_feeds(server, "go.one.com", "go.two.com"))
    for path in ("/1.xml", "/2.xml"):
        server.redirect(path, f"http://feeds.news.com:{server.port}/all{path}")
    server.route("/all/1.xml", Answer(status=429, headers={"Retry-After": "3600"}))
    server.route("/all/2.xml", Answer(ONE))
    await pipe.poll("one")
    held = await pipe.poll("two")
    assert (held.result, server.count("/2.xml"), server.count("/all/2.xml")) == ("resting", 1, 0)
    assert held.error.startswith("news.com wants to be left alone")
    pipe.time = pipe.state("two").next_poll_at
    assert pipe.time >= START + timedelta(hours=1)
    assert (await pipe.poll("two")).result == "stories"
    await pipe.app.close()


@pytest.mark.parametrize("status", [301, 308])
async def test_a_permanent_redirect_is_taken_at_its_word_after_days(
    server: FeedServer, pipe: Polling, status: int
) -> None:
    server.route("/new.xml", Answer(ONE, etag='"1"'))
    server.redirect("/feed.xml", "/new.xml", status)
    for _ in range(9):
        await pipe.poll()
        pipe.forward(hours=16)
    assert pipe.state().address is None  # six days, and too few polls
    await pipe.poll()
    assert (pipe.state().address, pipe.state().url) == (server.url("/new.xml"), server.url())
    asked = server.count()
    assert (await pipe.poll()).result == "unchanged"
    assert server.count() == asked


async def test_permanent_redirects_of_one_hour_are_only_followed(server: FeedServer, pipe: Polling) -> None:
    server.route("/new.xml", Answer(ONE))
    server.redirect("/feed.xml", "/new.xml", 301)
    for _ in range(12):
        await pipe.poll()
        pipe.forward(minutes=5)
    assert pipe.state().address is None


@pytest.mark.parametrize("status", [302, 303, 307])
async def test_a_temporary_redirect_is_followed_and_never_taken_for_the_address(
    server: FeedServer, pipe: Polling, status: int
) -> None:
    server.route("/new.xml", Answer(ONE))
    server.redirect("/two.xml", "/new.xml", 301)
    server.redirect("/feed.xml", "/two.xml", status)
    for _ in range(12):
        assert (await pipe.poll()).result != "failed"
        pipe.forward(days=1)
    assert (pipe.state().address, pipe.state().moved_to) == (None, None)


async def test_permanent_redirects_that_change_begin_anew(server: FeedServer, pipe: Polling) -> None:
    server.route("/a.xml", Answer(ONE))
    server.route("/b.xml", Answer(ONE))
    server.redirect("/feed.xml", "/a.xml", 301)
    for day in range(12):
        if day == 8:
            server.redirect("/feed.xml", "/b.xml", 301)
        await pipe.poll()
        pipe.forward(days=1)
    assert (pipe.state().address, pipe.state().moved_to, pipe.state().moved_polls) == (None, server.url("/b.xml"), 4)


@pytest.mark.parametrize(("status", "polls"), [(404, 3), (410, 1)])
async def test_where_redirects_led_is_given_up_for_the_declared_address(
    server: FeedServer, pipe: Polling, status: int, polls: int
) -> None:
    server.route("/feed.xml", Answer(ONE))
    server.route("/new.xml", Answer(status=status))
    later = pipe.time + timedelta(hours=30)
    pipe.app.store.feeds.update("wire", address=server.url("/new.xml"), etag='"new"', whole_due_at=later)
    for _ in range(polls):
        assert (await pipe.poll()).result == "failed"
    assert (pipe.state().address, pipe.state().gone_since) == (None, None)
    assert (await pipe.poll()).result == "stories"
    assert sent(server, "If-None-Match") == (None,)


async def test_a_410_mutes_and_can_come_back(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(status=410), Answer(status=410), Answer(status=404), Answer(ONE))
    for _ in range(3):
        await pipe.poll()
        assert timedelta(days=6) < timedelta(seconds=pipe.wait) < timedelta(days=8)
        pipe.time = pipe.state().next_poll_at
    assert (await pipe.poll()).result == "stories"
    assert (pipe.state().gone_since, pipe.state().failures) == (None, 0)


@pytest.mark.parametrize(("status", "weight"), [(500, 0.5), (404, 1.0)])
async def test_failures_back_off_linearly_by_weight_and_never_stop(
    server: FeedServer, pipe: Polling, status: int, weight: float
) -> None:
    server.route("/feed.xml", Answer(status=status))
    for failures in range(1, 60):
        await pipe.poll()
        assert pipe.wait == pytest.approx(min(300 * (1 + weight * failures), 7200), rel=0.06)
        pipe.time = pipe.state().next_poll_at
    server.route("/feed.xml", Answer(ONE))
    assert (await pipe.poll()).result == "stories"


# When to poll next


def dated(*stories: tuple[str, datetime], ttl: str = "") -> bytes:
    """Return an RSS document of (guid, time) stories."""
    items = "".join(
        f"<item><guid isPermaLink='false'>{guid}</guid><title>Story {guid}</title>"
        f"<pubDate>{format_datetime(at)}</pubDate></item>"
        for guid, at in stories
    )
    return f"<rss version='2.0'><channel><title>Wire</title>{ttl}{items}</channel></rss>".encode()


async def test_a_feed_of_which_nothing_is_known_is_polled_by_the_pace_of_its_document(
    server: FeedServer, pipe: Polling
) -> None:
    def hourly(count: int, hours: float) -> bytes:
        return dated(*((str(n), pipe.time - timedelta(hours=n * hours)) for n in range(count)))

    for body, minutes in ((hourly(20, 1), 13), (hourly(20, 24), 62), (ONE, 19)):
        server.route("/feed.xml", Answer(body))
        pipe.app.store.feeds.ensure({"wire": server.url(f"?{minutes}")}, pipe.time)  # begin anew
        pipe.app.store.feeds.ensure({"wire": server.url()}, pipe.time)
        await pipe.poll()
        assert minutes * 60 * 0.45 <= pipe.wait <= minutes * 60 * 1.05


async def test_the_interval_follows_what_the_polls_brought(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(ONE))
    await pipe.poll()
    pipe.forward(days=1)
    for day in range(14):
        stories = [(f"{day}-{n}", f"Story {n} of day {day}") for n in range(100)]
        pipe.put("wire", *(item(guid, title) for guid, title in stories))
        pipe.forward(days=1)
    server.route("/feed.xml", Answer(make.rss(("1", "Old news"), ("new", "Sanctions agreed"))))
    await pipe.poll()
    assert pipe.wait < 10 * 60  # 100 stories a day: 65 min / √100, and sooner at the hour at which they come
    assert sum(pipe.state().rhythm[:24]) == pytest.approx(94, rel=0.1)


async def test_a_document_that_covers_little_time_is_polled_within_a_third_of_it(
    server: FeedServer, pipe: Polling
) -> None:
    minutes = [(str(n), pipe.time - timedelta(minutes=3 * n)) for n in range(10)]
    server.route("/feed.xml", Answer(dated(*minutes), etag='"1"'))
    await pipe.poll()
    assert pipe.state().span == 24 * 60
    pipe.app.store.feeds.update("wire", rhythm=[0.01] * 24 + [1.0] * 7)
    await pipe.poll()
    assert pipe.state().status == 304
    assert 7.5 * 60 <= pipe.wait <= 8.5 * 60


async def test_a_document_without_stories_is_not_polled_all_the_time(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(make.rss()))
    await pipe.poll()
    assert pipe.state().span is None
    assert pipe.wait > 315


async def test_a_document_without_any_known_story_is_a_possible_gap_and_asked_again_soon(
    server: FeedServer, pipe: Polling
) -> None:
    bodies = [make.rss(*((f"{batch}-{n}", f"Story {n} of {batch}") for n in range(3))) for batch in "ab"]
    server.route("/feed.xml", *(Answer(body) for body in bodies))
    await pipe.poll()
    assert pipe.state().gap_at is None
    pipe.forward(hours=1)
    await pipe.poll()
    assert pipe.state().gap_at == pipe.time
    assert pipe.wait <= 315
    pipe.forward(hours=1)
    await pipe.poll()
    assert pipe.wait > 315


@pytest.mark.parametrize(("first_poll", "alerts"), [("baseline", 0), ("alert", 1)])
async def test_a_first_poll_fills_what_is_known_without_alerts(
    server: FeedServer, tmp_path: Path, first_poll: str, alerts: int
) -> None:
    feeds = f"feeds: {{wire: {{url: '{server.url()}', source: Wire, first_poll: {first_poll}}}}}"
    pipe = Polling(tmp_path, feeds=feeds)
    server.route("/feed.xml", Answer(make.rss(("1", "Sanctions agreed"))), Answer(TWO.replace(b"agreed", b"lifted")))
    first = (await pipe.poll()).ingested
    assert first is not None
    assert (first.new, first.alerts) == (1, alerts)
    later = (await pipe.poll()).ingested
    assert later is not None
    assert (later.new, later.alerts) == (1, 1)
    await pipe.app.close()


async def test_a_publisher_that_goes_over_to_https_brings_no_story_again(server: FeedServer, pipe: Polling) -> None:
    old = make.rss(*((str(n), f"Sanctions, part {n}") for n in range(3))).replace(
        b"<guid isPermaLink='false'>", b"<guid isPermaLink='true'>http://news.example/"
    )
    old = old.replace(b"https://", b"http://")
    server.route("/feed.xml", Answer(old), Answer(old.replace(b"http://", b"https://")))
    await pipe.poll()
    pipe.forward(days=3)
    done = (await pipe.poll()).ingested
    assert done is not None
    assert (done.new, done.alerts, pipe.state().gap_at) == (0, 0, None)


async def test_other_guids_at_known_addresses_are_no_gap(server: FeedServer, pipe: Polling) -> None:
    body = make.rss(*((str(n), f"Sanctions, part {n}") for n in range(3)))
    server.route("/feed.xml", Answer(body), Answer(body.replace(b"isPermaLink='false'>", b"isPermaLink='false'>v2:")))
    await pipe.poll()
    pipe.forward(hours=1)
    done = (await pipe.poll()).ingested
    assert done is not None
    assert (done.new, done.alerts, pipe.state().gap_at) == (0, 0, None)


async def test_a_delta_of_unknown_stories_is_no_gap(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(ONE, headers={"ETag": '"1"'}), Answer(make.rss(("9", "Grain")), 226))
    await pipe.poll()
    await pipe.poll()
    assert (pipe.state().status, pipe.state().gap_at) == (226, None)


FLOORS: list[tuple[dict[str, str], str, float]] = [
    ({"Cache-Control": "public, max-age=14400"}, "", 240),
    ({"Cache-Control": "max-age=14400", "Age": "3600"}, "", 180),
    ({"Expires": "Wed, 25 Nov 2026 11:00:00 GMT", "Date": "Wed, 25 Nov 2026 06:00:00 GMT"}, "", 300),
    ({"Cache-Control": "max-age=99999999"}, "", 1440),
    ({}, "<ttl>240</ttl>", 240),
    ({"Cache-Control": "max-age=14400"}, "<ttl>30</ttl>", 240),
]


@pytest.mark.parametrize(("headers", "ttl", "minutes"), FLOORS)
async def test_a_server_is_not_asked_before_its_answer_is_stale(
    server: FeedServer, pipe: Polling, headers: dict[str, str], ttl: str, minutes: float
) -> None:
    server.route("/feed.xml", Answer(dated(("1", pipe.time), ttl=ttl), headers=headers))
    for result in ("stories", "unchanged"):
        assert (await pipe.poll()).result == result
        assert minutes * 60 <= pipe.wait <= minutes * 60 * 1.06


@pytest.mark.parametrize("said", ["no-cache, max-age=14400", "no-store,max-age=14400", "max-age=soon", "max-age=-9"])
async def test_what_is_not_to_be_cached_has_no_floor(server: FeedServer, pipe: Polling, said: str) -> None:
    server.route("/feed.xml", Answer(ONE, headers={"Cache-Control": said}))
    await pipe.poll()
    assert pipe.wait < 3600


async def test_every_is_the_operators_own_word(server: FeedServer, tmp_path: Path) -> None:
    feeds = f"feeds: {{wire: {{url: '{server.url()}', source: Wire, every: 30s}}}}"
    pipe = Polling(tmp_path, feeds=feeds)
    server.route("/feed.xml", Answer(ONE, headers={"Cache-Control": "max-age=14400"}))
    await pipe.poll()
    assert pipe.wait == 30
    await pipe.app.close()


async def test_the_schedule_outlives_a_restart(server: FeedServer, tmp_path: Path) -> None:
    feeds = f"feeds: {{wire: {{url: '{server.url()}', source: Wire}}}}"
    server.route("/feed.xml", Answer(ONE))
    first = Polling(tmp_path, feeds=feeds)
    await first.poll()
    await first.app.close()
    pipe = Polling(tmp_path, feeds=feeds)
    assert await poll_due(pipe.app) == []
    pipe.time = pipe.state().next_poll_at
    (task,) = await poll_due(pipe.app)
    assert (await task).result == "unchanged"
    await pipe.app.close()
