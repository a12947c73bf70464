"""News sitemaps: sitemaps.org's list of pages with Google's `news:` tags, which holds a site's stories of two days."""

from __future__ import annotations

import io
from xml.etree.ElementTree import Element, ParseError, iterparse

from monitor.parse.mend import PAGES, mend
from monitor.parse.raw import RawEntry, RawFeed

MOST = 2_000
ROOTS = ("urlset", "sitemapindex")


def read(text: str) -> RawFeed | None:
    """Return the stories of a news sitemap; None for one that lists pages without a word on them, or other sitemaps."""
    text, cut = mend(text, MOST, PAGES)
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
        problems.append(f"only the first {MOST} of {MOST + cut} stories are read")
    return RawFeed("sitemap", title, "", language, entries, problems)


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
