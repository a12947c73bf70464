"""What a story must have for a rule to hold, in terms that a database's full-text index can look up (decision 24).

    a story → its terms                        what an index holds of it
    a rule  → an expression of such terms      true for every story that the rule matches, and for few others

The terms are the folded words that rules themselves are decided on (`folded`), so an index of them cannot disagree with
`match` about what a word is. Only what a rule cannot do without becomes part of its expression; where nothing is left
(FORMS, a regular expression, a field that is no text), there is none, and every story is to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from monitor.entities import Aliases
from monitor.query import (
    META_FIELDS,
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    Near,
    Node,
    Or,
    Phrase,
    Sentence,
    Term,
)
from monitor.rules.folded import Folded
from monitor.rules.patterns import exact_text, is_wild, literal_prefix, pattern

LONGEST = 60  # characters of a term; longer words are cut alike in stories and rules
TITLE = "¶"  # before the words of a headline, which are there without it too. No word has it, and every index keeps it
ANY = f"{TITLE}{TITLE}"  # the one term of a story with too many to be indexed: it may have any
MOST_BYTES = 400_000  # of a story's terms; PostgreSQL takes a megabyte
MOST_TERMS = 2_000  # of an expression; lists of thousands of names are not worth looking up
DEEPEST = 12  # parentheses within each other


@dataclass(frozen=True, slots=True)
class Has:
    """A term; `open`: one that begins so."""

    term: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of the parts holds."""

    parts: tuple[Expression, ...]


Expression = Has | All | Some


def terms(title: str, summary: str, text: str) -> list[str]:
    """Return the terms of a story, each once; `[ANY]` where they are too many."""
    folded = Folded(title, summary, text).data.decode("utf-8", "replace")
    headline, _, body = folded.partition("\0")
    of_title = {word[:LONGEST] for word in headline.split()}
    found = {word[:LONGEST] for word in body.replace("\0", " ").split()} | of_title
    told = [*found, *(TITLE + word for word in of_title)]
    return told if sum(len(term.encode()) for term in told) <= MOST_BYTES else [ANY]


def in_title(words: tuple[str, ...]) -> Expression:
    """Return what a story has whose headline has these folded words."""
    return _all([_has(word, TITLE) for word in words]) or Has(TITLE, open=True)


def expression(tree: Node, aliases: Aliases) -> Expression | None:
    """Return what every story has that an expanded tree matches; None: nothing that an index would know."""
    found = _needed(tree, aliases, "")
    return found if found is not None and _fits(found) else None


def either(some: list[Expression | None]) -> Expression | None:
    """Return what every story has that matches one of several rules."""
    return _some(some)


def _needed(node: Node, aliases: Aliases, mark: str) -> Expression | None:
    def inside(child: Node) -> Expression | None:
        return _needed(child, aliases, mark)

    match node:
        case Term() | Phrase():
            # With `within` the parts of a phrase stand in any order, and yet all of them.
            return _sequence([word for sequence in pattern(node).sequences for word in sequence], mark)
        case Exact():
            exact = exact_text(node.text)
            return None if exact is None else _sequence(list(exact.sequence), mark)
        case EntityRef():
            return _entity(node.name, aliases, mark)
        case And() | Near():
            return _all([inside(child) for child in node.children])
        case Or():
            return _some([inside(child) for child in node.children])
        case Field():
            if node.name in META_FIELDS:
                return None
            return _needed(node.child, aliases, TITLE if node.name == "title" else mark)
        case AtLeast() | First() | Sentence():
            return inside(node.child)
        case _:  # NOT, FORMS, a regular expression
            return None


def _sequence(words: list[str], mark: str) -> Expression | None:
    return _all([_has(word, mark) for word in words])


def _has(word: str, mark: str) -> Has | None:
    """Return the term of a pattern's word: up to its first wildcard, if it has one; none where that leaves nothing."""
    start = literal_prefix(word)
    return Has(f"{mark}{start[:LONGEST]}", is_wild(word) and len(start) < LONGEST) if start else None


def _entity(name: str, aliases: Aliases, mark: str) -> Expression | None:
    """Return what names an entity: an alias, or what all inflected forms of one begin with."""
    found: list[Expression | None] = []
    for entity in aliases.members(name):
        found += [_sequence(list(alias.words), mark) for alias in aliases.of(entity) if alias.words]
        for beginning, inside_a_word in aliases.beginnings(entity):
            if inside_a_word:
                return None
            found.append(Has(f"{mark}{beginning[:LONGEST]}", open=True))
        if len(found) > MOST_TERMS:
            return None
    return _some(found) if found else None


def _all(parts: list[Has | None] | list[Expression | None]) -> Expression | None:
    """Return what needs all parts: those of which nothing is known may be left out."""
    return _joined(All, [part for part in parts if part is not None])


def _some(parts: list[Expression | None]) -> Expression | None:
    """Return what needs one of the parts: nothing is known where nothing is of one of them."""
    known = [part for part in parts if part is not None]
    return _joined(Some, known) if len(known) == len(parts) else None


def _joined(kind: type[All] | type[Some], parts: list[Expression]) -> Expression | None:
    flat: dict[Expression, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return next(iter(flat)) if len(flat) == 1 else kind(tuple(flat)) if flat else None


def _fits(tree: Expression) -> bool:
    """Whether a database takes an expression of so many terms, and so deep."""
    count, stack = 0, [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, Has):
            count += 1
        else:
            stack += [(part, depth + 1) for part in node.parts]
        if count > MOST_TERMS or depth > DEEPEST:
            return False
    return True


def written(node: Expression, term: Callable[[Has], str], both: str, one: str) -> str:
    """Return an expression as a database reads it: terms by `term`, between them `both` or `one`."""
    if isinstance(node, Has):
        return term(node)

    def parts() -> Iterator[str]:
        for part in node.parts:
            yield written(part, term, both, one)

    return f"({(both if isinstance(node, All) else one).join(parts())})"
