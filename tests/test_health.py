"""The health of feeds, and what the operators are told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.models import FeedState, HubLease
from monitor.pipeline import Watch
from monitor.pipeline.health import BROKEN, LINES, SLOW, offline, verdict
from monitor.service import feed_health, status
from tests import make
from tests.fakes import Answer, FeedServer, free_port
from tests.pipe import START, Polling

ONE = make.rss(("1", "Old news"))
OPERATORS = make.MONITOR + 'operators: ["json://127.0.0.1:9/"]\n'
MINUTE = timedelta(minutes=1)


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


@pytest.fixture
async def pipe(tmp_path: Path, server: FeedServer) -> AsyncIterator[Polling]:
    # `post` is of another host and answers, unless a test says otherwise.
    server.route("/post.xml", Answer(ONE))
    post = server.url("/post.xml").replace("127.0.0.1", "localhost")
    feeds = f"feeds: {{wire: {{url: '{server.url()}', source: Wire}}, post: {{url: '{post}', source: Post}}}}"
    opened = Polling(tmp_path, monitor=OPERATORS, feeds=feeds)
    yield opened
    await opened.app.close()


def told(pipe: Polling) -> list[str]:
    return [row.subject for row in pipe.deliveries("notice")]


def lines(pipe: Polling) -> str:
    """Return the text of the last message to the operators."""
    return "\n".join(pipe.deliveries("notice")[-1].payload["lines"])


async def fail(pipe: Polling, times: int, name: str = "wire") -> None:
    for _ in range(times):
        assert (await pipe.poll(name)).result == "failed"
        pipe.forward(minutes=20)


def state(**given: Any) -> FeedState:
    known: dict[str, Any] = {"polled_at": START, "succeeded_at": START, "status": 200} | given
    return FeedState(feed="wire", url="https://feeds.example/", next_poll_at=START, **known)


STATES = [
    (None, "new"),
    (state(polled_at=None, succeeded_at=None), "new"),
    (state(succeeded_at=None, failures=2), "new"),
    (state(), "healthy"),
    (state(failures=BROKEN - 1), "healthy"),
    (state(failures=BROKEN), "broken"),
    (state(succeeded_at=None, failures=BROKEN), "broken"),
    (state(silent_at=START), "silent"),
    (state(silent_at=START + MINUTE), "healthy"),
    (state(silent_at=START - MINUTE, failures=BROKEN - 1), "silent"),
    (state(silent_at=START - MINUTE, failures=BROKEN), "broken"),
    (state(took=SLOW), "slow"),
    (state(took=SLOW, silent_at=START), "silent"),
    (state(gone_since=START, failures=9), "paused"),
]


@pytest.mark.parametrize(("recorded", "wanted"), STATES)
def test_a_feed_is_in_one_of_six_states(recorded: FeedState | None, wanted: str) -> None:
    assert verdict(recorded) == wanted


async def test_a_feed_that_breaks_is_told_of_once_and_once_when_it_recovers(server: FeedServer, pipe: Polling) -> None:
    watch = Watch()
    server.route("/feed.xml", Answer(status=404))
    await fail(pipe, 2)
    await pipe.poll("post")
    watch.look(pipe.app)
    assert told(pipe) == []
    await fail(pipe, 1)
    for _ in range(3):
        watch.look(pipe.app)
        Watch().look(pipe.app)  # as after a restart
        await fail(pipe, 1)
    assert told(pipe) == ["Feed wire is broken"]
    assert "wire is broken: 127.0.0.1 has nothing at this address (404)" in lines(pipe)
    assert "failed 3 times since 2026-11-25 06:00 UTC; asked again at 2026-11-25 0" in lines(pipe)
    server.route("/feed.xml", Answer(ONE))
    await pipe.poll()
    watch.look(pipe.app)
    watch.look(pipe.app)
    assert told(pipe) == ["Feed wire is broken", "Feed wire is back"]
    assert "wire is back: it answers again" in lines(pipe)


async def test_a_feed_that_brings_nothing_for_six_usual_gaps_is_silent(server: FeedServer, pipe: Polling) -> None:
    pipe.at(0, day=1)
    watch = Watch(summary_of="x")
    stories: list[tuple[str, str]] = []
    for hour in range(10 * 24):
        stories.append((str(hour), f"Story of hour {hour}"))
        server.route("/feed.xml", Answer(make.rss(*stories[-30:])))
        await pipe.poll()
        pipe.forward(hours=1)
    last = pipe.time - timedelta(hours=1)
    watch.look(pipe.app)
    assert told(pipe) == []
    silent_at = pipe.state().silent_at
    assert silent_at is not None
    assert timedelta(hours=5) < silent_at - last < timedelta(hours=8)
    pipe.time = silent_at
    await pipe.poll()
    watch.look(pipe.app)
    assert told(pipe) == ["Feed wire is silent"]
    assert f"brought nothing since {last:%Y-%m-%d %H:%M} UTC" in lines(pipe)
    assert "a new story about every 6" in lines(pipe)  # minutes
    pipe.forward(hours=1)
    server.route("/feed.xml", Answer(make.rss(("new", "News at last"))))
    await pipe.poll()
    watch.look(pipe.app)
    assert told(pipe) == ["Feed wire is silent", "Feed wire is back"]
    assert "brings stories again" in lines(pipe)


async def test_a_feed_that_is_gone_is_told_of_and_paused(server: FeedServer, pipe: Polling) -> None:
    server.route("/feed.xml", Answer(status=410))
    await fail(pipe, 2)
    Watch(summary_of="x").look(pipe.app)
    assert told(pipe) == ["Feed wire is paused"]
    assert "take it out of feeds.yaml" in lines(pipe)


def many(server: FeedServer, count: int) -> str:
    return "feeds:\n" + "".join(f"  f{n}: {{url: '{server.url(f'/{n}')}', source: Wire}}\n" for n in range(count))


async def test_feeds_that_break_together_are_one_message(server: FeedServer, tmp_path: Path) -> None:
    count = LINES + 20
    pipe = Polling(tmp_path, monitor=OPERATORS, feeds=many(server, count))
    watch = Watch(summary_of="x")

    def broken(*numbers: int) -> None:
        for n in numbers:
            values = {"failures": 3, "failing_since": pipe.time, "polled_at": pipe.time, "error": "x", "status": 500}
            pipe.app.store.feeds.update(f"f{n}", **values)
        watch.look(pipe.app)

    broken(0)
    for n in range(1, count):
        broken(n)
        pipe.forward(seconds=10)
    assert told(pipe) == ["Feed f0 is broken"]
    pipe.forward(minutes=15)
    watch.look(pipe.app)
    assert told(pipe) == ["Feed f0 is broken", f"Feeds: {count - 1} broken"]
    assert f"And {count - 1 - LINES} more" in lines(pipe)
    await pipe.app.close()


async def test_our_own_network_down_is_one_message_and_one_when_it_is_back(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(2)]
    hosts = ("127.0.0.1", "localhost")
    urls = [f"http://{host}:{port}/{n}" for n, (host, port) in enumerate(zip(hosts * 3, ports * 3, strict=True))]
    feeds = "feeds:\n" + "".join(f"  f{n}: {{url: '{url}', source: Wire}}\n" for n, url in enumerate(urls))
    pipe = Polling(tmp_path, monitor=OPERATORS, feeds=feeds)
    watch = Watch(summary_of="x")
    for _ in range(6):
        for n in range(len(urls)):
            await fail(pipe, 1, f"f{n}")
            watch.look(pipe.app)
    assert told(pipe) == ["No feed can be reached"]
    Watch(summary_of="x").look(pipe.app)  # as after a restart
    assert told(pipe) == ["No feed can be reached"]
    answers = {"status": 200, "failures": 0, "failing_since": None, "error": None}
    pipe.app.store.feeds.update("f0", **answers, polled_at=pipe.time)
    watch.look(pipe.app)
    assert told(pipe) == ["No feed can be reached", "Feeds can be reached again"]
    assert all(pipe.state(f"f{n}").next_poll_at <= pipe.time for n in range(1, len(urls)))
    # The others have not been asked since, so they are not told of; when they fail again they are.
    pipe.forward(minutes=20)
    watch.look(pipe.app)
    assert len(told(pipe)) == 2
    await fail(pipe, 1, "f1")
    pipe.app.store.feeds.update("f0", polled_at=pipe.time)
    watch.look(pipe.app)
    assert told(pipe)[2:] == ["Feed f1 is broken"]
    await pipe.app.close()


async def test_an_outage_outlives_restarts_and_tells_of_no_feed(tmp_path: Path) -> None:
    urls = [f"http://127.0.0.{n + 10}:{free_port()}/" for n in range(6)]
    feeds = "feeds:\n" + "".join(f"  f{n}: {{url: '{url}', source: Wire}}\n" for n, url in enumerate(urls))
    monitor = OPERATORS.replace("[127.0.0.1]", "[127.0.0.0/8]")
    pipe = Polling(tmp_path, monitor=monitor, feeds=feeds)
    for _ in range(4):
        for n in range(len(urls)):
            await fail(pipe, 1, f"f{n}")
        Watch().look(pipe.app)
    assert told(pipe) == ["No feed can be reached"]
    # The machine starts anew, and the first feed has answered before the first look at them.
    await pipe.app.close_fetchers()
    pipe.restart()
    pipe.at(9, day=26)
    answers = {"status": 200, "failures": 0, "failing_since": None, "error": None}
    for name in ("f0", "f1"):
        Watch().look(pipe.app)
        pipe.app.store.feeds.update(name, **answers, polled_at=pipe.time, succeeded_at=pipe.time)
        Watch().look(pipe.app)
        pipe.forward(minutes=5)
    assert told(pipe) == ["No feed can be reached", "Feeds can be reached again"]
    assert all(pipe.state(f"f{n}").next_poll_at < pipe.time for n in range(2, len(urls)))
    # One that does not answer now either is broken, and an hour later all are summed up.
    await fail(pipe, 1, "f5")
    pipe.app.store.feeds.update("f0", polled_at=pipe.time)
    Watch().look(pipe.app)
    assert told(pipe)[2:] == ["Feed f5 is broken"]
    pipe.forward(hours=1)
    Watch().look(pipe.app)
    assert told(pipe)[3:] == ["Feeds today: 4 broken, 2 healthy"]
    await pipe.app.close()


def unanswered(host: str, since: int, failures: int = 2) -> FeedState:
    return FeedState(
        feed=host,
        url=f"https://{host}.example/",
        next_poll_at=START,
        polled_at=START + since * MINUTE,
        failures=failures,
        failing_since=START + since * MINUTE,
    )


def answered(host: str, at: int, status: int = 200) -> FeedState:
    polled = START + at * MINUTE
    return FeedState(feed=host, url=f"https://{host}.example/", next_poll_at=START, polled_at=polled, status=status)


OUTAGES = [
    ([unanswered("a", 5), unanswered("b", 6), unanswered("c", 7), answered("d", 4)], 5),
    # Somebody answered since, if only by an error.
    ([unanswered("a", 5), unanswered("b", 6), unanswered("c", 7), answered("d", 8, 500)], None),
    # Two of four hosts, one host with many feeds, and first failures prove nothing.
    ([unanswered("a", 5), unanswered("b", 6), answered("c", 4), answered("d", 4)], None),
    ([unanswered("a", 5), unanswered("a", 6), unanswered("a", 7), answered("d", 4)], None),
    ([unanswered("a", 5, 1), unanswered("b", 6, 1), unanswered("c", 7, 1), answered("d", 4)], None),
    # Where there are but two, both.
    ([unanswered("a", 5), unanswered("b", 6)], 5),
    ([unanswered("a", 5)], None),
    ([], None),
]


@pytest.mark.parametrize(("states", "since"), OUTAGES)
def test_our_own_network_is_down_when_several_hosts_fell_since_the_last_answer(
    states: list[FeedState], since: int | None
) -> None:
    answers = [one.polled_at for one in states if one.status is not None and one.polled_at is not None]
    found = offline(states, len({one.url for one in states}), max(answers, default=None))
    assert found == (None if since is None else START + since * MINUTE)


async def test_one_message_a_day_sums_up_what_is_wrong(server: FeedServer, pipe: Polling) -> None:
    watch = Watch()
    server.route("/feed.xml", Answer(ONE))
    for name in ("wire", "post"):
        await pipe.poll(name)
    pipe.at(9)
    watch.look(pipe.app)
    assert told(pipe) == []  # all is well
    pipe.at(7, day=26)
    server.route("/feed.xml", Answer(status=404))
    await fail(pipe, 3)
    pipe.app.store.feeds.update("post", gap_at=pipe.time, address="https://new.example/feed")
    hub: dict[str, Any] = {"hub": "https://hub.example/", "topic": "t", "callback": "c", "secret": "s"}
    with pipe.app.store.write() as session:
        session.add(HubLease(key="k", feed="post", state="broken", next_at=pipe.time, **hub))
    pipe.at(9)
    for _ in range(3):
        watch.look(pipe.app)
        Watch().look(pipe.app)  # as after a restart
        pipe.forward(hours=1)
    assert told(pipe) == ["Feed wire is broken", "Feeds today: 1 broken, 1 healthy"]
    for words in (
        "wire is broken: ",
        "lost stories between two polls since yesterday: post",
        "write https://new.exa",
        "hubs, and polled instead: post",
    ):
        assert words in lines(pipe)
    pipe.at(9, day=27)
    watch.look(pipe.app)
    assert len(told(pipe)) == 3


async def test_feeds_and_status_show_the_states_and_what_to_do(server: FeedServer, tmp_path: Path) -> None:
    feeds = "".join(f"  {name}: {{url: '{server.url(f'/{name}')}', source: Wire}}\n" for name in ("a", "b", "c", "d"))
    off = "  e: {url: 'https://e.example/', source: E, enabled: false}\n"
    pipe = Polling(tmp_path, feeds=f"feeds:\n{feeds}{off}")
    server.route("/a", Answer(ONE, delay=0.3, headers={"Cache-Control": "max-age=14400"}))
    for name in ("a", "b"):
        await pipe.poll(name)
    store = pipe.app.store.feeds
    assert 0.3 <= pipe.state("a").took < 3
    store.update("b", failures=3)
    store.update("c", polled_at=pipe.time, succeeded_at=pipe.time, silent_at=pipe.time, gap_at=pipe.time)
    store.update("d", polled_at=pipe.time, succeeded_at=pipe.time, took=7.0, address="https://new.example/")
    shown = {feed.name: feed for feed in feed_health(pipe.app)}
    assert [(name, feed.state) for name, feed in shown.items()] == [
        ("b", "broken"),
        ("c", "silent"),
        ("d", "slow"),
        ("a", "healthy"),
        ("e", "paused"),
    ]
    said = {name: "; ".join(feed.remarks) for name, feed in shown.items()}
    assert "has nothing at this address (404)" in said["b"]
    assert "brought nothing since" in said["c"]
    assert "stories may be lost" in said["c"]
    assert said["d"] == "its answers take 7.0 s; has moved: write https://new.example/ in feeds.yaml"
    assert "its server wants it asked every 2" in said["a"]
    assert said["e"] == "switched off in feeds.yaml"
    glance = status(pipe.app, pipe.time)
    assert (glance.feeds, glance.failing, glance.states["silent"]) == (4, ("b",), ("c",))
    await pipe.app.close()
