"""Headlines as words. Pure."""

from __future__ import annotations

from monitor.text import fold, words

SHORTEST_HEADLINE = 4  # words; shorter ones ("Live", "In pictures") say nothing about the happening


def headline_key(title: str) -> str:
    """Return a headline's folded words, the form in which two headlines are compared; "" when too short to tell."""
    parts = [word.folded for word in words(title)]
    return fold(" ".join(parts)) if len(parts) >= SHORTEST_HEADLINE else ""


def unlike(title: str, other: str) -> bool:
    """Whether two headlines share so few words that neither can be an edit of the other."""
    one, two = ({word.folded for word in words(text)} for text in (title, other))
    return len(one & two) * 2 < len(one | two) if one and two else False
