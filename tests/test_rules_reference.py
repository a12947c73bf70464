"""The rules agree with a slow and obvious reading of the language, in truth and in evidence.

One case is one story and one rule. MONITOR_TEST_CASES says how many random ones are decided; `python -m
tests.benchmarks.differences` decides as many as one likes. A difference is shown with its query and story made small.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.query import (
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    Near,
    Not,
    Or,
    Phrase,
    Sentence,
    Term,
)
from tests.judgement import Tally, differences, minimised
from tests.random_rules import REAL_EVERY, CaseSet, case_set, real_stories

CASES = int(os.environ.get("MONITOR_TEST_CASES", "60000"))
QUERIES, STORIES = 50, 40  # of one rule set: many rules at once, as a desk has them
KINDS = (And, AtLeast, EntityRef, Exact, Field, First, Near, Not, Or, Phrase, Sentence, Term)


@st.composite
def small_case_sets(draw: st.DrawFn) -> CaseSet:
    """A few queries and stories, drawn through Hypothesis, which then finds small ones that differ."""
    rng = draw(st.randoms(use_true_random=False))
    return case_set(rng, draw(st.integers(1, 4)), draw(st.integers(1, 3)))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(small_case_sets())
def test_a_few_rules_say_what_the_reference_says(cases: CaseSet) -> None:
    assert [str(difference) for difference in differences(cases)] == []


@pytest.mark.timeout(3_600)
def test_many_rules_at_once_say_what_the_reference_says(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    seed = 0
    while tally.decided < CASES:
        rng = Random(seed)
        published = real_stories() if seed % REAL_EVERY == REAL_EVERY - 1 else ()
        difference = next(differences(case_set(rng, QUERIES, STORIES, published=published), tally), None)
        assert difference is None, f"seed {seed}\n{minimised(difference)}"
        seed += 1
    with capsys.disabled():
        print(f"\n{seed} sets of {QUERIES} rules and {STORIES} stories: {tally}")
    # Cases that never match, or always, would judge nothing.
    assert 0.05 < tally.matched / tally.decided < 0.6
    for kind in KINDS:
        assert tally.true[kind.__name__] > 100, f"too few matches with {kind.__name__}"
        assert tally.false[kind.__name__] > 100, f"too few misses with {kind.__name__}"
