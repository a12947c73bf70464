"""What rules say of a story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from monitor.text import FIELDS, Evidence

MAX_EVIDENCE = 200  # spans of a match; a page can hold a word a hundred thousand times
_ORDER = {name: number for number, name in enumerate(FIELDS)}


class TopicMatch(NamedTuple):
    """A topic that a story matches. `rule` is the version of its compiled rule: another rule has another one."""

    topic: str
    rule: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A node of a rule's tree and whether it holds; `note` says why not, `evidence` what was found."""

    text: str
    true: bool
    evidence: tuple[Evidence, ...] = ()
    note: str = ""
    children: tuple[Explanation, ...] = ()


def tidy(found: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Return the spans by field (title, summary, text, then the rest) and place; of one term none overlap."""
    ordered = sorted(found, key=lambda e: (_ORDER[e.field], e.start, -e.end, e.term))
    kept: list[Evidence] = []
    last: dict[tuple[str, str, str], int] = {}  # the end of each term's latest span
    for evidence in ordered:
        key = (evidence.field, evidence.term, evidence.entity)
        # Two tags both start at 0, so spans of tags are only the same when equal.
        if evidence.field == "tag":
            if evidence not in kept:
                kept.append(evidence)
        elif evidence.start >= last.get(key, -1):
            last[key] = evidence.end
            kept.append(evidence)
        if len(kept) == MAX_EVIDENCE:
            break
    return tuple(kept)
