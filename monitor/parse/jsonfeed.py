"""JSON Feed 1.0 and 1.1 (jsonfeed.org), which feedparser 6.0 does not read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.parse import gdelt
from monitor.parse.dates import parse_date
from monitor.parse.raw import RawEntry, RawFeed

MOST = 5_000


def looks_like_json(text: str) -> bool:
    """Whether a document begins as a JSON object."""
    return text.lstrip("\ufeff \t\r\n")[:1] == "{"


def read(text: str) -> RawFeed | None:
    """Return the feed in a JSON document; None when it is neither a JSON Feed nor GDELT's list of articles."""
    try:
        # A number may have more digits than Python turns into one; as an id it is a name anyhow.
        data = json.loads(text.lstrip("\ufeff"), parse_int=_number, strict=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    if not ("jsonfeed" in str(data.get("version", "")) or isinstance(data.get("items"), list)):
        return gdelt.read(data)
    items, problems = data.get("items"), []
    if not isinstance(items, list):
        items, problems = [], ["the document has no list of items"]
    authors = _authors(data)
    kept = items if len(items) <= MOST else [*items[: MOST // 2], *items[-MOST // 2 :]]
    entries = [_entry(item, authors) for item in kept if isinstance(item, dict)]
    if len(entries) < len(items):
        problems.append(f"only {len(entries)} of {len(items)} stories are read")
    return RawFeed(
        "json",
        _text(data, "title"),
        _text(data, "home_page_url"),
        _text(data, "language"),
        entries,
        problems,
        _text(data, "feed_url"),
        hub=_hub(data),
    )


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) <= 20 else digits


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _authors(data: Mapping[str, Any]) -> str:
    """Return the names of a feed's or a story's authors; some documents write a name where an object belongs."""
    authors = data.get("authors") if isinstance(data.get("authors"), list) else [data.get("author")]
    names = [_text(one, "name") if isinstance(one, dict) else one for one in authors or ()]
    return ", ".join(name for name in names if name and isinstance(name, str))


def _hub(data: Mapping[str, Any]) -> str:
    hubs = data.get("hubs")
    named = [hub for hub in hubs if isinstance(hub, dict)] if isinstance(hubs, list) else []
    return next((_text(hub, "url") for hub in named if _text(hub, "type").lower() == "websub"), "")


def _date(item: Mapping[str, Any]) -> str:
    dates = [date for name in ("date_published", "date_modified") if (date := _text(item, name))]
    return next((date for date in dates if parse_date(date)), dates[0] if dates else "")


def _entry(item: Mapping[str, Any], authors: str) -> RawEntry:
    title = _text(item, "title")
    tags = item.get("tags")
    return RawEntry(
        guid=_text(item, "id"),
        link=_text(item, "url") or _text(item, "external_url"),
        title=title if "&" in title or "</" in title else _plain(title),  # plain by the standard, HTML in some feeds
        summary=_text(item, "summary"),
        content=_text(item, "content_html") or _plain(_text(item, "content_text")),
        author=_authors(item) or authors,
        published_raw=_date(item),
        published=None,
        tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
        language=_text(item, "language"),
    )


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
