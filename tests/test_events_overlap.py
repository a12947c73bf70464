"""The compiled part of grouping says what Python says, to the last bit, and refuses what does not fit together."""

from __future__ import annotations

import gc
import os
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import intern
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.compiled import built
from monitor.events import Grouping, overlap
from monitor.events.overlap import Compared, likely, overlaps, weigh
from tests.test_events import place, stream

WHY = "the compiled part of grouping was not built (`make install` builds it where there is a C compiler)"
if overlap.COMPILED is None and os.environ.get("MONITOR_TEST_REQUIRE_ALL") and not os.environ.get("MONITOR_PURE"):
    pytest.fail(WHY)
pytestmark = pytest.mark.skipif(overlap.COMPILED is None, reason=WHY)

TERMS = [intern(f"term{number}") for number in range(80)]


@contextmanager
def in_python() -> Iterator[None]:
    """Have everything within the block done without the compiled part."""
    part, overlap.COMPILED = overlap.COMPILED, None
    try:
        yield
    finally:
        overlap.COMPILED = part


def same(function: Callable[..., Any], *args: Any) -> Any:
    """Return what both say."""
    compiled = function(*args)
    with in_python():
        assert function(*args) == compiled
    return compiled


@st.composite
def stories(draw: st.DrawFn) -> Compared:
    terms = tuple(draw(st.lists(st.sampled_from(TERMS), unique=True, max_size=len(TERMS))))
    if draw(st.booleans()):  # as they follow one another in others
        terms = tuple(sorted(terms, key=TERMS.index))
    weights = draw(st.binary(min_size=len(terms), max_size=len(terms)))
    names = draw(st.integers(0, 2 ** min(62, len(terms)) - 1))
    return Compared(terms, weights, names, draw(st.integers(0, len(terms))))


@given(stories(), st.randoms(), st.lists(stories(), max_size=8))
def test_what_stories_share_is_what_python_says(new: Compared, random: Any, others: list[Compared]) -> None:
    content = bytes(random.randrange(2) for _ in new.terms)
    same(overlaps, new.terms, new.weights, content, new.names, new.title_terms, [*others, new])


def test_what_is_shared() -> None:
    one, two, three, four = TERMS[:4]
    new = ((one, two, three), b"\x02\x03\x05", b"\x01\x00\x01", 0b110, 3)
    others = [
        Compared((four,), b"\x07", 1, 1),
        Compared((one, two), b"\x07\xff", 0, 2),
        Compared((two, three, one), b"\x01\x01\x01", 0, 3),  # the second and third are one name
        Compared((one, four, two), b"\x01\x01\x01", 0b010, 3),
        Compared((one,), b"\x01", 0b1, 1),
    ]
    assert same(overlaps, *new, others) == [
        (0, 0, 0, False),
        (2 * 7 + 3 * 255, 1, 1, True),
        (10, 2, 0, True),
        (5, 1, 0, True),
        (2, 1, 0, True),
    ]


@given(
    st.lists(st.tuples(st.integers(1, 255), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40)), max_size=10),
    st.integers(0, 32),
    st.integers(0, 12),
)
def test_the_likely_ones_are_those_that_python_says(asked: Any, latest: int, most: int) -> None:
    few = [(weight, array("q", [0, *(key % 9 for key in keys)])) for weight, keys in asked]
    same(likely, few, latest, most)
    same(likely, [(weight, array("q", [0, *keys])) for weight, keys in asked], latest, most)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.28, 0.4, 0.54, 0.7, 1.0, 1.2, 1.35]),
            st.sampled_from([0.0, *(2.0**-level for level in range(11))]),
            st.integers(0, 200_000),
        ),
        max_size=130,
    ),
    st.integers(0, 200_000),
)
def test_weights_are_those_that_python_says(terms: list[tuple[float, float, int]], held: int) -> None:
    emphasis, common, counts = (tuple(column) for column in zip(*terms, strict=True)) if terms else ((), (), ())
    weights = same(weigh, emphasis, list(common), list(counts), 270, held + 271, held + 251, 0.0008, 16)
    assert len(weights) == len(terms)
    assert 0 not in weights


def test_the_same_stories_are_decided_alike() -> None:
    told = stream(1_500)

    def decided() -> list[Any]:
        grouping = Grouping()
        return [place(grouping, key, one, at) for key, (one, at) in enumerate(told)]

    assert len({event for event, _ in same(decided)}) < len(told)


def test_what_does_not_fit_together_is_refused() -> None:
    one, wide, part = TERMS[0], tuple(intern(f"wide{n}") for n in range(257)), overlap.COMPILED
    assert part is not None
    unfit: list[tuple[Any, ...]] = [
        ((one,), b"", b"\x01", 0, 1, []),
        ((one,), b"\x01", b"\x01\x01", 0, 1, []),
        ((one,), b"\x01", b"\x01", 0, 1, [Compared((one,), b"\x01\x01", 0, 1)]),
        (wide, bytes(257), bytes(257), 0, 1, []),
    ]
    for args in unfit:
        with pytest.raises(ValueError, match="terms"):
            part.overlaps(*args)
    for many, as_many in ((1, 0), (257, 257)):
        with pytest.raises(ValueError, match="terms"):
            part.weigh((1.0,) * many, [0.0] * as_many, [0] * many, 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="too many keys"):
        part.likely([(1, array("q", range(600)))], 1_000, 1)
    for other in (one, (one, b"", 0, 0)):
        with pytest.raises((TypeError, SystemError)):
            part.overlaps((one,), b"\x01", b"\x01", 0, 1, [other])
    with pytest.raises(TypeError):
        part.weigh(("x",), [0.0], [0], 1, 1, 1, 1, 1)
    with pytest.raises(TypeError):
        part.likely([(1, "no numbers")], 1, 1)


def test_other_versions_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert built("monitor.events._overlap", overlap.VERSION) is not None
    assert built("monitor.events._overlap", 0) is None
    assert built("monitor.events._none", 1) is None
    monkeypatch.setenv("MONITOR_PURE", "1")
    assert built("monitor.events._overlap", overlap.VERSION) is None


def test_comparing_leaves_no_memory_behind() -> None:
    new = Compared(tuple(TERMS[:40]), bytes(range(1, 41)), 5, 10)
    posting = array("q", range(30))

    def compare() -> None:
        for _ in range(200):
            overlaps(new.terms, new.weights, bytes(40), 5, 10, [new] * 8)
            likely([(3, posting)] * 10, 32, 12)
            weigh((1.0,) * 40, [0.1] * 40, [3] * 40, 270, 300, 290, 0.0008, 16)
        gc.collect()

    compare()
    tracemalloc.start()
    try:
        compare()
        before = tracemalloc.get_traced_memory()[0]
        compare()
        assert tracemalloc.get_traced_memory()[0] - before < 2_000
    finally:
        tracemalloc.stop()
