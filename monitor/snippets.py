"""Cuts passages for messages out of stories: on whole words, with the matched words in view. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

ELLIPSIS = "…"
_MOST_SPANS = 200  # evidence looked at in one field; a hostile page can hold a matched word very often
_WORD = 40  # characters that a cut moves at most to reach the edge of a word; beyond, the word itself is cut

# A sentence ends at a full stop before a blank and no lower-case letter, but not after an initial ("U.S. army")
# or a common title; East Asian scripts need no blank. A run of stops is tried once, so the cost is linear.
_SENTENCE_END = re.compile(
    r"(?<![.!?…؟۔।])(?<!\b[^\W\d_])"
    r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bGen)(?<!\bCol)(?<!\bSen)(?<!\bGov)(?<!\bSt)"
    r"[.!?…؟۔।]++[\"'”’»)\]]*+(?=\s++[^\sa-z])"
    r"|(?<![。！？])[。！？]++[」』”’）]*+"
    r"|\n++"
)


class Span(Protocol):
    """Says where `term` matched in a story's `field` (rules.Evidence)."""

    @property
    def field(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def term(self) -> str: ...
    def _replace(self, *, field: str = ..., start: int = ..., end: int = ...) -> Self: ...


SpanT = TypeVar("SpanT", bound=Span)


@dataclass(frozen=True, slots=True)
class _Window(Generic[SpanT]):
    body: str
    start: int
    end: int
    cut_before: bool
    cut_after: bool
    spans: tuple[SpanT, ...]

    @property
    def score(self) -> int:
        """How many different terms the window shows."""
        return len({span.term.casefold() for span in self.spans})


def snippet(summary: str, text: str, evidence: Iterable[SpanT], limit: int = 320) -> tuple[str, tuple[SpanT, ...]]:
    """Return the passage of a story that shows most of the matched terms, and their spans in it.

    The passage is one or more whole sentences of `summary` or `text` where these fit into `limit` characters,
    else whole words with "…" at the cut ends. Among equals the summary wins, then the earlier place. Without
    evidence in either it is the beginning of the summary (or else of the text). Each returned span is a copy
    of the given one with `field` "snippet" and its place in the passage; spans of other fields are left out.
    """
    found = tuple(evidence)
    best: _Window[SpanT] | None = None
    for field, body in (("summary", summary), ("text", text)):
        spans = sorted(
            (s for s in found if s.field == field and 0 <= s.start < s.end <= len(body)),
            key=lambda s: (s.start, s.end),
        )[:_MOST_SPANS]
        for index in range(len(spans)):
            window = _window(body, spans[index:], limit)
            if best is None or window.score > best.score:
                best = window
    if best is None:
        return cut(_one_line(summary.strip() or text.strip()), limit), ()
    return _shown(best)


def cut(text: str, limit: int) -> str:
    """Return `text`, or its beginning with "…" after a whole word, in at most `limit` characters.

    What precedes the "…" is always a prefix of `text`, so spans into `text` stay right.
    """
    if len(text) <= limit:
        return text
    if limit <= 0:
        return ""
    return text[: _word_end(text, limit - 1, 0)].rstrip(" ,;:–—-") + ELLIPSIS


def _window(body: str, spans: Sequence[SpanT], limit: int) -> _Window[SpanT]:
    """Return the window that begins with the sentence, or words, of the first of the sorted `spans`."""
    first = spans[0]
    low = max(0, first.start - limit)
    marks = [mark.end() for mark in _SENTENCE_END.finditer(body, low, first.start + limit)]
    start = max((mark for mark in marks if mark <= first.start), default=0 if low == 0 else -1)
    whole = start >= 0 and any(first.end <= mark <= start + limit for mark in (*marks, len(body)))
    cut_before = not whole and (start < 0 or first.end - start > limit * 3 // 4)
    if cut_before:
        start = _word_start(body, max(0, first.start - limit // 4), first.start)
    while start < first.start and body[start].isspace():
        start += 1
    reach = start + limit - cut_before
    ends = [mark for mark in marks if first.end <= mark <= reach]
    if len(body) <= reach:
        ends.append(len(body))
    if not ends:
        end = max(_word_end(body, reach - 1, first.start + 1), min(first.end, reach - 1))
        return _Window(body, start, end, cut_before, True, _within(spans, end))
    shown = _within(spans, ends[-1])
    last = max(span.end for span in shown)
    end = next(mark for mark in ends if mark >= last)
    return _Window(body, start, end, cut_before, False, shown)


def _within(spans: Sequence[SpanT], end: int) -> tuple[SpanT, ...]:
    """The spans that end by `end`; the first stays, cut, when it is longer than the whole window."""
    return tuple(span for span in spans if span.end <= end) or (spans[0]._replace(end=end),)


def _shown(window: _Window[SpanT]) -> tuple[str, tuple[SpanT, ...]]:
    passage = window.body[window.start : window.end].rstrip()
    before = ELLIPSIS if window.cut_before else ""
    after = ELLIPSIS if window.cut_after else ""
    shift = len(before) - window.start
    spans = tuple(
        span._replace(field="snippet", start=span.start + shift, end=span.end + shift) for span in window.spans
    )
    return before + _one_line(passage) + after, spans


def _one_line(text: str) -> str:
    """`text` with each white-space character as a blank; one for one, so that spans stay right."""
    return re.sub(r"\s", " ", text)


def _word_start(body: str, at: int, most: int) -> int:
    """The first start of a word from `at` on, within reach and not after `most`; else a character's start."""
    if at == 0 or body[at - 1].isspace():
        return at
    for place in range(at, min(most, at + _WORD) + 1):
        if body[place - 1].isspace():
            return place
    while at < most and _is_joined(body, at):
        at += 1
    return at


def _word_end(body: str, at: int, least: int) -> int:
    """The last end of a word up to `at`, within reach and not before `least`; else a character's end."""
    if at >= len(body) or body[at].isspace():
        return min(at, len(body))
    for place in range(at, max(least, at - _WORD), -1):
        if body[place - 1].isspace():
            return place - 1
    while at > least + 1 and _is_joined(body, at):
        at -= 1
    return at


def _is_joined(body: str, at: int) -> bool:
    """Whether a cut at `at` would part a character from its accents, or an emoji from its parts."""
    return unicodedata.category(body[at]).startswith("M") or "\u200d" in body[at - 1 : at + 1]
