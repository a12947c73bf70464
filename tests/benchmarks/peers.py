"""The engines that `monitor.rules` is measured against. Each is given stories that are folded and cut already.

A peer makes itself ready for some stories (not counted), then matches them (counted, in named parts). One that cannot
be had here says why, by `Missing`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from monitor.config import Config
from monitor.entities import Aliases
from monitor.query import And, EntityRef, Exact, Field, Near, Node, Not, Or, Phrase, Term, walk
from monitor.rules.compile import CompiledTopic
from monitor.rules.evaluate import Scope, find
from monitor.rules.folded import FIELD_GAP
from monitor.rules.index import Index, build
from monitor.rules.patterns import pattern
from monitor.rules.reading import Reading, Surface
from monitor.text import StoryText, Word, words
from tests.postgres import Missing

Seconds = dict[str, float]
Matches = list[set[int]]  # the numbers of the rules that each story matches


class Peer(Protocol):
    """An engine that holds rules."""

    name: str
    build: float

    def run(self, stories: Sequence[Cut]) -> tuple[Seconds, Matches]:
        """Match the stories; return the seconds of each part and what was found."""


@dataclass(frozen=True)
class Cut:
    """A story folded and cut into words, which no peer is charged for."""

    story: StoryText
    fields: tuple[tuple[str, str], ...]
    words: tuple[tuple[Word, ...], ...]
    title: tuple[str, ...]  # distinct folded words
    all: tuple[str, ...]


def cut(story: StoryText) -> Cut:
    """Return a story's words."""
    fields = (("title", story.title), ("summary", story.summary), ("text", story.text))
    found = tuple(words(text) for _, text in fields)
    title = tuple(dict.fromkeys(word.folded for word in found[0]))
    everything = tuple(dict.fromkeys(word.folded for part in found for word in part))
    return Cut(story, fields, found, title, everything)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds of this process that `work` takes, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


class Verifier:
    """Decides rules on the words of a story, without an automaton: our evaluator, for the candidates of a peer."""

    def __init__(self, topics: Sequence[CompiledTopic], aliases: Aliases) -> None:
        self._trees = [topic.tree for topic in topics]
        self._aliases = aliases
        self._nothing: Index = build([], Aliases(Config()))

    def reading(self, story: Cut) -> Reading:
        """Return a story with its fields' words counted."""
        reading = Reading(story.story, self._nothing)
        reading.zones("title")
        return reading

    def scope(self, reading: Reading, story: Cut) -> Scope:
        """Return a story with its words' places noted, as exact verification needs them."""
        return Scope(reading, Surface(story.fields, self._aliases, found=story.words))

    def verify(self, scopes: Sequence[Scope], candidates: Sequence[set[int]]) -> Matches:
        """Return those of each story's candidates that it matches."""
        trees = self._trees
        return [
            {number for number in numbers if find(trees[number], scope) is not None}
            for scope, numbers in zip(scopes, candidates, strict=True)
        ]


class Mokaccino:
    """A percolator: rules as Boolean queries of exact words, each story a document of words; then verified."""

    name = "mokaccino"

    def __init__(self, topics: Sequence[CompiledTopic], aliases: Aliases) -> None:
        try:
            import mokaccino
        except ImportError:
            raise Missing("mokaccino is not installed (pip install mokaccino)") from None
        self._lib = mokaccino
        self._verifier = Verifier(topics, aliases)
        self._aliases = aliases
        self._rule_of: list[int] = []
        self.build, self._percolator = timed(lambda: self._built(topics))

    def run(self, stories: Sequence[Cut]) -> tuple[Seconds, Matches]:
        """Match the stories: make documents, percolate, note where words stand, verify."""
        readings = [self._verifier.reading(story) for story in stories]
        document, documents = timed(lambda: [self._document(story) for story in stories])
        percolate, candidates = timed(lambda: [self._candidates(document) for document in documents])
        # Only of stories with something to verify: the others' places are never asked for.
        wanted = [at for at, numbers in enumerate(candidates) if numbers]
        places, scopes = timed(lambda: [self._verifier.scope(readings[at], stories[at]) for at in wanted])
        verify, found = timed(lambda: self._verifier.verify(scopes, [candidates[at] for at in wanted]))
        matches: Matches = [set() for _ in stories]
        for at, numbers in zip(wanted, found, strict=True):
            matches[at] = numbers
        return {"document": document, "percolate": percolate, "places": places, "verify": verify}, matches

    def _built(self, topics: Sequence[CompiledTopic]) -> Any:
        percolator = self._lib.Percolator()
        for number, topic in enumerate(topics):
            for query in self._queries(topic.tree):
                assert percolator.add_query(query) == len(self._rule_of)
                self._rule_of.append(number)
        return percolator.optimized()

    def _queries(self, tree: Node) -> Iterator[Any]:
        """Yield queries of which one holds wherever the rule does: of an alias each, else normal forms explode."""
        if isinstance(tree, EntityRef):
            for entity in self._aliases.members(tree.name):
                for alias in self._aliases.of(entity):
                    if alias.words:
                        yield self._every([("t", word) for word in alias.words])
        else:
            query = self._query(tree, "t")
            assert query is not None, f"{tree} needs no word"
            yield query

    def _query(self, node: Node, field: str) -> Any:
        """Return what `node` needs, None for nothing."""
        if isinstance(node, Term | Phrase):
            return self._every([(field, word) for sequence in pattern(node).sequences for word in sequence])
        if isinstance(node, Exact):
            return self._every([(field, word.folded) for word in words(node.text)])
        if isinstance(node, Field):
            return self._query(node.child, {"title": "title"}[node.name])
        if isinstance(node, Not):
            return None
        assert isinstance(node, And | Or | Near), f"{node} is not in the mix of rules"
        needed = [query for child in node.children if (query := self._query(child, field)) is not None]
        if isinstance(node, Or):
            return self._lib.Query.from_or(needed) if len(needed) == len(node.children) else None
        return self._lib.Query.from_and(needed) if len(needed) > 1 else needed[0]

    def _every(self, wanted: Sequence[tuple[str, str]]) -> Any:
        make = self._lib.Query
        queries = [
            make.from_kprefix(field, word[:-1]) if word.endswith("*") else make.from_kv(field, word)
            for field, word in dict.fromkeys(wanted)
        ]
        return make.from_and(queries) if len(queries) > 1 else queries[0]

    def _document(self, story: Cut) -> Any:
        document = self._lib.Document()
        for word in story.title:
            document.add_value("title", word)
        for word in story.all:
            document.add_value("t", word)
        return document

    def _candidates(self, document: Any) -> set[int]:
        rule_of = self._rule_of
        return {rule_of[number] for number in self._percolator.percolate_list(document)}


class Phrases:
    """spaCy's PhraseMatcher: finds the words and phrases of rules (no prefixes) and decides no rule."""

    name = "spaCy PhraseMatcher, terms only"

    def __init__(self, topics: Sequence[CompiledTopic], aliases: Aliases) -> None:
        try:
            import spacy
            from spacy.matcher import PhraseMatcher
            from spacy.tokens import Doc
        except ImportError:
            raise Missing("spaCy is not installed (pip install spacy)") from None
        self._vocab, self._doc = spacy.blank("xx").vocab, Doc
        self._matcher: Any = PhraseMatcher(self._vocab)
        self.build, _ = timed(lambda: self._matcher.add("leaf", [*map(self._words, set(_leaves(topics, aliases)))]))

    def run(self, stories: Sequence[Cut]) -> tuple[Seconds, Matches]:
        """Find the terms; which rules they decide is not asked."""
        texts = [[word.folded for field in story.words for word in field] for story in stories]
        document, documents = timed(lambda: [self._words(text) for text in texts])
        find, _ = timed(lambda: [self._matcher(document) for document in documents])
        return {"document": document, "find": find}, []

    def _words(self, text: Sequence[str]) -> Any:
        return self._doc(self._vocab, words=list(text))


def _leaves(topics: Sequence[CompiledTopic], aliases: Aliases) -> Iterator[tuple[str, ...]]:
    for topic in topics:
        for node in walk(topic.tree):
            if isinstance(node, Term | Phrase):
                yield from (found for found in pattern(node).sequences if not found[-1].endswith("*"))
            elif isinstance(node, Exact):
                yield tuple(word.folded for word in words(node.text))
    for entity in aliases.entities():
        yield from (alias.words for alias in aliases.of(entity) if alias.words)


class Postgres:
    """PostgreSQL: a table of rules as tsquery, `tsvector @@ tsquery` over all of it. Exact case is then verified."""

    name = "PostgreSQL @@"

    def __init__(self, port: int, topics: Sequence[CompiledTopic], aliases: Aliases) -> None:
        import psycopg

        self._aliases, self._verifier = aliases, Verifier(topics, aliases)
        self._connection = psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True)
        self._pid = self._connection.info.backend_pid
        start = self._seconds()
        for setting in ("jit = off", "max_parallel_workers_per_gather = 0"):
            self._connection.execute(f"SET {setting}")
        self._connection.execute("DROP TABLE IF EXISTS rules")
        self._connection.execute("CREATE TABLE rules (number int, query tsquery)")
        with self._connection.cursor().copy("COPY rules FROM STDIN") as copy:
            for number, topic in enumerate(topics):
                copy.write_row((number, self._query(topic.tree, "")))
        self._connection.execute("ANALYZE rules")
        self.build = self._seconds() - start

    def run(self, stories: Sequence[Cut]) -> tuple[Seconds, Matches]:
        """Match the stories: the server's own processor seconds, then what verifying takes."""
        scopes = [self._verifier.scope(self._verifier.reading(story), story) for story in stories]
        vectors = [_vector(story) for story in stories]
        before, candidates = self._seconds(), []
        for vector in vectors:
            rows = self._connection.execute(
                "SELECT number FROM rules WHERE %s::tsvector @@ query", (vector,)
            ).fetchall()
            candidates.append({number for (number,) in rows})
        query = self._seconds() - before
        verify, matches = timed(lambda: self._verifier.verify(scopes, candidates))
        return {"query": query, "verify": verify}, matches

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _seconds(self) -> float:
        """Return the processor seconds that the server's process has taken."""
        user, system = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _query(self, node: Node, label: str) -> str:
        if isinstance(node, Term | Phrase):
            return "(" + " & ".join(_sequence(found, label) for found in pattern(node).sequences) + ")"
        if isinstance(node, Exact):
            return _sequence([word.folded for word in words(node.text)], label)
        if isinstance(node, EntityRef):
            aliases = (alias for entity in self._aliases.members(node.name) for alias in self._aliases.of(entity))
            return "(" + " | ".join(_sequence(alias.words, label) for alias in aliases if alias.words) + ")"
        if isinstance(node, Field):
            return self._query(node.child, "A")
        if isinstance(node, Not):
            return f"!{self._query(node.child, label)}"
        assert isinstance(node, And | Or | Near), f"{node} is not in the mix of rules"
        parts = [self._query(child, label) for child in node.children]
        if isinstance(node, Near):
            one, other = parts
            steps = range(1, node.distance + 2)
            return "(" + " | ".join(f"{a} <{n}> {b}" for n in steps for a, b in ((one, other), (other, one))) + ")"
        return "(" + (" & " if isinstance(node, And) else " | ").join(parts) + ")"


def _sequence(found: Sequence[str], label: str) -> str:
    parts = []
    for word in found:
        prefix = "*" if word.endswith("*") else ""
        marks = prefix + label
        parts.append(f"'{word.removesuffix('*')}'{':' + marks if marks else ''}")
    return "(" + " <-> ".join(parts) + ")"


def _vector(story: Cut) -> str:
    """Return a story as a tsvector: words with their places, those of the title with the label A."""
    places: dict[str, list[str]] = {}
    base = 1
    for number, field in enumerate(story.words):
        for at, word in enumerate(field, base):
            places.setdefault(word.folded, []).append(f"{at}{'A' if number == 0 else ''}")
        base += len(field) + FIELD_GAP
    return " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())


class Yardstick:
    """Python's own `re.findall(r"\\w+", text)` over the same stories."""

    name = r"re.findall(r'\w+')"
    build = 0.0

    def run(self, stories: Sequence[Cut]) -> tuple[Seconds, Matches]:
        """Find the words."""
        find = re.compile(r"\w+").findall
        texts = [f"{s.story.title} {s.story.summary} {s.story.text}" for s in stories]
        seconds, _ = timed(lambda: [find(text) for text in texts])
        return {"find": seconds}, []
