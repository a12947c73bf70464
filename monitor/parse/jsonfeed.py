"""JSON Feed 1.0 and 1.1 (jsonfeed.org), which feedparser 6.0 does not read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.parse.raw import RawEntry, RawFeed

MOST = 5_000


def looks_like_json(body: bytes) -> bool:
    """Whether a document begins as a JSON object."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def read(body: bytes) -> RawFeed | None:
    """Return the feed in a JSON document; None when it is no JSON Feed."""
    try:
        # A number may have more digits than Python turns into one; as an id it is a name anyhow.
        data = json.loads(body.decode("utf-8-sig", "replace"), parse_int=_number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not (
        "jsonfeed" in str(data.get("version", "")) or isinstance(data.get("items"), list)
    ):
        return None
    items, problems = data.get("items"), []
    if not isinstance(items, list):
        items, problems = [], ["the document has no list of items"]
    entries = [_entry(item) for item in items[:MOST] if isinstance(item, dict)]
    if len(entries) < len(items):
        problems.append(f"only {len(entries)} of {len(items)} stories are read")
    return RawFeed(
        "json", _text(data, "title"), _text(data, "home_page_url"), _text(data, "language"), entries, problems
    )


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) <= 20 else digits


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _entry(item: Mapping[str, Any]) -> RawEntry:
    authors = item.get("authors") if isinstance(item.get("authors"), list) else [item.get("author")]
    names = [_text(author, "name") for author in authors or () if isinstance(author, dict)]
    tags = item.get("tags")
    return RawEntry(
        guid=_text(item, "id"),
        link=_text(item, "url") or _text(item, "external_url"),
        title=_text(item, "title"),
        summary=_text(item, "summary"),
        content=_text(item, "content_html") or _plain(_text(item, "content_text")),
        author=", ".join(name for name in names if name),
        published_raw=_text(item, "date_published") or _text(item, "date_modified"),
        published=None,
        tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
        language=_text(item, "language"),
    )


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
