"""Text of a document → XML that a strict parser takes, where that is possible without guessing.

Every mended document is read by feedparser's strict parser, which is faster and more exact than its loose one, to which
it turns after the first mistake. Each function takes time linear in the text.
"""

from __future__ import annotations

import html.entities
import re
from collections.abc import Mapping, Set

from monitor.parse.plain import join_pairs

MOST_HEAD = 100_000  # characters before the root element that are looked through
ENTITIES = 100  # declared entities that are kept
ENTITY = 40  # characters of an entity's value: a million references to a longer one would fill the memory

_NO_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,500})|([0-9]{1,500}));?")
_CDATA = re.compile(r"<!\[cdata\[", re.IGNORECASE)
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
# What begins no reference to a character, outside of CDATA and comments: there "&" stands for itself.
_BARE = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)"
    r"|&(?!#[0-9]{1,7};|#x[0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};)|&([A-Za-z][A-Za-z0-9]{1,31});",
    re.DOTALL,
)
_XML_NAMES = {"lt", "gt", "amp", "quot", "apos"}
_ROOT = re.compile(
    r"<(?:[A-Za-z_][\w.-]{0,40}:)?(?:rss|feed|rdf|channel|urlset|sitemapindex|opml)(?=[\s>/])", re.IGNORECASE
)
_SKIPPED = re.compile(r"\s+|<\?[^>]*>|<!--.*?-->", re.DOTALL)
_SAFE_ENTITY = re.compile(rf"""<!ENTITY\s+(\w{{1,40}})\s+"((?:&#\w{{1,8}};|[^&"%<>]){{0,{ENTITY}}})"\s*>""")
STORIES = re.compile(r"<(?:[A-Za-z_][\w.-]{0,40}:)?(?:item|entry)(?=[\s>])", re.IGNORECASE)
PAGES = re.compile(r"<(?:[A-Za-z_][\w.-]{0,40}:)?url(?=[\s>])")
SITEMAPS = re.compile(r"<(?:[A-Za-z_][\w.-]{0,40}:)?sitemap(?=[\s>])")


def root(text: str) -> str:
    """Return the name of a document's root element, without its prefix and in small letters; "" where none is known."""
    match = re.match(r"<(?:[^\s:>/]{1,41}:)?([^\s:>/]{1,20})", split_head(text)[1])
    return match.group(1).lower() if match else ""


def mend(text: str, most: int, story: re.Pattern[str] = STORIES) -> tuple[str, int]:
    """Return a document without what no XML parser takes, and how many stories were cut out of its middle, where it
    has more than `most`.

    `story` finds the beginnings of stories.
    """
    text = _NO_CHARACTER.sub("", text)
    head, text = split_head(text)
    text = _CDATA.sub("<![CDATA[", text)
    text = _REFERENCE.sub(_reference, join_pairs(text))
    text = _NAMED.sub(_named, text)
    declared = dict(_SAFE_ENTITY.findall(head)[:ENTITIES])
    text = _bare(text, _XML_NAMES | declared.keys())
    text, cut = _ends(text, most, story)
    return _doctype(declared) + text, cut


def split_head(text: str) -> tuple[str, str]:
    """Part what stands before the root element (declaration, comments, DOCTYPE, a server's warnings) from the rest."""
    start = 0
    while match := _SKIPPED.match(text, start, MOST_HEAD):
        start = match.end()
    root = _ROOT.search(text, start, MOST_HEAD)
    return (text[: root.start()], text[root.start() :]) if root else ("", text[start:])


def _doctype(declared: Mapping[str, str]) -> str:
    """Return a DOCTYPE with the entities that stand for a few characters; the others are for bombs and for files."""
    if not declared:
        return ""
    # In this very form feedparser takes it over.
    lines = "\n".join(f'<!ENTITY {name} "{value}">' for name, value in declared.items())
    return f"<!DOCTYPE feed [\n{lines}\n]>\n"


def _bare(text: str, known: Set[str]) -> str:
    """Write `&` as `&amp;` where it begins no reference, as in "AT&T" and "?a=1&copy=2", or one to an unknown name.

    A strict parser gives up at the first, and feedparser's loose one makes "AT&T;" and "?a=1©=2" of them.
    """

    def one(match: re.Match[str]) -> str:
        found = match.group()
        return found if found[0] == "<" or match.group(1) in known else f"&amp;{found[1:]}"

    return _BARE.sub(one, text)


def _reference(match: re.Match[str]) -> str:
    """Keep a character reference to what is a character; feedparser raises for lone surrogates and huge numbers."""
    sixteen, ten = match.groups()
    digits = (sixteen or ten).lstrip("0")
    code = int(digits, 16 if sixteen else 10) if 0 < len(digits) <= 7 else 0
    is_character = code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000
    return f"&#{code};" if is_character else ""


def _named(match: re.Match[str]) -> str:
    """Turn HTML's `&nbsp;` into a number: XML does not know it without a DTD, and within CDATA both mean the same."""
    name = match.group(1)
    if name in _XML_NAMES or name not in html.entities.name2codepoint:
        return match.group()
    return f"&#{html.entities.name2codepoint[name]};"


def _ends(text: str, most: int, story: re.Pattern[str]) -> tuple[str, int]:
    """Cut the middle out of a document with more stories: a quarter of news feeds are not newest-first (notes on feeds,
    rule 26), so that what is new is at either end.
    """
    starts = [match.start() for match in story.finditer(text)]
    if len(starts) <= most:
        return text, 0
    return text[: starts[most - most // 2]] + text[starts[-(most // 2)] :], len(starts) - most
