"""What a document says, in plain text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ParsedStory:
    """One entry, cleaned: `title`, `summary` and `text` are plain text, `published` is UTC.

    `guid` is never empty (the link stands in, else a hash). `key_url` is the canonical link where it tells this story
    from the others of the document, else "". `published_raw` is the publisher's own string. `source` is the publisher,
    where the document says that the story is another's.
    """

    guid: str
    url: str = ""
    title: str = ""
    summary: str = ""
    text: str = ""
    author: str = ""
    published_raw: str = ""
    published: datetime | None = None
    tags: tuple[str, ...] = ()
    language: str = ""
    key_url: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A document. `readable` is false when it is no feed at all; the reason then stands first in `problems`.

    `elsewhere` then tells where stories may be: the feeds that a web page (`kind` page) leads to, the sitemaps of an
    index (`kind` index). `ttl` is for how many seconds the document asks to be kept, 0 when it does not.

    `listed` are the guids of all its stories; `stories` has not those that were known, unless it was read `whole`.
    `seen` tells the next reading which those are, "" where it must be of the whole document too.
    `address` is its own and `hub` that of its WebSub hub, as it says itself; "" for none.
    """

    kind: str
    title: str = ""
    url: str = ""
    language: str = ""
    stories: tuple[ParsedStory, ...] = ()
    problems: tuple[str, ...] = ()
    readable: bool = True
    listed: tuple[str, ...] = ()
    seen: str = ""
    whole: bool = True
    ttl: float = 0.0
    elsewhere: tuple[str, ...] = ()
    address: str = ""
    hub: str = ""
