"""Decides a query's tree on a story: whether it holds, and by which spans. Exact, on word positions.

A scope is the part of the story in which a node is decided: the whole text, some words of it (a field, a sentence, the
first fifty words), or what the story says of itself. Fields and the like narrow the scope; leaves look into it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from monitor.query import (
    LEAVES,
    META_FIELDS,
    SEARCHED,
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    Forms,
    Leaf,
    Near,
    Node,
    Not,
    Or,
    Regex,
    Sentence,
)
from monitor.rules.near import At, Found, Span, in_order, nearby
from monitor.rules.reading import Reading, Scan, Surface, Zones, value_fits
from monitor.rules.values import MAX_EVIDENCE, tidy
from monitor.text import Evidence

# Spans looked at for a match's evidence, of which the first MAX_EVIDENCE of different terms and places are kept.
LOOKED_AT = 5_000


_first = attrgetter("first")


@dataclass(slots=True)
class Scope:
    """Words in which leaves are looked up; `zones` None: all of the surface's. `name` is a field's, or empty."""

    reading: Reading
    surface: Surface | Scan
    zones: Zones | None = None
    name: str = ""

    def spans(self, leaf: Leaf) -> list[Span]:
        """Return where `leaf` stands in the scope, in order."""
        found = self.surface.spans(leaf)
        if self.zones is None or not found:
            return found
        kept: list[Span] = []
        for low, high in self.zones:
            start = bisect_left(found, low, key=_first)
            end = bisect_left(found, high, start, key=_first)
            kept += [span for span in found[start:end] if span.last < high]
        return kept

    def found(self, leaf: Leaf) -> Sequence[At]:
        """Return what there is to show of `leaf`: where only that counts, places need not be numbered."""
        return self.surface.found(leaf) if self.zones is None else [span.at for span in self.spans(leaf)]

    def candidates(self, node: Or) -> Sequence[Node]:
        """Return the children of an OR that may hold, told by what the automaton found."""
        return self.surface.candidates(node)

    def field(self, name: str) -> Scope | Values:
        """Return the scope of `name:` within this one."""
        if name in SEARCHED:
            return Scope(self.reading, self.reading.named(name), None, name)
        if name in META_FIELDS:
            return Values(self.reading, name)
        return self._narrowed(self.reading.zones(name), name)

    def first(self, count: int) -> Scope:
        """Return the scope of the story's first `count` words within this one."""
        return self._narrowed(self.reading.first(count), self.name)

    def sentences(self) -> Iterator[Scope]:
        """Yield the scope of each sentence within this one."""
        for zone in self.reading.sentences():
            narrowed = self._narrowed((zone,), self.name)
            if narrowed.zones:
                yield narrowed

    def _narrowed(self, zones: Zones, name: str) -> Scope:
        if self.zones is not None:
            both = ((max(low, lower), min(high, upper)) for low, high in self.zones for lower, upper in zones)
            zones = tuple(zone for zone in both if zone[0] < zone[1])
        return Scope(self.reading, self.surface, zones, name)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a field that are compared as a whole: `tag`, `feed`, `lang`, `country`, `site`."""

    reading: Reading
    name: str

    def spans(self, leaf: Leaf) -> list[Span]:
        """Return the values that are `leaf`, numbered."""
        values = self.reading.values(self.name)
        wanted: list[tuple[str, str]]
        if isinstance(leaf, Forms | Regex):
            return []  # the language refuses them here
        if not isinstance(leaf, EntityRef):
            wanted = [(leaf.text, "")]
        else:
            aliases = self.reading.aliases
            wanted = [
                (alias.text, entity)
                for entity in aliases.members(leaf.name)
                for alias in aliases.of(entity)
                if not alias.weak
            ]
        return [
            Span(number, number, evidence._replace(term=str(leaf), entity=entity))
            for number, (value, evidence) in enumerate(values)
            for text, entity in wanted
            if (value == text if isinstance(leaf, Exact) else value_fits(self.name, text, value))
        ]

    def found(self, leaf: Leaf) -> Sequence[At]:
        """Return what there is to show of `leaf`."""
        return [span.at for span in self.spans(leaf)]

    def candidates(self, node: Or) -> Sequence[Node]:
        """Return the children of an OR."""
        return node.children


AnyScope = Scope | Values


def text_of(scope: AnyScope) -> Scope:
    """Return `scope`, which is one of words: the language lets neither field, FIRST nor SENTENCE into the others."""
    assert isinstance(scope, Scope)
    return scope


def whole(reading: Reading) -> Scope:
    """Return the scope of title, summary and body."""
    return Scope(reading, reading.text)


def holds(node: Node, scope: AnyScope) -> bool:
    """Whether `node`, expanded, is true in `scope`."""
    return find(node, scope) is not None


def find(node: Node, scope: AnyScope) -> Sequence[At] | None:
    """Return what makes `node`, expanded, true in `scope`, of all its true branches; None: it is false.

    What is true by absence shows nothing. Of very many places, the first LOOKED_AT are returned.
    """
    return _FIND[type(node)](node, scope)


def _leaf(node: Any, scope: AnyScope) -> Sequence[At] | None:
    return scope.found(node) or None


def _and(node: And, scope: AnyScope) -> Sequence[At] | None:
    found: list[At] = []
    for child in node.children:
        one = _FIND[type(child)](child, scope)
        if one is None:
            return None
        found += one
    return found


def _or(node: Or, scope: AnyScope) -> Sequence[At] | None:
    found: list[At] = []
    true = False
    for child in scope.candidates(node):
        one = _FIND[type(child)](child, scope)
        if one is not None:
            true = True
            found += one
    return found if true else None


def _not(node: Not, scope: AnyScope) -> Sequence[At] | None:
    return [] if _FIND[type(node.child)](node.child, scope) is None else None


def _near(node: Near, scope: AnyScope) -> Sequence[At] | None:
    groups = []
    for child in node.children:
        group = spans(child, scope)
        if not group:
            return None
        groups.append(group)
    together = nearby(groups, node.distance, ordered=node.ordered)
    return [span.at for span in islice(chain.from_iterable(together), LOOKED_AT)] or None


def _field(node: Field, scope: AnyScope) -> Sequence[At] | None:
    return find(node.child, text_of(scope).field(node.name))


def _at_least(node: AtLeast, scope: AnyScope) -> Sequence[At] | None:
    found = spans(node.child, scope)
    enough = len({(span.first, span.last) for span in found}) >= node.count
    return [span.at for span in found[:LOOKED_AT]] if enough else None


def _first_words(node: First, scope: AnyScope) -> Sequence[At] | None:
    return find(node.child, text_of(scope).first(node.words))


def _sentence(node: Sentence, scope: AnyScope) -> Sequence[At] | None:
    found: list[At] = []
    true = False
    for sentence in text_of(scope).sentences():
        one = find(node.child, sentence)
        if one is not None:
            true = True
            found += one
            if len(found) > LOOKED_AT:
                break
    return found if true else None


_FIND: dict[type, Callable[[Any, AnyScope], Sequence[At] | None]] = {
    **dict.fromkeys(LEAVES, _leaf),
    And: _and,
    Or: _or,
    Not: _not,
    Near: _near,
    Field: _field,
    AtLeast: _at_least,
    First: _first_words,
    Sentence: _sentence,
}


def spans(node: Node, scope: AnyScope) -> list[Span]:
    """Return where a term, a phrase, an entity or an OR group of them stands in `scope`, in order."""
    if isinstance(node, LEAVES):
        return scope.spans(node)
    if isinstance(node, Or):
        return in_order(span for child in node.children for span in spans(child, scope))
    if isinstance(node, Field):
        return spans(node.child, text_of(scope).field(node.name))
    raise AssertionError(f"the language refuses NEAR and ATLEAST around {node}")


def count(node: Node, scope: AnyScope) -> int:
    """Return how often `node` stands in `scope`; two terms in one place count once."""
    return len({(span.first, span.last) for span in spans(node, scope)})


def evidence(node: Node, scope: AnyScope) -> tuple[Evidence, ...]:
    """Return what makes `node` true in `scope`; nothing where it is false."""
    return shown(find(node, scope) or (), scope.reading.text)


def shown(found: Sequence[At], text: Scan) -> tuple[Evidence, ...]:
    """Return as evidence what `find` gave: by place, of one term none overlapping. `text` is the story's."""
    if len(found) == 1:
        return (text.shown(found[0]),)
    scanned = [at for at in found[:LOOKED_AT] if isinstance(at, Found)]
    scanned.sort(key=_by_place)
    kept: list[Evidence] = []
    last: dict[tuple[str, str], int] = {}  # the end of each term's latest place
    for at in scanned:
        start, end, term, entity = at[:4]
        if start >= last.get((term, entity), 0) - 1:  # neighbours share the space between them
            last[term, entity] = end
            kept.append(text.shown(at))
            if len(kept) == MAX_EVIDENCE:
                break
    if len(scanned) == len(found):
        return tuple(kept)
    return tidy([*kept, *(at for at in found[:LOOKED_AT] if isinstance(at, Evidence))])


def _by_place(at: Found) -> tuple[int, int, str]:
    return at.start, -at.end, at.term
