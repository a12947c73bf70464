"""The invented newswire of `monitor demo`: stories in time, and each outlet's feed as it stands at a moment.

Pure: no clock and no network; the caller says how far the demo is. The stories are in `newswire.yaml` beside this file,
whose head says what each key means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import yaml

Format = Literal["rss2", "atom", "rdf", "jsonfeed"]

_STORIES = Path(__file__).parent / "newswire.yaml"

_CONTENT_TYPES: Mapping[Format, str] = {
    "rss2": "application/rss+xml",
    "atom": "application/atom+xml",
    "rdf": "application/rdf+xml",
    "jsonfeed": "application/feed+json",
}


@dataclass(frozen=True, slots=True)
class Outlet:
    """An invented publisher and how it publishes. `malformed`: its document has an ampersand that is not escaped."""

    id: str
    name: str
    host: str
    format: Format
    language: str
    country: str
    about: str
    encoding: str = "utf-8"
    malformed: bool = False

    @property
    def path(self) -> str:
        """Where its feed is served: a file name, without a slash before it."""
        return f"{self.id}.{'json' if self.format == 'jsonfeed' else 'xml'}"

    @property
    def home(self) -> str:
        """The address of its front page; nothing answers there."""
        return f"https://{self.host}/"


@dataclass(frozen=True, slots=True)
class Story:
    """One invented story. `at` and `updated_at` are seconds into the demo; a story `at` 0 is there from the start.

    `guid` is "" where the outlet gives none. `dated` is the date the outlet claims: None for the true one, False for
    none at all. `topics` is what the demo's rules must say of the story, in both of its versions.
    """

    outlet: Outlet
    slug: str
    at: float
    title: str
    summary: str
    topics: tuple[str, ...]
    guid: str
    text: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    dated: datetime | Literal[False] | None = None
    updated_at: float | None = None
    updated_title: str = ""
    updated_summary: str = ""

    @property
    def url(self) -> str:
        """The story's link, under its outlet's host."""
        return self.outlet.home + self.slug

    def published(self, start: datetime) -> datetime | None:
        """When the outlet says it published the story, in a demo that began at `start`; None where it says nothing."""
        if self.dated is False:
            return None
        return self.dated if self.dated is not None else start + timedelta(seconds=self.at)


@dataclass(frozen=True, slots=True)
class _Version:
    """A story as it reads at a moment, with what the formats print."""

    story: Story
    title: str
    summary: str
    published: datetime | None
    changed: datetime

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The body's paragraphs; none where only a summary is published."""
        return tuple(" ".join(part.split()) for part in self.story.text.split("\n\n") if part.strip())

    @property
    def body(self) -> str:
        """The body as HTML; "" where only a summary is published."""
        return "".join(f"<p>{escape(paragraph)}</p>" for paragraph in self.paragraphs)


@dataclass(frozen=True, slots=True)
class Newswire:
    """All outlets, by id, and all stories, in the order of the file."""

    outlets: Mapping[str, Outlet]
    stories: tuple[Story, ...]

    @property
    def duration(self) -> float:
        """Seconds until everything, updates included, has been published."""
        return max(max(story.at, story.updated_at or 0.0) for story in self.stories)

    def published(self, outlet_id: str, at: float) -> tuple[Story, ...]:
        """What the outlet has published `at` seconds into the demo, newest first, ties in the file's order."""
        stories = [story for story in self.stories if story.outlet.id == outlet_id and story.at <= at]
        return tuple(sorted(stories, key=lambda story: -story.at))

    def document(self, outlet_id: str, at: float, base_url: str, start: datetime) -> tuple[bytes, str]:
        """The outlet's feed `at` seconds into a demo that began at `start` (aware): its bytes and its content type.

        `base_url` is where the feeds are served, for the document's link to itself. The bytes change only when the
        outlet publishes or updates a story. An unknown outlet is a KeyError.
        """
        outlet = self.outlets[outlet_id]
        versions = tuple(_version(story, at, start) for story in self.published(outlet_id, at))
        address = f"{base_url.rstrip('/')}/{outlet.path}"
        document = _RENDERERS[outlet.format](outlet, versions, address, start)
        # A character that the old encodings lack (œ, an arrow) becomes a reference, as publishers' software does it.
        body = document.encode(outlet.encoding, "xmlcharrefreplace")
        return body, f"{_CONTENT_TYPES[outlet.format]}; charset={outlet.encoding}"


@cache
def load() -> Newswire:
    """Read the newswire that is shipped with the package."""
    declared = yaml.safe_load(_STORIES.read_text(encoding="utf-8"))
    outlets = {name: Outlet(id=name, **fields) for name, fields in declared["outlets"].items()}
    return Newswire(outlets=outlets, stories=tuple(_story(fields, outlets) for fields in declared["stories"]))


def _story(fields: Mapping[str, Any], outlets: Mapping[str, Outlet]) -> Story:
    outlet = outlets[fields["outlet"]]
    known = dict(fields)
    # A tag URI (RFC 4151) is a valid id in every format, and is not the link: most real guids are not either.
    known["guid"] = "" if fields.get("guid") is False else f"tag:{outlet.host},2026:{fields['slug']}"
    known["outlet"] = outlet
    known["topics"] = tuple(fields["topics"])
    known["tags"] = tuple(fields.get("tags", ()))
    if isinstance(fields.get("dated"), datetime):
        known["dated"] = fields["dated"].astimezone(UTC)
    return Story(**known)


def _version(story: Story, at: float, start: datetime) -> _Version:
    published = story.published(start)
    if story.updated_at is not None and story.updated_at <= at:
        changed = start + timedelta(seconds=story.updated_at)
        return _Version(story, story.updated_title, story.updated_summary, published, changed)
    return _Version(story, story.title, story.summary, published, start + timedelta(seconds=story.at))


def _changed(versions: tuple[_Version, ...], start: datetime) -> datetime:
    """When the document last changed."""
    return max((version.changed for version in versions), default=start)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _element(name: str, text: str, attributes: str = "") -> str:
    """An XML element; "" for an empty text, as most outlets leave out what they do not have."""
    return f"<{name}{attributes}>{escape(text)}</{name}>\n" if text else ""


def _about(outlet: Outlet) -> str:
    """The outlet's description as XML text, or as the malformed outlet's careless software writes it."""
    return outlet.about if outlet.malformed else escape(outlet.about)


def _rss2(outlet: Outlet, versions: tuple[_Version, ...], address: str, start: datetime) -> str:
    parts = [
        f'<?xml version="1.0" encoding="{outlet.encoding}"?>\n',
        '<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/"',
        ' xmlns:content="http://purl.org/rss/1.0/modules/content/">\n<channel>\n',
        _element("title", outlet.name),
        _element("link", outlet.home),
        f"<description>{_about(outlet)}</description>\n",
        _element("language", outlet.language),
        f'<atom:link rel="self" href={quoteattr(address)}/>\n',
        _element("lastBuildDate", format_datetime(_changed(versions, start))),
    ]
    for version in versions:
        story = version.story
        parts += [
            "<item>\n",
            _element("title", version.title),
            _element("link", story.url),
            _element("guid", story.guid, ' isPermaLink="false"'),
            _element("pubDate", format_datetime(version.published) if version.published else ""),
            _element("dc:creator", story.author),
            *(_element("category", tag) for tag in story.tags),
            _element("description", version.summary),
            _element("content:encoded", version.body),
            "</item>\n",
        ]
    return "".join([*parts, "</channel>\n</rss>\n"])


def _atom(outlet: Outlet, versions: tuple[_Version, ...], address: str, start: datetime) -> str:
    parts = [
        f'<?xml version="1.0" encoding="{outlet.encoding}"?>\n',
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang={quoteattr(outlet.language)}>\n',
        _element("title", outlet.name),
        _element("subtitle", outlet.about),
        _element("id", f"tag:{outlet.host},2026:feed"),
        f'<link href={quoteattr(outlet.home)}/>\n<link rel="self" href={quoteattr(address)}/>\n',
        _element("updated", _iso(_changed(versions, start))),
    ]
    for version in versions:
        story = version.story
        author = f"<author>{_element('name', story.author)}</author>\n" if story.author else ""
        parts += [
            "<entry>\n",
            _element("title", version.title),
            f"<link href={quoteattr(story.url)}/>\n",
            _element("id", story.guid),
            _element("published", _iso(version.published) if version.published else ""),
            _element("updated", _iso(version.changed)),
            author,
            *(f"<category term={quoteattr(tag)}/>\n" for tag in story.tags),
            _element("summary", version.summary, ' type="html"'),
            _element("content", version.body, ' type="html"'),
            "</entry>\n",
        ]
    return "".join([*parts, "</feed>\n"])


def _rdf(outlet: Outlet, versions: tuple[_Version, ...], address: str, start: datetime) -> str:
    """RSS 1.0, in which the link is the id: it has no other."""
    links = "".join(f"<rdf:li rdf:resource={quoteattr(version.story.url)}/>\n" for version in versions)
    parts = [
        f'<?xml version="1.0" encoding="{outlet.encoding}"?>\n',
        '<rdf:RDF xmlns="http://purl.org/rss/1.0/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"',
        f' xmlns:dc="http://purl.org/dc/elements/1.1/">\n<channel rdf:about={quoteattr(address)}>\n',
        _element("title", outlet.name),
        _element("link", outlet.home),
        _element("description", outlet.about),
        _element("dc:language", outlet.language),
        _element("dc:date", _iso(_changed(versions, start))),
        f"<items><rdf:Seq>\n{links}</rdf:Seq></items>\n</channel>\n",
    ]
    for version in versions:
        story = version.story
        parts += [
            f"<item rdf:about={quoteattr(story.url)}>\n",
            _element("title", version.title),
            _element("link", story.url),
            _element("description", version.summary),
            _element("dc:date", _iso(version.published) if version.published else ""),
            _element("dc:creator", story.author),
            *(_element("dc:subject", tag) for tag in story.tags),
            "</item>\n",
        ]
    return "".join([*parts, "</rdf:RDF>\n"])


def _jsonfeed(outlet: Outlet, versions: tuple[_Version, ...], address: str, start: datetime) -> str:  # noqa: ARG001 - a JSON Feed carries no date of its own, and the renderers share a signature
    items = []
    for version in versions:
        story = version.story
        item = {
            "id": story.guid,
            "url": story.url,
            "title": version.title,
            "summary": version.summary,
            "content_html": version.body or f"<p>{version.summary}</p>",
            "date_published": _iso(version.published) if version.published else "",
            "date_modified": _iso(version.changed) if version.changed != version.published else "",
            "authors": [{"name": story.author}] if story.author else [],
            "tags": list(story.tags),
        }
        items.append({key: value for key, value in item.items() if value})
    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": outlet.name,
        "description": outlet.about,
        "home_page_url": outlet.home,
        "feed_url": address,
        "language": outlet.language,
        "items": items,
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


_RENDERERS = {"rss2": _rss2, "atom": _atom, "rdf": _rdf, "jsonfeed": _jsonfeed}
