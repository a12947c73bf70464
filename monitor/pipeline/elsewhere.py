"""Where a feed's address leads to what is no feed: on to the feed of a web page, to the sitemaps of an index."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from monitor.app import App
from monitor.config import Feed
from monitor.fetch import Failed, Fetched
from monitor.parse import ParsedFeed, join_sitemaps

log = logging.getLogger(__name__)

FEEDS_TRIED = 3  # of those that a page leads to
Read = Callable[[Fetched], Awaitable[ParsedFeed | Failed]]


@dataclass(frozen=True, slots=True)
class Found:
    """A document with stories, and the address that was asked for it."""

    url: str
    answer: Fetched
    parsed: ParsedFeed


async def follow(app: App, feed: Feed, answer: Fetched, parsed: ParsedFeed, read: Read) -> Found | Failed:
    """Return the document that `parsed`, which holds no stories, leads to, as `read` gives it; a failure where none is.

    Only a `url:` may be a page: what a search answers in place of stories (a consent form) is no way to them.
    """
    if parsed.kind == "index":
        return await _sitemaps(app, answer, parsed, read)
    if parsed.kind == "page" and feed.url is not None:
        return await _feed_of_page(app, feed, answer, parsed, read)
    return Failed(_said(parsed), answer.status, "hard")


def _said(parsed: ParsedFeed) -> str:
    return " ".join(parsed.problems) or "the document is not a feed"


def _because(failed: Failed, reason: str) -> Failed:
    """Return the failure of what was declared, by that of where it led to; only the latter may be gone."""
    return replace(failed, reason=reason, kind="hard" if failed.kind == "gone" else failed.kind)


async def _get(app: App, url: str, read: Read) -> Found | Failed:
    answer = await app.fetch(url, doubtful=True, resting=await app.rests())
    if not isinstance(answer, Fetched):
        return answer if isinstance(answer, Failed) else Failed("the server says that nothing changed, unasked")
    parsed = await read(answer)
    if isinstance(parsed, Failed):
        return parsed
    return Found(url, answer, parsed) if parsed.readable else Failed(_said(parsed), answer.status)


async def _feed_of_page(app: App, feed: Feed, answer: Fetched, page: ParsedFeed, read: Read) -> Found | Failed:
    first: Failed | None = None
    for url in page.elsewhere[:FEEDS_TRIED]:
        found = await _get(app, url, read)
        if isinstance(found, Failed):
            first = first or found
            continue
        others = [one for one in page.elsewhere if one != url]
        more = (f"the page also leads to {', '.join(others)}",) if others else ()
        said = ("its address is a web page", f"its feed is {url}: write `url: {url}` in feeds.yaml", *more)
        log.warning("%s: %s", feed.name, "; ".join(said))
        return replace(found, parsed=replace(found.parsed, problems=(*found.parsed.problems, *more)))
    if first is None:
        return Failed(_said(page), answer.status, "hard")
    return _because(first, f"{_said(page)} The first of these: {first.reason}")


async def _sitemaps(app: App, answer: Fetched, index: ParsedFeed, read: Read) -> Found | Failed:
    """Return the stories of an index's sitemaps, one level deep; they are asked for each time, so none is missed."""
    found = [await _get(app, url, read) for url in index.elsewhere]
    failures = [one for one in found if isinstance(one, Failed)]
    documents = [one.parsed for one in found if isinstance(one, Found)]
    if not documents:
        if not failures:
            return Failed(f"{_said(index)} It lists none.", answer.status, "hard")
        return _because(failures[0], f"{_said(index)} None of its sitemaps can be read: {failures[0].reason}")
    # Without validators: the index may stay as it is while its sitemaps change.
    whole = replace(answer, etag=None, last_modified=None, body_hash="")
    said = tuple(f"a sitemap of the index cannot be read: {one.reason}" for one in failures[:1])
    return Found(answer.url, whole, join_sitemaps(documents, said))
