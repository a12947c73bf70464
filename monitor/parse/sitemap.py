"""News sitemaps: sitemaps.org's list of pages with Google's `news:` tags, which holds a site's stories of two days."""

from __future__ import annotations

import contextlib
import io
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element, ParseError, iterparse

from monitor.parse import mend
from monitor.parse.dates import parse_date
from monitor.parse.raw import RawEntry, RawFeed
from monitor.urls import resolve

MOST = 2_000
LISTED = 50_000  # sitemaps.org's own limit of an index
SITEMAPS = 10  # of an index, that are followed
FRESH = timedelta(days=2)  # a news sitemap holds two days: what changed so long before the latest has no news
PAGES, INDEX = "urlset", "sitemapindex"  # the names of root elements


def read(text: str) -> RawFeed | None:
    """Return the stories of a news sitemap; None for one that lists pages without a word on them."""
    text, cut = mend.mend(text, MOST, mend.PAGES)
    entries: list[RawEntry] = []
    problems, title, language, pages = [], "", "", 0
    try:
        # `mend` leaves no DOCTYPE but short entities, so that nothing is loaded and nothing grows.
        for _, element in iterparse(io.BytesIO(text.encode("utf-8", "replace"))):  # noqa: S314
            if _name(element) != "url":
                continue
            pages += 1
            if news := _news(element):
                title, language = title or news.get("name", ""), language or news.get("language", "")
                entries.append(_entry(news, language))
    except ParseError as error:
        problems.append(f"the document is malformed ({error}); what could be read was read")
    if not entries and (pages or problems or "sitemap-news" not in text):
        return None
    if cut:
        problems.append(f"only the first and last {MOST // 2} of {MOST + cut} stories are read")
    return RawFeed("sitemap", title, "", language, entries, problems)


def index(text: str, url: str) -> tuple[str, ...]:
    """Return the sitemaps of an index that may hold news, the likeliest first: by name, then the latest changed."""
    text, _ = mend.mend(text, LISTED, mend.SITEMAPS)
    listed: list[tuple[str, datetime | None]] = []
    with contextlib.suppress(ParseError):
        for _, element in iterparse(io.BytesIO(text.encode("utf-8", "replace"))):  # noqa: S314 - as above
            if _name(element) == "sitemap":
                said = {_name(one): (one.text or "").strip() for one in element}
                listed.append((resolve(url, said.get("loc", "")), parse_date(said.get("lastmod", ""))))
    latest = max((changed for _, changed in listed if changed), default=None)
    likely = [
        (address, changed or latest)
        for address, changed in listed
        if address and (changed is None or latest is None or changed >= latest - FRESH)
    ]
    likely.sort(key=lambda one: ("news" not in one[0].lower(), -one[1].timestamp() if one[1] else 0.0))
    return tuple(dict.fromkeys(address for address, _ in likely))[:SITEMAPS]


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _news(page: Element) -> dict[str, str]:
    """Return what a page's `news:` tags say, by their names, and its address as `loc`; nothing where it has none."""
    said = {_name(one): (one.text or "").strip() for one in page.iter() if "sitemap-news" in one.tag}
    address = next((one.text or "" for one in page if _name(one) == "loc"), "").strip()
    return {**said, "loc": address} if said else {}


def _entry(news: dict[str, str], language: str) -> RawEntry:
    own = news.get("language", "")
    return RawEntry(
        guid=news["loc"],
        link=news["loc"],
        title=news.get("title", ""),
        published_raw=news.get("publication_date", ""),
        tags=[tag for tag in news.get("keywords", "").split(",") if tag.strip()],
        language="" if own == language else own,
    )
