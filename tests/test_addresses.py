"""What a feed that is no plain address is asked by."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from monitor.app import feeds_to_poll
from monitor.config import Feed
from tests import make
from tests.conftest import PROJECT

CHANNEL = "UC16niRr50-MSBwiO3YDb3RA"
PLAYLIST = "PL590L5WQmH8dpP0RyH5pCfIaDEdt9nk7r"


def feed(**facts: str) -> Feed:
    return Feed.model_validate({"name": "wire", **facts}, by_name=True)


@pytest.mark.parametrize(
    ("facts", "edition"),
    [
        ({}, {"hl": "en", "gl": "US", "ceid": "US:en"}),
        ({"language": "de", "country": "AT"}, {"hl": "de", "gl": "AT", "ceid": "AT:de"}),
        ({"language": "pt-BR", "country": "BR"}, {"hl": "pt-BR", "gl": "BR", "ceid": "BR:pt-BR"}),
        ({"language": "zh-Hant", "country": "TW"}, {"hl": "zh-Hant", "gl": "TW", "ceid": "TW:zh-Hant"}),
        ({"language": "fr"}, {"hl": "fr"}),
        ({"country": "IN"}, {"gl": "IN"}),
    ],
)
def test_a_search_of_google_news_is_in_the_edition_of_its_language_and_country(
    facts: dict[str, str], edition: dict[str, str]
) -> None:
    query = 'border "armed forces" -cup site:reuters.com when:1d R&D +C# 50% 制裁'
    found = urlsplit(feed(google_news=query, **facts).address)
    assert (found.scheme, found.netloc, found.path, found.fragment) == ("https", "news.google.com", "/rss/search", "")
    assert {name: value for name, (value,) in parse_qs(found.query, strict_parsing=True).items()} == {
        "q": query,
        **edition,
    }
    assert "site:reuters.com%20when:1d" in found.query  # operators as the site itself writes them


def test_a_search_of_gdelt_asks_for_the_newest_as_json() -> None:
    found = urlsplit(feed(gdelt='"border troops" sourcelang:spanish').address)
    assert found.geturl().startswith("https://api.gdeltproject.org/api/v2/doc/doc?query=%22border%20troops%22%20source")
    assert {name: value for name, (value,) in parse_qs(found.query).items()} == {
        "query": '"border troops" sourcelang:spanish',
        "mode": "artlist",
        "format": "json",
        "sort": "datedesc",
        "timespan": "1d",
        "maxrecords": "250",
    }


def test_a_channel_or_playlist_of_youtube_is_asked_by_its_id() -> None:
    base = "https://www.youtube.com/feeds/videos.xml"
    assert feed(youtube=CHANNEL).address == f"{base}?channel_id={CHANNEL}"
    assert feed(youtube=PLAYLIST).address == f"{base}?playlist_id={PLAYLIST}"


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("@northernwire", "Copy channel ID"),
        ("https://www.youtube.com/@northernwire", "Copy channel ID"),
        (f"https://www.youtube.com/channel/{CHANNEL}", f"write `{CHANNEL}`"),
        (f"https://www.youtube.com/feeds/videos.xml?playlist_id={PLAYLIST}", f"write `{PLAYLIST}`"),
        ("northernwire", "`PL…`"),
        (CHANNEL[:-1], "`UC` and 22 letters"),
    ],
)
def test_a_name_or_address_of_youtube_is_refused_with_what_to_write(written: str, fix: str) -> None:
    with pytest.raises(ValidationError) as caught:
        feed(youtube=written)
    assert fix in caught.value.errors()[0]["ctx"]["fix"]


def test_every_kind_of_feed_is_polled_and_one_that_is_off_is_not(tmp_path: Path) -> None:
    feeds = f"""
feeds:
  search: {{google_news: border troops}}
  world: {{gdelt: border troops}}
  channel: {{youtube: {CHANNEL}}}
  pages: {{sitemap: "https://paper.example/news-sitemap.xml"}}
  wire: {{url: "https://wire.example/rss", enabled: false}}
"""
    polled = feeds_to_poll(make.config(tmp_path, feeds=feeds))
    assert {name: urlsplit(url).netloc for name, url in polled.items()} == {
        "search": "news.google.com",
        "world": "api.gdeltproject.org",
        "channel": "www.youtube.com",
        "pages": "paper.example",
    }


def test_the_same_search_twice_is_warned_of_and_in_another_edition_is_another(tmp_path: Path) -> None:
    feeds = """
feeds:
  english: {google_news: troops}
  german: {google_news: troops, language: de, country: DE}
  again: {google_news: troops}
  other: {gdelt: troops}
"""
    (warning,) = make.config(tmp_path, feeds=feeds).problems
    assert (warning.line, warning.message) == (5, "the feed `english` has the same address")


def test_the_examples_of_the_guide_load(tmp_path: Path) -> None:
    guide = (PROJECT / "docs" / "howto" / "sources.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    config = make.config(tmp_path, feeds=block)
    assert config.problems == ()
    assert len(feeds_to_poll(config)) == 6
