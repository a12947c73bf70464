"""The query's tree. Nodes compare by what they say, not by where they stand; `str(node)` parses back equal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

TEXT_FIELDS = ("title", "lead", "body")
META_FIELDS = ("author", "site", "url", "source", "feed", "tag", "lang", "country")
SEARCHED = ("author", "url", "source")  # META_FIELDS whose words are searched; the others are compared as a whole

_PLAIN_WORD = re.compile(r"[^\W_]+")
_OPERATOR = re.compile(r"AND|OR|NOT|NEAR|ONEAR|PRE|ATLEAST|FIRST|SENTENCE|FORMS")
_SLASH = re.compile(r"\\.|/", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node stands: characters `start` to `end` of the text it was parsed from."""

    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Term(Place):
    """A bare word, perhaps with `*` and `?`. With punctuation inside (`al-Shabaab`) it is the phrase of its words."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Phrase(Place):
    """Words in this order; with `within`, in any order with at most so many other words among them."""

    text: str
    within: int | None = None

    def __str__(self) -> str:
        return f'"{self.text}"' + ("" if self.within is None else f"~{self.within}")


@dataclass(frozen=True, slots=True)
class Exact(Place):
    """Text that counts in case, accents and punctuation."""

    text: str

    def __str__(self) -> str:
        return f"{{{self.text}}}"


@dataclass(frozen=True, slots=True)
class Forms(Place):
    """Every inflected form of a word, or of each word of a phrase; `within` as in Phrase.

    FORMS(a OR b) is FORMS(a) OR FORMS(b), so this is a leaf.
    """

    text: str
    within: int | None = None

    def __str__(self) -> str:
        if self.within is None and _PLAIN_WORD.fullmatch(self.text) and not _OPERATOR.fullmatch(self.text):
            return f"FORMS({self.text})"
        return f"FORMS({Phrase(self.text, self.within)})"


@dataclass(frozen=True, slots=True)
class Regex(Place):
    """A regular expression in RE2's syntax, on the text as published. `pattern` has its slashes unescaped."""

    pattern: str
    ignore_case: bool = False

    def __str__(self) -> str:
        written = _SLASH.sub(lambda match: match[0] if len(match[0]) > 1 else f"\\{match[0]}", self.pattern)
        return f"/{written}/{'i' * self.ignore_case}"


@dataclass(frozen=True, slots=True)
class EntityRef(Place):
    """Any alias of an entity, or of any entity of a list."""

    name: str

    def __str__(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True, slots=True)
class MacroRef(Place):
    """A named query; `expand` puts its tree here."""

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


@dataclass(frozen=True, slots=True)
class And(Place):
    """All of two or more."""

    children: tuple[Node, ...]

    def __str__(self) -> str:
        return " AND ".join(_inside(child, And, Or) for child in self.children)


@dataclass(frozen=True, slots=True)
class Or(Place):
    """Any of two or more."""

    children: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(_inside(child, And, Or) for child in self.children)


@dataclass(frozen=True, slots=True)
class Not(Place):
    """Nowhere in the story."""

    child: Node

    def __str__(self) -> str:
        return f"NOT {_inside(self.child, And, Or, Not)}"


@dataclass(frozen=True, slots=True)
class Near(Place):
    """Two or more terms, each pair with at most `distance` words between them; `ordered`: in this order."""

    children: tuple[Node, ...]
    distance: int
    ordered: bool = False

    def __str__(self) -> str:
        operator = f" {'ONEAR' if self.ordered else 'NEAR'}/{self.distance} "
        return operator.join(_inside(child, And, Or, Not, Near) for child in self.children)


@dataclass(frozen=True, slots=True)
class Field(Place):
    """`child` in one part of the story (TEXT_FIELDS), or in what it says of itself (META_FIELDS)."""

    name: str
    child: Node

    def __str__(self) -> str:
        return f"{self.name}:{_inside(self.child, And, Or, Not, Near)}"


@dataclass(frozen=True, slots=True)
class AtLeast(Place):
    """`child` at least `count` times."""

    count: int
    child: Node

    def __str__(self) -> str:
        return f"ATLEAST/{self.count}({self.child})"


@dataclass(frozen=True, slots=True)
class First(Place):
    """`child` within the first `words` words of title, summary and body."""

    words: int
    child: Node

    def __str__(self) -> str:
        return f"FIRST/{self.words}({self.child})"


@dataclass(frozen=True, slots=True)
class Sentence(Place):
    """`child` within one sentence."""

    child: Node

    def __str__(self) -> str:
        return f"SENTENCE({self.child})"


Leaf = Term | Phrase | Exact | Forms | Regex | EntityRef
Node = Leaf | MacroRef | And | Or | Not | Near | Field | AtLeast | First | Sentence
LEAVES = (Term, Phrase, Exact, Forms, Regex, EntityRef)
_SEVERAL, _ONE = (And, Or, Near), (Not, Field, AtLeast, First, Sentence)  # by what stands right under them


def _inside(child: Node, *loose: type) -> str:
    """Return `child` as an operand: in parentheses when it is of a kind (`loose`) that binds no tighter."""
    return f"({child})" if isinstance(child, loose) else str(child)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes right under `node`."""
    if isinstance(node, LEAVES):
        return ()
    if isinstance(node, _SEVERAL):
        return node.children
    return (node.child,) if isinstance(node, _ONE) else ()


def with_children(node: Node, new: tuple[Node, ...]) -> Node:
    """Return `node` with `new` in place of the nodes right under it."""
    if isinstance(node, _SEVERAL):
        return replace(node, children=new)
    return replace(node, child=new[0]) if isinstance(node, _ONE) else node


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and all nodes below it, in the order written."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def as_json(node: Node) -> dict[str, Any]:
    """Return a tree for programs: each node's `kind` (its class in small letters), what it says, its children."""
    told = {one.name: getattr(node, one.name) for one in fields(node) if one.name not in ("child", "children")}
    below = children(node)
    found = {"kind": type(node).__name__.lower(), **told}
    return {**found, "children": [as_json(child) for child in below]} if below else found
