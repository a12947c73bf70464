"""Rules: topics and aliases compiled once; a story in, its matches with their evidence out. Pure.

    Config → compile → trees ┐
                 StoryText → reading (words numbered once) → evaluate → TopicMatch, Explanation

A topic's tree holds or not on word positions, exactly; every surface shows the spans that made it true. Where it was
built, a compiled core does most of this for `match` (`core`, `flat`); `sieve` and `evaluate` do all of it.
"""

from __future__ import annotations

from monitor.rules.compile import compile_tree
from monitor.rules.engine import (
    DRAFT,
    SAVED,
    Rules,
    check_draft,
    compile_draft,
    compile_query,
    compile_rules,
    compile_sound,
)
from monitor.rules.examples import run_examples, try_examples
from monitor.rules.explain import ABSENT, outline
from monitor.rules.values import Explanation, TopicMatch, Verdict, tidy, unpack
from monitor.rules.warnings import ALERTS_A_DAY, draft_warnings, often, queries, too_common, warnings
from monitor.text import Evidence

__all__ = [
    "ABSENT",
    "ALERTS_A_DAY",
    "DRAFT",
    "SAVED",
    "Evidence",
    "Explanation",
    "Rules",
    "TopicMatch",
    "Verdict",
    "check_draft",
    "compile_draft",
    "compile_query",
    "compile_rules",
    "compile_sound",
    "compile_tree",
    "draft_warnings",
    "often",
    "outline",
    "queries",
    "run_examples",
    "tidy",
    "too_common",
    "try_examples",
    "unpack",
    "warnings",
]
