"""Compares the rules with the reference evaluator on random cases, as many as one likes.

    python -m tests.benchmarks.differences --cases 2000000

One case is one story and one rule. Ends at the first difference with exit code 1 and shows it, made small.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from tests.judgement import Tally, differences, minimised
from tests.random_rules import REAL_EVERY, case_set, real_stories


def main() -> int:
    """Run and return the exit code."""
    parser = argparse.ArgumentParser(description="Compare the rules with the reference evaluator on random cases.")
    parser.add_argument("--cases", type=int, default=200_000, help="how many story × rule pairs to decide")
    parser.add_argument("--seed", type=int, default=1_000_000, help="the first set's seed; each set has the next one")
    parser.add_argument("--rules", type=int, default=50, help="rules of one set")
    parser.add_argument("--stories", type=int, default=40, help="stories of one set")
    wanted = parser.parse_args()
    tally, seed, started = Tally(), wanted.seed, time.monotonic()
    while tally.decided < wanted.cases:
        published = real_stories() if seed % REAL_EVERY == REAL_EVERY - 1 else ()
        cases = case_set(Random(seed), wanted.rules, wanted.stories, published=published)
        difference = next(differences(cases, tally), None)
        if difference is not None:
            print(f"\ndifference in the set of seed {seed}\n{minimised(difference)}", flush=True)
            return 1
        seed += 1
        _progress(tally, wanted.cases, started)
    print(f"\n0 differences: {tally}, in {time.monotonic() - started:.0f} s")
    return 0


def _progress(tally: Tally, cases: int, started: float) -> None:
    """One line that is written over."""
    rate = tally.decided / (time.monotonic() - started)
    left = max(cases - tally.decided, 0) / rate
    line = f"{tally.decided:>11,} of {cases:,}  {rate:,.0f}/s  {left:4.0f} s left"
    sys.stderr.write(f"\r{line}" if sys.stderr.isatty() else f"{line}\n" if tally.decided % 50_000 < 2_000 else "")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
