"""A story made ready for rules: its words numbered once, and where each leaf of a query was found, remembered."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from monitor.entities import Aliases, Occurrence
from monitor.query import EntityRef, Exact, Forms, Leaf, Phrase, Regex, Term
from monitor.query.expressions import found as found_by_expression
from monitor.rules.near import Span, earliest_end, in_order
from monitor.rules.patterns import forms, glob, is_wild, literal_prefix, pattern
from monitor.text import (
    Evidence,
    StoryText,
    Word,
    fold,
    language_of,
    same_forms,
    sentences,
    wanted_forms,
    words,
)

MAX_CHARACTERS = 500_000  # of a field; a page that is longer is no story
MAX_SENTENCES = 20_000
LEAD_WORDS = 60  # of the body, where a story has no summary
# Between the numbers of two fields' words, so that no phrase and no NEAR (at most 100) spans both.
_FIELD_GAP = 1_000

_BY_WORDS = (Term, Phrase)

Zones = tuple[tuple[int, int], ...]  # ranges of word numbers, ascending: from, up to but not including


@dataclass(slots=True)
class Part:
    """A field's text, and its words, of which the first has the number `base`."""

    name: str
    text: str
    words: tuple[Word, ...]
    base: int

    @property
    def zone(self) -> tuple[int, int]:
        """The numbers of its words; of a text without any, the one that a regular expression's match there has."""
        return self.base, self.base + max(len(self.words), 1)

    def span(self, first: int, last: int, term: str, entity: str = "") -> Span:
        """Return the span of its words number `first` to `last`, counted from 0."""
        evidence = Evidence(self.name, self.words[first].start, self.words[last].end, term, entity)
        return Span(self.base + first, self.base + last, evidence)


class Surface:
    """One or more fields in which leaves are looked up by their words."""

    def __init__(
        self,
        fields: Sequence[tuple[str, str]],
        aliases: Aliases,
        language: Callable[[], str] = str,
        in_context: Callable[[str], bool] | None = None,
    ) -> None:
        self._aliases = aliases
        self._in_context = in_context
        self._language = language  # asked only where forms of words are wanted: finding it out can take time
        self.parts: list[Part] = []
        self._places: dict[str, list[int]] = {}
        base = 0
        for name, text in fields:
            part = Part(name, text[:MAX_CHARACTERS], words(text[:MAX_CHARACTERS]), base)
            self.parts.append(part)
            for number, word in enumerate(part.words, base):
                self._places.setdefault(word.folded, []).append(number)
            base += len(part.words) + _FIELD_GAP
        self._vocabulary: list[str] | None = None
        self._forms: dict[str, list[int]] | None = None
        self._found: dict[Leaf, list[Span]] = {}
        self._occurrences: list[tuple[Part, Occurrence]] | None = None

    def spans(self, leaf: Leaf) -> list[Span]:
        """Return where `leaf` stands, in order."""
        found = self._found.get(leaf)
        if found is None:
            if isinstance(leaf, _BY_WORDS) and any(word not in self._places for word in pattern(leaf).needed):
                return []
            found = self._found[leaf] = in_order(self._look_up(leaf))
        return found

    def occurrences(self) -> list[tuple[Part, Occurrence]]:
        """Return the aliases of entities that stand here, in order; the longest of those within one another."""
        if self._occurrences is None:
            self._occurrences = [
                (part, found)
                for part in self.parts
                for found in self._aliases.find(part.text, part.words, self._language, self._in_context)
            ]
        return self._occurrences

    def out_of_context(self, name: str) -> list[str]:
        """Return the weak aliases of the entity or list `name` that stand here and do not count."""
        members = frozenset(self._aliases.members(name))
        counted = {(part.base + found.first, found.alias) for part, found in self.occurrences()}
        return [
            found.alias.text
            for part in self.parts
            for found in self._aliases.find(part.text, part.words, self._language, lambda _: True)
            if found.alias.entity in members and (part.base + found.first, found.alias) not in counted
        ]

    def _look_up(self, leaf: Leaf) -> Iterator[Span]:
        if isinstance(leaf, EntityRef):
            members = frozenset(self._aliases.members(leaf.name))
            for part, occurrence in self.occurrences():
                if occurrence.alias.entity in members:
                    yield part.span(occurrence.first, occurrence.last, str(leaf), occurrence.alias.entity)
        elif isinstance(leaf, Exact):
            for part in self.parts:
                yield from _exact_spans(part, leaf)
        elif isinstance(leaf, Regex):
            for part in self.parts:
                if part.text:
                    yield from _expression_spans(part, leaf)
        else:
            term = str(leaf)
            for first, last in self._sequences(leaf):
                part = self._part_of(first)
                yield part.span(first - part.base, last - part.base, term)

    def _part_of(self, number: int) -> Part:
        return next(part for part in reversed(self.parts) if part.base <= number)

    def _sequences(self, leaf: Term | Phrase | Forms) -> Iterator[tuple[int, int]]:
        """Yield the first and last word number of each place where the leaf's words stand."""
        sequences: Sequence[tuple[str, ...]]
        look_up: Callable[[str], list[int]]
        if isinstance(leaf, Forms):
            sequences, within, look_up = forms(leaf), leaf.within, self._every_form
        else:
            wanted = pattern(leaf)
            sequences, within, look_up = wanted.sequences, wanted.within, self._word
        found = [
            [(n, n + len(words) - 1) for n in self._phrase([look_up(word) for word in words])] for words in sequences
        ]
        if not all(found) or not found:
            return
        if within is None or len(found) == 1:
            yield from found[0]
            return
        reach = sum(len(sequence) for sequence in sequences) + within - 1
        nothing = Evidence("text", 0, 0, "")
        groups = [[Span(first, last, nothing) for first, last in places] for places in found]
        firsts = [[span.first for span in group] for group in groups]
        for number, group in enumerate(groups):
            for span in group:
                windows = []
                for other, places in enumerate(groups):
                    if other != number:
                        low, high = (bisect_left(firsts[other], at) for at in (span.last + 1, span.first + reach + 1))
                        windows.append([place for place in places[low:high] if place.last <= span.first + reach])
                end = earliest_end(windows)
                if end is not None:
                    yield span.first, end

    @staticmethod
    def _phrase(places: Sequence[list[int]]) -> list[int]:
        """Return the numbers of the words at which a sequence starts, given where each of its words stands."""
        if len(places) == 1:
            return places[0]
        order = sorted(range(len(places)), key=lambda index: len(places[index]))
        starts = {number - order[0] for number in places[order[0]]}
        for index in order[1:]:
            if not starts:
                return []
            starts &= {number - index for number in places[index]}
        return sorted(starts)

    def _every_form(self, written: str) -> list[int]:
        """Return the numbers of the words that are forms of `written`, by the rules of the story's language."""
        language = self._language()
        if self._forms is None:
            self._forms = {}
            for folded, places in self._places.items():
                for key in same_forms(folded, language):
                    self._forms.setdefault(key, []).extend(places)
            for number, word in self._with_accents():
                for key in same_forms(word, language):
                    self._forms.setdefault(key, []).append(number)
        found = {number for key in wanted_forms(written, language) for number in self._forms.get(key, ())}
        return sorted(found)

    def _with_accents(self) -> Iterator[tuple[int, str]]:
        """Yield the words that are not in plain ASCII as published, numbered: stemmers look at their accents."""
        for part in self.parts:
            if not part.text.isascii():
                for number, word in enumerate(part.words, part.base):
                    written = part.text[word.start : word.end]
                    if not written.isascii():
                        yield number, written

    def _word(self, word: str) -> list[int]:
        """Return the numbers of the words that `word` matches, wildcards and all."""
        if not is_wild(word):
            return self._places.get(word, [])
        if self._vocabulary is None:
            self._vocabulary = sorted(self._places)
        prefix = literal_prefix(word)
        found: list[int] = []
        for index in range(bisect_left(self._vocabulary, prefix), len(self._vocabulary)):
            candidate = self._vocabulary[index]
            if not candidate.startswith(prefix):
                break
            if glob(word[len(prefix) :], candidate[len(prefix) :]):
                found += self._places[candidate]
        return sorted(found)


def _exact_spans(part: Part, leaf: Exact) -> Iterator[Span]:
    """Yield where the text stands exactly so: no letter or digit goes on before or behind it."""
    wanted, text = unicodedata.normalize("NFC", leaf.text), part.text
    starts, ends = [word.start for word in part.words], [word.end for word in part.words]
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        first, last = bisect_left(ends, at + 1), bisect_left(starts, end) - 1
        if first <= last and _edge(text, at) and _edge(text, end):
            evidence = Evidence(part.name, at, end, str(leaf))
            yield Span(part.base + first, part.base + last, evidence)
        at = text.find(wanted, at + 1)


def _expression_spans(part: Part, leaf: Regex) -> Iterator[Span]:
    """Yield where the expression matches; a match without a word counts as at the word behind it, or the last one."""
    starts, ends = [word.start for word in part.words], [word.end for word in part.words]
    term = str(leaf)
    for start, end in found_by_expression(leaf.pattern, leaf.ignore_case, part.text):
        first = min(bisect_right(ends, start), max(len(ends) - 1, 0))
        last = max(bisect_left(starts, end) - 1, first)
        yield Span(part.base + first, part.base + last, Evidence(part.name, start, end, term))


def _edge(text: str, at: int) -> bool:
    """Whether a word may begin or end before character `at`: no two letters or digits meet there."""
    if not 0 < at < len(text):
        return True
    return not (_joins(text[at - 1]) and _joins(text[at]))


def _joins(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"


@dataclass(slots=True)
class Reading:
    """A story as rules read it, with what they found in it so far."""

    story: StoryText
    aliases: Aliases
    text: Surface = field(init=False)
    _named: dict[str, Surface] = field(default_factory=dict)
    _contexts: dict[str, bool] = field(default_factory=dict)
    _sentences: Zones | None = None

    def __post_init__(self) -> None:
        story = self.story
        fields = (("title", story.title), ("summary", story.summary), ("text", story.text))
        self.text = Surface(fields, self.aliases, self.language, self.in_context)

    def language(self) -> str:
        """Return the language that the story states, or else the detected one, or ""."""
        return language_of(self.story)

    def in_context(self, entity: str) -> bool:
        """Whether a context word of the entity stands in title, summary or body."""
        known = self._contexts.get(entity)
        if known is None:
            parts = self.text.parts
            known = any(self.aliases.in_context(entity, p.text, p.words, self.language) for p in parts)
            self._contexts[entity] = known
        return known

    def zones(self, name: str) -> Zones:
        """Return the words of `title`, `lead` or `body`. Without a summary the lead has the body's first words."""
        title, summary, body = self.text.parts
        if name == "title":
            return (title.zone,)
        if name == "body":
            return (body.zone,)
        if summary.words:
            return title.zone, summary.zone
        return title.zone, (body.base, body.base + min(LEAD_WORDS, len(body.words)))

    def first(self, count: int) -> Zones:
        """Return the first `count` words of title, summary and body."""
        zones = []
        for part in self.text.parts:
            taken = min(count, len(part.words))
            zones.append((part.base, part.base + taken))
            count -= taken
        return tuple(zones)

    def sentences(self) -> Zones:
        """Return each sentence's words, the first MAX_SENTENCES of them."""
        if self._sentences is None:
            found = []
            for part in self.text.parts:
                starts = [word.start for word in part.words]
                for start, end in sentences(part.text):
                    zone = part.base + bisect_left(starts, start), part.base + bisect_left(starts, end)
                    if zone[0] < zone[1]:
                        found.append(zone)
            self._sentences = tuple(found[:MAX_SENTENCES])
        return self._sentences

    def named(self, name: str) -> Surface:
        """Return the surface of `author`, `url` or `source`, whose words are searched."""
        if name not in self._named:
            text = {"author": self.story.author, "url": self.story.url, "source": self.story.source}[name]
            self._named[name] = Surface(((name, text),), self.aliases, self.language, self.in_context)
        return self._named[name]

    def values(self, name: str) -> tuple[tuple[str, Evidence], ...]:
        """Return the values of `tag`, `feed`, `lang`, `country` or `site`, which are compared as a whole."""
        story = self.story
        if name == "site":
            host, at = _host(story.url)
            return ((host, Evidence("url", at, at + len(host), "")),) if host else ()
        if name == "lang" and not story.language:
            detected = self.language()
            return ((detected, Evidence(name, 0, 0, "")),) if detected else ()
        known = {"tag": story.tags, "feed": (story.feed,), "lang": (story.language,), "country": (story.country,)}
        return tuple((value, Evidence(name, 0, len(value), "")) for value in known[name] if value)


def _host(url: str) -> tuple[str, int]:
    """Return the host of `url` and where it stands in it, or an empty one."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return "", 0
    at = url.lower().find(host)
    return (host, at) if host and at >= 0 else ("", 0)


def value_fits(name: str, wanted: str, value: str) -> bool:
    """Whether the value of a field is what a query's term says, case and accents folded, `*` as a wildcard."""
    wanted, value = fold(wanted.strip()), fold(value.strip())
    if name == "site":
        wanted = wanted.removeprefix("*.")
        return glob(wanted, value) or glob(f"*.{wanted}", value)
    if name == "lang":
        wanted, value = wanted.replace("_", "-"), value.replace("_", "-")
        return glob(wanted, value) or value.startswith(f"{wanted}-")
    return glob(wanted, value)
