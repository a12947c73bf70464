"""A document's items told apart without parsing, so that those known from the last poll need not be parsed again.

Parsing is what a poll costs most for, and of a document that changed mostly one item in fifty is new (notes on feeds,
section 4). What an item says depends on its own text and the header's, and on other items only where two share a guid
or a link: so one that was read before, word for word and under the same header, says the same again. Everything here
takes time linear in the length of the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from monitor.parse.mend import split_head

MOST, LONGEST = 1_000, 200_000  # items of a document that are remembered, in so many characters
_MARK = 16  # letters of a hash

# What an item begins or ends with, and what may hide such a thing.
_SIGN = re.compile(r"<(?:!|\?|/?(?:[A-Za-z_][\w.-]{0,40}:)?(?:item|entry)(?=[\s/>]))")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# What a header says anew in each document, and no story depends on: when it was made, and RSS 1.0's list of its items.
_PASSING = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|</?rdf:li\b[^<>]*>"
    r"|<((?:[A-Za-z_][\w.-]{0,40}:)?(?:lastBuildDate|pubDate|updated|modified|date))\b[^<>]*>[^<]*</\1>",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A document's items, and the header that stands around them."""

    before: str
    items: tuple[str, ...]
    after: str

    def holding(self, items: Iterable[str]) -> str:
        """Return the document with these items only."""
        return "\n".join((self.before, *items, self.after))


@dataclass(frozen=True, slots=True)
class Place:
    """What identifies a story within its document: its guid, and its canonical link (as a hash; "" for none)."""

    guid: str
    key: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A document that was read: the hash of its header, and the places of its items by their hashes, in order."""

    header: str
    items: Mapping[str, Place] = field(default_factory=dict)

    def written(self) -> str:
        """Return it as text for the next reading; "" where that is too long to keep."""
        lines = (f"{item}{at.key or '-' * _MARK}{at.guid}" for item, at in self.items.items())
        text = "\n".join((self.header, *lines))  # a guid is of one line
        return text if len(text) <= LONGEST else ""


def seen(text: str) -> Seen:
    """Return what was `written`."""
    header, *lines = text.split("\n")
    keys = ((line, line[_MARK : 2 * _MARK].strip("-")) for line in lines)
    return Seen(header, {line[:_MARK]: Place(line[2 * _MARK :], key) for line, key in keys})


def pieces(text: str) -> Pieces | None:
    """Part a document into header and items; None where that is not certain: every doubt is a reason to parse it whole.

    Items stand in a row, under one name, not within each other, and with nothing but comments in between.
    """
    ranges: list[tuple[int, int]] = []
    name, began = "", -1
    at = len(split_head(text)[0])  # a DOCTYPE may hold anything
    while sign := _SIGN.search(text, at):
        found = sign.group()
        at = _past_hidden(text, sign.end()) if found == "<!" else text.find(">", sign.end()) + 1
        if found == "<?" or at <= 0:
            return None
        if found == "<!":
            continue
        if found[1] == "/":
            if began < 0 or found[2:] != name:
                return None
            ranges.append((began, at))
            began = -1
        elif began >= 0 or name not in ("", found[1:]) or text[at - 2] == "/" or len(ranges) == MOST:
            return None
        else:
            if ranges and _COMMENT.sub("", text[ranges[-1][1] : sign.start()]).strip():
                return None
            name, began = found[1:], sign.start()
    if began >= 0 or not ranges:
        return None
    return Pieces(text[: ranges[0][0]], tuple(text[start:end] for start, end in ranges), text[ranges[-1][1] :])


def _past_hidden(text: str, at: int) -> int:
    """Return where the comment or CDATA ends whose `<!` ends at `at`; -1 for what is neither, or has no end."""
    for opening, closing in (("[CDATA[", "]]>"), ("--", "-->")):
        if text.startswith(opening, at):
            end = text.find(closing, at + len(opening))
            return end + len(closing) if end >= 0 else -1
    return -1


def header_mark(found: Pieces, address: str) -> str:
    """Return the hash of what an item's meaning depends on besides its text: the header and the document's address."""
    said = (_PASSING.sub(_lasting, part) for part in (found.before, found.after))
    return mark("\x00".join((address, *(" ".join(part.split()) for part in said))))


def _lasting(match: re.Match[str]) -> str:
    return match.group() if match.group().startswith("<![") else ""


def mark(text: str) -> str:
    """Return a hash of eight bytes, in letters: the publisher could make two items collide, and lose one of its own."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_MARK // 2).hexdigest()
