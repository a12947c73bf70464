"""Decides a query's tree on a story: whether it holds, and by which spans. Exact, on word positions.

A scope is the part of the story in which a node is decided: the whole text, some words of it (a field, a sentence, the
first fifty words), or what the story says of itself. Fields and the like narrow the scope; leaves look into it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from operator import attrgetter

from monitor.query import (
    LEAVES,
    META_FIELDS,
    SEARCHED,
    And,
    AtLeast,
    EntityRef,
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
from monitor.rules.near import Span, in_order, nearby
from monitor.rules.reading import Reading, Surface, Zones, value_fits
from monitor.rules.values import tidy
from monitor.text import Evidence

# Spans looked at for a match's evidence, of which the first MAX_EVIDENCE of different terms and places are kept.
_LOOKED_AT = 5_000


_first = attrgetter("first")


@dataclass(frozen=True, slots=True)
class Scope:
    """Words in which leaves are looked up; `zones` None: all of the surface's. `name` is a field's, or empty."""

    reading: Reading
    surface: Surface
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
        return replace(self, zones=zones, name=name)


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
            Span(number, number, replace(evidence, term=str(leaf), entity=entity))
            for number, (value, evidence) in enumerate(values)
            for text, entity in wanted
            if value_fits(self.name, text, value)
        ]


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
    if isinstance(node, LEAVES):
        return bool(scope.spans(node))
    if isinstance(node, And):
        return all(holds(child, scope) for child in node.children)
    if isinstance(node, Or):
        return any(holds(child, scope) for child in node.children)
    if isinstance(node, Not):
        return not holds(node.child, scope)
    if isinstance(node, Near):
        return (
            next(nearby([spans(c, scope) for c in node.children], node.distance, ordered=node.ordered), None)
            is not None
        )
    if isinstance(node, Field):
        return holds(node.child, text_of(scope).field(node.name))
    if isinstance(node, AtLeast):
        return count(node.child, scope) >= node.count
    if isinstance(node, First):
        return holds(node.child, text_of(scope).first(node.words))
    if isinstance(node, Sentence):
        return any(holds(node.child, sentence) for sentence in text_of(scope).sentences())
    raise AssertionError(f"{node} is not expanded")


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
    """Return what makes `node`, which holds in `scope`, true: the spans of all its true branches."""
    return tidy(islice(_evidence(node, scope), _LOOKED_AT))


def _evidence(node: Node, scope: AnyScope) -> Iterator[Evidence]:
    if isinstance(node, And | Or):
        for child in node.children:
            if holds(child, scope):
                yield from _evidence(child, scope)
    elif isinstance(node, Near):
        for together in nearby([spans(c, scope) for c in node.children], node.distance, ordered=node.ordered):
            yield from (span.evidence for span in together)
    elif isinstance(node, Field):
        yield from _evidence(node.child, text_of(scope).field(node.name))
    elif isinstance(node, AtLeast):
        yield from (span.evidence for span in spans(node.child, scope))
    elif isinstance(node, First):
        yield from _evidence(node.child, text_of(scope).first(node.words))
    elif isinstance(node, Sentence):
        for sentence in text_of(scope).sentences():
            if holds(node.child, sentence):
                yield from _evidence(node.child, sentence)
    elif isinstance(node, LEAVES):
        yield from (span.evidence for span in scope.spans(node))
