"""What rules say of a story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    """A node of a rule's tree and whether it holds; `evidence` is what was found.

    `note` says why it does not hold; of a NEAR, whether it does or not, where its terms stand closest.
    """

    text: str
    true: bool
    evidence: tuple[Evidence, ...] = ()
    note: str = ""
    children: tuple[Explanation, ...] = ()


class Verdict(NamedTuple):
    """What was found of a topic and a story, to be kept: one that matched, or one that came close and why it failed."""

    topic: str
    rule: str
    matched: bool
    note: str
    tree: dict[str, Any]


def pack(node: Explanation) -> dict[str, Any]:
    """Return an explanation to be stored as JSON: of many terms that are not there, the first few and how many more."""
    kept: dict[str, Any] = {"text": node.text[:_LONGEST], "true": node.true}
    if node.note:
        kept["note"] = node.note[:_LONGEST]
    if node.evidence and not node.children:
        kept["found"] = [list(one) for one in node.evidence[:_PLACES]]
    absent = [child for child in node.children if not child.true and not child.children]
    left_out = {id(child) for child in absent[_ABSENT:]}
    if node.children:
        kept["children"] = [pack(child) for child in node.children if id(child) not in left_out]
    if left_out:
        kept["more"] = len(left_out)
    return kept


def unpack(kept: Mapping[str, Any]) -> Explanation:
    """Return what was stored."""
    below = [unpack(child) for child in kept.get("children", ())]
    if more := kept.get("more", 0):
        below.append(Explanation(f"{more} more", False, (), "do not occur"))
    found = tuple(Evidence(*one) for one in kept.get("found", ()))
    return Explanation(kept["text"], kept["true"], found, kept.get("note", ""), tuple(below))


_LONGEST, _PLACES, _ABSENT = 300, 5, 8


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
