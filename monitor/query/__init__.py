"""Query text → query tree. Pure: knows the language, and neither stories nor configuration.

    text → lexer → parser (Lark) → nodes → check, expand (macros, names) → the tree that `monitor.rules` decides by

`docs/reference/query-language.md` is the language for people.
"""

from __future__ import annotations

from monitor.query.check import check, check_found, check_near, check_positions, expand
from monitor.query.lexer import tokens
from monitor.query.nodes import (
    LEAVES,
    META_FIELDS,
    SEARCHED,
    TEXT_FIELDS,
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    Forms,
    Leaf,
    MacroRef,
    Near,
    Node,
    Not,
    Or,
    Phrase,
    Regex,
    Sentence,
    Term,
    as_json,
    children,
    walk,
)
from monitor.query.parser import tree


def parse(text: str, *, part: bool = False) -> Node:
    """Return the tree of a query, macros and entities by name. Raises QueryError with the place and a remedy.

    `part`: the text is a macro or another part of a query, so it may say only what is absent.
    """
    node = tree(text)
    check(node, text)
    if not part:
        check_found(node, text)
    return node


def parse_item(text: str) -> Node:
    """Return the tree of an item of an any, all or none list: several bare words are a phrase, else any query.

    Raises QueryError with the place and a remedy.
    """
    found = tokens(text)
    words = [token.value.text for token in found if isinstance(token.value, Term)]
    if len(words) == len(found) > 1:
        return Phrase(" ".join(words), start=found[0].start_pos, end=found[-1].end_pos)
    return parse(text, part=True)


__all__ = [
    "LEAVES",
    "META_FIELDS",
    "SEARCHED",
    "TEXT_FIELDS",
    "And",
    "AtLeast",
    "EntityRef",
    "Exact",
    "Field",
    "First",
    "Forms",
    "Leaf",
    "MacroRef",
    "Near",
    "Node",
    "Not",
    "Or",
    "Phrase",
    "Regex",
    "Sentence",
    "Term",
    "as_json",
    "check_found",
    "check_near",
    "check_positions",
    "children",
    "expand",
    "parse",
    "parse_item",
    "walk",
]
