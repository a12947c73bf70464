"""RSS 0.9x, 1.0, 2.0 and Atom, by feedparser, called only as is safe (notes on feeds, section 2)."""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import feedparser
import feedparser.api
import feedparser.mixin

from monitor.parse.raw import RawEntry, RawFeed

MOST = 5_000
AUTHOR = 512  # characters; feedparser's pattern takes time quadratic in an author's length (kurtmckee/feedparser #562)

# The system's libxml2 driver, which some installations have, reads malformed documents otherwise (#506).
feedparser.api.PREFERRED_XML_PARSERS = []

_author_detail: Callable[..., None] = feedparser.mixin._FeedParserMixin._sync_author_detail


def _short_author_detail(self: Any, key: str = "author") -> None:
    context = self._get_context()
    if isinstance(value := context.get(key), str) and len(value) > AUTHOR:
        context[key] = value[:AUTHOR]
    _author_detail(self, key)


feedparser.mixin._FeedParserMixin._sync_author_detail = _short_author_detail

_UTF16 = re.compile(rb"(?i)(<\?xml[^>]{0,200}encoding\s*=\s*[\"'])utf-?16(?:le|be)?([\"'])")
# References to what is no character: lone surrogates make feedparser raise, NULs end strings in databases.
_NO_CHARACTER = re.compile(
    rb"&#(?:x0*(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0)|0*(?:5529[6-9]|55[3-9]\d\d|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3]|0));"
)


def read(body: bytes, url: str, content_type: str) -> RawFeed | None:
    """Return the feed in a document, None when feedparser finds none. Malformed documents keep their entries."""
    if b"\x00" not in body[:4096]:
        body = _UTF16.sub(rb"\1utf-8\2", body[:1024]) + body[1024:]
    body = _NO_CHARACTER.sub(b"\xef\xbf\xbd", body)
    headers = {}
    if url:
        headers["content-location"] = url
    if content_type:
        headers["content-type"] = content_type
    # Always from a stream: bytes that happen to name a file would be opened.
    found = feedparser.parse(
        io.BytesIO(body), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
    )
    version = str(found.get("version") or "")
    if not version and not found.entries:
        return None
    problems = []
    if found.get("bozo"):
        problems.append(f"the document is malformed: {_short(found.get('bozo_exception'))}")
    if len(found.entries) > MOST:
        problems.append(f"only the first {MOST} of {len(found.entries)} entries are read")
    base = str(found.feed.get("link") or "")
    entries = [_entry(entry) for entry in found.entries[:MOST]]
    language = str(found.feed.get("language") or "")
    return RawFeed(version or "unknown", str(found.feed.get("title") or ""), base, language, entries, problems)


def _short(error: Any) -> str:
    return " ".join(str(error).split())[:200]


def _entry(entry: Mapping[str, Any]) -> RawEntry:
    contents = [str(part.get("value") or "") for part in entry.get("content") or () if isinstance(part, Mapping)]
    raw, understood = "", None
    for name in ("published", "updated", "created"):
        # `entry[...]` of a missing "updated" falls back to "published" with a warning (#310), so the keys are asked.
        if name in entry.keys() and entry.get(name):  # noqa: SIM118 - feedparser's `in` falls back too
            raw, understood = str(entry.get(name)), _utc(entry.get(f"{name}_parsed"))
            break
    title = entry.get("title_detail") or {}
    plain = str(title.get("type") or "") == "text/plain"
    value = str(entry.get("title") or "")
    return RawEntry(
        guid=str(entry.get("id") or ""),
        link=_link(entry),
        title=value.replace("&", "&amp;").replace("<", "&lt;") if plain and "&" not in value else value,
        summary=str(entry.get("summary") or ""),
        content=max(contents, key=len, default=""),
        author=str(entry.get("author") or "")[:AUTHOR],
        published_raw=raw,
        published=understood,
        tags=[str(tag.get("term") or tag.get("label") or "") for tag in entry.get("tags") or ()],
    )


def _link(entry: Mapping[str, Any]) -> str:
    links = [link for link in entry.get("links") or () if isinstance(link, Mapping) and link.get("href")]
    for link in links:
        if link.get("rel", "alternate") == "alternate":
            return str(link["href"])
    return str(entry.get("link") or "")


def _utc(parsed: Any) -> datetime | None:
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
