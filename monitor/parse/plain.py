"""HTML → plain text, in time linear in its length."""

from __future__ import annotations

import html
import re

from monitor.text import clean

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[|\]\]>", re.DOTALL)
_DROPPED = re.compile(
    r"<(script|style|template|noscript|iframe|svg)\b[^>]*>.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_BLOCK = re.compile(
    r"</?(?:p|div|br|hr|li|ul|ol|tr|td|th|table|h[1-6]|blockquote|section|article|figure|figcaption|pre|dd|dt)\b[^<>]*>",
    re.IGNORECASE,
)
# A tag begins with a letter, so that "a < b" stays text. `[^<>]*` cannot run past the next "<", which keeps it linear.
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<[!?][^<>]*>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_MARKUP = re.compile(r"<(?:/?(?:a|b|i|em|strong|p|br|span|div|img|font|u|sup|sub|script|style)\b|!--)", re.IGNORECASE)


def from_html(text: str, limit: int) -> str:
    """Return the words of HTML, at most `limit` characters: without tags, scripts, styles and comments.

    Text that was escaped twice ("&amp;lt;b&amp;gt;", a common mistake of publishers) is read once more.
    """
    text = text[: limit * 12]
    for _ in range(2):
        text = _strip(text)
        if not (_MARKUP.search(text) or ("&" in text and _ENTITY.search(text))):
            break
    return clean(text)[:limit].rstrip()


def _strip(text: str) -> str:
    text = _COMMENT.sub(" ", text)
    text = _DROPPED.sub(" ", text)
    text = _BLOCK.sub("\n", text)
    text = _TAG.sub("", text)
    return html.unescape(text)
