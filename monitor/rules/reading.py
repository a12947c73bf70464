"""A story made ready for rules: its words numbered once, and where each leaf of a query was found, remembered."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from urllib.parse import urlsplit

from monitor.entities import Alias, Aliases, Occurrence, longest
from monitor.query import EntityRef, Exact, Forms, Leaf, Node, Or, Phrase, Regex, Term
from monitor.query.expressions import found as found_by_expression
from monitor.rules.folded import FIELD_GAP, MAX_CHARACTERS, NAMES, Folded
from monitor.rules.index import Index
from monitor.rules.near import At, Found, Span, in_order, within
from monitor.rules.patterns import exact_text, forms, glob, is_wild, literal_prefix, pattern
from monitor.rules.sieve import Lookup, Places
from monitor.rules.values import MAX_EVIDENCE
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

MAX_SENTENCES = 20_000
LEAD_WORDS = 60  # of the body, where a story has no summary

_BY_WORDS = (Term, Phrase)

Scanned = tuple[Folded, Places]  # a story folded, and where patterns stand in it
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
        found: Sequence[tuple[Word, ...]] | None = None,
    ) -> None:
        self._aliases = aliases
        self._in_context = in_context
        self._language = language  # asked only where forms of words are wanted: finding it out can take time
        self.parts: list[Part] = []
        self._places: dict[str, list[int]] = {}
        base = 0
        for name, text in fields:
            part = Part(name, text, words(text) if found is None else found[len(self.parts)], base)
            self.parts.append(part)
            for number, word in enumerate(part.words, base):
                self._places.setdefault(word.folded, []).append(number)
            base += len(part.words) + FIELD_GAP
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

    def found(self, leaf: Leaf) -> Sequence[At]:
        """Return what there is to show of `leaf`."""
        return [span.at for span in self.spans(leaf)]

    def candidates(self, node: Or) -> Sequence[Node]:
        """Return the children of an OR that may hold."""
        return node.children

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
            yield from self._exactly(leaf)
        elif isinstance(leaf, Regex):
            for part in self.parts:
                if part.text:
                    yield from _expression_spans(part, leaf)
        else:
            term = str(leaf)
            for first, last in self._sequences(leaf):
                part = self._part_of(first)
                yield part.span(first - part.base, last - part.base, term)

    def _exactly(self, leaf: Exact) -> Iterator[Span]:
        exact = exact_text(leaf.text)
        for first in self._phrase([self._word(word) for word in exact.sequence]) if exact else ():
            assert exact is not None
            part, last = self._part_of(first), first + len(exact.sequence) - 1
            start, end = part.words[first - part.base].start, part.words[last - part.base].end
            place = exact.at(part.text, start, end)
            if place is not None:
                yield Span(first, last, Evidence(part.name, *place, str(leaf)))

    def _part_of(self, number: int) -> Part:
        return next(part for part in reversed(self.parts) if part.base <= number)

    def _sequences(self, leaf: Term | Phrase | Forms) -> Iterator[tuple[int, int]]:
        """Yield the first and last word number of each place where the leaf's words stand."""
        sequences: Sequence[tuple[str, ...]]
        look_up: Callable[[str], list[int]]
        if isinstance(leaf, Forms):
            sequences, room, look_up = forms(leaf), leaf.within, self._every_form
        else:
            wanted = pattern(leaf)
            sequences, room, look_up = wanted.sequences, wanted.within, self._word
        found = [
            [(n, n + len(words) - 1) for n in self._phrase([look_up(word) for word in words])] for words in sequences
        ]
        if not all(found) or not found:
            return
        if room is None or len(found) == 1:
            yield from found[0]
            return
        reach = sum(len(sequence) for sequence in sequences) + room - 1
        nothing = Found(0, 0, "")
        yield from within([[Span(first, last, nothing) for first, last in places] for places in found], reach)

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


class Scan:
    """A story's title, summary and body, scanned once for all patterns of an index.

    What the automaton does not hold (and only that) is looked up in the words, by a `Surface`.
    """

    def __init__(
        self,
        story: StoryText,
        index: Index,
        language: Callable[[], str] = str,
        in_context: Callable[[str], bool] = lambda _: True,
        scanned: Scanned | None = None,
    ) -> None:
        self._language, self._in_context = language, in_context
        self._index = index
        if scanned is None:
            folded = Folded(story.title, story.summary, story.text)
            scanned = folded, index.places(folded.data)
        self.folded, self.hits = scanned
        self._spans: dict[int, list[Span]] = {}  # by the identity of a leaf or its lookup
        self._found: dict[int, Sequence[Found]] = {}
        self._surface: Surface | None = None
        self._occurrences: list[tuple[Found, Alias]] | None = None
        self._of_entities: dict[str, list[Found]] | None = None

    @property
    def surface(self) -> Surface:
        """The words themselves, for what is not in the automaton."""
        if self._surface is None:
            folded = self.folded
            fields = tuple(zip(NAMES, folded.fields, strict=True))
            found = [folded.words(number) for number in range(3)]
            self._surface = Surface(fields, self._index.aliases, self._language, self._in_context, found)
        return self._surface

    def spans(self, leaf: Leaf) -> list[Span]:
        """Return where `leaf` stands, in order."""
        lookup = self._index.lookups.get(id(leaf))
        if lookup is not None:
            return self.places(lookup)
        found = self._spans.get(id(leaf))
        if found is None:
            found = self._numbered(self._entity(leaf)) if isinstance(leaf, EntityRef) else self.surface.spans(leaf)
            self._spans[id(leaf)] = found
        return found

    def found(self, leaf: Leaf) -> Sequence[At]:
        """Return what there is to show of `leaf`, in order, without the numbers of its words."""
        lookup = self._index.lookups.get(id(leaf))
        if lookup is not None:
            return self.look_up(lookup)
        return self._entity(leaf) if isinstance(leaf, EntityRef) else [span.at for span in self.spans(leaf)]

    def look_up(self, lookup: Lookup) -> Sequence[Found]:
        """Return where a pattern of the automaton stands, in order."""
        found = self._found.get(id(lookup))
        if found is None:
            if lookup.units:
                found = [span.at for span in self.places(lookup) if isinstance(span.at, Found)]
            else:
                found = list(self._plain(lookup))
            self._found[id(lookup)] = found
        return found

    def evidence(self, lookup: Lookup) -> tuple[Evidence, ...]:
        """Return what to show of a pattern of the automaton, by place, none overlapping: neighbours share a space."""
        hits = self.hits.get(lookup.number, ())
        kept: list[Evidence] = []
        reach = 0
        if lookup.exact is None and not lookup.wild:
            folded, term, following = self.folded, lookup.term, lookup.open
            for _, start, end in hits:
                if start >= reach:
                    if following:
                        end = folded.data.index(b" ", end) + 1
                    reach = end - 1
                    field, low, high = folded.place(start, end)
                    kept.append(Evidence(field, low, high, term))
                    if len(kept) == MAX_EVIDENCE:
                        break
            return tuple(kept)
        for at in self.look_up(lookup):
            if at.start >= reach:
                reach = at.end - 1
                kept.append(self.shown(at))
                if len(kept) == MAX_EVIDENCE:
                    break
        return tuple(kept)

    def places(self, lookup: Lookup) -> list[Span]:
        """Return the same with the numbers of its words."""
        found = self._spans.get(id(lookup))
        if found is None:
            if lookup.units:
                found = self._around(lookup)
            else:
                number, more = self.folded.number, lookup.length - 1
                found = [Span(first := number(at.start), first + more, at) for at in self.look_up(lookup)]
            self._spans[id(lookup)] = found
        return found

    def candidates(self, node: Or) -> Sequence[Node]:
        """Return the children of an OR that may hold: of hundreds of terms, those that the automaton found."""
        group = self._index.group(node)
        if group is None:
            return node.children
        found = list(group.others)
        for number in self.hits.keys() & group.leaves.keys():
            found += group.leaves[number]
        return found

    def shown(self, at: At) -> Evidence:
        """Return what to show for what was found."""
        if isinstance(at, Evidence):
            return at
        field, start, end = self.folded.place(at.start, at.end)
        return Evidence(field, start - at.before, end + at.after, at.term, at.entity)

    def occurrences(self) -> list[tuple[Found, Alias]]:
        """Return the aliases of entities that stand here, in order; the longest of those within one another."""
        if self._occurrences is None:
            found = [*self._as_declared(), *self._in_other_forms()]
            found = [(at, alias) for at, alias in found if not alias.weak or self._in_context(alias.entity)]
            self._occurrences = longest(found, _place) if len(found) > 1 else found
        return self._occurrences

    def out_of_context(self, name: str) -> list[str]:
        """Return the weak aliases of the entity or list `name` that stand here and do not count."""
        return self.surface.out_of_context(name)

    def _as_declared(self) -> Iterator[tuple[Found, Alias]]:
        named = self._index.named
        for number in self.hits.keys() & named.keys():
            for alias in named[number]:
                for _, start, end in self.hits[number]:
                    if not alias.exact or self._written(start, end) == alias.exact:
                        yield Found(start, end, alias.text, alias.entity), alias

    def _in_other_forms(self) -> Iterator[tuple[Found, Alias]]:
        """Yield the aliases that stand here inflected; looked for only where one of their beginnings was found."""
        if self.hits.keys().isdisjoint(self._index.beginnings):
            return
        language = self._language()
        for number, part in enumerate(self.surface.parts):
            for found in self._index.aliases.inflections(part.text, part.words, language):
                start, end = self.folded.run(number, found.first, found.last)
                yield Found(start, end, found.alias.text, found.alias.entity), found.alias

    def _written(self, start: int, end: int) -> tuple[str, ...]:
        """Return the words behind byte `start` as published."""
        field, low, high = self.folded.place(start, end)
        text = self.folded.fields[NAMES.index(field)][low:high]
        return tuple(unicodedata.normalize("NFC", text[word.start : word.end]) for word in words(text))

    def _entity(self, leaf: EntityRef) -> list[Found]:
        """Return where the entity, or those of the list, stand, in order."""
        if self._of_entities is None:
            self._of_entities = {}
            for at, alias in self.occurrences():
                self._of_entities.setdefault(alias.entity, []).append(at)
        members, term = self._index.references[id(leaf)]
        named = [self._of_entities[entity] for entity in self._of_entities.keys() & members]
        found = [Found(at.start, at.end, term, at.entity) for places in named for at in places]
        if len(named) > 1:
            found.sort()
        return found

    def _numbered(self, found: Iterable[Found]) -> list[Span]:
        number, count = self.folded.number, self.folded.data.count
        return [Span(first := number(at.start), first + count(b" ", at.start + 1, at.end - 1), at) for at in found]

    def _around(self, lookup: Lookup) -> list[Span]:
        """Return where the units of a phrase in any order stand together."""
        groups = [self.places(unit) for unit in lookup.units]
        if not all(groups):
            return []
        starts = {span.first: span.at.start for group in groups for span in group if isinstance(span.at, Found)}
        ends = {span.last: span.at.end for group in groups for span in group if isinstance(span.at, Found)}
        found = within(groups, lookup.reach)
        return in_order(Span(first, last, Found(starts[first], ends[last], lookup.term)) for first, last in found)

    def _plain(self, lookup: Lookup) -> Iterator[Found]:
        """Yield where the automaton found a pattern, as far as the rest of it fits too."""
        folded = self.folded
        for _, start, end in self.hits.get(lookup.number, ()):
            if lookup.open:
                end = folded.data.index(b" ", end) + 1
                if lookup.wild:
                    end = _fitting(folded.data, start, lookup.wild)
                    if not end:
                        continue
            if lookup.exact is None:
                yield Found(start, end, lookup.term)
            else:
                field, low, high = folded.place(start, end)
                if lookup.exact.at(folded.fields[NAMES.index(field)], low, high) is not None:
                    yield Found(start, end, lookup.term, "", lookup.exact.before, lookup.exact.after)


def _place(found: tuple[Found, Alias]) -> tuple[int, int]:
    return found[0][:2]


def _expression_spans(part: Part, leaf: Regex) -> Iterator[Span]:
    """Yield where the expression matches; a match without a word counts as at the word behind it, or the last one."""
    starts, ends = [word.start for word in part.words], [word.end for word in part.words]
    term = str(leaf)
    for start, end in found_by_expression(leaf.pattern, leaf.ignore_case, part.text):
        first = min(bisect_right(ends, start), max(len(ends) - 1, 0))
        last = max(bisect_left(starts, end) - 1, first)
        yield Span(part.base + first, part.base + last, Evidence(part.name, start, end, term))


def _fitting(data: bytes, start: int, wild: tuple[str, ...]) -> int:
    """Return the byte behind the words from the space at `start` on when they fit the patterns, else 0."""
    for word in wild:
        end = data.find(b" ", start + 1)
        if end < 0 or not glob(word, data[start + 1 : end].decode("utf-8", "surrogatepass")):
            return 0
        start = end
    return start + 1


def _with_room(zone: tuple[int, int]) -> tuple[int, int]:
    """Return the zone of a text; one without words has the number that a regular expression's match there has."""
    return zone[0], max(zone[1], zone[0] + 1)


@dataclass(slots=True)
class Reading:
    """A story as rules read it, with what they found in it so far."""

    story: StoryText
    index: Index
    scanned: InitVar[Scanned | None] = None
    text: Scan = field(init=False)
    _named: dict[str, Surface] = field(default_factory=dict)
    _contexts: dict[str, bool] = field(default_factory=dict)
    _sentences: Zones | None = None

    def __post_init__(self, scanned: Scanned | None) -> None:
        self.text = Scan(self.story, self.index, self.language, self.in_context, scanned)

    @property
    def aliases(self) -> Aliases:
        """The aliases of the entities."""
        return self.index.aliases

    def language(self) -> str:
        """Return the language that the story states, or else the detected one, or ""."""
        return language_of(self.story)

    def in_context(self, entity: str) -> bool:
        """Whether a context word of the entity stands in title, summary or body."""
        known = self._contexts.get(entity)
        if known is None:
            parts = self.text.surface.parts
            known = any(self.aliases.in_context(entity, p.text, p.words, self.language) for p in parts)
            self._contexts[entity] = known
        return known

    def zones(self, name: str) -> Zones:
        """Return the words of `title`, `lead` or `body`. Without a summary the lead has the body's first words."""
        title, summary, body = self.text.folded.zones
        if name == "title":
            return (_with_room(title),)
        if name == "body":
            return (_with_room(body),)
        if summary[0] < summary[1]:
            return _with_room(title), summary
        return _with_room(title), (body[0], min(body[0] + LEAD_WORDS, body[1]))

    def first(self, count: int) -> Zones:
        """Return the first `count` words of title, summary and body."""
        zones = []
        for low, high in self.text.folded.zones:
            taken = min(count, high - low)
            zones.append((low, low + taken))
            count -= taken
        return tuple(zones)

    def sentences(self) -> Zones:
        """Return each sentence's words, the first MAX_SENTENCES of them."""
        if self._sentences is None:
            found = []
            folded = self.text.folded
            for number, base in enumerate(folded.bases):
                starts = [word.start for word in folded.words(number)]
                for start, end in sentences(folded.fields[number]):
                    zone = base + bisect_left(starts, start), base + bisect_left(starts, end)
                    if zone[0] < zone[1]:
                        found.append(zone)
            self._sentences = tuple(found[:MAX_SENTENCES])
        return self._sentences

    def named(self, name: str) -> Surface:
        """Return the surface of `author`, `url` or `source`, whose words are searched."""
        if name not in self._named:
            text = {"author": self.story.author, "url": self.story.url, "source": self.story.source}[name]
            fields = ((name, text[:MAX_CHARACTERS]),)
            self._named[name] = Surface(fields, self.aliases, self.language, self.in_context)
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
        parts = value.split("-")
        return any(glob(wanted, "-".join(parts[:count])) for count in range(1, min(len(parts), 4) + 1))
    return glob(wanted, value)
