"""Topics as rows of numbers, which the compiled core reads: what leads to each, and how it is decided.

What the core does not know (expressions, forms, wildcards within words, phrases in any order, sentences, what a story
says of itself) makes its topic one that Python decides, once the core has found what leads to it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from monitor.entities import Alias, Aliases
from monitor.query import And, AtLeast, EntityRef, Exact, Field, First, Near, Node, Not, Or, Phrase, Term, walk
from monitor.rules import core
from monitor.rules.folded import NAMES
from monitor.rules.sieve import Lookup
from monitor.rules.values import TopicMatch
from monitor.text import Evidence

# As in compiled/*.c.
_LEAF, _ENTITY, _AND, _OR, _NOT, _NEAR, _AT_LEAST, _FIELD, _FIRST = range(9)
_FIELDS = {"title": 0, "lead": 1, "body": 2}
_DEEPEST = 40
_NO_TEXT, _UNTOLD = -1, -2
_WANTED, _BEGINNING = 1, 2
_LOOKED_UP, _IN_PLACES, _SEVERAL = (Term, Phrase, Exact), (Term, Phrase, Exact, EntityRef), (And, Or)
_NARROW = (Field, First)


class _Uncommon(Exception):  # noqa: N818 - no error: Python decides such a topic
    """A node that the core does not know."""


class Known(Protocol):
    """What an index knows already: of leaves and names by the identity of nodes, of aliases by their patterns."""

    aliases: Aliases
    lookups: dict[int, Lookup]
    references: dict[int, tuple[frozenset[str], str]]
    named: dict[int, tuple[Alias, ...]]
    beginnings: set[int]


class Layout:
    """What `Sieve` notes, as rows. `labels` are the topics' names and versions.

    `earlier`: a matcher, and each topic's number there, -1 of those that are noted here. Texts
    are numbered on from its own.
    """

    def __init__(
        self,
        index: Known,
        labels: Sequence[tuple[str, str]],
        topics: int,
        earlier: tuple[Any, array[int]] | None = None,
    ) -> None:
        self._index, self._labels = index, labels or [("", "")] * topics
        self._earlier: Any = earlier and earlier[0]
        self._taken = earlier[1] if earlier else array("i", [-1]) * topics
        self._first_term = 0 if earlier is None else earlier[0].terms
        self._first_exact = 0 if earlier is None else earlier[0].exacts
        self._anchors, self._guards = array("i"), array("i", [-1]) * topics
        self._needs_at, self._needs = array("i", [0]), array("i")
        self._programs_at, self._programs = array("i", [-1]) * topics, array("i")
        self._terms: dict[str, int] = {}
        self._entities = {entity: number for number, entity in enumerate(index.aliases.entities())}
        self._exacts: dict[tuple[str, int, int], int] = {}
        self._wanted: set[int] = set()  # patterns whose places Python may ask for

    def alone(self, topic: int, lookup: Lookup) -> None:
        """Note a topic that is a single leaf."""
        self._anchors.append(lookup.number)
        self._anchors.append(topic)
        self._needs_at.append(len(self._needs))
        if lookup.wild:
            self._wanted.add(lookup.number)
        else:
            self._programs_at[topic] = len(self._programs)
            self._leaf(lookup)

    def always(self, tree: Node) -> None:
        """Note a topic without an anchor: nothing leads to it."""
        self._needs_at.append(len(self._needs))
        self._ask(tree)

    def anchor(
        self, topic: int, tree: Node, anchor: Iterable[int], guard: int | None, needs: Iterable[frozenset[int]]
    ) -> None:
        """Note what a topic needs, and how it is decided."""
        for number in anchor:
            self._anchors.append(number)
            self._anchors.append(topic)
        if guard is not None:
            self._guards[topic] = guard
        start = len(self._programs)
        try:
            self._write(tree, 0)
        except _Uncommon:
            del self._programs[start:]
            self._ask(tree)
            for need in needs:  # of a topic with a program that tells it all
                self._needs.append(len(need))
                self._needs.extend(need)
        else:
            self._programs_at[topic] = start
        self._needs_at.append(len(self._needs))

    def matcher(self, patterns: list[bytes]) -> Any:
        """Return the core's matcher of the patterns, by their numbers; with `earlier`, of those that it lacks."""
        assert core.CORE is not None
        flags = bytearray(len(patterns) + (0 if self._earlier is None else self._earlier.patterns))
        aliases = array("i")
        for number in self._wanted:
            flags[number] = _WANTED
        if self._earlier is None:
            for number in self._index.named:
                flags[number] = _WANTED
            for number in self._index.beginnings:
                flags[number] = _WANTED | _BEGINNING
            for number, known in self._index.named.items():
                for alias in known:
                    aliases.extend((number, self._entities[alias.entity], self._condition(alias)))
        return core.CORE.Matcher(
            self._earlier,
            self._taken,
            patterns,
            bytes(flags),
            self._anchors,
            self._guards,
            self._needs_at,
            self._needs,
            self._programs_at,
            self._programs,
            aliases,
            array("i", [characters for _, *around in self._exacts for characters in around]),
            tuple([text for text, *_ in self._exacts]),
            tuple(self._terms),
            tuple(self._entities),
            tuple([text for label in self._labels for text in label]),
            NAMES,
            Evidence,
            TopicMatch,
        )

    def _condition(self, alias: Alias) -> int:
        """Return the number of the text that an alias must stand as; or that it only must stand, or needs Python."""
        if alias.weak or len(alias.exact) > 1:
            return _UNTOLD
        return self._exact(alias.exact[0], 0, 0) if alias.exact else _NO_TEXT

    def _exact(self, text: str, before: int, after: int) -> int:
        return self._exacts.setdefault((text, before, after), self._first_exact + len(self._exacts))

    def _term(self, term: str) -> int:
        return self._terms.setdefault(term, self._first_term + len(self._terms))

    def _ask(self, tree: Node) -> None:
        """Note that Python decides a topic, and so looks up its leaves."""
        for node in walk(tree):
            lookup = self._index.lookups.get(id(node))
            if lookup is not None:
                self._wanted.add(lookup.number)
                self._wanted.update([unit.number for unit in lookup.units])

    def _leaf(self, lookup: Lookup) -> None:
        """Write a leaf; raise _Uncommon for one with more to it than where its pattern stands."""
        if lookup.wild or lookup.units:
            raise _Uncommon
        exact = lookup.exact
        text = _NO_TEXT if exact is None else self._exact(exact.text, exact.before, exact.after)
        self._programs.extend((_LEAF, lookup.number, lookup.length, lookup.open, self._term(lookup.term), text))

    def _write(self, node: Node, depth: int) -> None:
        write = self._programs
        lookup = self._index.lookups.get(id(node))
        if lookup is not None:
            self._leaf(lookup)
        elif isinstance(node, EntityRef):
            members, term = self._index.references[id(node)]
            write.extend((_ENTITY, len(members), self._term(term)))
            write.extend(sorted([self._entities[member] for member in members]))
        elif depth == _DEEPEST:
            raise _Uncommon
        elif isinstance(node, _SEVERAL):
            start = len(write)
            write.extend((_AND if isinstance(node, And) else _OR, len(node.children), 0))
            for child in node.children:
                self._write(child, depth + 1)
            write[start + 2] = len(write) - start
        elif isinstance(node, Not):
            write.append(_NOT)
            self._write(node.child, depth + 1)
        elif isinstance(node, Near) and len(node.children) == 2:
            write.extend((_NEAR, node.distance, node.ordered))
            for child in node.children:
                self._group(child, depth)
        elif isinstance(node, AtLeast):
            write.extend((_AT_LEAST, node.count))
            self._group(node.child, depth)
        elif isinstance(node, Field) and node.name in _FIELDS:
            self._narrow(node.child, _FIELD, _FIELDS[node.name], depth)
        elif isinstance(node, First):
            self._narrow(node.child, _FIRST, node.words, depth)
        else:
            raise _Uncommon

    def _group(self, node: Node, depth: int) -> None:
        """Write what stands in places: a leaf, or an OR of leaves."""
        for child in node.children if isinstance(node, Or) else (node,):
            if not isinstance(child, _IN_PLACES):
                raise _Uncommon
        self._write(node, depth + 1)

    def _narrow(self, node: Node, kind: int, how: int, depth: int) -> None:
        """Write what is looked for in a part of the story; of a part of a part Python knows what is left."""
        if not isinstance(node, _IN_PLACES) and any(isinstance(child, _NARROW) for child in walk(node)):
            raise _Uncommon
        self._programs.extend((kind, how))
        self._write(node, depth + 1)
