"""Feeds whose address is a web page, and sitemaps by their index: what is found, used and said."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor import service
from monitor.models import FeedState, Story
from monitor.parse import ParsedFeed, parse_feed
from monitor.parse.discover import ELEMENTS, MOST
from monitor.pipeline import poll
from monitor.pipeline.poll import Polled
from tests import make
from tests.fakes import Answer, FeedServer
from tests.pipe import Pipe

HOME = "https://wire.example/"
LINK = '<link rel="alternate" type="application/{}" title="{}" href="{}">'


def page(head: str = "", body: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head><title>Wire</title>{head}</head><body>{body}</body></html>".encode()


def found(head: str = "", body: str = "", url: str = HOME) -> tuple[str, ...]:
    parsed = parse_feed(page(head, body), url, "text/html")
    assert (parsed.readable, parsed.kind) == (False, "page")
    return parsed.elsewhere


# Pages


def test_what_a_page_announces_is_found_and_feeds_of_comments_come_last() -> None:
    head = (
        LINK.format("rss+xml", "Wire » Comments Feed", "/comments/feed/")
        + LINK.format("json", "API", "/wp-json/")
        + '<link rel=stylesheet href="/feed.css"><link rel="alternate" hreflang="de" href="/de/">'
        + "<LINK HREF='world.xml' TYPE=' Application/RSS+XML; charset=utf-8' REL='home ALTERNATE'>"
        + LINK.format("atom+xml", "Atom", "//feeds.example/atom?a=1&amp;b=2")
        + LINK.format("feed+json", "JSON", "https://wire.example/feed.json")
        + LINK.format("rss+xml", "again", "/world.xml")
        + LINK.format("rss+xml", "no address", "javascript:alert(1)")
    )
    assert found(head, '<a href="/rss">RSS</a>') == (
        "https://wire.example/world.xml",
        "https://feeds.example/atom?a=1&b=2",
        "https://wire.example/feed.json",
        "https://wire.example/comments/feed/",
    )


def test_addresses_are_relative_to_the_pages_base() -> None:
    head = '<base href="/news/">' + LINK.format("rss+xml", "", "rss.xml")
    assert found(head, url="https://wire.example/about/") == ("https://wire.example/news/rss.xml",)


def test_without_announcements_links_of_the_site_that_look_like_feeds_are_found() -> None:
    links = "/rss.xml /feeds/world /feedback https://feeds.wire.example/index.rdf?x=1 /?feed=rss2 /feeders /blog/atom/"
    body = "".join(f'<p><a href="{link}">x</a>' for link in (*links.split(), "https://other.example/rss"))
    assert found(body=body) == (
        "https://wire.example/rss.xml",
        "https://wire.example/feeds/world",
        "https://feeds.wire.example/index.rdf?x=1",
        "https://wire.example/?feed=rss2",
        "https://wire.example/blog/atom/",
    )


def test_a_page_that_leads_to_no_feed_says_that_nothing_was_guessed() -> None:
    parsed = parse_feed(page(body='<a href="/about">About</a>'), HOME)
    assert parsed.elsewhere == ()
    assert parsed.problems[0].endswith("It leads to none; usual addresses such as /feed are not tried unasked.")


def test_hostile_pages_are_read_within_bounds() -> None:
    link = LINK.format("rss+xml", "x", "/{}.xml")
    assert len(found("".join(link.replace("{}", str(n)) for n in range(1_000)))) == MOST
    assert found(body="<a href=/about>" * (ELEMENTS + 1) + "<a href=/rss>") == ()
    assert found(LINK.format("rss+xml", "x", "/1.xml"), "<div>" * 200_000) == ("https://wire.example/1.xml",)
    assert found("<link rel=alternate type=application/rss+xml " + "a=1 " * 100_000 + "href=/2.xml>", "&#xD800;\x00")
    assert parse_feed(b"<html><!--" + b"<link " * 100_000, HOME).kind == "page"


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as running:
        yield running


class Polling(Pipe):
    async def poll(self) -> Polled:
        return await poll(self.app, "wire")

    @property
    def state(self) -> FeedState:
        state = self.app.store.feeds.get("wire")
        assert state is not None
        return state

    @property
    def titles(self) -> list[str]:
        return sorted(story.title for story in self.rows(Story))


@pytest.fixture
async def pipe(tmp_path: Path, server: FeedServer) -> AsyncIterator[Polling]:
    opened = Polling(tmp_path, feeds=f"feeds: {{wire: {{url: '{server.url('/')}', source: Wire}}}}")
    yield opened
    await opened.app.close()


def serve(server: FeedServer, *links: str) -> None:
    head = "".join(LINK.format("rss+xml", "x", link) for link in links)
    server.route("/", Answer(page(head), content_type="text/html"))


async def test_a_feed_whose_address_is_a_page_is_read_from_the_feed_that_the_page_announces(
    server: FeedServer, pipe: Polling, caplog: pytest.LogCaptureFixture
) -> None:
    serve(server, "/world.xml", "/sport.xml")
    world = server.route("/world.xml", Answer(make.rss(("1", "Old news")), etag='"1"'))
    with caplog.at_level(logging.WARNING):
        polled = await pipe.poll()
    assert (polled.result, polled.baseline, pipe.titles) == ("stories", True, ["Old news"])
    write = f"write `url: {world}` in feeds.yaml"
    assert write in caplog.text
    assert server.url("/sport.xml") in caplog.text
    (health,) = service.feed_health(pipe.app)
    assert (health.state, health.url) == ("healthy", server.url("/"))
    assert write in health.note
    assert f"the page also leads to {server.url('/sport.xml')}" in health.note
    # From now on the feed is asked, with its own validators, and the page is not.
    assert (await pipe.poll()).result == "unchanged"
    server.route("/world.xml", Answer(make.rss(("1", "Old news"), ("2", "Sanctions agreed")), etag='"2"'))
    assert (await pipe.poll()).result == "stories"
    assert server.count("/") == 1
    assert write in str(pipe.state.note)
    assert pipe.told("alert") == [("ruth", ["Sanctions agreed"])]


async def test_where_the_page_led_is_given_up_for_what_it_announces_now(server: FeedServer, pipe: Polling) -> None:
    serve(server, "/world.xml")
    server.route("/world.xml", Answer(make.rss(("1", "Old news"))))
    await pipe.poll()
    serve(server, "/new.xml")
    server.route("/world.xml", Answer(status=404))
    server.route("/new.xml", Answer(make.rss(("1", "Old news"), ("2", "Sanctions agreed"))))
    assert [(await pipe.poll()).result for _ in range(4)] == ["failed", "failed", "failed", "stories"]
    assert pipe.told("alert") == [("ruth", ["Sanctions agreed"])]
    assert pipe.state.address == server.url("/new.xml")


async def test_a_page_that_becomes_a_feed_is_read_itself(server: FeedServer, pipe: Polling) -> None:
    serve(server, "/gone.xml", "/page", "/world.xml")
    server.route("/gone.xml", Answer(status=410))
    server.route("/page", Answer(page(), content_type="text/html"))
    server.route("/world.xml", Answer(make.rss(("1", "Old news"))))
    assert (await pipe.poll()).result == "stories"
    assert pipe.state.address == server.url("/world.xml")
    server.route("/world.xml", Answer(status=404))
    server.route("/", Answer(make.rss(("1", "Old news"), ("2", "More news"))))
    assert [(await pipe.poll()).result for _ in range(4)] == ["failed", "failed", "failed", "stories"]
    assert pipe.state.address is None
    assert pipe.state.note is None


async def test_a_page_none_of_whose_feeds_can_be_read_fails_with_what_it_leads_to(
    server: FeedServer, pipe: Polling
) -> None:
    serve(server, *(f"/{n}.xml" for n in range(6)))
    server.route("/0.xml", Answer(status=410))
    polled = await pipe.poll()
    assert polled.result == "failed"
    assert "web page, not a feed" in polled.error
    assert server.url("/5.xml") in polled.error
    assert "gone for good" in polled.error
    assert (pipe.state.gone_since, pipe.state.address) == (None, None)
    assert len(server.asked) == 4  # the page, and three of its feeds


async def test_a_site_that_wants_to_be_left_alone_is_not_asked_for_the_feed_of_anothers_page(
    server: FeedServer, tmp_path: Path
) -> None:
    serve(server, server.url("/world.xml"))
    home = server.url("/").replace("127.0.0.1", "localhost")
    pipe = Polling(tmp_path, feeds=f"feeds: {{wire: {{url: '{home}', source: Wire}}}}")
    pipe.app.store.feeds.set_rest("127.0.0.1", pipe.time + timedelta(hours=3), pipe.time)
    assert (await pipe.poll()).result == "resting"
    assert [asked.path for asked in server.asked] == ["/"]
    assert pipe.state.failures == 0
    await pipe.app.close()


async def test_a_search_that_answers_with_a_page_is_not_followed(
    server: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(server, "/world.xml")
    server.route("/world.xml", Answer(make.rss(("1", "Old news"))))
    monkeypatch.setattr("monitor.config.addresses.google_news", lambda *_: server.url("/"))
    pipe = Polling(tmp_path, feeds="feeds: {wire: {google_news: troops}}")
    polled = await pipe.poll()
    await pipe.app.close()
    assert polled.result == "failed"
    assert server.count("/world.xml") == 0


# Sitemaps

NEWS = "xmlns:news='http://www.google.com/schemas/sitemap-news/0.9'"


def sitemap(*pages: tuple[str, str]) -> bytes:
    """Return a news sitemap of (address, headline)."""
    inside = "".join(
        f"<url><loc>https://wire.example/{name}</loc><news:news><news:publication><news:name>Wire</news:name>"
        "<news:language>en</news:language></news:publication><news:publication_date>2026-11-25T05:00:00Z"
        f"</news:publication_date><news:title>{title}</news:title></news:news></url>"
        for name, title in pages
    )
    return f"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' {NEWS}>{inside}</urlset>".encode()


def index(*listed: tuple[str, str]) -> bytes:
    """Return an index of (address, lastmod)."""
    inside = "".join(
        f"<sitemap><loc>{url}</loc>{f'<lastmod>{changed}</lastmod>' if changed else ''}</sitemap>"
        for url, changed in listed
    )
    return f"<sitemapindex xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' {NEWS}>{inside}</sitemapindex>".encode()


def indexed(body: bytes) -> ParsedFeed:
    parsed = parse_feed(body, "https://wire.example/sitemap.xml")
    assert (parsed.readable, parsed.kind) == (False, "index")
    return parsed


def test_an_index_leads_to_what_changed_within_two_days_of_the_latest_by_name_and_time() -> None:
    parsed = indexed(
        index(
            ("https://wire.example/2019.xml", "2019-12-31"),
            ("/pages.xml", "2026-11-25"),
            ("https://wire.example/today.xml", "2026-11-25T06:00:00+01:00"),
            ("https://wire.example/undated.xml", ""),
            ("https://wire.example/yesterday-news.xml", "2026-11-24"),
            ("file:///etc/passwd", "2026-11-25"),
        )
    )
    assert [url.removeprefix("https://wire.example/") for url in parsed.elsewhere] == [
        "yesterday-news.xml",
        "today.xml",
        "undated.xml",
        "pages.xml",
    ]
    assert len(indexed(index(*((f"/{n}.xml", "") for n in range(60_000)))).elsewhere) == 10
    assert indexed(b"<sitemapindex><sitemap><loc>/1.xml</loc></sitemap><sitemap>").elsewhere == (
        "https://wire.example/1.xml",
    )


@pytest.fixture
async def by_index(tmp_path: Path, server: FeedServer) -> AsyncIterator[Polling]:
    opened = Polling(tmp_path, feeds=f"feeds: {{wire: {{sitemap: '{server.url('/index.xml')}', source: Wire}}}}")
    yield opened
    await opened.app.close()


async def test_the_sitemaps_of_an_index_are_one_feed_and_none_is_missed_while_the_index_stays(
    server: FeedServer, by_index: Polling
) -> None:
    pipe = by_index
    listed = index((server.url("/a.xml"), ""), (server.url("/b.xml"), ""))
    server.route("/index.xml", Answer(listed, etag='"1"'))
    server.route("/a.xml", Answer(sitemap(("1", "Old news"), ("2", "More news"))))
    server.route("/b.xml", Answer(sitemap(("2", "More news"), ("3", "Other news"))))
    assert (await pipe.poll()).result == "stories"
    assert pipe.titles == ["More news", "Old news", "Other news"]
    server.route("/b.xml", Answer(sitemap(("3", "Other news"), ("4", "Sanctions agreed"))))
    assert (await pipe.poll()).result == "stories"
    assert pipe.told("alert") == [("ruth", ["Sanctions agreed"])]
    assert (pipe.state.stories, pipe.state.note, pipe.state.address) == (4, None, None)


async def test_a_sitemap_that_cannot_be_read_takes_no_other_away_and_is_said(
    server: FeedServer, by_index: Polling
) -> None:
    server.route("/index.xml", Answer(index((server.url("/gone.xml"), ""), (server.url("/a.xml"), ""))))
    server.route("/a.xml", Answer(sitemap(("1", "Old news"))))
    assert (await by_index.poll()).result == "stories"
    assert "a sitemap of the index cannot be read: 127.0.0.1 has nothing at this address" in str(by_index.state.note)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<urlset><url><loc>https://wire.example/about</loc></url></urlset>", "without news tags"),
        (index(("https://wire.example/1.xml", "")), "is an index of sitemaps"),
    ],
)
async def test_an_index_without_news_fails_and_is_followed_one_level_only(
    server: FeedServer, by_index: Polling, body: bytes, said: str
) -> None:
    server.route("/index.xml", Answer(index((server.url("/a.xml"), ""))))
    server.route("/a.xml", Answer(body))
    polled = await by_index.poll()
    assert polled.result == "failed"
    assert said in polled.error
    assert len(server.asked) == 2


async def test_of_all_sitemaps_the_newest_2000_stories_are_read(server: FeedServer, by_index: Polling) -> None:
    for name in ("a", "b"):
        body = sitemap(*((f"{name}{n}", f"Story {name} {n}") for n in range(1_500)))
        early = b"2026-11-25T04:00:00Z" if name == "a" else b"2026-11-25T05:00:00Z"
        server.route(f"/{name}.xml", Answer(body.replace(b"2026-11-25T05:00:00Z", early)))
    server.route("/index.xml", Answer(index((server.url("/a.xml"), ""), (server.url("/b.xml"), ""))))
    assert (await by_index.poll()).result == "stories"
    assert "only the newest 2000 of 3000 stories are read" in str(by_index.state.note)
    assert sum(title.startswith("Story b") for title in by_index.titles) == 1_500
