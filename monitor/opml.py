"""OPML, in which readers of news hand over lists of feeds ↔ feeds.yaml. Pure; read strangers' lists in a worker.

What OPML has no word for goes along in attributes of a namespace of our own, so that an exported list comes back whole.
(listparser reads as many feeds, but tells neither lines nor what it leaves out.)
"""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from lxml import etree
from pydantic import ValidationError

from monitor.config import Feed
from monitor.config.base import KEY
from monitor.errors import InputError, URLError
from monitor.parse import ParsedFeed
from monitor.parse.encoding import decode
from monitor.parse.mend import mend, root
from monitor.text import clean
from monitor.urls import check_url, host

MOST = 50_000  # outlines that are read
DEPTH = 20  # folders within one another whose names become tags
NAMESPACE = "urn:news-monitor:feeds"
TITLE, NAME, TAG = 200, 40, 100  # characters that are kept
TAGS = 20

_OWN = f"{{{NAMESPACE}}}"
_NAME = re.compile(r"\w[\w.-]{0,99}")
_STANDARD = ("name", "url", "source", "tags", "language")  # what OPML has attributes for, or we read before
_ELSEWHERE = ("google_news", "gdelt", "youtube", "sitemap")


@dataclass(slots=True)
class FeedList:
    """Feeds as feeds.yaml declares them, by name; `notes` say, with lines, what was left out or put together."""

    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict, repr=False)  # the last number behind a name

    def add(self, facts: Mapping[str, Any], title: str, name: str = "") -> str:
        """Add a feed under `name`, or a name made of its title; return the message on what is wrong with it, or ""."""
        facts = {key: value for key, value in facts.items() if value}
        free = self._free(name if _NAME.fullmatch(name) else _slug(title, str(facts.get("url", ""))))
        try:
            Feed.model_validate({KEY: free, **facts}, by_alias=True, by_name=False)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            key = ".".join(str(step) for step in detail["loc"][:1])
            return f"`{key}`: {detail.get('ctx', {}).get('message') or detail['msg']}"
        self.feeds[free] = facts
        return ""

    def _free(self, name: str) -> str:
        free = name
        while free in self.feeds:
            self.used[name] = self.used.get(name, 1) + 1
            free = f"{name}-{self.used[name]}"
        return free


def of_document(parsed: ParsedFeed, url: str) -> FeedList:
    """Return the list of the one feed at `url`, whose document is `parsed`."""
    found = FeedList()
    kind = "sitemap" if parsed.kind in ("sitemap", "index") else "url"
    title = _text(parsed.title, TITLE)
    found.add({kind: url, "source": title, "language": parsed.language.lower()}, title or host(url))
    return found


def as_yaml(feeds: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a feeds.yaml."""
    plain = {"feeds": {name: dict(facts) for name, facts in feeds.items()}}
    return yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=10_000)


# Reading


def is_opml(body: bytes, content_type: str = "") -> bool:
    """Whether a document is OPML."""
    return root(decode(body, content_type)[0]) == "opml"


def read_opml(body: bytes, content_type: str = "") -> FeedList:
    """Return the feeds in an OPML document, folders and categories as tags. Raises InputError for other documents."""
    text, odd = decode(body, content_type)
    if root(text) != "opml":
        raise InputError("the document is not OPML: it has no element `opml`")
    mended, _ = mend(text, len(text))
    # Without a DOCTYPE but for short entities, which `mend` leaves: nothing is loaded, nothing grows.
    parser = etree.XMLParser(recover=True, resolve_entities="internal", no_network=True, remove_comments=True)
    tree = etree.fromstring(mended.encode("utf-8", "replace"), parser)
    found = FeedList()
    if odd:
        found.notes.append(odd)
    if parser.error_log:
        first = parser.error_log[0]
        found.notes.append(f"the document is malformed ({first.message.strip()}); what could be read was read")
    reader = _Reader(found, text.count("\n") - mended.count("\n"))
    for number, (place, tags) in enumerate(_outlines(tree)):
        if number == MOST:
            found.notes.append(f"line {reader.line(place)}: only the {MOST:,} entries before this one are read")
            break
        reader.read(place, tags)
    return found


def _outlines(tree: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield every outline with the names of the folders that it lies in, in the order of the document."""
    waiting: list[tuple[Any, tuple[str, ...]]] = [(tree, ())] if tree is not None else []
    while waiting:
        element, tags = waiting.pop()
        if _local(element) == "outline":
            yield element, tags
            tags = (*tags, _title(element))[-DEPTH:] if not _address(element) else tags
        waiting.extend((child, tags) for child in reversed(element) if isinstance(child.tag, str))


class _Reader:
    """Reads entries into `found`. `offset` is how many lines the document was shortened by."""

    def __init__(self, found: FeedList, offset: int) -> None:
        self.found, self.offset = found, offset
        self.first: dict[tuple[str, ...], str] = {}  # address → name

    def read(self, outline: Any, folders: tuple[str, ...]) -> None:
        """Take over the feed of an entry, or say why there is none; a folder with entries is nothing by itself."""
        title, address = _title(outline), _address(outline)
        if not address:
            if not len(outline):
                self._note(outline, title, _no_address(outline))
            return
        own = {key.removeprefix(_OWN): value for key, value in outline.attrib.items() if key.startswith(_OWN)}
        facts: dict[str, Any] = {key: _text(own[key], 500) for key in _ELSEWHERE if key in own}
        if not facts:
            try:
                checked = check_url(address := _web(address))
                # `${NAME}` would be a variable of whoever reads the file in, and tell its value to the feed's server.
                facts["url"] = checked if re.search(r"\s|\$\{", address) else address
            except URLError as error:
                self._note(outline, title, f"{error}; it is left out")
                return
        facts["source"] = title
        facts["language"] = _language(_attribute(outline, "language"))
        facts["tags"] = _tags(outline, own, folders)
        facts |= {key: _text(own[key], 100) for key in Feed.model_fields if key in own and key not in (*facts, "name")}
        self._add(outline, facts, title, own.get("name", ""))

    def _add(self, outline: Any, facts: dict[str, Any], title: str, name: str) -> None:
        asked = tuple(str(facts.get(key, "")) for key in ("url", *_ELSEWHERE))
        if asked[1]:  # a search is another one in another edition
            asked += (str(facts.get("language", "")), str(facts.get("country", "")))
        if asked in self.first:
            same = self.found.feeds[self.first[asked]]
            tags = list(dict.fromkeys((*same.get("tags", ()), *facts["tags"])))[:TAGS]
            same |= {"tags": tags} if tags else {}
            self._note(outline, title, f"it has the address of `{self.first[asked]}`, which has its tags now")
            return
        wrong = self.found.add(facts, title, name)
        if wrong:
            self._note(outline, title, f"{wrong}; it is left out")
        else:
            self.first[asked] = next(reversed(self.found.feeds))

    def line(self, outline: Any) -> int:
        """Return the line of an entry in the document as it came."""
        return (outline.sourceline or 0) + self.offset

    def _note(self, outline: Any, title: str, what: str) -> None:
        self.found.notes.append(f"line {self.line(outline)}: “{title[:60]}”: {what}")


def _local(element: Any) -> str:
    return str(etree.QName(element).localname).lower()


def _attribute(outline: Any, name: str) -> str:
    """Return an attribute, however its name is written."""
    return next((str(value).strip() for key, value in outline.attrib.items() if key.lower() == name), "")


def _title(outline: Any) -> str:
    return _text(_attribute(outline, "title") or _attribute(outline, "text"), TITLE)


def _address(outline: Any) -> str:
    """Return the address of a feed, "" for a folder or a link to something else."""
    known = _attribute(outline, "xmlurl")
    return known or (_attribute(outline, "url") if _attribute(outline, "type").lower() in ("rss", "atom") else "")


def _no_address(outline: Any) -> str:
    other, page = _attribute(outline, "url"), _attribute(outline, "htmlurl")
    if other:
        return f"it leads to {other[:200]}, which may be another list or a page: `monitor import opml {other[:200]}`"
    return f"it names no feed; `monitor import opml {page[:200]}` looks for one" if page else "it names no feed"


def _web(address: str) -> str:
    """Return an address as http where it says `feed:`, as browsers once did."""
    kept = re.sub(r"(?i)^feed:(?=https?:)", "", address)
    return re.sub(r"(?i)^feed:/*", "http://", kept)


def _language(said: str) -> str:
    tag = said.replace("_", "-").lower()
    return tag if re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}", tag) else ""


def _tags(outline: Any, own: Mapping[str, str], folders: tuple[str, ...]) -> list[str]:
    words = re.split("[,/]", _attribute(outline, "category"))
    with contextlib.suppress(ValueError, RecursionError):
        listed = json.loads(own.get("tags", ""))
        words = [word for word in listed if isinstance(word, str)] if isinstance(listed, list) else words
    tags = dict.fromkeys(_text(word, TAG) for word in (*folders, *words))
    return [tag for tag in tags if tag][:TAGS]


def _text(said: str, limit: int) -> str:
    """Return text for YAML, where `${NAME}` would be a variable of whoever reads it in."""
    return " ".join(clean(said).replace("${", "$ {").split())[:limit].strip()


def _slug(title: str, address: str) -> str:
    """Return a readable name, in the title's own script where its letters stand by themselves, else of the host."""
    words = unicodedata.normalize("NFKC", title).lower()
    # Names hold letters only: without their signs, words of Hindi or Thai would be others.
    if any(unicodedata.category(character).startswith("M") for character in words):
        words = ""
    for text in (words, host(address).removeprefix("www."), "feed"):
        if slug := re.sub(r"[\W_]+", "-", text).strip("-")[:NAME].strip("-"):
            break
    return slug


# Writing


def write_opml(feeds: Iterable[Feed], title: str) -> bytes:
    """Return feeds as OPML 2.0, which every reader takes, with their addresses as `xmlUrl`."""
    opml = etree.Element("opml", version="2.0", nsmap={"monitor": NAMESPACE})
    etree.SubElement(etree.SubElement(opml, "head"), "title").text = clean(title)
    body = etree.SubElement(opml, "body")
    for feed in feeds:
        facts = {"type": "rss", "text": feed.source, "title": feed.source, "xmlUrl": feed.address}
        facts |= {"language": feed.language, "category": ",".join(feed.tags)}
        own = {"name": feed.name, **{key: _written(feed, key) for key in sorted(feed.model_fields_set - {*_STANDARD})}}
        if any(set(tag) & set(",/") for tag in feed.tags):
            own["tags"] = json.dumps(feed.tags)
        facts |= {f"{_OWN}{key}": value for key, value in own.items()}
        shown = {key: value if key == "xmlUrl" else clean(value) for key, value in facts.items() if value}
        etree.SubElement(body, "outline", shown)
    return bytes(etree.tostring(opml, encoding="utf-8", xml_declaration=True, pretty_print=True))


def _written(feed: Feed, key: str) -> str:
    """Return a value as feeds.yaml has it."""
    value = getattr(feed, key)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
    return "" if value is None else str(value)
