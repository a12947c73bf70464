"""Pages → articles: real ones with the text that people marked, and those that hold something else in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.article import extract
from tests.benchmarks.articles import read_all

STORY = "The harbour authority said on Tuesday that forty soldiers would guard the northern quay. " * 12
TEASER = "The harbour authority said on Tuesday that forty soldiers would guard the northern quay. " * 4


def page(body: str, head: str = "", title: str = "Soldiers to guard the quay") -> bytes:
    return f"<html lang='en-GB'><head><title>{title}</title>{head}</head><body>{body}</body></html>".encode()


def article(text: str) -> str:
    return f"<article><h1>Soldiers to guard the quay</h1><p>{text}</p></article>"


def test_a_page_gives_its_article_and_what_it_says_of_it() -> None:
    head = (
        "<link rel='canonical' href='/news/quay'>"
        "<meta property='article:published_time' content='2026-11-25T09:30:00+01:00'>"
    )
    found = extract(
        page(f"<nav>Home World Sport</nav>{article(STORY)}<footer>All rights</footer>", head), "https://n.example/x"
    )
    assert found.text.count("northern quay") == 12
    assert "Home World" not in found.text
    assert found.title == "Soldiers to guard the quay"
    assert (found.published, found.language) == ("2026-11-25T08:30:00Z", "en-GB")
    assert found.canonical_url == "https://n.example/news/quay"
    assert not found.paywalled


def test_real_pages_are_read_as_well_as_measured(shared_data: Path) -> None:
    pages = list(read_all(shared_data / "pages"))
    assert sum(page.score.f1 for page in pages) / len(pages) >= 0.94
    assert {page.name for page in pages if page.article.paywalled} == {page.name for page in pages if page.not_free}
    assert all(page.article.text for page in pages)


@pytest.mark.parametrize(
    "said",
    [
        '<script type="application/ld+json">{"@type": "NewsArticle", "isAccessibleForFree": false}</script>',
        '<script type="application/ld+json">{"isAccessibleForFree":"False"}</script>',
        '<script type="application/ld+json">{"isAccessibleForFree": "http://schema.org/False"}</script>',
        '<meta itemprop="isAccessibleForFree" content="false">',
        '<meta property="article:content_tier" content="locked">',
    ],
)
def test_a_page_that_says_that_it_is_not_free_is_behind_a_paywall(said: str) -> None:
    assert extract(page(article(STORY), said)).paywalled


@pytest.mark.parametrize(
    "said",
    [
        '<script type="application/ld+json">{"isAccessibleForFree": true}</script>',
        '<script type="application/ld+json">{"isAccessibleForFree": "", "headline": "false"}</script>',
        '<meta property="article:content_tier" content="metered">',
    ],
)
def test_a_page_that_says_that_it_is_free_is_taken_at_its_word(said: str) -> None:
    assert not extract(page(article(STORY), said)).paywalled


@pytest.mark.parametrize(
    "wall",
    [
        "Subscribe now to continue reading",
        "Already a subscriber? Log in",
        "Jetzt weiterlesen mit dem Probemonat",
        "Cet article est réservé aux abonnés",
        "Contenido exclusivo para suscriptores",
        "この記事は会員限定です",
    ],
)
def test_a_teaser_that_asks_to_subscribe_is_behind_a_paywall_and_a_whole_article_is_not(wall: str) -> None:
    asked = f"<div class='offer'><h3>{wall}</h3></div>"
    assert extract(page(article(TEASER) + asked)).paywalled
    assert not extract(page(article(STORY * 3) + asked)).paywalled
    hidden = f"<script>var text = {wall!r};</script>"
    assert not extract(page(article(TEASER) + hidden)).paywalled


COOKIES = (
    "We and our 812 partners store and access personal data, such as cookies, on your device. With your consent we and "
    "our partners may use precise geolocation. You can change your consent at any time in our privacy policy. "
) * 2


@pytest.mark.parametrize(
    "shown",
    [
        f"<main><h1>Before you continue</h1><p>{COOKIES}</p><button>Accept all</button></main>",
        "<main><h1>news.example</h1><p>Verify you are human by completing the action below. news.example needs to "
        "review the security of your connection before proceeding.</p></main>",
        "<main><p>Please enable JavaScript and cookies to continue to the site that you asked for.</p></main>",
    ],
)
def test_a_cookie_wall_or_a_check_for_robots_is_no_article(shown: str) -> None:
    assert extract(page(shown, title="Before you continue")).text == ""


def test_an_article_about_cookies_is_an_article() -> None:
    about = "The regulator fined the retailer for cookies that its pages set before anybody had agreed to them. " * 8
    assert "regulator" in extract(page(article(about))).text


@pytest.mark.parametrize("html", [b"", b"\x00\xff" * 400, b"<html>", b"<div>" * 3000, b"{}"])
def test_what_is_no_page_has_no_article(html: bytes) -> None:
    assert extract(html).text == ""
