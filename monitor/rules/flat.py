"""Topics as rows of numbers, which the compiled core reads: what leads to each, and how it is decided.

What the core does not know (names, expressions, forms, wildcards within words, sentences, exact text) makes its topic
one that Python decides, once the core has found what leads to it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monitor.query import And, AtLeast, Exact, Field, First, Near, Node, Not, Or, Phrase, Term, walk
from monitor.rules import core
from monitor.rules.sieve import Lookup
from monitor.rules.values import TopicMatch
from monitor.text import Evidence

# As in _core.c.
_LEAF, _AND, _OR, _NOT, _NEAR, _AT_LEAST, _FIELD, _FIRST = range(8)
_FIELDS = {"title": 0, "lead": 1, "body": 2}
_DEEPEST = 40
_NAMES = ("title", "summary", "text")


class _Uncommon(Exception):  # noqa: N818 - no error: Python decides such a topic
    """A node that the core does not know."""


class Layout:
    """What `Sieve` notes, as rows. `lookups`: of the trees' leaves, by identity."""

    def __init__(self, lookups: Mapping[int, Lookup], labels: Sequence[tuple[str, str]], topics: int) -> None:
        self._lookups, self._labels = lookups, labels or [("", "")] * topics
        self._anchors, self._guards = array("i"), array("i", [-1]) * topics
        self._needs_at, self._needs = array("i", [0]), array("i")
        self._programs_at, self._programs = array("i", [-1]) * topics, array("i")
        self._leaves: dict[int, int] = {}  # by the identity of a lookup
        self._rows = array("i")
        self._terms: dict[str, int] = {}
        self._wanted: set[int] = set()  # patterns whose places Python may ask for

    def alone(self, topic: int, lookup: Lookup) -> None:
        """Note a topic that is a single leaf."""
        self._anchors.append(lookup.number)
        self._anchors.append(topic)
        self._needs_at.append(len(self._needs))
        if lookup.wild or lookup.exact is not None:
            self._wanted.add(lookup.number)
        else:
            self._programs_at[topic] = len(self._programs)
            self._programs.append(_LEAF)
            self._programs.append(self._leaf(lookup))

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

    def matcher(self, patterns: list[bytes], asked: Iterable[int]) -> Any:
        """Return the core's matcher of the patterns, by their numbers; Python also asks where those `asked` stand."""
        assert core.CORE is not None
        wanted = bytearray(len(patterns))
        for numbers in (self._wanted, asked):
            for number in numbers:
                wanted[number] = 1
        names, versions = zip(*self._labels, strict=True) if self._labels else ((), ())
        return core.CORE.Matcher(
            patterns,
            bytes(wanted),
            self._anchors,
            self._guards,
            self._needs_at,
            self._needs,
            self._programs_at,
            self._programs,
            self._rows,
            tuple(self._terms),
            tuple(names),
            tuple(versions),
            Evidence,
            TopicMatch,
            _NAMES,
        )

    def _ask(self, tree: Node) -> None:
        """Note that Python decides a topic, and so looks up its leaves."""
        for node in walk(tree):
            lookup = self._lookups.get(id(node))
            if lookup is not None:
                self._wanted.add(lookup.number)
                self._wanted.update([unit.number for unit in lookup.units])

    def _leaf(self, lookup: Lookup) -> int:
        """Return the number of a leaf's row; raise _Uncommon for one with more to it than where its pattern stands."""
        number = self._leaves.get(id(lookup))
        if number is None:
            if lookup.wild or lookup.exact is not None or lookup.units:
                raise _Uncommon
            number = self._leaves[id(lookup)] = len(self._leaves)
            term = self._terms.setdefault(lookup.term, len(self._terms))
            self._rows.extend((lookup.number, lookup.length, lookup.open, term))
        return number

    def _write(self, node: Node, depth: int) -> None:
        write = self._programs
        kind = type(node)
        if isinstance(node, Term | Phrase | Exact):
            lookup = self._lookups.get(id(node))
            if lookup is None:
                raise _Uncommon
            write.append(_LEAF)
            write.append(self._leaf(lookup))
        elif depth == _DEEPEST:
            raise _Uncommon
        elif isinstance(node, And | Or):
            start = len(write)
            write.extend((_AND if kind is And else _OR, len(node.children), 0))
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
        below = node.children if isinstance(node, Or) else (node,)
        if not all(isinstance(child, Term | Phrase | Exact) for child in below):
            raise _Uncommon
        self._write(node, depth + 1)

    def _narrow(self, node: Node, kind: int, how: int, depth: int) -> None:
        """Write what is looked for in a part of the story; of a part of a part Python knows what is left."""
        if any(isinstance(child, Field | First) for child in walk(node)):
            raise _Uncommon
        self._programs.extend((kind, how))
        self._write(node, depth + 1)
