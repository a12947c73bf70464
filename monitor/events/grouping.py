"""The stories of the last days, and which event a new one joins. Pure.

A story's terms weigh by how rare they are among the stories of the window (a term that half of them share says little,
though it be a name) and in the language at large. Two stories are as like as the cosine of their weighted terms, less
with the hours between them; an event is as like as the mean of its likest story and the mean of its lead and its latest
stories, so that a chain of likenesses glues no two happenings. From `THRESHOLD` on a story joins; it
is set for few false joins, since two happenings merged are worse than one told twice.

Stories are compared with those alone that share one of their rarest terms, the latest of each, so that the cost of a
story does not grow with the window.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from sys import intern
from typing import NamedTuple

from monitor.events.sketch import Sketch

WINDOW = 72 * 3600.0  # seconds
MOST_STORIES = 200_000  # held at once
THRESHOLD = 0.42
_HOUR = 3600.0

# Rarity
_PRIOR = 1000  # stories that what is known of the language counts as
_FIRST = 100  # added to the stories of the window, so that the first ones are not all alike
_RAREST = 0.0005  # share of stories; what is rarer counts as this
# Likeness
_LEAD_BONUS, _LEAD_FULL = 0.5, 30  # longer texts share less of their words: a factor, and the lead terms it is full at
_SAME_SOURCE, _SAME_SOURCE_HOURS = 0.1, 12.0  # an outlet rewrites its own story soon
_SURE_OF_SOURCE = 0.2  # likeness from which on these count in full
_DECAY_HOURS = 100.0
_RUN, _FREE_PAIRS = 0.06, 1  # for each two words that follow one another in both headlines, beyond so many
_LIVE_BAR = 0.15  # what a live page needs more: one of another happening is much like it
_NEAREST = 0.6  # what the likest story counts against the mean
_COPY = 0.8  # likeness from which on we call it a copy or light rewrite
_STANDING_HOURS = 10.0  # after which one outlet's same headline is a standing one
# Bounds
_ASKED = 16  # terms of a story that are looked up, the weightiest
_LATEST = 64  # stories of a term that are looked at, the latest
_COMPARED = 8  # events that are compared in full
_MEMBERS = 8  # stories that stand for an event: the lead and the latest
_SCALE = 16  # weights are kept in sixteenths, in a byte
_SHOWN = 4  # shared terms that a reason names


class Row(NamedTuple):
    """A story of the window in plain values, as it is kept in the database: what `Grouping.restore` takes.

    `arrived` is what the clock of the stories said. `terms` are joined by spaces, `weights` one byte each, in
    sixteenths; `speaks` says whether the story stands for its event.
    """

    key: int
    event: int
    arrived: float
    at: float
    source: str
    language: str
    title_terms: int
    lead_terms: int
    standing: int
    speaks: bool
    terms: str
    weights: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The likest event that a story did not join: how like it is, and what they share."""

    event: int
    likeness: float
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The event a story joins, or None for one of its own; `why` for people, and the nearest refusal."""

    event: int | None
    why: str
    likeness: float = 0.0
    refused: Refusal | None = None


class _Kept(NamedTuple):
    """A story of the window."""

    key: int
    event: int
    arrived: float
    at: float
    source: str
    language: str
    title_terms: int
    lead_terms: int
    standing: int
    speaks: bool
    terms: tuple[str, ...]
    weights: bytes
    length: float


class Grouping:
    """The stories of the last `window` seconds by their terms, and the events they are in.

    Time is that of the stories: the window ends at the latest one. A decision is a function of the stories held and of
    the order they came in, so that one restored from `rows` decides as the one that wrote them.
    """

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._now: float | None = None
        self._ahead: float | None = None  # the time of the latest story, where that lay too far ahead to be believed
        self._stories: dict[int, _Kept] = {}
        self._order: deque[int] = deque()  # of the stories, as they came
        self._postings: dict[str, array[int]] = {}
        self._counts: dict[str, int] = {}
        self._events: dict[int, list[int]] = {}  # the stories that stand for each, in order

    def events(self) -> frozenset[int]:
        """Return the events that a story may still join."""
        return frozenset(self._events)

    def __len__(self) -> int:
        return len(self._stories)

    def decide(self, new: Sketch) -> Decision:
        """Return which event a story joins. Changes nothing."""
        if new.round_up:
            return Decision(None, "new: a round-up tells of several happenings, and joins none")
        if not new.terms:
            return Decision(None, "new: there are no words to compare")
        weights = self._weights(new)
        length = _length(weights.items())
        ranked = []
        for event in self._candidates(weights, new):
            nearest, likeness, standing = self._likeness(event, new, weights, length)
            if standing is not None:
                return Decision(None, f"new: {new.source} had this headline {standing:.0f} h ago: a standing headline")
            ranked.append((-likeness, event, nearest))
        ranked.sort()
        joined: Decision | None = None
        refused: Refusal | None = None
        for negative, event, nearest in ranked[:2]:
            likeness, shared = -negative, _shared(new, weights, self._stories[nearest])
            if joined is None and likeness >= THRESHOLD + (_LIVE_BAR if new.live else 0.0):
                joined = Decision(event, self._why(event, new, likeness, shared), likeness)
            else:
                refused = Refusal(event, likeness, shared)
                break
        if joined is not None:
            return Decision(joined.event, joined.why, joined.likeness, refused)
        if refused is None:
            return Decision(None, "new: nothing in the window shares a rare word with it")
        return Decision(
            None, f"new: the nearest is too far, {_measured(refused.likeness, refused.shared)}", 0.0, refused
        )

    def add(self, key: int, new: Sketch, event: int) -> Row:
        """Take a story into an event, and return what to keep of it. Both numbers are the caller's; keys ascend."""
        self._advance(new.at)
        weights = self._weights(new)
        terms = tuple(weights)
        # A live page or a round-up that joins an event does not stand for it: it will tell of other things.
        speaks = not new.round_up and not (new.live and bool(self._events.get(event)))
        kept = _Kept(
            key, event, self._clock(), new.at, new.source, new.language, new.title_terms, new.lead_terms,
            new.standing, speaks, terms, bytes(weights.values()), _length(weights.items()),
        )  # fmt: skip
        self._keep(kept)
        return Row(*kept[:10], " ".join(terms), kept.weights)

    def merge(self, event: int, into: int) -> None:
        """Put all stories of `event` into another, as an operator says."""
        for key in [key for key, story in self._stories.items() if story.event == event]:
            self.move(key, into)

    def move(self, key: int, event: int) -> None:
        """Put one story into another event, as an operator says: what comes later joins by where it stands now."""
        story = self._stories[key]
        self._leave(story)
        self._stories[key] = moved = story._replace(event=event)
        if moved.speaks:
            members = self._events.setdefault(event, [])
            members.append(key)
            members.sort()

    def rows(self) -> Iterator[Row]:
        """Yield what is held, in the order it came, for `restore`."""
        for story in map(self._stories.__getitem__, self._order):
            yield Row(*story[:10], " ".join(story.terms), story.weights)

    @classmethod
    def restore(cls, rows: Iterable[Row], window: float = WINDOW) -> Grouping:
        """Return the grouping that wrote `rows`."""
        made = cls(window)
        for row in rows:
            made._now, made._ahead = row.arrived, row.at if row.at > row.arrived + window else None
            terms = tuple(intern(term) for term in row.terms.split(" ")) if row.terms else ()
            made._keep(_Kept(*row[:10], terms, row.weights, _length(zip(terms, row.weights, strict=True))))
        return made

    # --- what is held

    def _keep(self, story: _Kept) -> None:
        self._stories[story.key] = story
        self._order.append(story.key)
        for term in story.terms:
            self._counts[term] = self._counts.get(term, 0) + 1
        if not story.speaks:
            return
        self._events.setdefault(story.event, []).append(story.key)
        for term in story.terms:
            posting = self._postings.get(term)
            if posting is None:
                self._postings[term] = array("q", (story.key,))
            else:
                posting.append(story.key)
                if len(posting) > 2 * _LATEST:
                    del posting[:_LATEST]

    def _advance(self, at: float) -> None:
        """Move the clock on, and let go of what is older than the window; of the oldest, where there are too many."""
        # A time far ahead is a publisher's mistake, unless the next story tells of it too.
        believed = self._now is None or at <= self._now + self._window
        if believed or (self._ahead is not None and abs(at - self._ahead) <= self._window):
            self._now, believed = at if self._now is None else max(self._now, at), True
        self._ahead = None if believed else at
        while self._order:
            oldest = self._stories[self._order[0]]
            if oldest.arrived >= self._clock() - self._window and len(self._stories) < MOST_STORIES:
                break
            self._forget(oldest)

    def _clock(self) -> float:
        return 0.0 if self._now is None else self._now

    def _forget(self, story: _Kept) -> None:
        self._leave(story)
        self._order.popleft()
        del self._stories[story.key]
        for term in story.terms:
            posting = self._postings.get(term)
            if posting is not None and posting[0] == story.key:
                del posting[0]
                if not posting:
                    del self._postings[term]
            self._counts[term] -= 1
            if not self._counts[term]:
                del self._counts[term]

    def _leave(self, story: _Kept) -> None:
        members = self._events.get(story.event)
        if members is not None and story.speaks:
            members.remove(story.key)
            if not members:
                del self._events[story.event]

    # --- how like

    def _weights(self, new: Sketch) -> dict[str, int]:
        """Return each term's weight, in sixteenths: its emphasis times how rare it is, in nats."""
        stories = len(self._stories) + 1
        common = _common(new.language)
        weights = {}
        for term, emphasis in zip(new.terms, new.emphasis, strict=True):
            before = self._counts.get(term, 0)
            share = max(
                (before + _PRIOR * common.get(term, 0.0)) / (stories + _PRIOR),
                (before + 1) / (stories + _FIRST),
                _RAREST,
            )
            weights[term] = min(255, round(-math.log(share) * emphasis * _SCALE))
        return weights

    def _candidates(self, weights: Mapping[str, int], new: Sketch) -> list[int]:
        """Return the events whose stories share the most of the weightiest terms, at most `_COMPARED`."""
        asked = sorted(weights.items(), key=lambda one: (-one[1], one[0]))[:_ASKED]
        found: Counter[int] = Counter()
        for term, weight in asked:
            for key in self._postings.get(term, ())[-_LATEST:]:
                found[key] += weight * weight
        events: dict[int, None] = {}
        for key, _ in sorted(found.items(), key=lambda one: (-one[1], -one[0])):
            story = self._stories[key]
            if abs(new.at - story.at) <= self._window:
                events[story.event] = None
                if len(events) == _COMPARED:
                    break
        return list(events)

    def _likeness(
        self, event: int, new: Sketch, weights: Mapping[str, int], length: float
    ) -> tuple[int, float, float | None]:
        """Return an event's likest story, how like it is itself, and since when its headline stands, in hours."""
        members = self._events[event]
        if len(members) > _MEMBERS:
            members = [members[0], *members[1 - _MEMBERS :]]
        nearest, best, total = members[0], -1.0, 0.0
        pairs = frozenset(pairwise(new.terms[: new.title_terms]))
        for key in members:
            story = self._stories[key]
            hours = abs(new.at - story.at) / _HOUR
            if story.source == new.source and story.standing == new.standing and hours >= _STANDING_HOURS:
                return key, 0.0, hours
            likeness = _alike(story, new, pairs, weights, length, hours)
            total += likeness
            if likeness > best:
                nearest, best = key, likeness
        return nearest, _NEAREST * best + (1 - _NEAREST) * total / len(members), None

    def _why(self, event: int, new: Sketch, likeness: float, shared: Sequence[str]) -> str:
        lead = self._stories[self._events[event][0]]
        hours = (new.at - lead.at) / _HOUR
        kind = "joins as a copy or light rewrite" if likeness >= _COPY else "joins"
        return (
            f"{kind}: {_measured(likeness, shared)}; {abs(hours):.0f} h {'before' if hours < 0 else 'after'} the lead"
        )


def _alike(
    story: _Kept,
    new: Sketch,
    pairs: frozenset[tuple[str, str]],
    weights: Mapping[str, int],
    length: float,
    hours: float,
) -> float:
    """Return how like a new story is to an earlier one, 0 to 1; `pairs` are the neighbours in its headline."""
    product = 0
    get = weights.get
    for term, weight in zip(story.terms, story.weights, strict=True):
        other = get(term)
        if other is not None:
            product += weight * other
    if not product:
        return 0.0
    likeness = product / (length * story.length)
    runs = sum(pair in pairs for pair in pairwise(story.terms[: story.title_terms]))
    likeness += _RUN * max(0, runs - _FREE_PAIRS)
    likeness *= 1 + _LEAD_BONUS * min(1.0, min(new.lead_terms, story.lead_terms) / _LEAD_FULL)
    if story.source == new.source:
        sure = min(1.0, likeness / _SURE_OF_SOURCE)
        likeness += sure * _SAME_SOURCE * math.exp(-hours / _SAME_SOURCE_HOURS)
    return min(1.0, likeness * math.exp(-hours / _DECAY_HOURS))


def _length(weights: Iterable[tuple[str, int]]) -> float:
    """Return the length of a story's vector; an address adds to a likeness, and takes nothing from one without it."""
    return math.sqrt(sum(weight * weight for term, weight in weights if term[0] != "@")) or 1.0


def _shared(new: Sketch, weights: Mapping[str, int], story: _Kept) -> tuple[str, ...]:
    """Return the weightiest terms that two stories share, as the new one writes them."""
    theirs = set(story.terms)
    both = [(-weights[term], written) for term, written in zip(new.terms, new.written, strict=True) if term in theirs]
    return tuple(written for _, written in sorted(both)[:_SHOWN])


def _measured(likeness: float, shared: Sequence[str]) -> str:
    return f"likeness {likeness:.2f} (needs {THRESHOLD:.2f}), shares {', '.join(shared) or 'no word'}"


@cache
def _common(language: str) -> Mapping[str, float]:
    """Return in which share of a language's stories its common words stand; of an unknown language, of English."""
    wanted = language.partition("-")[0].lower() or "en"
    found = {}
    for line in files("monitor.events").joinpath("common.txt").read_text(encoding="utf-8").splitlines():
        code, level, *terms = line.split(" ")
        if code == wanted:
            found.update(dict.fromkeys(terms, 2.0 ** -int(level)))
    return found
