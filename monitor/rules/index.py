"""All topics and aliases as one automaton: which words to look for, and which topics to decide where they are found.

Every term and phrase of every topic, and every alias of every entity, is a pattern of folded words for one Aho-Corasick
automaton. A topic is decided only where one of its anchors is found: the rarest of the terms that it cannot do without.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

from monitor.entities import Alias, Aliases
from monitor.query import (
    META_FIELDS,
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
    Phrase,
    Regex,
    Sentence,
    Term,
    children,
)
from monitor.rules import core
from monitor.rules.flat import Layout
from monitor.rules.patterns import exact_text, is_wild, literal_prefix, pattern
from monitor.rules.sieve import Lookup, Places, Sieve

# How often a word is expected in a story: what anchors are chosen by. The commonest words of the languages that news is
# mostly written in; for all others length tells enough.
_COMMON = frozenset(
    """
    a about after all also an and are as at be been but by can da das de del der des die dos du e el en er es et for
    from had has have he her his i if il in into is it its la las le les los m mit mr n new no not o of on one or os
    out over para por que s said says se she so sur te than that the their there they this to two un una und une up von
    was we were which who will with would year years you в и на не по с что 的 一 在 了 是 中 国
    """.split()  # noqa: SIM905 - read as a text, a list of so many words fills two pages
)
_NEVER = 1e-9
_LONGEST = 40  # characters that still make a word rarer
_OF_LENGTH = [0.4 / (1 + length) ** 1.6 for length in range(_LONGEST + 1)]
# Tuples, because a union is made anew each time that it is written: twenty thousand nodes ask.
_LOOKED_UP = (Term, Phrase, Exact)
_ALL_OF = (And, Near)
_WITHIN = (AtLeast, First, Sentence)


_UNSEEN = Lookup("", -1, 0)


class Group(NamedTuple):
    """An OR's leaves by their pattern's number, and its other children."""

    leaves: dict[int, tuple[Node, ...]]
    others: tuple[Node, ...]


_FOREIGN = Group({}, ())


@dataclass(slots=True)
class Index:
    """The compiled patterns, and what leads from them to topics, by number. `always` are the topics without an anchor,
    decided for every story. `sieve` or `matcher`: the others, as Python or the compiled core looks for them.
    """

    aliases: Aliases
    sieve: Sieve = field(init=False)
    matcher: Any = None
    always: tuple[int, ...] = ()
    named: dict[int, tuple[Alias, ...]] = field(default_factory=dict)
    beginnings: set[int] = field(default_factory=set)  # of inflected names: what all their forms have
    lookups: dict[int, Lookup] = field(default_factory=dict)  # by the identity of a leaf of the trees
    # By the identity of an OR of the trees; None: not yet asked for. Most never are.
    groups: dict[int, Group | None] = field(default_factory=dict)
    # By the identity of an @name of the trees: the entities that it stands for, and as it is written.
    references: dict[int, tuple[frozenset[str], str]] = field(default_factory=dict)
    # Trees of topics that are gone, of which something is left here: kept, so that no other node takes their identity.
    gone: tuple[Node, ...] = ()

    def group(self, node: Or) -> Group | None:
        """Return an OR's leaves by their patterns; None where it is of no tree of the index."""
        known = self.groups.get(id(node), _FOREIGN)
        if known is None:
            leaves: dict[int, tuple[Node, ...]] = {}
            others = []
            for child in node.children:
                lookup = self.lookups.get(id(child))
                if lookup is None:
                    others.append(child)
                else:
                    leaves[lookup.number] = (*leaves.get(lookup.number, ()), child)
            known = self.groups[id(node)] = Group(leaves, tuple(others))
        return None if known is _FOREIGN else known

    def places(self, data: bytes) -> Places:
        """Return where each pattern stands that is found in a folded story."""
        found: Places = self.sieve.places(data) if self.matcher is None else self.matcher.places(data)
        return found

    def candidates(self, data: bytes, hits: Places) -> set[int]:
        """Return the topics of which a folded story, with the patterns at `hits`, has something of all they need."""
        if self.matcher is not None:
            return {*self.always, *self.matcher.candidates(data)}
        leaves = (one for one in self.sieve.leaves(hits) if isinstance(one, int))
        return {*self.always, *self.sieve.candidates(hits), *leaves}


@dataclass(frozen=True, slots=True)
class Earlier:
    """An index by the compiled core, of which topics are taken over: `numbers` are theirs there, -1 that of a new one.

    `gone`: the trees of those that are not. Its aliases are those of the new index too.
    """

    index: Index
    numbers: array[int]
    gone: tuple[Node, ...]


@dataclass(slots=True)
class _Building:
    """What is known only while an index is built. `earlier` has patterns with numbers already, as many as `base`."""

    index: Index
    earlier: Any = None
    base: int = 0
    numbers: dict[bytes, int] = field(default_factory=dict)  # of the others
    known: dict[str, Lookup | None] = field(default_factory=dict)  # by a leaf as it is written
    leaf_needs: dict[int, tuple[Need, ...]] = field(default_factory=dict)  # by the identity of a lookup
    of_entity: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pattern(self, text: str) -> int:
        """Return the number of a pattern: folded words with a space at the ends, save where it begins or goes on."""
        data = text.encode("utf-8", "surrogatepass")
        known = -1 if self.earlier is None else self.earlier.number(data)
        return self.numbers.setdefault(data, self.base + len(self.numbers)) if known < 0 else known

    def names(self, entity: str) -> tuple[int, ...]:
        """Return the numbers of the patterns of an entity's names."""
        known = self.of_entity.get(entity)
        if known is None:
            index, aliases = self.index, self.index.aliases
            numbers = []
            for alias in aliases.of(entity):
                if alias.words:
                    number = self.pattern(f" {' '.join(alias.words)} ")
                    numbers.append(number)
                    if self.earlier is None:
                        index.named[number] = (*index.named.get(number, ()), alias)
            for beginning, inside in aliases.beginnings(entity):
                number = self.pattern(beginning if inside else f" {beginning}")
                numbers.append(number)
                if self.earlier is None:
                    index.beginnings.add(number)
            known = self.of_entity[entity] = tuple(numbers)
        return known

    def lookup(self, leaf: Term | Phrase | Exact) -> Lookup | None:
        """Return where a leaf is looked up, the same for equal leaves."""
        written = str(leaf)
        found = self.known.get(written, _UNSEEN)
        if found is _UNSEEN:
            found = self.known[written] = _lookup(self, leaf, written)
        return found


def build(
    trees: Sequence[Node],
    aliases: Aliases,
    labels: Sequence[tuple[str, str]] = (),
    earlier: Earlier | None = None,
) -> Index:
    """Return the index of the topics' trees, which must live as long as it does: leaves are known by identity.

    `labels`: each topic's name and version, which the compiled core tells with what it decided. What `earlier` has is
    taken over; it stays as it is.
    """
    index = Index(aliases)
    building = _Building(index)
    sieve: Sieve | Layout
    if earlier is None:
        for entity in aliases.entities():
            building.names(entity)
        sieve = Sieve(len(trees)) if core.CORE is None else Layout(index, labels, len(trees))
        numbers: Iterable[int] = repeat(-1)
        unanchored: frozenset[int] = frozenset()
    else:
        _take_over(building, earlier)
        sieve = Layout(index, labels, len(trees), (earlier.index.matcher, earlier.numbers))
        numbers, unanchored = earlier.numbers, frozenset(earlier.index.always)
    always = []
    for topic, (tree, taken) in enumerate(zip(trees, numbers, strict=False)):
        if taken >= 0:
            if taken in unanchored:
                always.append(topic)
            continue
        if isinstance(tree, _LOOKED_UP) and (lookup := building.lookup(tree)) is not None and not lookup.units:
            index.lookups[id(tree)] = lookup
            sieve.alone(topic, lookup)
            continue
        needs = _read(building, tree)
        if not needs:
            always.append(topic)
            if isinstance(sieve, Layout):
                sieve.always(tree)
            continue
        anchor = needs[0] if len(needs) == 1 else min(needs, key=_often)
        others = {} if len(needs) == 1 else {need.any_of: need for need in needs if need.any_of != anchor.any_of}
        single = [need for need in others.values() if len(need.any_of) == 1]
        guard = None
        if single:
            rarest = min(single, key=_often).any_of
            (guard,) = rarest
            del others[rarest]
        sieve.anchor(topic, tree, anchor.any_of, guard, others)
    index.always = tuple(always)
    patterns = list(building.numbers)
    if isinstance(sieve, Layout):
        index.matcher = sieve.matcher(patterns)
    else:
        sieve.finish(patterns)
        index.sieve = sieve
    return index


def _take_over(building: _Building, earlier: Earlier) -> None:
    """Have in the index what the earlier one says of its trees and of the aliases."""
    index, there = building.index, earlier.index
    building.earlier, building.base = there.matcher, there.matcher.patterns
    index.named, index.beginnings = there.named, there.beginnings
    index.lookups, index.groups, index.references = there.lookups.copy(), there.groups.copy(), there.references.copy()
    index.gone = (*there.gone, *earlier.gone)


def _add(building: _Building, tree: Node) -> None:
    """Have the index know of all that stands in a tree, needed or not."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Leaf):
            _read(building, node)
        elif not isinstance(node, Field) or node.name not in META_FIELDS:
            if isinstance(node, Or):
                building.index.groups[id(node)] = None
            stack += children(node)


def _lookup(building: _Building, leaf: Term | Phrase | Exact, term: str) -> Lookup | None:
    """Return where a leaf is looked up (`term`, as written); None: in the words themselves."""
    if isinstance(leaf, Exact):
        exact = exact_text(leaf.text)
        if exact is None:
            return None
        number = building.pattern(f" {' '.join(exact.sequence)} ")
        return Lookup(term, number, len(exact.sequence), exact=exact)
    wanted = pattern(leaf)
    sequences = wanted.sequences
    if len(sequences) == 1:
        return _sequence(building, sequences[0], term)
    known = tuple([unit for one in sequences if (unit := _sequence(building, one, term)) is not None])
    if not known or len(known) < len(sequences):
        return None
    # Several have a `within`.
    rarest = min(range(len(known)), key=lambda number: _frequency(sequences[number]))
    reach = sum([unit.length for unit in known]) + (wanted.within or 0) - 1
    return Lookup(term, known[rarest].number, known[rarest].length, units=known, reach=reach)


def _sequence(building: _Building, sequence: tuple[str, ...], term: str) -> Lookup | None:
    written = " ".join(sequence)
    if not is_wild(written):
        return Lookup(term, building.pattern(f" {written} "), len(sequence))
    first_wild = next(number for number, word in enumerate(sequence) if is_wild(word))
    start = literal_prefix(sequence[first_wild])
    if not start:
        return None
    number = building.pattern(f" {' '.join((*sequence[:first_wild], start))}")
    simple = first_wild == len(sequence) - 1 and sequence[-1] == f"{start}*"
    return Lookup(term, number, len(sequence), open=True, wild=() if simple else sequence)


class Need(NamedTuple):
    """Patterns of which one is found wherever a node holds, and how often one is expected in a story."""

    any_of: frozenset[int]
    often: float


_often = attrgetter("often")
_none_yet: frozenset[int] = frozenset()


def _read(building: _Building, node: Node) -> tuple[Need, ...]:
    """Have the index know of all in `node`; return what is found wherever it holds: one pattern of every need."""
    if isinstance(node, _LOOKED_UP):
        lookup = building.lookup(node)
        if lookup is None:
            return ()
        building.index.lookups[id(node)] = lookup
        known = building.leaf_needs.get(id(lookup))
        if known is None:
            known = building.leaf_needs[id(lookup)] = _needs_of_leaf(node, lookup)
        return known
    if isinstance(node, _ALL_OF):
        return tuple([need for child in node.children for need in _read(building, child)])
    if isinstance(node, Or):
        building.index.groups[id(node)] = None
        each = [_read(building, child) for child in node.children]
        if () in each:
            return ()
        rarest = [needs[0] if len(needs) == 1 else min(needs, key=_often) for needs in each]
        return (Need(_none_yet.union(*[need.any_of for need in rarest]), sum([need.often for need in rarest])),)
    if isinstance(node, EntityRef):
        members = building.index.aliases.members(node.name)
        building.index.references[id(node)] = frozenset(members), str(node)
        found = [number for entity in members for number in building.names(entity)]
        return (Need(frozenset(found), 0.01 * len(found)),)
    if isinstance(node, Field):
        return () if node.name in META_FIELDS else _read(building, node.child)
    if isinstance(node, _WITHIN):
        return _read(building, node.child)
    assert isinstance(node, Not | Forms | Regex), f"{node} is not expanded"
    if isinstance(node, Not):
        _add(building, node.child)
    return ()


def _needs_of_leaf(leaf: Term | Phrase | Exact, lookup: Lookup) -> tuple[Need, ...]:
    if lookup.exact is not None:
        return (Need(frozenset((lookup.number,)), _frequency(lookup.exact.sequence)),)
    assert not isinstance(leaf, Exact)
    sequences = pattern(leaf).sequences
    if not lookup.units:
        return (Need(frozenset((lookup.number,)), _frequency(sequences[0])),)
    units = zip(lookup.units, sequences, strict=True)
    return tuple([Need(frozenset((unit.number,)), _frequency(sequence)) for unit, sequence in units])


def _frequency(sequence: Iterable[str]) -> float:
    """Return how often a sequence of words is expected in a story, as far as its looks tell."""
    often = 1.0
    for word in sequence:
        if word in _COMMON:
            often *= 0.9
        elif is_wild(word):
            literal = literal_prefix(word)
            often *= 0.9 if literal in _COMMON else max(_NEVER, 0.4 / (1 + len(literal)))
        else:
            often *= _OF_LENGTH[min(len(word), _LONGEST)]
    return often
