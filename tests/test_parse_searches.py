"""What Google News, GDELT and YouTube answer, read as their publishers' stories. They have the sites' shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.models import Sighting, Story
from monitor.parse import ParsedStory, parse_feed
from monitor.pipeline import Incoming, ingest, match_stories
from tests.pipe import Pipe

CLAIMED = "Wed, 25 Nov 2026 05:00:00 GMT"


def google(*items: tuple[str, str, str], published: str = CLAIMED) -> bytes:
    """Return a search's document of (id, headline, publisher)."""
    inside = "".join(
        f"<item><title>{title} - {source}</title><link>https://news.google.com/rss/articles/{one}?oc=5</link>"
        f'<guid isPermaLink="false">{one}</guid><pubDate>{published}</pubDate><description>&lt;a href="https://'
        f'news.google.com/rss/articles/{one}?oc=5" target="_blank"&gt;{title}&lt;/a&gt;&amp;nbsp;&amp;nbsp;&lt;font '
        f'color="#6f6f6f"&gt;{source}&lt;/font&gt;</description><source url="https://wire.example">{source}</source>'
        "</item>"
        for one, title, source in items
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><rss version="2.0" xmlns:media="http://search.yahoo.com/'
        'mrss/"><channel><generator>NFE/5.0</generator><title>"troops" - Google News</title><link>https://news.google.'
        "com/search?q=troops&amp;hl=en-US&amp;gl=US&amp;ceid=US:en</link><language>en-US</language><description>Google "
        f"News</description>{inside}</channel></rss>"
    ).encode()


def only(body: bytes) -> ParsedStory:
    parsed = parse_feed(body, "http://127.0.0.1/rss/search")
    assert (parsed.readable, parsed.problems) == (True, ())
    (story,) = parsed.stories
    return story


@pytest.mark.parametrize(
    ("title", "source"),
    [
        ("Troops sent to the frontier", "Northern Wire"),
        ("Markets - what now?", "S&amp;P Global"),
        ("Post - Post", "Post"),
    ],
)
def test_a_story_of_google_news_is_told_as_its_publisher_tells_it(title: str, source: str) -> None:
    story = only(google(("CBMiAAA", title, source)))
    assert (story.title, story.source, story.summary) == (title, source.replace("&amp;", "&"), "")
    assert (story.guid, story.url) == ("CBMiAAA", "https://news.google.com/rss/articles/CBMiAAA?oc=5")


def test_a_story_under_another_id_of_google_news_is_the_same_and_a_standing_headline_is_another() -> None:
    one, again = only(google(("A", "Morning briefing", "Wire"))), only(google(("B", "Morning briefing", "Wire")))
    assert one.guid != again.guid
    assert one.key_url == again.key_url != ""
    other = only(google(("C", "Morning briefing", "Post")))
    later = only(google(("D", "Morning briefing", "Wire"), published="Thu, 26 Nov 2026 05:00:00 GMT"))
    assert len({one.key_url, other.key_url, later.key_url}) == 3


ARTICLE = {
    "url": "https://wire.example/a?id=1",
    "url_mobile": "",
    "title": "Envían tropas a la frontera , dice <b>",
    "seendate": "20261125T091500Z",
    "socialimage": "https://wire.example/a.jpg",
    "domain": "wire.example",
    "language": "Spanish",
    "sourcecountry": "Spain",
}


def test_an_article_of_gdelt_is_a_story_of_its_site() -> None:
    story = only(json.dumps({"articles": [ARTICLE]}).encode())
    assert story == ParsedStory(
        guid="https://wire.example/a?id=1",
        url="https://wire.example/a?id=1",
        title="Envían tropas a la frontera , dice <b>",
        published_raw="2026-11-25T09:15:00Z",
        published=datetime(2026, 11, 25, 9, 15, tzinfo=UTC),
        language="es",
        key_url="https://wire.example/a?id=1",
        source="wire.example",
    )


def test_what_gdelt_answers_beside_articles() -> None:
    nothing = parse_feed(b"{}\n", "http://127.0.0.1/doc", "application/json")
    assert (nothing.readable, nothing.stories) == (True, ())
    said = parse_feed(b"Please limit requests to one every 5 seconds or contact us.\n", "", "text/html")
    assert not said.readable
    assert said.problems == (
        "The document is not a feed: it says “Please limit requests to one every 5 seconds or contact us.”.",
    )
    odd = parse_feed(json.dumps({"articles": [ARTICLE, 7, {"url": 3}, {**ARTICLE, "language": "Klingon"}]}).encode())
    assert [story.language for story in odd.stories] == ["es", ""]
    many = {"articles": [{**ARTICLE, "url": f"https://wire.example/{n}"} for n in range(1_200)]}
    long = parse_feed(json.dumps(many).encode())
    assert (len(long.stories), long.problems) == (1_000, ("only 1000 of 1200 stories are read",))


def test_a_video_of_youtube_is_a_story() -> None:
    story = only(
        b'<?xml version="1.0" encoding="UTF-8"?><feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns:media='
        b'"http://search.yahoo.com/mrss/" xmlns="http://www.w3.org/2005/Atom"><link rel="self" href="http://www.youtube'
        b'.com/feeds/videos.xml?channel_id=UC16niRr50-MSBwiO3YDb3RA"/><id>yt:channel:16niRr50-MSBwiO3YDb3RA</id><title>'
        b"Wire</title><entry><id>yt:video:dQw4w9WgXcQ</id><yt:videoId>dQw4w9WgXcQ</yt:videoId><title>Troops leave"
        b'</title><link rel="alternate" href="https://www.youtube.com/watch?v=dQw4w9WgXcQ"/><author><name>Wire'
        b"</name></author><published>2026-11-25T08:00:00+00:00</published><media:group><media:description>The "
        b"whole address</media:description></media:group></entry></feed>"
    )
    assert (story.guid, story.title) == ("yt:video:dQw4w9WgXcQ", "Troops leave")
    assert story.url == "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    assert story.summary == "The whole address"


async def test_the_publisher_of_a_searchs_story_is_its_source_and_of_no_other_feeds(tmp_path: Path) -> None:
    feeds = """
feeds:
  search: {google_news: troops, source: Google News}
  wire: {url: "http://feeds.example/wire.xml", source: Northern Wire}
"""
    pipe = Pipe(tmp_path, feeds=feeds)
    parsed = parse_feed(google(("A", "Troops sent", "Harbour Post")))
    for name in ("search", "wire"):
        feed = pipe.app.config.feeds[name]
        (ready,) = match_stories(pipe.app.rules, feed, parsed.stories, "en", {})
        assert ready.text.source == {"search": "Harbour Post", "wire": "Northern Wire"}[name]
    again = parse_feed(google(("B", "Troops sent", "Harbour Post")))
    for document in (parsed, again):
        feed = pipe.app.config.feeds["search"]
        ready_all = match_stories(pipe.app.rules, feed, document.stories, "en", {})
        listed = [story.guid for story in document.stories]
        ingest(pipe.app, [Incoming(pipe.app.config, feed, ready_all, {}, baseline=False, listed=listed)])
    assert [story.source for story in pipe.rows(Story)] == ["Harbour Post"]
    assert [sighting.guid for sighting in pipe.rows(Sighting)] == ["A", "B"]
    await pipe.app.close()
