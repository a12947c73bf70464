"""Why a rule holds for a story or not: its tree with each node's truth, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.entities import Aliases
from monitor.query import And, AtLeast, EntityRef, Field, First, Near, Node, Not, Or, Sentence, children
from monitor.rules.evaluate import AnyScope, Scope, count, evidence, holds, spans, text_of
from monitor.rules.folded import FIELD_GAP, NAMES
from monitor.rules.near import Span, closest
from monitor.rules.values import Explanation
from monitor.text import Evidence, series

ABSENT = "what must be absent is there"  # how a near miss that a NOT removed begins, on record too

_NAMED, _LONGEST = 3, 40  # terms named in a note, and characters of one
_NAMES_SHOWN = 8  # aliases of an entity, or members of a list, in an outline


def explain(node: Node, scope: AnyScope) -> Explanation:
    """Return the tree of `node` as decided in `scope`."""
    true = holds(node, scope)
    found = evidence(node, scope) if true else ()
    below: tuple[Explanation, ...] = ()
    if isinstance(node, And | Or | Not | Near):
        below = tuple(explain(child, scope) for child in children(node))
    elif isinstance(node, Field):
        below = (explain(node.child, text_of(scope).field(node.name)),)
    elif isinstance(node, First):
        below = (explain(node.child, text_of(scope).first(node.words)),)
    elif isinstance(node, AtLeast):
        below = (explain(node.child, scope),)
    elif isinstance(node, Sentence):
        # The sentence that satisfies it; else all of the text, to show what is there at all.
        inside = next((sentence for sentence in text_of(scope).sentences() if holds(node.child, sentence)), scope)
        below = (explain(node.child, inside),)
    note = "" if true else _why_not(node, scope)
    if true and isinstance(node, Near):
        note = _how_near(node, scope, node.distance)
    return Explanation(_label(node), true, found, note, below)


def outline(node: Node, aliases: Aliases | None = None) -> Iterator[tuple[int, str]]:
    """Yield each node of a tree with its depth, for people; with `aliases`, also what a name after @ stands for."""
    stack = [(0, node)]
    while stack:
        depth, at = stack.pop()
        yield depth, _label(at) + (_names(at, aliases) if aliases is not None and isinstance(at, EntityRef) else "")
        stack.extend((depth + 1, child) for child in reversed(children(at)))


def _names(node: EntityRef, aliases: Aliases) -> str:
    members = aliases.members(node.name)
    if members != (node.name,):
        shown, what = [f"@{name}" for name in members], "entities"
    else:
        shown, what = [f"{a.text} (weak)" if a.weak else a.text for a in aliases.of(node.name)], "names"
    rest = f", … {len(shown)} {what} in all" if len(shown) > _NAMES_SHOWN else ""
    return f": {', '.join(shown[:_NAMES_SHOWN])}{rest}"


def _label(node: Node) -> str:
    if isinstance(node, And):
        return "all of"
    if isinstance(node, Or):
        return "any of"
    if isinstance(node, Not):
        return "not"
    if isinstance(node, Near):
        return f"{'ONEAR' if node.ordered else 'NEAR'}/{node.distance}"
    if isinstance(node, Field):
        return f"{node.name}:"
    if isinstance(node, AtLeast):
        return f"ATLEAST/{node.count}"
    if isinstance(node, First):
        return f"FIRST/{node.words}"
    return "SENTENCE" if isinstance(node, Sentence) else str(node)


def _why_not(node: Node, scope: AnyScope) -> str:
    """Return what is missing, or in the way, where `node` does not hold."""
    if isinstance(node, And):
        return ""
    if isinstance(node, Or):
        return f"none occurs: {brief(node)}"
    if isinstance(node, Not):
        return f"found: {_found(evidence(node.child, scope))}"
    if isinstance(node, Near):
        return _how_near(node, scope)
    if isinstance(node, AtLeast):
        return f"{count(node.child, scope)} of {node.count} times"
    if isinstance(node, Sentence):
        return "in no single sentence"
    if isinstance(node, Field | First):
        return ""
    where = f" in {scope.name}" if scope.name else ""
    if isinstance(node, EntityRef) and isinstance(scope, Scope) and (weak := scope.surface.out_of_context(node.name)):
        return f"does not occur{where}: `{weak[0]}` is a weak alias, and no word of its context is in the story"
    return f"does not occur{where}"


def _how_near(node: Near, scope: AnyScope, most: int = FIELD_GAP - 1) -> str:
    """Say where the terms stand closest, of those within `most` words; or why they never do."""
    groups = [spans(child, scope) for child in node.children]
    absent = [brief(child) for child, group in zip(node.children, groups, strict=True) if not group]
    if absent:
        return f"absent: {' and '.join(absent)}"
    near = closest(groups, most, ordered=node.ordered)
    if near is not None:
        apart, together = near
        said = "side by side" if not apart else f"{apart} word{'s' if apart > 1 else ''} apart"
        return f"closest {'pair' if len(groups) == 2 else 'together'} {said}: {_where(together, scope)}"
    other = closest(groups, most, ordered=False) if node.ordered else None
    if other is not None:
        return f"only in {'the other' if len(groups) == 2 else 'another'} order: {_where(other[1], scope)}"
    return "never in the same part of the story"


def _where(together: Sequence[Span], scope: AnyScope) -> str:
    """Say where spans of one field stand, by the numbers of their first words there."""
    text = scope.reading.text
    found = [text.shown(span.at) for span in together]
    field = found[0].field
    base = text.folded.bases[NAMES.index(field)] if field in NAMES else 0
    terms = series([f"`{_short(one.term)}`" for one in found])
    return f"{terms}, words {series([str(span.first - base + 1) for span in together])} of the {field}"


def brief(node: Node) -> str:
    """Return a node's first terms: `troops, soldiers, …`."""
    terms = [str(child) for child in children(node)] if isinstance(node, Or) else [str(node)]
    shown = [_short(term) for term in terms[:_NAMED]]
    return ", ".join(shown) + (", …" if len(terms) > _NAMED else "")


def _short(term: str) -> str:
    return term if len(term) <= _LONGEST else f"{term[: _LONGEST - 1]}…"


def _found(found: Sequence[Evidence]) -> str:
    terms = list(dict.fromkeys(f"`{e.term}` in {e.field}" for e in found))
    return ", ".join(terms[:_NAMED]) + (", …" if len(terms) > _NAMED else "")


def why_matched(found: Sequence[Evidence]) -> str:
    """Return the terms that made a rule true, for a sentence: "`border` in title"."""
    return _found(found) or "nothing in particular"


def why_missed(node: Node, scope: Scope) -> str:
    """Return in one sentence why `node` does not hold in `scope`, and where it fails among several groups."""
    if isinstance(node, And):
        number, child = next((n, c) for n, c in enumerate(node.children, 1) if not holds(c, scope))
        if isinstance(child, And | Not | Near):
            return why_missed(child, scope)
        kind = "no word" if isinstance(child, Or) else "nothing"
        return f"{kind} of group {number} ({brief(child)}) occurs"
    if isinstance(node, Not):
        return f"{ABSENT}: {_found(evidence(node.child, scope))}"
    if isinstance(node, Near):
        return f"{_label(node)} fails ({_how_near(node, scope)})"
    if isinstance(node, Or):
        return f"none of its words ({brief(node)}) occurs"
    return f"{node} fails ({_why_not(node, scope) or 'what it asks for does not occur'})"


def close(node: Node, scope: AnyScope) -> bool:
    """Whether `node`, which does not hold, has all its words in the story and fails by distance, or by what must be
    absent. That some of its words occur is nothing to tell of.
    """
    if isinstance(node, Near):
        return all(spans(child, scope) for child in node.children)
    if isinstance(node, Or):
        return any(close(child, scope) for child in node.children if isinstance(child, And | Near | Or))
    if isinstance(node, And):
        failing = [child for child in node.children if not holds(child, scope)]
        if len(failing) != 1:
            return False
        there = any(not isinstance(child, Not) for child in node.children if child is not failing[0])
        return (there and isinstance(failing[0], Not)) or close(failing[0], scope)
    return False
