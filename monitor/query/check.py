"""Checks on a tree that its syntax does not show, and the expansion of macros."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from operator import is_

from monitor.errors import QueryError
from monitor.query.lexer import MAX_DEPTH, MAX_OPERANDS
from monitor.query.nodes import (
    LEAVES,
    META_FIELDS,
    SEARCHED,
    And,
    AtLeast,
    EntityRef,
    Field,
    First,
    Forms,
    MacroRef,
    Near,
    Node,
    Not,
    Or,
    Regex,
    Sentence,
    children,
    walk,
    with_children,
)
from monitor.query.parser import tree

_WHOLE = frozenset(META_FIELDS) - frozenset(SEARCHED)  # fields compared as a whole
_POSITIONED = (*LEAVES, MacroRef)
MAX_NODES = 50_000  # of a tree with its macros put in; macros within macros can multiply


def check(node: Node, text: str) -> None:
    """Raise QueryError where NEAR, ATLEAST or a field stands around what it cannot take, or the tree is too deep."""
    if isinstance(node, LEAVES):
        return
    stack: list[tuple[Node, str, int]] = [(node, "", 1)]
    while stack:
        at, inside, depth = stack.pop()
        if depth > MAX_DEPTH:
            fix = "make a macro of the inner part, or leave out parentheses"
            raise QueryError(f"the query is nested more than {MAX_DEPTH} deep", text, at.start, at.end, fix)
        if isinstance(at, LEAVES):
            if inside in _WHOLE and isinstance(at, (Forms, Regex)):
                what = "inflected forms" if isinstance(at, Forms) else "regular expressions"
                fix = f"write {inside}:word, {inside}:wor*, or several joined by OR"
                raise QueryError(f"`{inside}:` is compared as a whole, without {what}", text, at.start, at.end, fix)
            continue
        if isinstance(at, Near):
            check_near(at, text)
        elif isinstance(at, AtLeast):
            check_positions(at.child, "ATLEAST", text)
        if isinstance(at, Field):
            if inside:
                fix = "name one field only, or join two fields with AND"
                raise QueryError(f"the field `{at.name}:` stands inside `{inside}:`", text, at.start, at.end, fix)
            inside = at.name
        elif inside in META_FIELDS and isinstance(at, (Near, AtLeast, First, Sentence)):
            fix = "join the terms with AND, OR and NOT"
            raise QueryError(f"`{inside}:` takes terms and phrases", text, at.start, at.end, fix)
        stack += [(child, inside, depth + 1) for child in reversed(children(at))]


def check_near(node: Near, text: str) -> None:
    """Raise QueryError unless NEAR stands around terms, phrases, entities and OR groups of them, and not too many."""
    if len(node.children) > MAX_OPERANDS:
        fix = "join some of them with AND"
        raise QueryError(f"NEAR joins at most {MAX_OPERANDS} groups", text, node.start, node.end, fix)
    for child in node.children:
        try:
            check_positions(child, "NEAR", text)
        except QueryError as error:
            if isinstance(child, And) and len(node.children) == 2:
                error.fix = _distributed(node, child)
            elif isinstance(child, Near) and len(node.children) == 2:
                error.fix = _apart(node, child)
            raise


def _distributed(node: Near, group: And) -> str:
    """Return `(a AND b) NEAR/5 c` as `(a NEAR/5 c) AND (b NEAR/5 c)`, in the user's own words unless these are long."""
    parts = [replace(node, children=tuple(p if c is group else c for c in node.children)) for p in group.children]
    written = " AND ".join(f"({part})" for part in parts)
    return f"write `{written}`" if len(written) <= 200 else _WHY[And][1]


def _apart(node: Near, group: Near) -> str:
    """Return `(a NEAR/2 b) NEAR/5 c` as `(a NEAR/2 b) AND (b NEAR/5 c)`, unless that is long."""
    first = node.children[0] is group
    outer = (group.children[-1], node.children[1]) if first else (node.children[0], group.children[0])
    parts = [f"({group})", f"({replace(node, children=outer)})"]
    written = " AND ".join(parts if first else reversed(parts))
    return f"write `{written}`" if len(written) <= 200 else _WHY[Near][1]


def check_positions(node: Node, operator: str, text: str) -> None:
    """Raise QueryError unless `node` is a term, phrase, entity or an OR group of them, or a text field of those."""
    stack = [node]
    while stack:
        at = stack.pop()
        if isinstance(at, Or) or (isinstance(at, Field) and at.name not in META_FIELDS):
            stack.extend(reversed(children(at)))
        elif not isinstance(at, _POSITIONED):
            name, fix = _WHY[type(at)]
            if operator == "ATLEAST":
                fix = "ATLEAST takes a term or an OR group of terms"
            raise QueryError(f"{operator} cannot stand around {name}", text, at.start, at.end, fix)


_WHY: dict[type, tuple[str, str]] = {
    And: ("AND", "write it out, as (a NEAR/8 c) AND (b NEAR/8 c)"),
    Not: ("NOT", "write AND NOT, which means nowhere in the story"),
    Near: ("another NEAR", "write two groups, as (a NEAR/8 b) AND (b NEAR/8 c)"),
    Field: ("a field of what the story says of itself", "join it with AND"),
    AtLeast: ("ATLEAST", "join it with AND"),
    First: ("FIRST", "write FIRST/50(a NEAR/8 b)"),
    Sentence: ("SENTENCE", "write SENTENCE(a AND b) AND (a NEAR/8 b)"),
}


def check_found(node: Node, text: str) -> None:
    """Raise QueryError when `node` holds for a story in which nothing at all is found."""
    if not _holds_on_nothing(node):
        return
    lonely = next(at for at in walk(node) if isinstance(at, Not))
    if isinstance(node, Or):
        message = "this holds for every story that merely lacks something"
        fix = "write AND NOT in place of OR NOT"
    else:
        message = "the query only says what a story must not have"
        fix = (
            f"add what it must have, as `something AND {lonely}`" if len(str(lonely)) < 60 else "add what it must have"
        )
    raise QueryError(message, text, lonely.start, lonely.end, fix)


def _holds_on_nothing(node: Node) -> bool:
    if isinstance(node, LEAVES):
        return False
    if isinstance(node, Not):
        return not _holds_on_nothing(node.child)
    below = children(node)
    holds = any if isinstance(node, Or) else all
    return bool(below) and holds(map(_holds_on_nothing, below))


def expand(
    node: Node, macros: Mapping[str, Node], entities: Collection[str], text: str = "", *, part: bool = False
) -> Node:
    """Return `node` with each $macro's tree in its place, checked whole; its place is the reference's.

    `entities` are the names that @ may name (entities and lists), `text` is what `parse` made `node` of (else its own
    `str`, which errors then show). Without macros it is `node` itself, which was checked when it was parsed. `part`:
    the tree is only a part of a query, so it may say only what is absent. Raises QueryError.
    """
    parsed = bool(text)
    if not parsed:
        text = str(node)
        node = tree(text)
    try:
        whole = _Expansion(macros, entities, text).put_in(node, (), None, 1)
        if whole is not node or not parsed:
            check(whole, text)
        if not part:
            check_found(whole, text)
    except QueryError as error:
        shown = text[error.start : error.end]
        if not shown.startswith("$") or shown in error.message:
            raise
        raise QueryError(f"within `{shown}`: {error.message}", text, error.start, error.end, error.fix) from None
    return whole


@dataclass
class _Expansion:
    """Puts macros in and counts nodes."""

    macros: Mapping[str, Node]
    entities: Collection[str]
    text: str
    count: int = 0

    def put_in(self, node: Node, chain: tuple[str, ...], origin: Node | None, depth: int) -> Node:
        """Return `node` expanded; `chain` are the macros around it, `origin` is the reference to the first of them."""
        at = origin or node
        self.count += 1
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            what = f"more than {MAX_NODES:,} terms" if self.count > MAX_NODES else f"more than {MAX_DEPTH} levels"
            raise self._error(f"the query with its macros has {what}", "use fewer macros within macros", at)
        if origin is not None:
            node = replace(node, start=origin.start, end=origin.end)
        if isinstance(node, LEAVES):
            if isinstance(node, EntityRef) and node.name not in self.entities:
                raise self._error(*_unknown("@", node.name, self.entities, "entity or list"), at)
            return node
        if isinstance(node, MacroRef):
            if node.name in chain:
                circle = " → ".join(f"${name}" for name in (*chain[chain.index(node.name) :], node.name))
                raise self._error(f"macros in a circle: {circle}", "take one of them out of another", at)
            if node.name not in self.macros:
                raise self._error(*_unknown("$", node.name, self.macros, "macro"), at)
            return self.put_in(self.macros[node.name], (*chain, node.name), at, depth + 1)
        below = children(node)
        new = tuple([self.put_in(child, chain, origin, depth + 1) for child in below])
        return node if all(map(is_, new, below)) else with_children(node, new)

    def _error(self, message: str, fix: str, at: Node) -> QueryError:
        return QueryError(message, self.text, at.start, at.end, fix)


def _unknown(sign: str, name: str, known: Collection[str], kind: str) -> tuple[str, str]:
    """The message and the remedy for a name that is not declared."""
    close = get_close_matches(name, known, 1, 0.6)
    where = "under macros: in topics.yaml" if sign == "$" else "in entities.yaml"
    fix = f"did you mean `{sign}{close[0]}`?" if close else f"declare it {where}, or write the words themselves"
    return f"unknown {kind} `{sign}{name}`", fix
