"""HTML → plain text, in time linear in its length."""

from __future__ import annotations

import html
import re

from monitor.text import clean

# None of these runs past the next "<" looking for the end of a tag, or tries a stretch in two ways: so they are linear.
_INSIDE = r"""(?:[^<>"']|"[^"<]*"|'[^'<]*')*+"""
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[|\]\]>", re.DOTALL)
_DROPPED = ("script", "style", "template", "noscript", "iframe", "svg")
_OPENED = re.compile(rf"<({'|'.join(_DROPPED)})\b[^<>]*>", re.IGNORECASE)
_CLOSED = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _DROPPED}
_BLOCK_NAMES = (
    "p|div|br|hr|li|ul|ol|tr|td|th|table|h[1-6]|blockquote|section|article|figure|figcaption|pre|dd|dt|img|option"
)
_BLOCK = re.compile(rf"</?(?:{_BLOCK_NAMES})\b(?:{_INSIDE}>|[^<>]*>)", re.IGNORECASE)
# A tag begins with a letter, so that "a < b" stays text.
_TAG = re.compile(rf"</?[a-zA-Z](?:{_INSIDE}>|[^<>]*>)|<[!?][^<>]*>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_HALF = r"&#(?:[xX]([dD][89a-fA-F][0-9a-fA-F]{2})|(5[5-7][0-9]{3}));"
_PAIR = re.compile(_HALF + _HALF)
# What shows that text which was HTML once still is: an end tag, or one of the tags that have none.
_MARKUP = re.compile(
    r"<(?:/(?:a|b|i|u|em|strong|p|span|div|font|su[bp]|li|h[1-6]|script|style)\b|(?:br|p|img)\b|!--|!\[CDATA\[)",
    re.I,
)


def from_html(text: str, limit: int, *, title: bool = False) -> str:
    """Return the words of HTML, at most `limit` characters: without tags, scripts, styles and comments.

    Text that was escaped twice ("&amp;lt;b&amp;gt;", a common mistake of publishers) is read once more. In a `title`
    a `<script>` that nothing closes is a word.
    """
    text = _strip(text[: limit * 12], named=title)
    text = _strip(text, named=True) if _MARKUP.search(text) else _unescape(text)
    return clean(text)[:limit].rstrip()


def _strip(text: str, *, named: bool) -> str:
    text = _COMMENT.sub(" ", text)
    text = _without_dropped(text, named)
    text = _BLOCK.sub("\n", text)
    text = _TAG.sub("", text)
    return _unescape(text)


def _without_dropped(text: str, named: bool) -> str:
    """Drop scripts and the like with what is in them.

    One without an end reaches to the end of the text, as in a browser, unless it is merely `named` there. One that is
    closed at once (`<iframe …/>`) holds nothing: no browser reads it so, but publishers whose tools write XML mean it.
    """
    parts, at, endless = [], 0, set[str]()  # each name is looked for in vain once only, so that time stays linear
    while match := _OPENED.search(text, at):
        name = match.group(1).lower()
        end = None
        if match.group().endswith("/>"):
            end = match
        elif name not in endless and not (end := _CLOSED[name].search(text, match.end())):
            endless.add(name)
        parts.append(text[at : match.start()])
        if end is None and not named:
            return "".join(parts)
        parts.append(" " if end else f"&lt;{match.group()[1:]}")
        at = (end or match).end()
    return "".join(parts) + text[at:]


def join_pairs(text: str) -> str:
    """Return text in which a character that was written as two references, by its UTF-16 halves, is one reference."""
    return _PAIR.sub(_joined, text) if "&#" in text else text


def _joined(match: re.Match[str]) -> str:
    high, low = (int(sixteen, 16) if sixteen else int(ten) for sixteen, ten in (match.groups()[:2], match.groups()[2:]))
    if not 0xD800 <= high < 0xDC00 <= low < 0xE000:
        return match.group()
    return f"&#{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)};"


def _unescape(text: str) -> str:
    text = join_pairs(text)
    # Only references with their semicolon: "a&section=2" is more often an address than a section sign.
    return _ENTITY.sub(lambda match: html.unescape(match.group()), text) if "&" in text else text
