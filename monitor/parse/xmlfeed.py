"""RSS 0.9x, 1.0, 2.0 and Atom, by feedparser, called only as is safe (notes on feeds, section 2)."""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.xmlreader import AttributesNSImpl

import feedparser
import feedparser.api
import feedparser.mixin
import feedparser.parsers.strict

from monitor.parse import google
from monitor.parse.dates import parse_date
from monitor.parse.mend import mend
from monitor.parse.raw import RawEntry, RawFeed
from monitor.urls import host

MOST = 5_000
TAGS = 100  # of an entry; feedparser compares each with all before it
AUTHOR = 512  # characters; feedparser's pattern takes time quadratic in an author's length (kurtmckee/feedparser #562)

# The system's libxml2 driver, which some installations have, reads malformed documents otherwise (#506).
feedparser.api.PREFERRED_XML_PARSERS = []

# Titles that were escaped twice are a commoner mistake than titles about references.
_REFERENCE = re.compile(r"&#?\w{1,32};")
# Elements have a few attributes; the strict parser takes time quadratic in their number.
ATTRIBUTES = 100

_Mixin: Any = feedparser.mixin._FeedParserMixin
# A guid is a name, not a link: resolved against the feed's address, it would change when the feed moves.
_Mixin.can_be_relative_uri = _Mixin.can_be_relative_uri - {"id"}
_author_detail: Callable[..., None] = _Mixin._sync_author_detail
_add_tag: Callable[..., None] = _Mixin._add_tag


def _short_author_detail(self: Any, key: str = "author") -> None:
    context = self._get_context()
    if isinstance(value := context.get(key), str) and len(value) > AUTHOR:
        context[key] = value[:AUTHOR]
    _author_detail(self, key)


def _few_tags(self: Any, *facts: Any) -> None:
    if len(self._get_context().get("tags", ())) < TAGS:
        _add_tag(self, *facts)


def _start_caption(self: Any, _: Any) -> None:
    self.push("media_description", 1)


def _end_caption(self: Any) -> None:
    self.pop("media_description")


# A picture's caption would replace the story's summary.
_Mixin._start_media_description = _start_caption
_Mixin._end_media_description = _end_caption
_Mixin._sync_author_detail = _short_author_detail
_Mixin._add_tag = _few_tags


_Strict: Any = feedparser.parsers.strict._StrictFeedParser
_start_element: Callable[..., None] = _Strict.startElementNS


def _few_attributes(self: Any, name: Any, qname: Any, attrs: Any) -> None:
    if len(attrs) > ATTRIBUTES:
        kept = attrs.getNames()[:ATTRIBUTES]
        attrs = AttributesNSImpl(
            {one: attrs.getValue(one) for one in kept}, {one: attrs.getQNameByName(one) for one in kept}
        )
    _start_element(self, name, qname, attrs)


_Strict.startElementNS = _few_attributes


def read(text: str, url: str) -> RawFeed | None:
    """Return the feed in a document, None when feedparser finds none. Malformed documents keep their entries."""
    text, cut = mend(text, MOST)
    headers = {"content-type": "application/xml; charset=utf-8"}
    if url:
        headers["content-location"] = url
    # Always from a stream: bytes that happen to name a file would be opened.
    found = feedparser.parse(
        io.BytesIO(text.encode("utf-8", "replace")),
        response_headers=headers,
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    version = str(found.get("version") or "")
    if not version and not found.entries:
        return None
    problems = []
    if found.get("bozo"):
        problems.append(
            f"the document is malformed ({_short(found.get('bozo_exception'))}); what could be read was read"
        )
    if cut:
        problems.append(f"only the first and last {MOST // 2} of {MOST + cut} stories are read")
    base = str(found.feed.get("link") or "")
    language = str(found.feed.get("language") or "")
    entries = [_entry(entry, language) for entry in found.entries[:MOST]]
    title = str(found.feed.get("title") or "")
    address, hub = _linked(found.feed, "self"), _linked(found.feed, "hub")
    if host(base) == google.HOST:
        entries = [google.plain(entry) for entry in entries]
    return RawFeed(version or "unknown", title, base, language, entries, problems, address, _ttl(found.feed), hub)


def _ttl(feed: Mapping[str, Any]) -> float:
    """Return the seconds of RSS's `ttl`, which is in minutes."""
    said = str(feed.get("ttl") or "").strip()
    return 60.0 * int(said) if said.isascii() and said.isdecimal() and len(said) <= 7 else 0.0


def _linked(feed: Mapping[str, Any], relation: str) -> str:
    links = [link for link in feed.get("links") or () if isinstance(link, Mapping) and link.get("rel") == relation]
    return next((str(link.get("href") or "") for link in links), "")


def _short(error: Any) -> str:
    return " ".join(str(error).removeprefix("<unknown>:").split())[:200]


def _entry(entry: Mapping[str, Any], language: str) -> RawEntry:
    contents = [str(part.get("value") or "") for part in entry.get("content") or () if isinstance(part, Mapping)]
    content = max(contents, key=len, default="")
    raw, understood = "", None
    for name in ("published", "updated", "created"):
        # `entry[...]` of a missing "updated" falls back to "published" with a warning (#310), so the keys are asked.
        if name in entry.keys() and entry.get(name):  # noqa: SIM118 - feedparser's `in` falls back too
            said, read = str(entry.get(name)), _utc(entry.get(f"{name}_parsed"))
            if parse_date(said, read) is not None:
                raw, understood = said, read
                break
            raw, understood = raw or said, understood if raw else read
    title = entry.get("title_detail") or {}
    plain = str(title.get("type") or "") == "text/plain"
    value = str(entry.get("title") or "")
    # In effect for an entry is its own language or the document's, and the document's is often a default left alone.
    own = str(title.get("language") or "")
    return RawEntry(
        guid=str(entry.get("id") or ""),
        permalink=bool(entry.get("guidislink")),
        link=_link(entry),
        title=value.replace("&", "&amp;").replace("<", "&lt;") if plain and not _REFERENCE.search(value) else value,
        summary=str(entry.get("summary") or ("" if content else entry.get("media_description")) or ""),
        content=content,
        author=str(entry.get("author") or "")[:AUTHOR],
        published_raw=raw,
        published=understood,
        language="" if own == language else own,
        tags=[str(tag.get("term") or tag.get("label") or "") for tag in entry.get("tags") or ()],
        source=str((entry.get("source") or {}).get("title") or ""),
    )


def _link(entry: Mapping[str, Any]) -> str:
    original = str(entry.get("feedburner_origlink") or "")
    if original.startswith(("http://", "https://")):  # the story's own address, where FeedBurner's stands in for it
        return original
    links = [link for link in entry.get("links") or () if isinstance(link, Mapping) and link.get("href")]
    for link in links:
        if link.get("rel", "alternate") == "alternate":
            return str(link["href"])
    # A guid that may be a permalink stands in feedparser's `link`; it is one only when it is a whole address.
    return "" if entry.get("guidislink") else str(entry.get("link") or "")


def _utc(parsed: Any) -> datetime | None:
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
