"""What Google News makes of other publishers' stories, undone: its titles, summaries and ids."""

from __future__ import annotations

import hashlib

from monitor.parse.raw import RawEntry

HOST = "news.google.com"


def plain(entry: RawEntry) -> RawEntry:
    """Return a story as its publisher tells it.

    The title ends with the publisher's name, and the summary says both once more. The link is opaque, and Google gives
    out new ids and links for known stories: so headline, publisher and time tell which story it is.
    """
    said = entry.source.replace("&", "&amp;").replace("<", "&lt;")  # as plain titles are, which become HTML
    title = entry.title.removesuffix(f" - {said if entry.title.endswith(said) else entry.source}")
    words = "\x00".join((title, entry.source, entry.published_raw))
    entry.identity = f"{HOST}:{hashlib.blake2b(words.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"
    entry.title, entry.summary = title, ""
    return entry
