"""Which event a story belongs to, and why. Pure.

This version joins only what cannot be wrong: the same headline, in another outlet, within the window. A wire story
that thirty outlets carry unchanged is told once; everything else stays its own event, because two happenings merged
are worse than one told twice. Standing headlines ("Morning briefing") come again and again from one outlet, so a
headline never joins stories of one source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.text import fold, words

SHORTEST_HEADLINE = 4  # words; shorter ones ("Live", "In pictures") say nothing about the happening


@dataclass(frozen=True, slots=True)
class Member:
    """A story already in an event, as `join` needs it."""

    event_id: int
    source: str
    headline: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """The event a story joins (None: a new one), and why."""

    event_id: int | None
    why: str


def headline_key(title: str) -> str:
    """Return a headline's folded words, the form in which two headlines are compared; "" when too short to tell."""
    parts = [word.folded for word in words(title)]
    return fold(" ".join(parts)) if len(parts) >= SHORTEST_HEADLINE else ""


def unlike(title: str, other: str) -> bool:
    """Whether two headlines share so few words that neither can be an edit of the other."""
    one, two = ({word.folded for word in words(text)} for text in (title, other))
    return len(one & two) * 2 < len(one | two) if one and two else False


def join(headline: str, source: str, seen_at: datetime, window: float, members: Sequence[Member]) -> Joined:
    """Return the event that a story of `source` with `headline` (see `headline_key`) joins.

    `members` are earlier stories with that headline; `window` is in seconds.
    """
    if not headline:
        return Joined(None, "a headline of so few words joins nothing")
    since = seen_at - timedelta(seconds=window)
    recent = [member for member in members if member.headline == headline and member.seen_at >= since]
    if not recent:
        return Joined(None, "no other story has this headline")
    event = max(recent, key=lambda member: member.seen_at).event_id
    sources = {member.source for member in recent if member.event_id == event}
    if source in sources:
        return Joined(None, f"{source} had this headline before: a standing headline joins nothing")
    return Joined(event, f"the same headline as in {', '.join(sorted(sources))}")
