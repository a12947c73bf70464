"""The rules and the reference asked about the same cases: what they differ in, made small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from monitor.config import Topic
from monitor.errors import QueryError
from monitor.query import (
    And,
    AtLeast,
    Field,
    First,
    MacroRef,
    Near,
    Node,
    Not,
    Or,
    Phrase,
    Sentence,
    children,
    parse,
    walk,
)
from monitor.rules import compile_rules
from monitor.text import StoryText
from tests.random_rules import ALIASES, CONFIG, MACRO_TREES, CaseSet, whole_tree
from tests.reference import Reader, Span

Spans = frozenset[Span] | None  # None: no match

# Where the rules are known to differ from the language, by the reason that rows of conformance.yaml give for it. Such
# pairs are not compared. A row whose difference is gone fails there, and its line here goes with it.
KNOWN: dict[str, Callable[[Node, StoryText], bool]] = {}


@dataclass(frozen=True)
class Difference:
    """A query and a story of which the rules and the reference say different things."""

    query: str
    story: StoryText
    wanted: Spans
    got: Spans

    def __str__(self) -> str:
        said = {name: value for name, value in _values(self.story) if value}
        return (
            f"query:     {self.query}\nstory:     {said}\nreference: {_told(self.wanted)}\nrules:     {_told(self.got)}"
        )


@dataclass
class Tally:
    """How many story × query pairs were decided, and what they were like."""

    decided: int = 0
    matched: int = 0
    known: int = 0  # not compared
    true: Counter[str] = field(default_factory=Counter)  # kinds of nodes in queries that matched
    false: Counter[str] = field(default_factory=Counter)  # and in those that did not

    def __str__(self) -> str:
        left_out = f", {self.known:,} left out as known to differ" if self.known else ""
        return f"{self.decided:,} cases decided, {self.matched:,} of them matches{left_out}"


def differences(cases: CaseSet, tally: Tally | None = None) -> Iterator[Difference]:
    """Yield where the rules, with all queries compiled together, differ from the reference."""
    tally = Tally() if tally is None else tally
    topics = {
        f"t{number}": Topic.model_validate({"name": f"t{number}", "query": query})
        for number, query in enumerate(cases.queries)
    }
    rules = compile_rules(replace(CONFIG, topics=topics))
    trees = {name: whole_tree(query) for name, query in zip(topics, cases.queries, strict=True)}
    kinds = {name: {type(node).__name__ for node in walk(tree)} for name, tree in trees.items()}
    for story in cases.stories:
        matches = rules.match(story)
        found = {match.topic: frozenset((e.field, e.start, e.end) for e in match.evidence) for match in matches}
        reader = Reader(story, ALIASES)
        for name, tree in trees.items():
            if any(differs(tree, story) for differs in KNOWN.values()):
                tally.known += 1
                continue
            wanted = frozenset(reader.evidence(tree)) if reader.holds(tree) else None
            tally.decided += 1
            tally.matched += wanted is not None
            (tally.false if wanted is None else tally.true).update(kinds[name])
            if wanted != found.get(name):
                yield Difference(topics[name].query or "", story, wanted, found.get(name))


# --- smaller differences


def minimised(difference: Difference, *, most: int = 3_000) -> Difference:
    """Return a smaller difference: parts of the query and of the story taken out, as long as one stays."""
    for _ in range(most):
        smaller = next(_differing(difference), None)
        if smaller is None:
            break
        difference = smaller
    return difference


def _differing(difference: Difference) -> Iterator[Difference]:
    for query, story in _smaller(difference):
        try:
            yield from differences(CaseSet((query,), (story,)))
        except QueryError:  # of a part that is no query by itself
            continue


def _smaller(difference: Difference) -> Iterator[tuple[str, StoryText]]:
    query, story = difference.query, difference.story
    for tree in _simpler(parse(query, part=True)):
        yield str(tree), story
    for number in range(len(story.tags)):
        yield query, replace(story, tags=story.tags[:number] + story.tags[number + 1 :])
    for name, value in _values(story):
        if isinstance(value, str) and value:
            long = name in ("title", "summary", "text")
            for size in (len(value), *((len(value) // 2, len(value) // 4, 4, 2, 1) if long else ())):
                for start in range(0, len(value), max(size, 1)):
                    yield query, replace(story, **{name: value[:start] + value[start + max(size, 1) :]})  # type: ignore[arg-type]


def _simpler(node: Node) -> Iterator[Node]:
    """Yield trees with one part less."""
    below = children(node)
    yield from below
    for number, child in enumerate(below):
        if isinstance(node, And | Or | Near) and len(below) > 2:
            yield replace(node, children=below[:number] + below[number + 1 :])
        for simpler in _simpler(child):
            if isinstance(node, And | Or | Near):
                yield replace(node, children=(*below[:number], simpler, *below[number + 1 :]))
            elif isinstance(node, Not | Field | AtLeast | First | Sentence):
                yield replace(node, child=simpler)
    if isinstance(node, Phrase):
        parts = node.text.split()
        for number in range(len(parts)):
            if len(parts) > 1:
                yield replace(node, text=" ".join(parts[:number] + parts[number + 1 :]))
    if isinstance(node, MacroRef):
        yield MACRO_TREES[node.name]


def _values(story: StoryText) -> list[tuple[str, str | tuple[str, ...]]]:
    names = ("title", "summary", "text", "author", "source", "url", "feed", "tags", "language", "country")
    return [(name, getattr(story, name)) for name in names]


def _told(spans: Spans) -> str:
    return "no match" if spans is None else f"match, {sorted(spans)}"
