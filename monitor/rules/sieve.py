"""What was found in a story → the topics to decide, in Python; `flat` and the compiled core do the same.

A topic is decided only where its anchor is found, the rarest of what it cannot do without, and something of everything
else that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ahocorasick_rs import BytesAhoCorasick

from monitor.query import Node
from monitor.rules.patterns import ExactText

# Of each pattern found: its number and the bytes that it stands in, from and up to but not including, in order.
Places = dict[int, list[tuple[int, int, int]]]


# Neither frozen nor compared: ten thousands are made while a reload is waited for, and each is one of its kind.
@dataclass(slots=True, eq=False)
class Lookup:
    """Where a leaf (`term`, as written) is looked up: pattern `number`, of `length` words.

    `open`: the last word may go on (deploy*). `wild`: the words as patterns, to be compared one by one. `exact`: the
    text as it must be published. `units`: the parts of a phrase in any order, all within `reach` words.
    """

    term: str
    number: int
    length: int
    open: bool = False
    wild: tuple[str, ...] = ()
    exact: ExactText | None = None
    units: tuple[Lookup, ...] = ()
    reach: int = 0


class Sieve:
    """Topics by what leads to them. Filled first (`alone`, `anchor`, `finish`), then only asked.

    Of each topic, beside its anchor, the pattern of `_guards` must be found, and one of each of the `_needs`.
    By pattern there are the topics that it is the anchor of, and behind each leaf those that are nothing but this leaf.
    Rows, and as few of them as can be: with a hundred thousand topics every object more in each is some megabytes.
    """

    def __init__(self, topics: int) -> None:
        self._guards: list[int | None] = [None] * topics
        self._needs: list[tuple[tuple[int, ...], ...]] = [()] * topics
        self._anchored: list[tuple[int, ...]] = []
        self._leaves: list[tuple[Lookup | int, ...]] = []
        self._anchors: dict[int, list[int]] = {}
        self._alone: dict[Lookup, list[int]] = {}

    def alone(self, topic: int, lookup: Lookup) -> None:
        """Note a topic that is a single leaf."""
        self._alone.setdefault(lookup, []).append(topic)

    def anchor(
        self, topic: int, _: Node, anchor: Iterable[int], guard: int | None, needs: Iterable[frozenset[int]]
    ) -> None:
        """Note what a topic needs."""
        for number in anchor:
            self._anchors.setdefault(number, []).append(topic)
        self._guards[topic], self._needs[topic] = guard, tuple([tuple(need) for need in needs])

    def finish(self, patterns: list[bytes]) -> None:
        """Make the automaton of the patterns, by their numbers."""
        self._automaton = BytesAhoCorasick(patterns)
        self._anchored, self._leaves = [()] * len(patterns), [()] * len(patterns)
        for number, topics in self._anchors.items():
            self._anchored[number] = tuple(topics)
        for lookup, topics in self._alone.items():
            self._leaves[lookup.number] += (lookup, *topics)
        self._anchors, self._alone = {}, {}

    def places(self, data: bytes) -> Places:
        """Return where each pattern stands that is found in a folded story."""
        found: Places = {}
        for hit in self._automaton.find_matches_as_indexes(data, overlapping=True):
            number = hit[0]
            if number in found:
                found[number].append(hit)
            else:
                found[number] = [hit]
        return found

    def leaves(self, hits: Places) -> Iterator[Lookup | int]:
        """Yield the leaves found that are whole topics, behind each of them those topics."""
        leaves = self._leaves
        for number in hits:
            yield from leaves[number]

    def candidates(self, hits: Places) -> list[int]:
        """Return the topics to decide: of all others with an anchor, something that they need was not found."""
        found, guards, needs = hits.keys(), self._guards, self._needs
        topics: set[int] = set().union(*map(self._anchored.__getitem__, hits))
        sifted = [topic for topic in topics if (guard := guards[topic]) is None or guard in hits]
        return [topic for topic in sifted if not any(map(found.isdisjoint, needs[topic]))]
