"""WebSub (docs/reference/polling.md): a real hub, a real publisher, our own web server; the clock is a hand's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor import service
from monitor.app import open_app, utc_now
from monitor.cli import cli
from monitor.daemon import Daemon
from monitor.errors import StoreError
from monitor.models import HubLease, Story
from monitor.pipeline import ask_hubs, take_push
from monitor.pipeline.hubs import is_reachable
from monitor.web.hubs import A_MINUTE, PUSH_LIMIT
from monitor.web.pages import Pages
from monitor.web.serve import serve
from tests import make
from tests.fakes import RSS, Answer, FakeHub, FeedServer, free_port
from tests.pipe import Polling

OLD, NEW, LATER = ("1", "Old news"), ("2", "Sanctions agreed"), ("3", "Harvest begins")


class Site(Polling):
    """A Polling whose web pages are served."""

    port = 0

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(serve(self.app))
        try:
            await eventually(lambda: answers(self.port))
            yield
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            await self.app.close()

    async def ask(self) -> int:
        return await ask_hubs(self.app)

    def lease(self) -> HubLease:
        (found,) = self.app.store.hubs.all()
        return found

    async def until(self, titles: set[str]) -> None:
        """Wait until the stories of these titles, and no others, are saved."""
        await eventually(lambda: {row.title for row in self.rows(Story)} == titles)

    async def subscribed(self, server: FeedServer, hub: FakeHub) -> None:
        """Poll a feed that announces the hub, and let that agree to push."""
        server.route("/feed.xml", announcing(hub, server, OLD))
        await self.poll()
        assert await self.ask() == 1
        assert self.lease().state == "verified"


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what other tasks do."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about within 20 seconds")


def announcing(hub: FakeHub, server: FeedServer, *items: tuple[str, str]) -> Answer:
    links = f'<{hub.url}>; rel="hub", <{server.url("/own.xml")}>; rel="self"'
    return Answer(make.rss(*items), headers={"Link": links})


def monitor(port: int, more: str = "") -> str:
    return make.MONITOR.replace("web: off", f"web: {{port: {port}}}\npublic_url: http://127.0.0.1:{port}") + more


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        yield running


def site(folder: Path, server: FeedServer, port: int, more: str = "") -> Site:
    feeds = f"feeds: {{wire: {{url: '{server.url()}', source: Wire}}}}"
    made = Site(folder, monitor=monitor(port, more), feeds=feeds)
    made.port = port
    return made


@pytest.fixture
async def pipe(tmp_path: Path, server: FeedServer) -> AsyncIterator[Site]:
    made = site(tmp_path, server, free_port())
    async with made.served():
        yield made


# Asking


async def test_the_hub_of_link_headers_is_asked_and_its_question_answered(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    server.route("/feed.xml", announcing(hub, server, OLD))
    await pipe.poll()
    assert await pipe.ask() == 1
    ((asked),) = hub.asked
    assert (asked.status, asked.answer) == (200, "what? <b>")
    form = asked.form
    assert (form["hub.mode"], form["hub.topic"]) == ("subscribe", server.url("/own.xml"))
    assert form["hub.callback"].startswith(f"http://127.0.0.1:{pipe.port}/websub/")
    assert len(form["hub.callback"].rpartition("/")[2]) >= 32  # 192 bits
    assert len(form["hub.secret"]) >= 32
    assert int(form["hub.lease_seconds"]) > 0
    assert pipe.lease().lease_until == pipe.time + timedelta(days=1)
    assert await pipe.ask() == 0


async def test_the_hub_of_the_document_is_asked_for_the_polled_address_where_the_own_is_another_site_s(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    links = f'<link rel="hub" href="{hub.url}"/><link rel="self" href="https://rival.example/feed"/>'
    entry = "<entry><id>1</id><title>Old news</title></entry>"
    atom = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title>{links}{entry}</feed>'
    server.route("/feed.xml", Answer(atom.encode()))
    await pipe.poll()
    await pipe.ask()
    assert [one.form["hub.topic"] for one in hub.asked] == [server.url()]


async def test_a_hub_at_a_private_address_is_not_asked(pipe: Site, server: FeedServer) -> None:
    server.route("/feed.xml", Answer(make.rss(OLD), headers={"Link": "<http://10.0.0.1/>; rel=hub"}))
    await pipe.poll()
    await pipe.ask()
    assert "private or reserved" in pipe.lease().error


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("https://news.corvid.org", True),
        ("http://news.corvid.org:8080/monitor", True),
        ("https://93.184.216.34", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("https://10.1.2.3", False),
        ("http://localhost:8080", False),
        ("https://monitor", False),
        ("https://monitor.office.lan", False),
    ],
)
def test_hubs_are_asked_only_where_they_can_reach_us(address: str, reachable: bool) -> None:
    assert is_reachable(address) is reachable


def test_a_hub_in_our_own_network_may_reach_us_there() -> None:
    assert is_reachable("http://10.1.2.3:8080", ["10.0.0.0/8"])
    assert not is_reachable("http://10.1.2.3:8080", ["127.0.0.1"])


@pytest.mark.parametrize("setting", ["polling: {websub: off}\n", "public_url: http://localhost\n", "web: off\n"])
async def test_no_hub_is_asked_where_that_is_off(
    tmp_path: Path, server: FeedServer, hub: FakeHub, setting: str
) -> None:
    lines = monitor(free_port()).splitlines(keepends=True)
    key = setting.partition(":")[0]
    text = "".join(line for line in lines if not line.startswith(f"{key}:")) + setting
    off = Site(tmp_path, monitor=text, feeds=f"feeds: {{wire: {{url: '{server.url()}', source: Wire}}}}")
    server.route("/feed.xml", announcing(hub, server, OLD))
    await off.poll()
    assert await off.ask() == 0
    assert off.app.store.hubs.all() == []
    await off.app.close()


async def test_a_lease_is_renewed_after_two_thirds_of_it_with_the_same_callback(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    pipe.forward(hours=14)
    assert await pipe.ask() == 0
    pipe.forward(hours=2)
    assert await pipe.ask() == 1
    assert len({one.form["hub.callback"] for one in hub.asked}) == 1
    assert pipe.lease().lease_until == pipe.time + timedelta(days=1)


async def test_a_lease_of_years_is_renewed_within_ten_days(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    hub.lease = 10**8
    await pipe.subscribed(server, hub)
    assert pipe.lease().lease_until == pipe.time + timedelta(days=10)


async def test_a_hub_whose_site_wants_rest_is_not_asked(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    server.route("/feed.xml", announcing(hub, server, OLD))
    await pipe.poll()
    until = pipe.time + timedelta(hours=2)
    pipe.app.store.feeds.set_rest("127.0.0.1", until, pipe.time)
    await pipe.ask()
    assert (hub.asked, pipe.lease().next_at) == ([], until)


async def test_a_lease_of_seconds_runs_out_and_makes_no_storm(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    hub.lease = 2
    await pipe.subscribed(server, hub)
    asked = 0
    for _ in range(60):
        pipe.forward(seconds=10)
        asked += await pipe.ask()
    assert asked == 2
    pipe.forward(seconds=5)
    assert [feed.push for feed in service.feed_health(pipe.app)] == ["asked"]
    assert pipe.lease().verified_at == pipe.time - timedelta(seconds=5)  # a push before that says nothing of now


async def test_a_hub_that_fails_is_asked_less_and_less_often(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    hub.status = 500
    server.route("/feed.xml", announcing(hub, server, OLD))
    await pipe.poll()
    times = []
    for _ in range(250):
        if await pipe.ask():
            times.append(pipe.time)
        pipe.forward(minutes=5)
    gaps = [(b - a).total_seconds() / 60 for a, b in itertools.pairwise(times)]
    assert gaps == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150]
    assert "refused what it was asked (500)" in pipe.lease().error


async def test_a_hub_that_hangs_holds_up_a_few_others_at_most(tmp_path: Path, server: FeedServer, hub: FakeHub) -> None:
    names = [f"wire{number}" for number in range(8)]
    for name in names:
        server.route(f"/{name}.xml", announcing(hub, server, OLD))
    feeds = ", ".join(f"{name}: {{url: '{server.url(f'/{name}.xml')}'}}" for name in names)
    many = Site(tmp_path, monitor=monitor(free_port()), feeds=f"feeds: {{{feeds}}}")
    hub.status = 500
    for name in names:
        await many.poll(name)
    assert [await many.ask() for _ in range(3)] == [5, 3, 0]
    await many.app.close()


async def test_a_hub_that_wants_rest_gets_it(pipe: Site, server: FeedServer) -> None:
    away = server.route("/hub", Answer(status=503, headers={"Retry-After": "7200"}))
    server.route("/feed.xml", Answer(make.rss(OLD), headers={"Link": f"<{away}>; rel=hub"}))
    await pipe.poll()
    await pipe.ask()
    pipe.forward(seconds=7190)
    assert await pipe.ask() == 0
    pipe.forward(seconds=20)
    assert await pipe.ask() == 1


async def test_a_hub_that_denies_is_left_alone_for_a_week(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    hub.reason = "no such\x1b[2J feed"
    server.route("/feed.xml", announcing(hub, server, OLD))
    await pipe.poll()
    await pipe.ask()
    assert (hub.asked[0].status, pipe.lease().state) == (200, "denied")
    assert any("no such[2J feed" in remark for feed in service.feed_health(pipe.app) for remark in feed.remarks)
    pipe.forward(days=6, hours=23)
    assert await pipe.ask() == 0
    pipe.forward(hours=2)
    hub.reason = ""
    assert await pipe.ask() == 1
    assert pipe.lease().state == "verified"


async def test_only_what_was_asked_for_lately_is_confirmed(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    until, topic = pipe.lease().lease_until, server.url("/own.xml")

    async def said(callback: str = hub.callback, **changed: str) -> tuple[int, str]:
        query = {"mode": "subscribe", "topic": topic, "challenge": "x", "lease_seconds": "900000", **changed}
        return await hub.ask_back(callback, **query)

    assert await said(hub.callback[:-1]) == (404, "")
    assert (await said(topic=server.url()))[0] == 404
    assert (await said(mode="unsubscribe"))[0] == 404
    assert (await said(mode="publish"))[0] == 404
    assert (await said(challenge=""))[0] == 404
    assert (await said(challenge="x" * 5000))[0] == 404
    assert (await hub.ask_back(hub.callback[:-1], mode="denied", topic=topic))[0] == 404
    pipe.forward(hours=2)
    assert (await said())[0] == 404  # nobody asked now
    assert (pipe.lease().state, pipe.lease().lease_until) == ("verified", until)


async def test_a_hub_that_is_no_longer_wanted_is_told_so(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    pipe.reload(feeds=f"feeds: {{wire: {{url: '{server.url()}', enabled: false}}}}")
    await pipe.ask()
    assert hub.modes == ["subscribe", "unsubscribe"]
    assert hub.topics == {}
    assert pipe.rows(HubLease) == []
    assert await hub.push(make.rss(NEW)) == 410


async def test_a_hub_that_cannot_be_told_is_forgotten_after_three_times(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    hub.status = 500
    pipe.forward(minutes=11)
    server.route("/feed.xml", Answer(make.rss(OLD, NEW)))  # no hub any more
    await pipe.poll()
    for _ in range(20):
        await pipe.ask()
        pipe.forward(minutes=10)
    assert hub.modes == ["subscribe", *["unsubscribe"] * 3]
    assert pipe.rows(HubLease) == []


async def test_another_hub_takes_the_place_of_the_first_and_not_at_every_poll(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    with FakeHub() as second:
        server.route("/feed.xml", announcing(second, server, OLD, LATER))
        await pipe.poll()
        assert await pipe.ask() == 0
        pipe.forward(minutes=11)
        server.route("/feed.xml", announcing(second, server, OLD, NEW))
        await pipe.poll()
        assert await pipe.ask() == 2
        assert (hub.modes, second.modes) == (["subscribe", "unsubscribe"], ["subscribe"])
        assert hub.callback != second.callback
        assert hub.asked[0].form["hub.secret"] != second.asked[0].form["hub.secret"]


async def test_another_public_url_is_asked_for_anew(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    pipe.reload(monitor=monitor(pipe.port).replace("127.0.0.1:" + str(pipe.port), f"127.0.0.1:{pipe.port}/news"))
    await pipe.ask()
    assert sorted(hub.modes) == ["subscribe", "subscribe", "unsubscribe"]
    assert "/news/websub/" in pipe.lease().callback


# Pushes


async def test_a_story_that_is_pushed_and_polled_counts_once(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    before = pipe.state()
    assert await hub.push(make.rss(NEW)) == 202
    await pipe.until({"Old news", "Sanctions agreed"})
    assert pipe.told("alert") == [("ruth", ["Sanctions agreed"])]
    after = pipe.state()
    assert (after.next_poll_at, after.body_hash, after.stories) == (before.next_poll_at, before.body_hash, 1)
    server.route("/feed.xml", announcing(hub, server, NEW, OLD))
    done = (await pipe.poll()).ingested
    assert done is not None
    assert (done.new, done.edited) == (0, 0)
    assert len(pipe.told("alert")) == 1
    assert await hub.push(make.rss(NEW)) == 202  # once more
    await hub.push(make.rss(LATER))
    await pipe.until({"Old news", "Sanctions agreed", "Harvest begins"})
    assert len(pipe.told("alert")) == 1


@pytest.mark.parametrize("signature", ["", "sha256=00", "sha1=" + "0" * 40, "nonsense"])
async def test_a_push_with_a_wrong_signature_is_acknowledged_dropped_and_counted(
    pipe: Site, server: FeedServer, hub: FakeHub, signature: str
) -> None:
    await pipe.subscribed(server, hub)
    assert await hub.push(make.rss(("9", "Forged")), signature=signature) == 202
    assert await hub.push(make.rss(NEW)) == 202
    await pipe.until({"Old news", "Sanctions agreed"})
    assert pipe.lease().forged == 1
    assert any("wrong signature" in remark for feed in service.feed_health(pipe.app) for remark in feed.remarks)


async def test_a_push_to_an_unknown_callback_is_gone(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    assert await hub.push(make.rss(NEW), hub.callback + "x", signature="sha256=00") == 410


@pytest.mark.parametrize("body", [b"", b"ping", b"<html><body>news</body></html>", make.rss()])
async def test_a_push_without_stories_has_the_feed_polled_once_a_minute(
    pipe: Site, server: FeedServer, hub: FakeHub, body: bytes
) -> None:
    await pipe.subscribed(server, hub)
    assert pipe.wait > 120
    await hub.push(body)
    await eventually(lambda: pipe.wait == 0)
    await pipe.poll()
    await hub.push(body)
    await eventually(lambda: pipe.wait == 60)
    assert pipe.lease().pinged_at == pipe.time + timedelta(minutes=1)
    pipe.forward(seconds=1)
    await hub.push(body)
    await eventually(lambda: pipe.lease().pushed_at == pipe.time)
    assert pipe.wait == 59
    server.route("/feed.xml", announcing(hub, server, OLD, NEW))
    await pipe.poll()
    pipe.forward(minutes=11)
    await pipe.ask()
    assert pipe.lease().state == "verified"  # what the poll found is what the hub meant
    server.route("/feed.xml", announcing(hub, server, OLD, NEW, LATER))
    await pipe.poll()
    await hub.push(body)
    await eventually(lambda: not pipe.lease().missing)  # also where it says so a little later


async def test_a_push_does_not_disturb_the_back_off_of_a_feed_that_fails(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    server.route("/feed.xml", Answer(status=500))
    await pipe.poll()
    due = pipe.state().next_poll_at
    await hub.push(b"ping")
    await eventually(lambda: pipe.lease().pinged_at is not None)
    assert pipe.state().next_poll_at == due


async def test_a_flood_of_pushes_is_turned_away(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    statuses = [await hub.push(b"x", signature="sha256=00") for _ in range(2 * A_MINUTE + 5)]
    assert set(statuses) == {202, 429}
    assert statuses.count(202) <= 2 * A_MINUTE  # the clock's minute may turn meanwhile
    assert pipe.lease().forged == statuses.count(202)


async def test_a_push_above_ten_megabytes_is_refused(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    whole = make.rss(NEW)
    assert await hub.push(whole + b" " * (PUSH_LIMIT - len(whole))) == 202
    await pipe.until({"Old news", "Sanctions agreed"})
    try:
        status = await hub.push(make.rss(LATER) + b" " * PUSH_LIMIT)
    except OSError:  # the rest of it is not read
        status = 413
    assert status == 413


async def test_a_push_that_comes_drop_by_drop_is_given_up_and_another_is_taken(
    pipe: Site, server: FeedServer, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.web.hubs.BODY_SECONDS", 0.5)
    await pipe.subscribed(server, hub)
    hold = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"<rss>"
        while not hold.is_set():
            await asyncio.sleep(0.05)
            yield b" "

    late = asyncio.create_task(hub.push(slow(), signature="sha256=00"))
    assert await late == 408
    hold.set()
    assert await hub.push(make.rss(NEW)) == 202
    await pipe.until({"Old news", "Sanctions agreed"})


async def test_one_push_of_a_feed_is_read_at_a_time(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    done = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"<rss>"
        while not done.is_set():
            await asyncio.sleep(0.05)
            yield b" "

    late = asyncio.create_task(hub.push(slow(), signature="sha256=00"))
    statuses = [202]
    while statuses[-1] == 202 and len(statuses) < A_MINUTE:  # until that one has begun to arrive
        statuses.append(await hub.push(b"x", signature="sha256=00"))
    assert statuses[-1] == 503
    done.set()
    assert await late == 202


async def test_what_has_no_room_is_polled(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("monitor.web.hubs.WAITING_OF_ONE", 0)
        assert await hub.push(make.rss(NEW)) == 202
    assert pipe.wait == 0
    assert len(pipe.rows(Story)) == 1


async def test_what_is_acknowledged_is_saved_or_its_feed_is_due(
    pipe: Site, server: FeedServer, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipe.subscribed(server, hub)
    assert await hub.push(make.rss(NEW)) == 202
    assert {row.title for row in pipe.rows(Story)} == {"Old news", "Sanctions agreed"}  # by then, and not soon
    assert pipe.wait > 120

    async def hanging(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("monitor.web.hubs.take_push", hanging)
    monkeypatch.setattr("monitor.web.hubs.ANSWER_WITHIN", 0.1)
    assert await hub.push(make.rss(LATER)) == 202
    assert pipe.wait == 0


async def test_a_push_that_could_not_be_saved_has_the_feed_polled(
    pipe: Site, server: FeedServer, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipe.subscribed(server, hub)

    async def failing(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("monitor.web.hubs.take_push", failing)
    assert await hub.push(make.rss(NEW)) == 202
    assert pipe.wait == 0


async def test_news_that_a_hub_tells_of_during_a_poll_is_polled_for(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    pipe.forward(hours=1)
    server.route("/feed.xml", Answer(make.rss(OLD), delay=1.0))
    polling = asyncio.create_task(pipe.poll())
    await eventually(lambda: server.count() == 2)  # it was asked, and answers with what was there before the news
    pipe.forward(seconds=1)
    assert await hub.push(b"") == 202
    assert not polling.done()
    assert (await polling).result == "unchanged"
    assert pipe.wait == 0


async def test_a_push_outlives_a_restart(tmp_path: Path, server: FeedServer, hub: FakeHub) -> None:
    port = free_port()
    first = site(tmp_path, server, port)
    async with first.served():
        await first.subscribed(server, hub)
    second = site(tmp_path, server, port)
    async with second.served():
        assert await second.ask() == 0
        assert await hub.push(make.rss(NEW)) == 202
        await second.until({"Old news", "Sanctions agreed"})
    assert hub.modes == ["subscribe"]


async def test_pushes_of_an_address_that_was_given_up_are_no_longer_wanted(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    other = server.route("/other.xml", Answer(make.rss(("7", "Elsewhere"))))
    pipe.reload(feeds=f"feeds: {{wire: {{url: '{other}', source: Wire}}}}")
    await pipe.poll()
    await pipe.until({"Old news", "Elsewhere"})
    assert await hub.push(make.rss(NEW)) == 410
    await pipe.ask()
    assert hub.modes == ["subscribe", "unsubscribe"]
    assert pipe.rows(HubLease) == []


async def test_a_push_that_waited_while_its_feed_was_switched_off_is_dropped(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    lease = pipe.lease()
    pipe.reload(feeds=f"feeds: {{wire: {{url: '{server.url()}', enabled: false}}}}")
    assert await take_push(pipe.app, lease, make.rss(NEW), RSS) is None
    assert len(pipe.rows(Story)) == 1


# Polling behind it


async def test_a_feed_whose_hub_pushes_is_polled_less_often(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    await pipe.subscribed(server, hub)
    await pipe.poll()
    own = pipe.state().interval  # the hub agreed, and has pushed nothing yet
    await hub.push(make.rss(NEW))
    await pipe.until({"Old news", "Sanctions agreed"})
    await pipe.poll()
    assert 1.5 * own < pipe.state().interval <= pipe.app.config.settings.polling.max * 1.05
    pipe.forward(days=1, seconds=1)  # the lease ran out
    await pipe.poll()
    assert pipe.state().interval < 1.2 * own
    await pipe.ask()
    assert pipe.lease().state == "verified"  # again, and nothing came since
    await pipe.poll()
    assert pipe.state().interval < 1.2 * own


async def test_a_poll_that_finds_what_was_not_pushed_shows_that_the_push_is_broken(
    pipe: Site, server: FeedServer, hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    await pipe.subscribed(server, hub)
    await pipe.poll()
    own = pipe.state().interval
    await hub.push(make.rss(NEW))
    await pipe.until({"Old news", "Sanctions agreed"})
    server.route("/feed.xml", announcing(hub, server, LATER, NEW, OLD))
    await pipe.poll()
    assert pipe.state().interval < 1.2 * own  # from now on, as long as it is in doubt
    pipe.forward(minutes=9)
    await pipe.ask()
    assert pipe.lease().state == "verified"
    pipe.forward(minutes=1)
    await pipe.ask()
    assert pipe.lease().state == "broken"
    assert "did not push what a poll found" in caplog.text
    (health,) = service.feed_health(pipe.app)
    assert health.push == "broken"
    assert any("does not push all" in remark for remark in health.remarks)
    pipe.forward(hours=16)
    await pipe.poll()
    assert pipe.state().interval < 1.2 * own
    asked = len(hub.asked)
    pipe.forward(hours=14)
    await pipe.ask()
    assert len(hub.asked) > asked  # it is asked again within days
    assert pipe.lease().state == "verified"


async def test_a_push_that_comes_late_is_none_that_is_broken_and_one_mends_it(
    pipe: Site, server: FeedServer, hub: FakeHub
) -> None:
    await pipe.subscribed(server, hub)
    server.route("/feed.xml", announcing(hub, server, NEW, OLD))
    await pipe.poll()
    pipe.forward(minutes=5)
    await hub.push(make.rss(NEW))
    await eventually(lambda: not pipe.lease().missing)
    pipe.forward(minutes=10)
    await pipe.ask()
    assert pipe.lease().state == "verified"
    server.route("/feed.xml", announcing(hub, server, LATER, NEW, OLD))
    await pipe.poll()
    pipe.forward(minutes=11)
    await pipe.ask()
    assert pipe.lease().state == "broken"
    await hub.push(make.rss(("4", "Bridge opened")))
    await eventually(lambda: pipe.lease().state == "verified")


async def test_feeds_shows_how_it_stands_with_the_hub(pipe: Site, server: FeedServer, hub: FakeHub) -> None:
    pipe.time = utc_now()  # which is what the command goes by
    await pipe.subscribed(server, hub)
    await hub.push(make.rss(NEW))
    await eventually(lambda: pipe.lease().pushed_at is not None)
    where = ["feeds", "--config", str(pipe.folder / "config"), "--data", str(pipe.folder / "data")]
    (feed,) = json.loads((await asyncio.to_thread(CliRunner().invoke, cli, [*where, "--json"])).stdout)
    assert (feed["push"], feed["hub"]) == ("verified", hub.url)
    assert feed["pushed_at"]
    shown = (await asyncio.to_thread(CliRunner().invoke, cli, where)).stdout
    assert "pushes it" in " ".join(shown.split())
    lease = pipe.lease()
    assert not any(secret in f"{feed}{shown}{lease!r}" for secret in (lease.secret, lease.callback))


async def test_the_daemon_asks_hubs_where_it_serves_their_callbacks(tmp_path: Path) -> None:
    folder = make.write_config(tmp_path / "config")
    app = open_app(make.config(folder), tmp_path / "data")
    try:
        for daemon, wanted in (
            (Daemon(app, folder, {}, {"poll", "web"}, serve), True),
            (Daemon(app, folder, {}, {"poll"}, serve), False),
            (Daemon(app, folder, {}, {"poll", "web"}), False),
        ):
            assert any(job.id == "hubs" for job in daemon._scheduler().get_jobs()) is wanted
    finally:
        await app.close()


async def test_when_the_web_server_runs_all_pages_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Pages] = []
    prepare = Pages.prepare

    def prepared(pages: Pages) -> None:
        prepare(pages)
        made.append(pages)

    monkeypatch.setattr(Pages, "prepare", prepared)
    site = Site(tmp_path, monitor=monitor(port := free_port()))
    site.port = port
    async with site.served():
        await eventually(lambda: bool(made))
    monkeypatch.setattr("jinja2.FileSystemLoader.get_source", None)  # what is compiled is not read again
    for page in ("refusal", "desk", "story", "lab"):
        assert made[0]._environment.get_template(f"{page}.html.j2")
