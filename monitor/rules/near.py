"""Nearness on numbered words: which of several groups of spans lie close enough together, one of each group. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from monitor.text import Evidence


class Found(NamedTuple):
    """A leaf's place in a scanned story: bytes `start` to `end` of its folded words, and what was found there.

    `before` and `after`: characters of punctuation around the words that are part of it ({C++}).
    """

    start: int
    end: int
    term: str
    entity: str = ""
    before: int = 0
    after: int = 0


At = Evidence | Found  # what there is to show of a place


class Span(NamedTuple):
    """Words `first` to `last` (positions, both included) where a leaf was found, with what to show for it."""

    first: int
    last: int
    at: At


def in_order(spans: Iterable[Span]) -> list[Span]:
    """Return `spans` sorted by place; of two in one place, the one given first stays first."""
    return sorted(spans, key=lambda span: (span.first, span.last))


def nearby(groups: Sequence[Sequence[Span]], distance: int, *, ordered: bool) -> Iterator[tuple[Span, ...]]:
    """Yield the spans that lie together, one span of each group with at most `distance` words between any two.

    A word counts for one group only, so spans that overlap are not near. `ordered`: in the order of the groups. The
    spans of a group are sorted. Each yield has a span that comes first, and all those that complete it.
    """
    for span, windows in _together(groups, distance, ordered=ordered):
        yield from _completed(span, windows, ordered=ordered)


def _together(
    groups: Sequence[Sequence[Span]], distance: int, *, ordered: bool
) -> Iterator[tuple[Span, list[Sequence[Span]]]]:
    """Yield each span that may come first, with those of every other group that begin within `distance` behind it."""
    if not all(groups):
        return
    starts = [[span.first for span in group] for group in groups]
    for number in range(1 if ordered else len(groups)):
        others = [other for other in range(len(groups)) if other != number]
        for span in groups[number]:
            windows = []
            for other in others:
                low = bisect_right(starts[other], span.last)
                high = bisect_right(starts[other], span.last + 1 + distance, low)
                if low == high:
                    break
                windows.append(groups[other][low:high])
            else:
                yield span, windows


def _completed(span: Span, windows: list[Sequence[Span]], *, ordered: bool) -> Iterator[tuple[Span, ...]]:
    if len(windows) == 1:
        yield (span, *windows[0])
    elif earliest_end(windows, ordered=ordered) is not None:
        used = [
            candidate
            for number, window in enumerate(windows)
            for candidate in window
            if earliest_end([*windows[:number], [candidate], *windows[number + 1 :]], ordered=ordered) is not None
        ]
        yield (span, *used)


def earliest_end(windows: Sequence[Sequence[Span]], *, ordered: bool = False) -> int | None:
    """Return the least last position of one span of each window, none overlapping; None when there is no such choice.

    By sets of windows already placed: of two ways to place the same set, the one that ends earlier is never worse.
    """
    if ordered:
        end = -1
        for window in windows:
            following = [span.last for span in window if span.first > end]
            if not following:
                return None
            end = min(following)
        return end
    ends: dict[int, int] = {0: -1}
    full = (1 << len(windows)) - 1
    for placed in range(full):
        if placed not in ends:
            continue
        for number, window in enumerate(windows):
            if placed >> number & 1:
                continue
            following = [span.last for span in window if span.first > ends[placed]]
            if following:
                grown = placed | 1 << number
                ends[grown] = min(ends.get(grown, following[0]), *following)
    return ends.get(full)


def within(groups: Sequence[Sequence[Span]], reach: int) -> list[tuple[int, int]]:
    """Return the first and last word of each place where a span of every group, none overlapping, lies within `reach`
    words from the first on; of those that begin at one word the shortest. The spans of a group are sorted.
    """
    starts = [[span.first for span in group] for group in groups]
    found: dict[int, int] = {}
    for number, group in enumerate(groups):
        for span in group:
            windows = []
            for other, places in enumerate(groups):
                if other != number:
                    low, high = (bisect_left(starts[other], at) for at in (span.last + 1, span.first + reach + 1))
                    windows.append([place for place in places[low:high] if place.last <= span.first + reach])
            end = earliest_end(windows)
            if end is not None:
                found[span.first] = min(end, found.get(span.first, end))
    return list(found.items())


def closest(groups: Sequence[Sequence[Span]], most: int, *, ordered: bool) -> tuple[int, list[Span]] | None:
    """Return the least distance at which the groups are near (`nearby`), and the spans that are, in order of place: one
    of each group. None where they are not near even at `most`.
    """

    def first(distance: int) -> tuple[Span, list[Sequence[Span]]] | None:
        together = _together(groups, distance, ordered=ordered)
        return next((one for one in together if earliest_end(one[1], ordered=ordered) is not None), None)

    found = first(most)
    if found is None:
        return None
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        nearer = first(middle)
        if nearer is None:
            low = middle + 1
        else:
            found, high = nearer, middle
    span, windows = found
    for number, window in enumerate(windows):
        choices = ([*windows[:number], [one], *windows[number + 1 :]] for one in window)
        windows = next(choice for choice in choices if earliest_end(choice, ordered=ordered) is not None)
    return high, in_order([span, *(one for (one,) in windows)])
