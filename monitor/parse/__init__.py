"""Bytes → ParsedFeed. The only importer of feedparser. Pure; slow on hostile input, so call it in a worker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from monitor.parse import discover, jsonfeed, sitemap, xmlfeed
from monitor.parse.cut import Pieces, Place, Seen, header_mark, mark, pieces, seen
from monitor.parse.dates import EARLIEST, parse_date
from monitor.parse.encoding import decode
from monitor.parse.mend import root
from monitor.parse.plain import from_html
from monitor.parse.raw import RawEntry, RawFeed
from monitor.parse.values import ParsedFeed, ParsedStory
from monitor.snippets import cut as shortened
from monitor.text import clean
from monitor.urls import canonical_url, resolve

__all__ = ["ParsedFeed", "ParsedStory", "as_json", "join_sitemaps", "parse_feed"]

TITLE, SUMMARY, TEXT, TAG = 1_000, 20_000, 200_000, 100  # characters that are kept
TAGS = 30
GUID = 2_000
SAID = 300  # characters of a server's word in the place of a feed that are shown
MADE_TITLE = 100  # characters of text that stand in for a missing title

_HTML = re.compile(r"(?i)<(?:!doctype\s+html|html|head|body)\b")
_OPML = re.compile(r"(?i)<opml\b")


def parse_feed(body: bytes, url: str = "", content_type: str = "", known: str = "") -> ParsedFeed:
    """Return what a document says. Never raises for what it holds; `readable` tells whether it is a feed at all.

    `url` is its address, for relative links; `content_type` what the server sent. `known` is the `seen` of the feed's
    last document, once its stories are saved: of the items that it had word for word, only the guids are returned.
    """
    try:
        return _parse(body, url, content_type, known)
    except Exception as error:  # noqa: BLE001 - hostile input makes parsers raise anything; one bad feed is a value
        return _unreadable(f"The document could not be read: {type(error).__name__}.")


def _parse(body: bytes, url: str, content_type: str, known: str) -> ParsedFeed:
    if not body.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"):
        return _unreadable("The document is empty.")
    text, odd = decode(body, content_type)
    parts = None
    if jsonfeed.looks_like_json(text):
        raw = jsonfeed.read(text)
        if raw is None:
            return _unreadable("The document is JSON, and not a JSON Feed.")
    elif (name := root(text)) == sitemap.INDEX:
        return _unreadable("The document is an index of sitemaps.", "index", sitemap.index(text, url))
    elif name == sitemap.PAGES:
        raw = sitemap.read(text)
        if raw is None:
            return _unreadable("The document is a sitemap without news tags: it lists pages, not stories.")
    else:
        parts = pieces(text)
        if parts and known and (parsed := _new_stories(parts, url, odd, seen(known))):
            return parsed
        raw = xmlfeed.read(text, url)
        if raw is None or (not raw.entries and _HTML.search(text[:2048]) and raw.kind == "unknown"):
            return _what_instead(text, url)
    parsed, places = _feed(raw, url, odd)
    # Malformed documents are read by guesses, in which each item has a say.
    if parts and not raw.problems and len(places) == len(parts.items) and _apart(places):
        items = dict(zip(map(mark, parts.items), places, strict=True))
        return replace(parsed, seen=Seen(header_mark(parts, url), items).written())
    return parsed


def _new_stories(parts: Pieces, url: str, odd: str, known: Seen) -> ParsedFeed | None:
    """Return what a document says, without the stories of `known`; None where only the whole document tells that."""
    header = header_mark(parts, url)
    marks = [mark(item) for item in parts.items]
    fresh = [item for item, name in zip(parts.items, marks, strict=True) if name not in known.items]
    if header != known.header or len(fresh) == len(marks):
        return None
    raw = xmlfeed.read(parts.holding(fresh), url)
    if raw is None or raw.problems or len(raw.entries) != len(fresh):
        return None
    parsed, places = _feed(raw, url, odd)
    found = iter(places)
    items = {name: known.items.get(name) or next(found) for name in marks}
    if len(items) != len(marks) or not _apart(items.values()):
        return None
    listed = tuple(place.guid for place in items.values())
    return replace(parsed, listed=listed, seen=Seen(header, items).written(), whole=False)


def _apart(places: Collection[Place]) -> bool:
    """Whether no two stories share a guid or a link, so that each is what it is without the others."""
    keys = [place.key for place in places if place.key]
    return len({place.guid for place in places}) == len(places) and len(set(keys)) == len(keys)


def _unreadable(reason: str, kind: str = "none", elsewhere: tuple[str, ...] = ()) -> ParsedFeed:
    return ParsedFeed(kind, problems=(reason,), readable=False, elsewhere=elsewhere)


def _what_instead(text: str, url: str) -> ParsedFeed:
    """Say what a document is that is no feed, and where the feed may be."""
    if _OPML.search(text[:4096]):
        return _unreadable("The document is not a feed: it is OPML, a list of feeds.")
    if _HTML.search(text[:4096]):
        return _page(text, url)
    if "\x00" in text[:1024]:
        return _unreadable("The document is neither XML nor JSON: binary data.")
    if "<" not in text and len(text) <= SAID and (said := " ".join(clean(text).split())):
        return _unreadable(f"The document is not a feed: it says “{said}”.")  # as GDELT says what it does not take
    return _unreadable("The document is not a feed: no RSS, Atom or JSON Feed is in it.")


def _page(text: str, url: str) -> ParsedFeed:
    found, announced = discover.feeds_of(text, url)
    what = "The document is a web page, not a feed."
    if not found:
        return _unreadable(f"{what} It leads to none; usual addresses such as /feed are not tried unasked.", "page")
    return _unreadable(f"{what} It {'announces' if announced else 'links to'} {', '.join(found)}.", "page", found)


def _feed(raw: RawFeed, url: str, odd: str) -> tuple[ParsedFeed, list[Place]]:
    """Return what a document says, and the place of each of its entries. `odd` is what is odd about its encoding."""
    url = url or resolve("", raw.address)
    base = url or raw.link
    # An empty relative link leads to the document itself, which is no story's page.
    links = ["" if (link := resolve(base, entry.link)) == url else link for entry in raw.entries]
    home = resolve(url, raw.link)
    links = [link or _guid_link(entry, home or url) for entry, link in zip(raw.entries, links, strict=True)]
    named = [clean(entry.guid)[:GUID] or link for entry, link in zip(raw.entries, links, strict=True)]
    canonical = [entry.identity or canonical_url(link) for entry, link in zip(raw.entries, links, strict=True)]
    shared: dict[str, set[str]] = {canonical_url(home): {"", "home"}}  # a link to the site's front page is no story's
    for entry, name, key in zip(raw.entries, named, canonical, strict=True):
        # Without a guid, the words tell apart what stands at one address (a live page, a page of short news).
        shared.setdefault(key, set()).add(name if clean(entry.guid) else _hash(entry))
    stories: dict[str, ParsedStory] = {}
    names = [name or f"hash:{_hash(entry)}" for entry, name in zip(raw.entries, named, strict=True)]
    for entry, link, guid, key in zip(
        raw.entries, links, _guids(raw.entries, names, canonical), canonical, strict=True
    ):
        story = _story(entry, link, guid, key if len(shared[key]) == 1 else "")
        stories.setdefault(guid, story)  # only exact copies share a guid
    parsed = ParsedFeed(
        raw.kind,
        from_html(raw.title, TITLE, title=True),
        home,
        _language(raw.language),
        tuple(stories.values()),
        tuple(clean(problem) for problem in (*([odd] if odd else []), *raw.problems)),
        listed=tuple(stories),
        ttl=raw.ttl,
        address=resolve(url, raw.address),
        hub=resolve(url, raw.hub),
    )
    places = [Place(name, mark(key) if key else "") for name, key in zip(names, canonical, strict=True)]
    return parsed, places


def join_sitemaps(documents: Sequence[ParsedFeed], problems: tuple[str, ...] = ()) -> ParsedFeed:
    """Return the documents of one index as one; of a story in several, the first. `problems` are further ones."""
    found: dict[str, ParsedStory] = {}
    for story in (story for one in documents for story in one.stories):
        found.setdefault(story.guid, story)
    stories = list(found.values())
    if len(stories) > sitemap.MOST:
        stories.sort(key=lambda story: story.published or EARLIEST, reverse=True)
        problems = (*problems, f"only the newest {sitemap.MOST} of {len(stories)} stories are read")
    said = dict.fromkeys((*problems, *(problem for one in documents for problem in one.problems)))
    stories = stories[: sitemap.MOST]
    guids = tuple(story.guid for story in stories)
    return replace(documents[0], stories=tuple(stories), problems=tuple(said), listed=guids, seen="")


def _guid_link(entry: RawEntry, home: str) -> str:
    """Return a guid that stands for the link: a whole address, or a path on the site, which need not be the feed's."""
    if entry.permalink and entry.guid.startswith("/"):
        return resolve(home, entry.guid)
    return resolve("", entry.guid) if "://" in entry.guid else ""


def _guids(entries: list[RawEntry], names: list[str], canonical: list[str]) -> list[str]:
    """Return each entry's identity within the feed; different entries under one guid get different ones.

    The canonical link tells them apart (as Miniflux does), and where that is shared too, their words.
    """
    found = names
    words = [_hash(entry) for entry in entries]
    for marks in (canonical, words):
        marked: dict[str, set[str]] = {}
        for guid, sign in zip(found, marks, strict=True):
            marked.setdefault(guid, set()).add(sign)
        found = [f"{guid}|{sign}" if len(marked[guid]) > 1 else guid for guid, sign in zip(found, marks, strict=True)]
    return found


def _hash(entry: RawEntry) -> str:
    said = "\x00".join((entry.title, entry.summary, entry.content))
    return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _story(entry: RawEntry, link: str, guid: str, key_url: str) -> ParsedStory:
    summary = from_html(entry.summary, SUMMARY)
    text = from_html(entry.content, TEXT)
    if text == summary or (text and not summary and len(text) < 300):
        summary, text = text, ""
    title = from_html(entry.title, TITLE, title=True)
    if not title:
        title = shortened(" ".join((summary or text).split()), MADE_TITLE) or link
    tags = dict.fromkeys(from_html(tag, TAG, title=True) for tag in entry.tags[:TAGS])
    return ParsedStory(
        guid,
        link,
        " ".join(title.split()),
        summary,
        text,
        " ".join(from_html(entry.author, 200).split()),
        clean(entry.published_raw)[:200],
        parse_date(entry.published_raw, entry.published),
        tuple(tag for tag in tags if tag),
        _language(entry.language),
        key_url,
        " ".join(from_html(entry.source, 200).split()),
    )


def _language(said: str) -> str:
    """Return a language tag, "" for what is none."""
    tag = said.strip().replace("_", "-")
    return tag if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", tag) else ""


def as_json(parsed: ParsedFeed) -> dict[str, Any]:
    """Return a document in the form that `monitor parse` prints."""
    return {
        "feed": {"title": parsed.title, "url": parsed.url, "language": parsed.language, "kind": parsed.kind},
        "stories": [
            {
                "guid": story.guid,
                "url": story.url,
                "title": story.title,
                "summary": story.summary,
                "text": story.text,
                "author": story.author,
                "published": story.published.isoformat().replace("+00:00", "Z") if story.published else None,
                "tags": list(story.tags),
            }
            for story in parsed.stories
        ],
        "problems": list(parsed.problems),
    }
