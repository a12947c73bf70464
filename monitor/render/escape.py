"""Makes a publisher's words harmless, and of the right size, for the surface that shows them. Pure.

HTML is escaped by Jinja2; what is here is the rest: mail headers, Slack's markup, messages that a chat service reads
for mentions and links, and columns of plain text in any script.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from monitor.text import clean

WIDTH = 72  # columns of a mail's text part
SLACK_LINK = 1_000  # characters of a link within Slack text; a longer one is left out
_GAP = "\u200b"  # zero-width space: parts what a program would read as one thing, and shows nothing
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"
RIGHT_TO_LEFT = "\u200f"  # a mark that makes a line run from the right

# What mail programs and chat services make a link of without being asked: a name before a dot and letters, or "://".
_AUTO_LINK = re.compile(r"(?<=\w)[.@](?=[^\W\d_])|(?<=[A-Za-z]):(?=//)")
# @everyone, <@U1>, <!channel>, <#C1>, and the [text](address) of Markdown.
_MENTION = re.compile(r"@(?=\w)|<(?=[!@#&:/])|\](?=\()")
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "*": "∗", "`": "ˋ", "~": "∼"})
_SLACK_PLAIN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# One East Asian character with the stops that may not begin a line, or a run of anything else.
_WORD = re.compile(
    r"[\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff01-\uff60][、。，．！？：；」』”’）〉》】]*"
    r"|[^\s\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\uff01-\uff60]+|\s+"
)


def plain(text: str) -> str:
    """Return `text` on one line, without control and bidi characters."""
    return " ".join(clean(text).split())


def header_text(text: str) -> str:
    """Return `text` fit for a mail header: one line, and nothing that reads as an encoded word.

    `email` decodes an encoded word that stands in a plain value, line ends within it included (CVE-2024-6923).
    """
    return plain(text).replace("=?", "= ?")


def unlink(text: str) -> str:
    """Return `text` with what a program would make a link of parted by zero-width spaces."""
    return _AUTO_LINK.sub(lambda found: found[0] + _GAP, text)


def defuse(text: str) -> str:
    """Return `text` for a service that may read it for mentions, links and Markdown links: none stays whole."""
    return unlink(_MENTION.sub(lambda found: found[0] + _GAP, text))


def bare_link(url: str) -> str:
    """Return a link as it stands in plain text: without an @, which Discord reads as a mention there too."""
    return url.replace("@", "%40")


def mrkdwn(text: str) -> str:
    """Return `text` for Slack's mrkdwn: & < > escaped, and the signs of its formatting as look-alikes."""
    return text.translate(_SLACK)


def bold(text: str) -> str:
    """Return `text` as bold mrkdwn; the zero-width spaces let Slack see the stars in scripts without blanks."""
    return f"{_GAP}*{mrkdwn(text).strip()}*{_GAP}" if text.strip() else text


def slack_link(url: str, text: str) -> str:
    """Return a mrkdwn link, or only its text without a url or with one longer than SLACK_LINK."""
    url = _slack_url(url)
    return f"<{url}|{mrkdwn(text)}>" if 0 < len(url) <= SLACK_LINK else mrkdwn(text)


def _slack_url(url: str) -> str:
    return url.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")


def label(text: str, limit: int = 75) -> str:
    """Return `text` for a button or header of Slack: escaped, and cut with "…" to `limit` characters as escaped."""
    escaped = text.translate(_SLACK_PLAIN)
    while len(escaped) > limit:
        text = text.removesuffix("…")[:-1].rstrip() + "…"
        escaped = text.translate(_SLACK_PLAIN)
    return escaped


def capital(text: str) -> str:
    """Return `text` with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def direction(text: str) -> Literal["ltr", "rtl"]:
    """Return the direction of `text`: that of its first letter that has one (Unicode Bidi, rule P2)."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in ("R", "AL"):
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def isolate(text: str, is_rtl: bool = False) -> str:
    """Return `text` so that it does not reorder what stands beside it: isolated when any of it runs the other way.

    `is_rtl`: what stands beside it runs right to left.
    """
    other = ("L",) if is_rtl else ("R", "AL")
    if _ISOLATE in text or not any(unicodedata.bidirectional(c) in other for c in text):
        return text
    return f"{_ISOLATE}{text}{_END_ISOLATE}"


def columns(text: str) -> int:
    """Return how many columns of a terminal or a fixed-width page `text` takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int, is_rtl: bool = False) -> str:
    """Return `text` cut or filled with blanks to `width` columns."""
    shown = text
    while columns(shown) > width:
        shown = shown.removesuffix("…")[:-1] + "…"
    return isolate(shown, is_rtl) + " " * (width - columns(shown))


def wrap(text: str, first: str = "", rest: str = "", width: int = WIDTH, is_rtl: bool = False) -> str:
    """Return `text` in lines of at most `width` columns; the first begins with `first`, the others with `rest`.

    A line is a paragraph to those that show plain text, so an isolate that goes on in the next line begins anew there.
    With `is_rtl` each line says by a mark that it runs right to left, whatever its first letter does.
    """
    lines: list[str] = []
    line, used, blank = "", 0, False
    for word in _words(text, width - max(columns(first), columns(rest))):
        if word.isspace():
            blank = bool(line)
            continue
        room = width - columns(rest if lines else first)
        size = columns(word)
        if line and used + blank + size > room:
            lines.append(line)
            line, used, blank = "", 0, False
        line += " " * blank + word
        used += blank + size
        blank = False
    lines.append(line)
    shown = _isolated(lines) if is_rtl else map(isolate, _isolated(lines))
    mark = RIGHT_TO_LEFT if is_rtl else ""
    return "\n".join(mark + (rest if number else first) + line for number, line in enumerate(shown))


def _isolated(lines: list[str]) -> Iterator[str]:
    """The lines with each isolate closed at the end of its line, and opened again in the next."""
    still_open = 0
    for line in lines:
        begin = _ISOLATE * still_open
        still_open += line.count(_ISOLATE) - line.count(_END_ISOLATE)
        yield begin + line + _END_ISOLATE * still_open


def _words(text: str, width: int) -> Iterator[str]:
    """The words and blanks of `text`; a word wider than `width` columns comes in pieces."""
    for word in _WORD.findall(text):
        piece, size = "", 0
        for character in word:
            if size + _columns(character) > width:
                yield piece
                piece, size = "", 0
            piece += character
            size += _columns(character)
        yield piece


def first_words(text: str, count: int, most: int = 60) -> str:
    """Return the first `count` words of `text`, and at most `most` columns of them, with "…" when something is cut."""
    shown = " ".join(text.split()[:count])
    while columns(shown) > most:
        shorter = shown.rpartition(" ")[0]
        shown = shorter if columns(shorter) > most // 2 else shown[:-1]
    return shown if shown == text else shown.rstrip(" ,;:–—-") + "…"
