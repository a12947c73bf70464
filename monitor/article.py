"""A page → its text. The only importer of trafilatura. Pure; slow on hostile input, so call it in a worker."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import trafilatura

from monitor.text import clean
from monitor.urls import resolve

TITLE_LIMIT = 1_000  # characters
TEXT_LIMIT = 200_000
_PAYWALL = re.compile(rb'"isAccessibleForFree"\s{0,9}:\s{0,9}"?false\b', re.IGNORECASE)
_PUBLISHED = re.compile(rb'"datePublished"\s{0,9}:\s{0,9}"([0-9TZ:.+-]{10,35})"')
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Article:
    """What a page says. `published` is the page's own word for it, ISO 8601 in UTC where it gives a time of day, else a
    date; `paywalled` when it says that it is not free. What is not known is empty.
    """

    title: str = ""
    text: str = ""
    published: str = ""
    language: str = ""
    canonical_url: str = ""
    paywalled: bool = False


def extract(html: bytes, url: str = "") -> Article:
    """Return the article in a page, an empty one when there is none. `url` is its address, for relative links."""
    try:
        return _extract(html, url)
    except Exception:  # noqa: BLE001 - lxml and trafilatura raise anything on hostile pages; a bad page has no article
        return Article()


def _extract(html: bytes, url: str) -> Article:
    tree = trafilatura.load_html(html)
    if tree is None:
        return Article()
    # Before trafilatura takes the tree apart.
    said = _time(html, tree)
    language = _language(tree)
    canonical = resolve(url, _first(tree, "//link[@rel='canonical']/@href"))
    found = trafilatura.bare_extraction(
        tree, url=url or None, fast=True, include_comments=False, include_tables=False, with_metadata=True
    )
    facts: dict[str, Any] = {} if found is None else found.as_dict()
    return Article(
        clean(str(facts.get("title") or ""))[:TITLE_LIMIT],
        clean(str(facts.get("text") or ""))[:TEXT_LIMIT],
        said or clean(str(facts.get("date") or "")),
        language,
        canonical,
        bool(_PAYWALL.search(html)),
    )


def _first(tree: Any, path: str) -> str:
    return next((str(value).strip() for value in tree.xpath(path)), "")


def _time(html: bytes, tree: Any) -> str:
    """Return when the page says that it was published (Open Graph, else JSON-LD), "" without a time of day."""
    ours = _PUBLISHED.search(html)
    for text in (_first(tree, "//meta[@property='article:published_time']/@content"), ours and ours[1].decode()):
        try:
            found = datetime.fromisoformat(text or "")
        except ValueError:
            continue
        if found.tzinfo is not None:
            return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _language(tree: Any) -> str:
    for path in ("/html/@lang", "//meta[@property='og:locale']/@content"):
        said = _first(tree, path)
        if _LANGUAGE.fullmatch(said):
            return said.replace("_", "-")
    return ""
