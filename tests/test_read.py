"""Pages of new stories (docs/howto/full-text.md) against a real server; the clock is a hand's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.models import Decision, Delivery, Match, Page, Story
from monitor.pipeline import poll, read_all, read_due
from monitor.pipeline.read import TRIES, ReadPage
from monitor.service import explain
from tests import make
from tests.fakes import Answer, FeedServer
from tests.pipe import Pipe

HEADLINE = "Harbour authority announces measures"
WORDS = "The harbour authority announces measures at the northern quay. " * 15
FOUND = f"{WORDS} New sanctions on the shipping line follow. {WORDS}"
HTML = "text/html; charset=utf-8"


def html(text: str, head: str = "", title: str = HEADLINE) -> bytes:
    return (
        f"<html><head><title>{title}</title>{head}</head><body><article><p>{text}</p></article></body></html>".encode()
    )


def rss(*items: tuple[str, str], summary: str = "A summary.") -> bytes:
    """Return a document of (address, headline) items, each with its address for a guid."""
    listed = "".join(
        f"<item><guid>{url}</guid><link>{url}</link><title>{title}</title><description>{summary}</description></item>"
        for url, title in items
    )
    return f"<rss version='2.0'><channel><title>Wire</title>{listed}</channel></rss>".encode()


class Reading(Pipe):
    """A Pipe whose feed `wire` has the stories of `publish`, at the server's /news/…"""

    server: FeedServer

    def publish(self, *names: str, summary: str = "A summary.", headline: str = HEADLINE) -> None:
        items = [(self.server.url(f"/news/{name}"), f"{headline} {name}") for name in names]
        self.server.route("/feed.xml", Answer(rss(*items, summary=summary)))

    def page(self, name: str, *answers: Answer) -> None:
        self.server.route(f"/news/{name}", *answers)

    async def poll(self) -> None:
        assert (await poll(self.app, "wire")).result == "stories"

    async def read(self) -> list[ReadPage]:
        """Read what is due, one page of each host."""
        return [await task for task in await read_due(self.app)]

    @property
    def story(self) -> Story:
        (story,) = self.rows(Story)
        return story

    @property
    def row(self) -> Page:
        (page,) = self.rows(Page)
        return page


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.hosts.PAGE_GAP", 0.0)


def feed(server: FeedServer, full_text: str = "always", more: str = "first_poll: alert") -> str:
    return f"feeds: {{wire: {{url: '{server.url()}', source: Wire, full_text: {full_text}, {more}}}}}"


@pytest.fixture
async def pipe(tmp_path: Path, server: FeedServer) -> AsyncIterator[Reading]:
    opened = Reading(tmp_path, feeds=feed(server))
    opened.server = server
    yield opened
    await opened.app.close()


async def test_the_headline_alerts_before_the_page_is_read_and_what_only_the_page_says_alerts_then(
    pipe: Reading,
) -> None:
    pipe.publish("1", headline="Embargo on grain")
    pipe.page("1", Answer(html(f"Embargo on grain. {WORDS} Troops were sent to the border."), content_type=HTML))
    await pipe.poll()
    assert pipe.told("alert") == [("ruth", ["Embargo on grain 1"])]
    assert pipe.server.count("/news/1") == 0
    (done,) = await pipe.read()
    assert (done.result, done.ingested and done.ingested.matched) == ("read", 1)
    assert {match.topic for match in pipe.rows(Match)} == {"sanctions", "border-deployments"}
    # It waits for its first attempt, so the one alert tells of both.
    (alert,) = pipe.deliveries("alert")
    assert alert.topics == ["sanctions", "border-deployments"]
    assert len(pipe.rows(Decision)) == 2


async def test_a_story_that_only_its_page_matches_alerts_once_and_says_so(pipe: Reading) -> None:
    pipe.publish("1")
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    assert pipe.deliveries("alert") == []
    await pipe.read()
    (alert,) = pipe.deliveries("alert")
    assert alert.payload["story"]["page"] is True
    assert "New sanctions on the shipping line" in alert.payload["story"]["snippet"]
    (match,) = pipe.rows(Match)
    (span,) = match.evidence
    assert span["field"] == "text"
    assert pipe.story.text[span["start"] : span["end"]] == "sanctions"
    assert pipe.story.page_at == pipe.time
    assert pipe.story.edits == 0
    assert await pipe.read() == []
    assert len(pipe.deliveries("alert")) == 1
    found = explain(pipe.app, "1")
    assert found.journey.page is not None
    assert found.journey.page.due_at is None
    assert {verdict.topic for verdict in found.verdicts if verdict.explanation.true} == {"sanctions"}


async def test_a_topic_that_the_headline_matched_is_not_told_again_and_keeps_its_evidence(pipe: Reading) -> None:
    pipe.publish("1", headline="Sanctions agreed")
    pipe.page("1", Answer(html(f"Sanctions agreed. {WORDS}", title="Sanctions agreed"), content_type=HTML))
    await pipe.poll()
    with pipe.app.store.write() as session:
        for row in pipe.rows(Delivery):
            session.merge(row).state = "sent"
    await pipe.read()
    assert len(pipe.deliveries("alert")) == 1
    assert len(pipe.rows(Decision)) == 1
    (match,) = pipe.rows(Match)
    assert {span["field"] for span in match.evidence} == {"title", "text"}


async def test_a_topic_that_the_page_speaks_against_keeps_its_match_with_what_stands_beside_the_text(
    tmp_path: Path, server: FeedServer
) -> None:
    topics = "topics: {quay: {query: 'harbour AND NOT bridge'}}"
    pipe = Reading(tmp_path, feeds=feed(server), topics=topics)
    pipe.server = server
    pipe.publish("1")
    pipe.page("1", Answer(html(f"{WORDS} The bridge is closed."), content_type=HTML))
    await pipe.poll()
    await pipe.read()
    (match,) = pipe.rows(Match)
    assert [span["field"] for span in match.evidence] == ["title"]
    assert "bridge" in pipe.story.text
    await pipe.app.close()


@pytest.mark.parametrize(
    ("full_text", "summary", "asked"),
    [
        ("never", "Short.", 0),
        ("when_short", "Short.", 1),
        ("when_short", "Long. " * 100, 0),
        ("always", "Long. " * 100, 1),
    ],
)
async def test_the_page_is_read_as_the_feed_asks(
    tmp_path: Path, server: FeedServer, full_text: str, summary: str, asked: int
) -> None:
    pipe = Reading(tmp_path, feeds=feed(server, full_text))
    pipe.server = server
    pipe.publish("1", summary=summary)
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    await pipe.read()
    assert server.count("/news/1") == asked
    await pipe.app.close()


async def test_a_first_polls_stories_are_not_read(tmp_path: Path, server: FeedServer) -> None:
    pipe = Reading(tmp_path, feeds=feed(server, more="first_poll: baseline"))
    pipe.server = server
    pipe.publish("1")
    await pipe.poll()
    pipe.publish("2", "1")
    await pipe.poll()
    assert [page.story_id for page in pipe.rows(Page)] == [2]
    await pipe.app.close()


async def test_a_page_that_waits_outlives_a_restart(pipe: Reading, tmp_path: Path) -> None:
    pipe.publish("1")
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    again = Reading(tmp_path, feeds=feed(pipe.server))
    (done,) = await again.read()
    assert done.result == "read"
    assert len(again.deliveries("alert")) == 1
    await again.app.close()


async def test_a_later_edit_of_the_feed_keeps_the_pages_text_and_is_matched_with_it(pipe: Reading) -> None:
    pipe.publish("1")
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    await pipe.read()
    pipe.publish("1", summary="The summary was changed.")
    await pipe.poll()
    assert pipe.story.edits == 1
    assert "New sanctions" in pipe.story.text
    (match,) = pipe.rows(Match)
    assert [pipe.story.text[span["start"] : span["end"]] for span in match.evidence] == ["sanctions"]
    assert await pipe.read() == []


async def test_a_page_that_was_read_while_the_feed_was_polled_is_read_again(
    pipe: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe.publish("1")
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    await pipe.read()
    pipe.publish("1", summary="The summary was changed.")
    monkeypatch.setattr(pipe.app.store.pages, "texts", lambda *_: {})  # asked before the page was read
    await pipe.poll()
    assert pipe.story.page_at is None
    (done,) = await pipe.read()
    assert done.result == "read"
    assert "New sanctions" in pipe.story.text
    assert len(pipe.deliveries("alert")) == 1


async def test_a_story_edited_while_its_page_is_read_is_read_again(pipe: Reading) -> None:
    pipe.publish("1")
    pipe.page("1", Answer(html(FOUND), content_type=HTML, delay=0.5))
    await pipe.poll()
    (task,) = await read_due(pipe.app)
    await asyncio.sleep(0.2)
    pipe.publish("1", summary="The summary was changed.")
    await pipe.poll()
    assert (await task).result == "later"
    assert pipe.story.summary == "The summary was changed."
    assert (await pipe.read())[0].result == "read"


# What pages and servers do


async def error_of(pipe: Reading, answer: Answer) -> str:
    """Return why a page is not read now, "" when it is."""
    pipe.publish("1", summary="The harbour authority has announced it. " * 2)
    pipe.page("1", answer)
    await pipe.poll()
    await pipe.read()
    return pipe.row.error


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(html(FOUND, "<meta itemprop='isAccessibleForFree' content='false'>"), content_type=HTML), "paywall"),
        (Answer(html(FOUND), content_type="application/pdf"), "application/pdf, which is no page"),
        # Of which nothing is read: it would be too large, and take a day.
        (Answer(b"x" * 5_000_001, content_type="video/mp4", drip=0.02), "video/mp4, which is no page"),
        (Answer(html("The harbour authority."), content_type=HTML), "no more than the feed"),
        (Answer(b"<html></html>", content_type=HTML), "no article"),
        (Answer(html("Our shop has shoes and shirts at low prices. " * 9, title="Shop"), content_type=HTML), "else"),
        (Answer(status=403), "refuses us"),
        (Answer(b"<p>" + b"x" * 5_000_001, content_type=HTML), "larger than 5 MB"),
    ],
)
async def test_what_is_not_the_article_is_not_taken_for_it(pipe: Reading, answer: Answer, said: str) -> None:
    assert said in await error_of(pipe, answer)
    assert pipe.row.due_at is None
    assert pipe.story.page_at is None
    assert pipe.story.text == ""
    assert pipe.deliveries("alert") == []


@pytest.mark.parametrize("target", ["http://127.0.0.2/x", "http://169.254.169.254/latest", "file:///etc/passwd"])
async def test_a_redirect_to_a_private_address_or_a_file_is_not_followed(pipe: Reading, target: str) -> None:
    assert "redirected" in await error_of(pipe, Answer(status=302, headers={"Location": target})) or (
        "private or reserved" in pipe.row.error
    )
    assert pipe.row.due_at is None


async def test_a_page_that_fails_is_tried_again_later_each_time_and_then_given_up(pipe: Reading) -> None:
    assert "trouble of its own" in await error_of(pipe, Answer(status=500))
    for number, wait in enumerate(TRIES, 1):
        due = pipe.row.due_at
        assert due is not None
        assert pipe.row.tries == number
        assert timedelta(seconds=wait) <= due - pipe.time <= timedelta(seconds=1.1 * wait)
        assert await pipe.read() == []
        pipe.time = due
        await pipe.read()
    assert pipe.row.due_at is None
    assert pipe.server.count("/news/1") == len(TRIES) + 1


async def test_a_429_rests_the_site_for_feeds_and_pages_alike(pipe: Reading) -> None:
    await error_of(pipe, Answer(status=429, headers={"Retry-After": "7200"}))
    assert (await poll(pipe.app, "wire")).result == "resting"
    pipe.forward(hours=1, minutes=59)
    assert await pipe.read() == []
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    pipe.forward(minutes=2)
    assert [done.result for done in await pipe.read()] == ["read"]


async def test_a_page_waits_while_its_site_rests(pipe: Reading) -> None:
    pipe.publish("1")
    await pipe.poll()
    pipe.app.store.feeds.set_rest("127.0.0.1", pipe.time + timedelta(hours=1), pipe.time)
    assert [done.result for done in await pipe.read()] == ["later"]
    assert pipe.server.count("/news/1") == 0
    assert (pipe.row.due_at, pipe.row.tries) == (pipe.time + timedelta(hours=1), 0)


async def test_a_page_that_kills_its_worker_costs_only_itself(pipe: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.pipeline.read.READ_DEADLINE", 0.3)
    huge = html("<p>The harbour authority announces measures.</p>" * 90_000)
    assert "longer than 0.3 seconds" in await error_of(pipe, Answer(huge, content_type=HTML))
    assert pipe.row.due_at is not None


async def test_a_feed_that_asks_for_no_pages_any_more_gets_none(pipe: Reading) -> None:
    pipe.publish("1")
    await pipe.poll()
    pipe.reload(feeds=feed(pipe.server, "never"))
    assert [done.result for done in await pipe.read()] == ["given up"]
    assert pipe.server.count("/news/1") == 0


# Manners


@pytest.mark.parametrize(
    ("robots", "result"),
    [
        (Answer(b"User-agent: *\nDisallow: /news/"), "given up"),
        (Answer(b"User-agent: NewsMonitor\nDisallow: /\n\nUser-agent: *\nDisallow:"), "given up"),
        (Answer(b"User-agent: *\nDisallow: /admin/"), "read"),
        (Answer(status=404), "read"),
        (Answer(status=403), "read"),
        (Answer(status=500), "later"),
        (Answer(status=503), "later"),
    ],
)
async def test_robots_txt_is_kept_to(pipe: Reading, robots: Answer, result: str) -> None:
    pipe.server.route("/robots.txt", robots)
    pipe.publish("1")
    pipe.page("1", Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    assert [done.result for done in await pipe.read()] == [result]
    assert pipe.server.count("/news/1") == (result == "read")
    if result != "read":
        assert "robots.txt" in pipe.row.error


async def test_robots_txt_is_asked_for_once_a_day_and_host(pipe: Reading) -> None:
    pipe.publish("1", "2", "3")
    for name in "123":
        pipe.page(name, Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    await read_all(pipe.app)
    assert pipe.server.count("/robots.txt") == 1
    assert all(story.page_at for story in pipe.rows(Story))


async def test_a_host_with_a_crawl_delay_gets_it_between_two_pages(
    pipe: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.pipeline.read.LONGEST_PAUSE", 0.7)
    pipe.server.route("/robots.txt", Answer(b"User-agent: *\nCrawl-delay: 30\nDisallow: /x"))
    pipe.publish("1", "2")
    for name in ("1", "2"):
        pipe.page(name, Answer(html(FOUND), content_type=HTML))
    await pipe.poll()
    assert [done.result for done in await pipe.read()] == ["read"]
    assert await pipe.read() == []
    await asyncio.sleep(1)
    assert [done.result for done in await pipe.read()] == ["read"]


async def test_robots_txt_of_where_a_page_redirects_to_counts_too(pipe: Reading) -> None:
    with FeedServer() as other:
        other.route("/robots.txt", Answer(b"User-agent: *\nDisallow: /"))
        other.route("/x", Answer(html(FOUND), content_type=HTML))
        assert "robots.txt" in await error_of(pipe, Answer(status=302, headers={"Location": other.url("/x")}))
    assert pipe.row.due_at is None


async def test_a_host_gets_one_request_at_a_time_with_a_gap_and_others_do_not_wait(
    tmp_path: Path, server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.hosts.PAGE_GAP", 0.3)
    with FeedServer() as other:
        pipe = Reading(tmp_path, feeds=feed(server))
        items = [(server.url(f"/news/{n}"), f"{HEADLINE} {n}") for n in range(40)]
        items += [(other.url("/x").replace("127.0.0.1", "localhost"), HEADLINE)]
        server.route("/feed.xml", Answer(rss(*items)))
        for path in range(40):
            server.route(f"/news/{path}", Answer(html(FOUND), content_type=HTML))
        other.route("/x", Answer(html(FOUND), content_type=HTML))
        pipe.reload(monitor=make.MONITOR.replace("[127.0.0.1]", "[127.0.0.1, '::1']"))
        pipe.server = server
        await pipe.poll()
        tasks = await read_due(pipe.app)
        assert len(tasks) == 2
        assert await read_due(pipe.app) == []
        await asyncio.gather(*tasks)
        assert other.count("/x") == 1
        await asyncio.gather(*await read_due(pipe.app))
        starts = [asked.at for asked in server.asked if asked.path != "/feed.xml"]
        assert len(starts) == 3  # robots.txt and two pages
        assert all(later - earlier > 0.25 for earlier, later in itertools.pairwise(starts))
        await pipe.app.close()


async def test_the_page_goes_with_its_story(pipe: Reading) -> None:
    pipe.publish("1")
    await pipe.poll()
    later = pipe.time + timedelta(days=1)
    assert pipe.app.store.archive.prune(later, later) == (1, 0)
    assert pipe.rows(Page) == []
