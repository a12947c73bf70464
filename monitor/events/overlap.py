"""What the terms of stories have in common: the inner loops of grouping, where its time goes. Pure.

Compiled where it was built (`compiled/overlap.c`); else Python does the same, and is the judge of it.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from math import log
from typing import NamedTuple

from monitor.compiled import built

VERSION = 1  # of what it and this module say to each other: one built from an older source is left alone
COMPILED = built("monitor.events._overlap", VERSION)


class Compared(NamedTuple):
    """A story as it is compared: its terms, the weight of each in a byte, the places of names among them as the bits
    of a number, and how many of the terms are the headline's.
    """

    terms: tuple[str, ...]
    weights: bytes
    names: int
    title_terms: int


def weigh(
    emphasis: tuple[float, ...],
    common: list[float],
    counts: list[int],
    prior: float,
    stories: float,
    first: float,
    rarest: float,
    scale: float,
) -> bytes:
    """Return each term's weight, 1 to 255: its emphasis times how rare it is, in nats, times `scale`.

    Of each term `common` says in which share of the language's stories it stands, which counts as `prior` stories, and
    `counts` in how many of the `stories` of the window. `first` are as many and some more, so that the first ones are
    not all alike; what is rarer than `rarest` counts as this.
    """
    if COMPILED is not None:
        weights: bytes = COMPILED.weigh(emphasis, common, counts, prior, stories, first, rarest, scale)
        return weights
    made = bytearray()
    for says, usual, before in zip(emphasis, common, counts, strict=True):
        share = max((before + prior * usual) / stories, (before + 1) / first, rarest)
        made.append(min(255, max(1, round(-log(share) * says * scale))))
    return bytes(made)


def likely(asked: list[tuple[int, array[int]]], latest: int, most: int) -> list[int]:
    """Return the `most` keys in the `latest` places of the postings asked with the greatest sums of squared weights.

    The first number of a posting is no key. Of equal ones the first comes first.
    """
    if COMPILED is not None:
        keys: list[int] = COMPILED.likely(asked, latest, most)
        return keys
    found: dict[int, int] = {}
    get = found.get
    for weight, posting in asked:
        square = weight * weight
        for key in posting[max(1, len(posting) - latest) :]:
            found[key] = get(key, 0) + square
    return sorted(found, key=found.__getitem__, reverse=True)[:most]


def overlaps(
    terms: tuple[str, ...], weights: bytes, content: bytes, names: int, title_terms: int, stories: list[Compared]
) -> list[tuple[int, int, int, bool]]:
    """Return what a story shares with each of others. The terms of each are interned and different.

    That is: the product of their weights, how many terms of `content` (1 for each that counts) they share, how many
    words follow one another in both headlines (those of one name say no more than the name), and whether a name of one
    stands in the other.
    """
    if COMPILED is not None:
        shared: list[tuple[int, int, int, bool]] = COMPILED.overlaps(
            terms, weights, content, names, title_terms, stories
        )
        return shared
    weight, counting = dict(zip(terms, weights, strict=True)), dict(zip(terms, content, strict=True))
    named = {term for at, term in enumerate(terms) if names >> at & 1}
    pairs = {pair for pair in pairwise(terms[:title_terms]) if not named.issuperset(pair)}
    made = []
    for one in stories:
        both = weight.keys() & one.terms
        product = sum(weight[term] * its for term, its in zip(one.terms, one.weights, strict=True) if term in both)
        met = not named.isdisjoint(both) or any(
            one.names >> at & 1 for at, term in enumerate(one.terms) if term in both
        )
        runs = len(pairs.intersection(pairwise(one.terms[: one.title_terms])))
        made.append((product, sum(map(counting.__getitem__, both)), runs, met))
    return made
