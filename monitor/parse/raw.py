"""A document's entries as they stand in it, before cleaning: what the readers of both families return."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class RawEntry:
    """One entry. `summary` and `content` may be HTML; `published` is the reader's own understanding of the date.

    `permalink` tells that the guid may stand for the link. `source` is the publisher where the story is another's;
    `identity` tells which story it is where its link does not.
    """

    guid: str = ""
    permalink: bool = False
    link: str = ""
    title: str = ""
    summary: str = ""
    content: str = ""
    author: str = ""
    published_raw: str = ""
    published: datetime | None = None
    tags: list[str] = field(default_factory=list)
    language: str = ""
    source: str = ""
    identity: str = ""


@dataclass(slots=True)
class RawFeed:
    """A document. `address` is its own and `hub` that of its WebSub hub, as it says itself."""

    kind: str
    title: str
    link: str
    language: str
    entries: list[RawEntry]
    problems: list[str]
    address: str = ""
    ttl: float = 0.0
    hub: str = ""
