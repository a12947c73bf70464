"""Bytes → ParsedFeed. The only importer of feedparser. Pure; slow on hostile input, so call it in a worker."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from monitor.parse import jsonfeed, xmlfeed
from monitor.parse.dates import parse_date
from monitor.parse.encoding import decode
from monitor.parse.plain import from_html
from monitor.parse.raw import RawEntry, RawFeed
from monitor.parse.values import ParsedFeed, ParsedStory
from monitor.snippets import cut
from monitor.text import clean
from monitor.urls import canonical_url, resolve

__all__ = ["ParsedFeed", "ParsedStory", "as_json", "parse_feed"]

TITLE, SUMMARY, TEXT, TAG = 1_000, 20_000, 200_000, 100  # characters that are kept
TAGS = 30
GUID = 2_000
MADE_TITLE = 100  # characters of text that stand in for a missing title

_HTML = re.compile(rb"(?i)<(?:!doctype\s+html|html|head|body)\b")
_OPML = re.compile(rb"(?i)<opml\b")
_ANNOUNCED = re.compile(r"(?i)<link\b[^<>]{0,1000}>")
_ATTRIBUTE = re.compile(r"(?i)\b(rel|type|href)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")


def parse_feed(body: bytes, url: str = "", content_type: str = "") -> ParsedFeed:
    """Return what a document says. Never raises for what it holds; `readable` tells whether it is a feed at all.

    `url` is its address, for relative links; `content_type` what the server sent.
    """
    try:
        return _parse(body, url, content_type)
    except Exception as error:  # noqa: BLE001 - hostile input makes parsers raise anything; one bad feed is a value
        return _unreadable(f"The document could not be read: {type(error).__name__}.")


def _parse(body: bytes, url: str, content_type: str) -> ParsedFeed:
    if not body.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"):
        return _unreadable("The document is empty.")
    text, odd = decode(body, content_type)
    if jsonfeed.looks_like_json(text):
        raw = jsonfeed.read(text)
        return _feed(raw, url) if raw else _unreadable("The document is JSON, and not a JSON Feed.")
    raw = xmlfeed.read(text, url, odd)
    if raw is None or (not raw.entries and _HTML.search(body[:2048]) and raw.kind == "unknown"):
        return _unreadable(_what_instead(body, url))
    return _feed(raw, url)


def _unreadable(reason: str) -> ParsedFeed:
    return ParsedFeed("none", problems=(reason,), readable=False)


def _what_instead(body: bytes, url: str) -> str:
    """Say what a document is that is no feed, and where the feed may be."""
    if _OPML.search(body[:4096]):
        return "The document is not a feed: it is OPML, a list of feeds."
    if _HTML.search(body[:4096]):
        found = _announced(body[:200_000].decode("utf-8", "replace"), url)
        where = f" It announces {', '.join(found)}." if found else ""
        return f"The document is a web page, not a feed.{where}"
    if b"\x00" in body[:1024]:
        return "The document is neither XML nor JSON: binary data."
    return "The document is not a feed: no RSS, Atom or JSON Feed is in it."


def _announced(page: str, url: str) -> list[str]:
    found = []
    for tag in _ANNOUNCED.findall(page)[:200]:
        facts = {m[0].lower(): m[1] or m[2] or m[3] for m in _ATTRIBUTE.findall(tag)}
        if "alternate" in facts.get("rel", "").lower() and re.search(
            r"rss|atom|feed\+json", facts.get("type", ""), re.I
        ):
            found.append(resolve(url, facts.get("href", "")) or clean(facts.get("href", ""))[:200])
    return [address for address in dict.fromkeys(found) if address][:3]


def _feed(raw: RawFeed, url: str) -> ParsedFeed:
    url = url or resolve("", raw.address)
    base = url or raw.link
    # An empty relative link leads to the document itself, which is no story's page.
    links = ["" if (link := resolve(base, entry.link)) == url else link for entry in raw.entries]
    links = [link or _guid_link(entry) for entry, link in zip(raw.entries, links, strict=True)]
    named = [clean(entry.guid)[:GUID] or link for entry, link in zip(raw.entries, links, strict=True)]
    canonical = [canonical_url(link) for link in links]
    home = canonical_url(resolve(url, raw.link))
    shared: dict[str, set[str]] = {home: {"", "home"}}  # a link to the site's front page is no story's
    for entry, name, key in zip(raw.entries, named, canonical, strict=True):
        # Without a guid, the words tell apart what stands at one address (a live page, a page of short news).
        shared.setdefault(key, set()).add(name if clean(entry.guid) else _hash(entry))
    stories: dict[str, ParsedStory] = {}
    for entry, link, guid, key in zip(
        raw.entries, links, _guids(raw.entries, named, canonical), canonical, strict=True
    ):
        story = _story(entry, link, guid, key if len(shared[key]) == 1 else "")
        stories.setdefault(guid, story)  # only exact copies share a guid
    return ParsedFeed(
        raw.kind,
        from_html(raw.title, TITLE),
        resolve(url, raw.link),
        _language(raw.language),
        tuple(stories.values()),
        tuple(clean(problem) for problem in raw.problems),
        ttl=raw.ttl,
    )


def _guid_link(entry: RawEntry) -> str:
    return resolve("", entry.guid) if "://" in entry.guid else ""


def _guids(entries: list[RawEntry], named: list[str], canonical: list[str]) -> list[str]:
    """Return each entry's identity within the feed; different entries under one guid get different ones.

    The canonical link tells them apart (as Miniflux does), and where that is shared too, their words.
    """
    words = [_hash(entry) for entry in entries]
    found = [name or f"hash:{said}" for name, said in zip(named, words, strict=True)]
    for marks in (canonical, words):
        marked: dict[str, set[str]] = {}
        for guid, mark in zip(found, marks, strict=True):
            marked.setdefault(guid, set()).add(mark)
        found = [f"{guid}|{mark}" if len(marked[guid]) > 1 else guid for guid, mark in zip(found, marks, strict=True)]
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
        title = cut(" ".join((summary or text).split()), MADE_TITLE) or link
    tags = dict.fromkeys(from_html(tag, TAG) for tag in entry.tags[:TAGS])
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
