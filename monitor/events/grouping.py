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

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import repeat
from math import exp, sqrt
from operator import mul
from sys import intern
from typing import NamedTuple

from monitor.events.overlap import Compared, likely, overlaps, weigh
from monitor.events.sketch import FORM_TERMS, Sketch

WINDOW = 72 * 3600.0  # seconds
MOST_STORIES = 200_000  # held at once
THRESHOLD = 0.37
_HOUR = 3600.0

# Rarity
_PRIOR = 270  # stories that what is known of the language counts as
_FIRST = 250  # added to the stories of the window, so that the first ones are not all alike
_RAREST = 0.0008  # share of stories; what is rarer counts as this
# Likeness
_LEAD_BONUS, _LEAD_FULL = 0.45, 30  # longer texts share less of their words: a factor, and the lead terms it is full at
_SAME_SOURCE, _SAME_SOURCE_HOURS = 0.05, 6.0  # an outlet rewrites its own story soon
_SURE_OF_SOURCE = 0.2  # likeness from which on this counts in full
_SAME_PAGE = 0.3  # in ingest the address is the identity; here something must be shared beside it
_DECAY_HOURS = 75.0
_RUN, _FREE_PAIRS = 0.05, 1  # for each two words that follow one another in both headlines, beyond so many
_LIVE_BAR = 0.25  # what a live page needs more: one of another happening is much like it
_NEAR, _DOUBT = 0.12, 0.25  # likeness of the next event from which on it raises the bar, and by what share of the rest
_NEAREST = 0.2  # what the likest story counts against the mean
_COHESION = 0.7  # likeness of an event's stories among one another, about
_LIKE_LEAD = 0.12  # likeness to the lead below which an event is less like: what it began with is left behind
_LEAST = 500.0  # added to the square of each length: short headlines are alike by little
_SAME_FORM = 1.8  # factor where both say how it came about, or both what is known
_TONGUES = 1.8  # factor between languages, which share names, numbers and few stems
_OTHER_NAMES = 0.45  # factor where each has names and they share none
_ONE_WORD = 0.3  # likeness at most where one word of weight is all that they share, as in short headlines
_COPY = 0.9  # likeness from which on we call it a copy or light rewrite
_STANDING_HOURS = 10.0  # after which one outlet's same headline is a standing one
# Bounds
_ASKED = 10  # terms of a story that are looked up, the weightiest
_LATEST = 32  # stories of a term that are looked at, the latest
_LIKELY = 12  # stories that share the most of them
_COMPARED = 5  # events that are compared in full
_MEMBERS = 8  # stories that stand for an event: the lead and the latest
_SCALE = 16  # weights are kept in sixteenths, in a byte
_SILENT, _SPEAKS, _LEADS = range(3)  # how a story stands for its event
_SHOWN = 4  # shared terms that a reason names


class Row(NamedTuple):
    """A story of the window in plain values, as it is kept in the database: what `Grouping.restore` takes.

    `arrived` is what the clock of the stories said. `terms` are joined by spaces, `weights` one byte each, in
    sixteenths; `voice` says how the story stands for its event: as a lead (2), as a member (1), or not (0).
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
    series: int
    names: int
    voice: int
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
    """The event a story joins, or None for one of its own; `why` for people, and the nearest refusal.

    `weights` are those of the story's terms, for `Grouping.add`.
    """

    event: int | None
    why: str
    weights: bytes
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
    series: int
    names: int
    voice: int
    terms: tuple[str, ...]
    weights: bytes
    length: float


class Grouping:
    """The stories of the last `window` seconds by their terms, and the events they are in.

    Time is that of the stories: the window ends at the latest one. A decision is a function of the stories held and of
    the order they came in, so that one restored from `rows` decides as the one that wrote them.
    """

    def __init__(self, window: float = WINDOW) -> None:
        self.window = window
        self.latest = 0  # the key of the latest story that was held
        self._now: float | None = None
        self._ahead: float | None = None  # the time of the latest story, where that lay too far ahead to be believed
        self._stories: dict[int, _Kept] = {}
        self._order: deque[int] = deque()  # of the stories, as they came
        # Of each term how many stories have it, then the latest of those that stand for an event.
        self._postings: dict[str, array[int]] = {}
        self._events: dict[int, list[int]] = {}  # the stories that stand for each, in order

    def events(self) -> frozenset[int]:
        """Return the events that a story may still join."""
        return frozenset(self._events)

    def __len__(self) -> int:
        return len(self._stories)

    def decide(self, new: Sketch, page: int | None = None) -> Decision:
        """Return which event a story joins. Changes nothing.

        `page` is the event of an earlier story that stood at the same address, where one did.
        """
        postings = list(map(self._postings.get, new.terms))
        common = list(map(_common(new.language).get, new.terms, repeat(0.0)))
        weights = self._weights(new, common, postings)
        if new.round_up:
            return Decision(None, "new: a round-up tells of several happenings, and joins none", weights)
        if not new.terms:
            return Decision(None, "new: there are no words to compare", weights)
        asking = _Asking(new, weights, common)
        ranked, numbered = [], False
        candidates = self._candidates(new, weights, postings)
        if page in self._events and page not in candidates:
            candidates.append(page)
        for event in candidates:
            members = self._members(event)
            if event != page and (equal := [story for story in members if story.standing == new.standing]):
                if hours := max(_stands(story, new) for story in equal):
                    why = f"new: a standing headline, {new.source} had it {hours:.0f} h before"
                    return Decision(None, why, weights)
                if _another(equal, new):
                    numbered = True
                    continue
            likeness = asking.likeness(members)
            nearest = max(likeness)
            mean = sum(likeness) / len(likeness) * _gain(len(likeness))
            leads = [one for one, story in zip(likeness, members, strict=True) if story.voice == _LEADS]
            lead = max(leads or likeness[:1])
            whole = (_NEAREST * nearest + (1 - _NEAREST) * mean) * min(1.0, lead / _LIKE_LEAD)
            # A page that goes over from what is known to how it came about is another report.
            if event == page and nearest and asking.form == _form(members[likeness.index(nearest)].terms):
                whole += _SAME_PAGE
            ranked.append((whole, -event, members[likeness.index(nearest)]))
        ranked.sort(reverse=True)
        if not ranked:
            why = "only its number tells it from an earlier one" if numbered else "nothing shares a rare word with it"
            return Decision(None, f"new: {why}", weights)
        # Where other events are near too, all have the same words, and these tell less.
        doubt = max(0.0, ranked[1][0] - _NEAR) if len(ranked) > 1 else 0.0
        needed = THRESHOLD + _DOUBT * doubt + (_LIVE_BAR if new.live else 0.0)
        best = min(1.0, ranked[0][0])
        # The nearest that it does not join: the best one, or the second when it joins that.
        refused = [Refusal(-event, min(1.0, likeness), asking.shared(story)) for likeness, event, story in ranked[:2]]
        said = f"likeness {best:.2f} (needs {needed:.2f}), shares {', '.join(refused[0].shared) or 'no word'}"
        if best < needed:
            return Decision(None, f"new: the nearest is too far, {said}", weights, best, refused[0])
        event = -ranked[0][1]
        hours = (new.at - self._stories[self._events[event][0]].at) / _HOUR
        when = f"{abs(hours):.0f} h {'before' if hours < 0 else 'after'} the lead"
        kind = "joins as a copy or light rewrite" if best >= _COPY else "joins"
        return Decision(event, f"{kind}: {said}; {when}", weights, best, refused[1] if len(refused) > 1 else None)

    def add(self, key: int, new: Sketch, event: int, weights: bytes) -> Row:
        """Take a story into an event, with the weights of its decision, and return what to keep of it.

        `key` and `event` are the caller's; keys ascend.
        """
        self._advance(new.at)
        # A live page or a round-up that joins an event does not stand for it: it will tell of other things.
        begins = event not in self._events
        voice = _SILENT if new.round_up or (new.live and not begins) else _LEADS if begins else _SPEAKS
        story = _Kept(
            key, event, self._clock(), new.at, new.source, new.language, new.title_terms, new.lead_terms,
            new.standing, new.series, new.names, voice, new.terms, weights, _length(weights),
        )  # fmt: skip
        self._keep(story)
        return _row(story)

    def merge(self, event: int, into: int) -> None:
        """Put all stories of `event` into another, as an operator says."""
        for key in [key for key, story in self._stories.items() if story.event == event]:
            self.move(key, into)

    def move(self, key: int, event: int) -> None:
        """Put one story into another event, as an operator says: what comes later joins by where it stands now.

        A story that is no longer held stands for nothing.
        """
        story = self._stories.get(key)
        if story is None:
            return
        self._leave(story)
        # What an operator puts somewhere is what the event is about, as much as what it began with.
        self._stories[key] = moved = story._replace(event=event, voice=_LEADS if story.voice else _SILENT)
        if moved.voice:
            members = self._events.setdefault(event, [])
            members.append(key)
            members.sort()

    def rows(self) -> Iterator[Row]:
        """Yield what is held, in the order it came, for `restore`."""
        for story in map(self._stories.__getitem__, self._order):
            yield _row(story)

    @classmethod
    def restore(cls, rows: Iterable[Row], window: float = WINDOW) -> Grouping:
        """Return the grouping that wrote `rows`. There may be older ones among them, which it had let go of."""
        made = cls(window)
        made.take_in(rows)
        return made

    def take_in(self, rows: Iterable[Row]) -> None:
        """Hold what another grouping wrote after the last story held here."""
        for row in rows:
            self._now, self._ahead = row.arrived, row.at if row.at > row.arrived + self.window else None
            terms = tuple(intern(term) for term in row.terms.split(" ")) if row.terms else ()
            self._let_go(MOST_STORIES - 1)
            self._keep(_Kept(*row[:12], terms, row.weights, _length(row.weights)))

    # --- what is held

    def _keep(self, story: _Kept) -> None:
        self.latest = story.key
        self._stories[story.key] = story
        self._order.append(story.key)
        if story.voice:
            self._events.setdefault(story.event, []).append(story.key)
        get, spoken = self._postings.get, (story.key,) if story.voice else ()
        for term in story.terms:
            posting = get(term)
            if posting is None:
                self._postings[term] = array("q", (1, *spoken))
                continue
            posting[0] += 1
            posting.extend(spoken)
            if len(posting) > 2 * _LATEST + 1:
                del posting[1 : _LATEST + 1]

    def _advance(self, at: float) -> None:
        """Move the clock on, and make room: what is older than the window goes, or the oldest of too many."""
        # A time far ahead is a publisher's mistake, unless the next story tells of it too.
        believed = self._now is None or at <= self._now + self.window
        if believed or (self._ahead is not None and abs(at - self._ahead) <= self.window):
            self._now, believed = at if self._now is None else max(self._now, at), True
        self._ahead = None if believed else at
        self._let_go(MOST_STORIES - 1)

    def _let_go(self, most: int) -> None:
        while self._order:
            oldest = self._stories[self._order[0]]
            if oldest.arrived >= self._clock() - self.window and len(self._stories) <= most:
                break
            self._forget(oldest)

    def _clock(self) -> float:
        return 0.0 if self._now is None else self._now

    def _forget(self, story: _Kept) -> None:
        self._leave(story)
        self._order.popleft()
        del self._stories[story.key]
        for term in story.terms:
            posting = self._postings[term]
            if posting[0] == 1:
                del self._postings[term]
                continue
            posting[0] -= 1
            if len(posting) > 1 and posting[1] == story.key:
                del posting[1]

    def _leave(self, story: _Kept) -> None:
        members = self._events.get(story.event)
        if members is not None and story.voice:
            members.remove(story.key)
            if not members:
                del self._events[story.event]

    # --- how like

    def _weights(self, new: Sketch, common: list[float], postings: Sequence[Sequence[int] | None]) -> bytes:
        """Return each term's weight, in sixteenths: its emphasis times how rare it is, in nats.

        No weight is 0: where every story has the same words, they are copies still.
        """
        counts = [0 if posting is None else posting[0] for posting in postings]
        held = len(self._stories) + 1
        return weigh(new.emphasis, common, counts, _PRIOR, held + _PRIOR, held + _FIRST, _RAREST, _SCALE)

    def _candidates(self, new: Sketch, weights: bytes, postings: Sequence[array[int] | None]) -> list[int]:
        """Return the events of the stories that share the most of the weightiest terms, at most `_COMPARED`."""
        weightiest = sorted(zip(weights, new.terms, postings, strict=True), reverse=True)[:_ASKED]
        asked = [(weight, posting) for weight, _, posting in weightiest if posting is not None]
        stories = map(self._stories.__getitem__, likely(asked, _LATEST, _LIKELY))
        near = (story.event for story in stories if abs(new.at - story.at) <= self.window)
        return list(dict.fromkeys(near))[:_COMPARED]

    def _members(self, event: int) -> list[_Kept]:
        """Return the stories that an event is compared by: its leads and the latest."""
        keys = self._events[event]
        stories = [self._stories[key] for key in keys[-_MEMBERS:]]
        if len(keys) <= _MEMBERS:
            return stories
        leads = [story for key in keys[:_MEMBERS] if (story := self._stories[key]).voice == _LEADS][: _MEMBERS // 2]
        return [*leads, *stories[len(leads) :]] if leads else stories


class _Asking:
    """A new story, ready to be compared with many."""

    def __init__(self, new: Sketch, weights: bytes, common: Sequence[float]) -> None:
        self._new = new
        self._weights = weights
        # What says something: a word that is not among the common ones, nor of the form of the report.
        self._content = bytes(
            [not usual and term not in FORM_TERMS for term, usual in zip(new.terms, common, strict=True)]
        )
        self.form = _form(new.terms)
        self._length = _length(weights)

    def likeness(self, stories: Sequence[_Kept]) -> list[float]:
        """Return how like the new story is to earlier ones: 0 to 1, and more for what bonuses add to a copy."""
        new = self._new
        others = [Compared(story.terms, story.weights, story.names, story.title_terms) for story in stories]
        shared = overlaps(new.terms, self._weights, self._content, new.names, new.title_terms, others)
        return [self._like(story, *found) if found[0] else 0.0 for story, found in zip(stories, shared, strict=True)]

    def _like(self, story: _Kept, product: int, shared: int, runs: int, met: bool) -> float:
        new = self._new
        hours = abs(new.at - story.at) / _HOUR
        likeness = product / sqrt((self._length**2 + _LEAST) * (story.length**2 + _LEAST))
        tongues = _TONGUES if story.language != new.language else 1.0
        if shared <= 1 and likeness < _COPY:
            likeness = min(likeness * tongues, _ONE_WORD)
        else:
            likeness *= tongues
        if tongues == 1.0 and self.form is not None and shared and self.form in story.terms:
            likeness *= _SAME_FORM
        likeness *= 1 + _LEAD_BONUS * min(1.0, min(new.lead_terms, story.lead_terms) / _LEAD_FULL)
        likeness += _RUN * max(0, runs - _FREE_PAIRS)
        if new.names and story.names and not met:
            likeness *= _OTHER_NAMES
        if story.source == new.source:
            sure = min(1.0, likeness / _SURE_OF_SOURCE)
            likeness += sure * _SAME_SOURCE * exp(-hours / _SAME_SOURCE_HOURS)
        return likeness * exp(-hours / _DECAY_HOURS)

    def shared(self, story: _Kept) -> tuple[str, ...]:
        """Return the weightiest terms shared with an earlier story, as the new one writes them."""
        theirs, new = frozenset(story.terms), self._new
        ours = zip(new.terms, self._weights, new.written, strict=True)
        both = sorted((-weight, written) for term, weight, written in ours if term in theirs)
        return tuple(written for _, written in both[:_SHOWN])


def _form(terms: Iterable[str]) -> str | None:
    return next((term for term in terms if term[0] == "~"), None)


def _gain(stories: int) -> float:
    """Return by how much an event's mean story is shorter than one: what its stories do not share falls away in it."""
    return 1.0 / sqrt((1 + (stories - 1) * _COHESION) / stories)


def _stands(equal: _Kept, new: Sketch) -> float:
    """Return how many hours before an outlet had the same headline, where that makes it a standing one; else 0."""
    hours = abs(new.at - equal.at) / _HOUR
    return hours if equal.source == new.source and hours >= _STANDING_HOURS else 0.0


def _another(equal: Sequence[_Kept], new: Sketch) -> bool:
    """Whether equal headlines have other numbers: "Sanctions package 3" is another one than 4."""
    series = {story.series for story in equal if story.series}
    return bool(series and new.series) and new.series not in series


def _length(weights: bytes) -> float:
    """Return the length of a story's vector."""
    return sqrt(sum(map(mul, weights, weights))) or 1.0


def _row(story: _Kept) -> Row:
    return Row(*story[:12], " ".join(story.terms), story.weights)


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
