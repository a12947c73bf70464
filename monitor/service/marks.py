"""A story's words with those that matched marked, for pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.text import Evidence

Piece = tuple[str, tuple[int, ...]]  # a part of a text, and the numbers of the terms found in it

_MOST = 400  # spans that are looked at in one text


def numbers(evidence: Iterable[Evidence]) -> dict[str, int]:
    """Return a number for each term, in the order in which a reader meets them."""
    found: dict[str, int] = {}
    for one in evidence:
        found.setdefault(label(one), len(found) + 1)
    return found


def label(one: Evidence) -> str:
    """Return a term as a rule names it: an entity's name rather than the alias found."""
    return f"@{one.entity}" if one.entity else one.term


def pieces(text: str, field: str, evidence: Iterable[Evidence], known: dict[str, int] | None = None) -> list[Piece]:
    """Return `text`, a story's `field`, in parts: each with the numbers of the terms there, by `known`.

    Spans that overlap make one part; those that lie outside of the text, which an edit may have shortened, none.
    """
    known = known or {}
    spans = sorted((e.start, e.end, known.get(label(e), 0)) for e in evidence if e.field == field)[:_MOST]
    found: list[Piece] = []
    at = 0
    merged: list[tuple[int, int, tuple[int, ...]]] = []
    for start, end, number in spans:
        if not 0 <= start < end <= len(text):
            continue
        if merged and start < merged[-1][1]:
            before = merged[-1]
            told = before[2] if number in before[2] else (*before[2], number)
            merged[-1] = (before[0], max(before[1], end), told)
        else:
            merged.append((start, end, (number,)))
    for start, end, told in merged:
        if at < start:
            found.append((text[at:start], ()))
        found.append((text[start:end], told))
        at = end
    if at < len(text):
        found.append((text[at:], ()))
    return found
