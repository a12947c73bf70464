"""A slow and obvious reading of the query language: the judge of `monitor.rules`.

Written from the pages that describe the language, in the plainest way: word lists, every window, every choice. Nothing
is kept or prepared, and nothing here comes from `monitor.rules`. What a word is, how it is folded and where a sentence
ends is `monitor.text`'s to say, and which names an entity has is `monitor.entities`'s; both have tests of their own.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from monitor.entities import Aliases
from monitor.query import (
    META_FIELDS,
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    Forms,
    Leaf,
    Near,
    Node,
    Not,
    Or,
    Phrase,
    Regex,
    Sentence,
)
from monitor.text import FIELDS, StoryText, Word, fold, language_of, sentences, words

LEAD = 60  # words of the body that are the lead where there is no summary
SPANS = 200  # spans of evidence that a match carries at most

# Which words count: the words number n of a field. All operators that narrow (fields, FIRST, SENTENCE) intersect it.
Scope = dict[str, frozenset[int]]
Span = tuple[str, int, int]


@dataclass(frozen=True, order=True)
class Place:
    """Where a term stands: the words `first` to `last` of a field, which are the characters `start` to `end`."""

    field: str
    first: int
    last: int
    start: int
    end: int
    term: str = ""
    entity: str = ""


def holds(tree: Node, story: StoryText, aliases: Aliases) -> bool:
    """Whether `tree`, with its macros put in, holds for `story`."""
    return Reader(story, aliases).holds(tree)


def evidence(tree: Node, story: StoryText, aliases: Aliases) -> set[Span]:
    """What made `tree` true for `story`: field and characters as published."""
    return Reader(story, aliases).evidence(tree)


class Reader:
    """One story, its words counted out; asked about any number of trees."""

    def __init__(self, story: StoryText, aliases: Aliases) -> None:
        self.story, self.aliases = story, aliases
        self.texts = {name: getattr(story, name) for name in ("title", "summary", "text", "author", "source", "url")}
        self.words = {name: words(text) for name, text in self.texts.items()}
        self.whole = self._scope("title", "summary", "text")

    def holds(self, tree: Node) -> bool:
        return self._holds(tree, self.whole)

    def evidence(self, tree: Node) -> set[Span]:
        return set(_shown(self._found(tree, self.whole))) if self.holds(tree) else set()

    # --- truth

    def _holds(self, node: Node, scope: Scope) -> bool:
        if isinstance(node, And):
            return all(self._holds(child, scope) for child in node.children)
        if isinstance(node, Or):
            return any(self._holds(child, scope) for child in node.children)
        if isinstance(node, Not):
            return not self._holds(node.child, scope)
        if isinstance(node, Near):
            return any(True for _ in self._choices(node, scope))
        if isinstance(node, AtLeast):
            return len(_apart(self._places(node.child, scope))) >= node.count
        if isinstance(node, Sentence):
            return any(self._holds(node.child, one) for one in self._sentences(scope))
        if isinstance(node, First):
            return self._holds(node.child, _both(scope, self._first(node.words)))
        if isinstance(node, Field):
            if node.name in META_FIELDS:
                return self._says(node.name, node.child)
            return self._holds(node.child, _both(scope, self._part(node.name)))
        return bool(self._places(node, scope))

    # --- evidence: what every true part below a true node found

    def _found(self, node: Node, scope: Scope) -> Iterator[Place]:
        if not self._holds(node, scope) or isinstance(node, Not):
            return
        if isinstance(node, And | Or):
            for child in node.children:
                yield from self._found(child, scope)
        elif isinstance(node, Near):
            for choice in self._choices(node, scope):
                yield from choice
        elif isinstance(node, AtLeast):
            yield from self._places(node.child, scope)
        elif isinstance(node, Sentence):
            for one in self._sentences(scope):
                yield from self._found(node.child, one)
        elif isinstance(node, First):
            yield from self._found(node.child, _both(scope, self._first(node.words)))
        elif isinstance(node, Field):
            if node.name in META_FIELDS:
                yield from self._said(node.name, node.child)
            else:
                yield from self._found(node.child, _both(scope, self._part(node.name)))
        else:
            yield from self._places(node, scope)

    # --- parts of a story

    def _scope(self, *fields: str) -> Scope:
        return {name: frozenset(range(len(self.words[name]))) for name in fields}

    def _part(self, name: str) -> Scope:
        if name == "title":
            return self._scope("title")
        if name == "body":
            return self._scope("text")
        if self.words["summary"]:
            return self._scope("title", "summary")
        return self._scope("title") | {"text": frozenset(range(min(LEAD, len(self.words["text"]))))}

    def _first(self, count: int) -> Scope:
        """The first words of title, summary and body, counted through."""
        scope: Scope = {}
        for name in ("title", "summary", "text"):
            here = min(count, len(self.words[name]))
            scope[name] = frozenset(range(here))
            count -= here
        return scope

    def _sentences(self, scope: Scope) -> Iterator[Scope]:
        """Each sentence that has words in `scope`."""
        for name in scope:
            for start, end in sentences(self.texts[name]):
                inside = {n for n, word in enumerate(self.words[name]) if start <= word.start < end}
                if inside & scope[name]:
                    yield {name: scope[name] & inside}

    # --- places of terms

    def _places(self, node: Node, scope: Scope) -> list[Place]:
        """Where a term, a phrase, an entity or an OR group of them stands in `scope`."""
        if isinstance(node, Or):
            return [place for child in node.children for place in self._places(child, scope)]
        if isinstance(node, Field):
            return self._places(node.child, _both(scope, self._part(node.name)))
        assert isinstance(node, Leaf)
        return [
            place
            for name in scope
            for place in self._leaf(node, name)
            if scope[name].issuperset(range(place.first, place.last + 1))
        ]

    def _leaf(self, node: Leaf, field: str) -> list[Place]:
        """Where a leaf stands in all of one field."""
        text, found = self.texts[field], self.words[field]
        assert not isinstance(node, Forms | Regex), "the reference reads neither stems nor regular expressions"
        if isinstance(node, EntityRef):
            return self._names(node, field)
        if isinstance(node, Exact):
            return [
                Place(field, first, last, start, end, str(node))
                for first, last, start, end in _exactly(node.text, text, found)
            ]
        if isinstance(node, Phrase) and node.within is not None:
            ranges = _loosely([p for part in node.text.split() if (p := _patterns(part))], node.within, found)
        else:
            ranges = _sequence(_patterns(node.text), found)
        return [Place(field, first, last, found[first].start, found[last].end, str(node)) for first, last in ranges]

    def _names(self, node: EntityRef, field: str) -> list[Place]:
        """Where a name of the entity, or of an entity of the list, stands and is not part of a longer name."""
        text, found = self.texts[field], self.words[field]
        named: list[tuple[int, int, str]] = []
        for entity in {entity for name in self.aliases for entity in self.aliases.members(name)}:
            for alias in self.aliases.of(entity):
                for first, last in _sequence(list(alias.words), found):
                    written = [_nfc(text[word.start : word.end]) for word in found[first : last + 1]]
                    if not alias.exact or written == list(alias.exact):
                        named.append((first, last, entity))
        return [
            Place(field, first, last, found[first].start, found[last].end, str(node), entity)
            for first, last, entity in named
            if entity in self.aliases.members(node.name)
            and not any(a <= first and last <= b and (a, b) != (first, last) for a, b, _ in named)
        ]

    def _choices(self, node: Near, scope: Scope) -> Iterator[tuple[Place, ...]]:
        """Every choice of one place for each group, in one field, apart from one another and near enough."""
        for choice in itertools.product(*(self._places(child, scope) for child in node.children)):
            if len({place.field for place in choice}) > 1:
                continue
            inorder = choice if node.ordered else sorted(choice, key=lambda place: place.first)
            between = [after.first - before.last - 1 for before, after in itertools.pairwise(inorder)]
            if min(between) >= 0 and inorder[-1].first - inorder[0].last - 1 <= node.distance:
                yield choice

    # --- what a story says of itself

    def _says(self, field: str, node: Node) -> bool:
        if isinstance(node, And):
            return all(self._says(field, child) for child in node.children)
        if isinstance(node, Or):
            return any(self._says(field, child) for child in node.children)
        if isinstance(node, Not):
            return not self._says(field, node.child)
        return bool(list(self._said(field, node)))

    def _said(self, field: str, node: Node) -> Iterator[Place]:
        """What makes `field:node` true, where it is true."""
        if isinstance(node, And | Or):
            if self._says(field, node):
                for child in node.children:
                    yield from self._said(field, child)
        elif isinstance(node, Leaf):
            if field in ("author", "source", "url"):
                yield from self._leaf(node, field)
            elif field == "site":
                yield from self._site(node)
            else:
                yield from self._value(field, node)

    def _site(self, node: Leaf) -> Iterator[Place]:
        assert not isinstance(node, Forms | Regex)
        url = self.story.url
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return
        wanted = node.text.lower() if not isinstance(node, EntityRef) else ""
        if host and any(_fits(_wild(wanted), part) for part in _with_parents(host)):
            start = url.lower().index(host)
            yield Place("url", 0, 0, start, start + len(host), str(node))

    def _value(self, field: str, node: Leaf) -> Iterator[Place]:
        """The field's value as a whole; a tag is one of several, and a language covers its regions."""
        assert not isinstance(node, Forms | Regex)
        story = self.story
        values = {"feed": (story.feed,), "tag": story.tags, "lang": (story.language,), "country": (story.country,)}
        if field == "lang" and not story.language:
            values["lang"] = (language_of(story),)  # detected: nothing of the story to point at
        for value in values[field]:
            if not value:
                continue
            if isinstance(node, EntityRef):
                for entity in self.aliases.members(node.name):
                    if any(fold(alias.text) == fold(value) for alias in self.aliases.of(entity)):
                        yield Place(field, 0, 0, 0, len(value), str(node), entity)
                continue
            if isinstance(node, Exact):
                fits = node.text == value
            elif field == "lang":
                parts = fold(value).replace("_", "-").split("-")
                wanted = _wild(fold(node.text).replace("_", "-"))
                fits = any(_fits(wanted, "-".join(parts[:count])) for count in range(1, len(parts) + 1))
            else:
                fits = _fits(_wild(fold(node.text)), fold(value))
            if fits:
                yield Place(field, 0, 0, 0, len(value) if field != "lang" or story.language else 0, str(node))


def _both(one: Scope, other: Scope) -> Scope:
    return {name: one[name] & other[name] for name in one if name in other}


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


# --- words and wildcards

# Two rare letters stand for `*` and `?` while a query's text is split into words, as text is.
_ANY, _ONE = "ꙮ", "ꟷ"


def _wild(text: str) -> str:
    return text.replace("*", _ANY).replace("?", _ONE)


def _patterns(text: str) -> list[str]:
    """The words of a term or phrase, folded, with its wildcards.

    A wildcard stays within one word, also where each character is one and the two rare letters are words of their own.
    """
    patterns: list[str] = []
    end = -1
    for word in words(_wild(text)):
        if word.start == end and {patterns[-1][-1], word.folded[0]} & {_ANY, _ONE}:
            patterns[-1] += word.folded
        else:
            patterns.append(word.folded)
        end = word.end
    return patterns


def _fits(pattern: str, word: str) -> bool:
    """Whether a folded word is what a pattern says: `*` any letters or none, `?` exactly one."""
    if _ANY not in pattern and _ONE not in pattern:
        return pattern == word
    if pattern[0] == _ANY:
        return _fits(pattern[1:], word) or (word != "" and _fits(pattern, word[1:]))
    return word != "" and pattern[0] in (_ONE, word[0]) and _fits(pattern[1:], word[1:])


def _sequence(patterns: Sequence[str], found: Sequence[Word]) -> list[tuple[int, int]]:
    """Where words stand one after another: first and last word."""
    size = len(patterns)
    folded = [word.folded for word in found]
    return [
        (first, first + size - 1)
        for first in range(len(found) - size + 1 if size else 0)
        if _fits(patterns[0], folded[first])
        and all(_fits(pattern, folded[first + n]) for n, pattern in enumerate(patterns))
    ]


def _loosely(parts: Sequence[Sequence[str]], within: int, found: Sequence[Word]) -> list[tuple[int, int]]:
    """Where all `parts` stand in any order, with at most `within` other words among them: first and last word.

    Of those that begin at one word, the shortest.
    """
    windows: dict[int, int] = {}
    for choice in itertools.product(*(_sequence(part, found) for part in parts)):
        taken = [n for first, last in choice for n in range(first, last + 1)]
        first, last = min(taken, default=0), max(taken, default=-1)
        if taken and len(set(taken)) == len(taken) and last - first + 1 - len(taken) <= within:
            windows[first] = min(last, windows.get(first, last))
    return list(windows.items())


def _exactly(exact: str, text: str, found: Sequence[Word]) -> Iterator[tuple[int, int, int, int]]:
    """Where `exact` stands letter for letter, not as a part of a word: words and characters."""
    inner = words(exact)
    before, after = inner[0].start, len(exact) - inner[-1].end
    for first in range(len(found) - len(inner) + 1):
        last = first + len(inner) - 1
        start, end = found[first].start - before, found[last].end + after
        if start >= 0 and _nfc(re.sub(r"\s+", " ", text[start:end])) == _nfc(exact):
            yield first, last, start, end


def _with_parents(host: str) -> list[str]:
    """`a.b.org`, `b.org`, `org`."""
    labels = host.split(".")
    return [".".join(labels[n:]) for n in range(len(labels))]


# --- what is counted and shown


def _apart(places: Iterable[Place]) -> set[Span]:
    """Each place once, whichever terms found it."""
    return {(place.field, place.start, place.end) for place in places}


def _shown(places: Iterable[Place]) -> Iterator[Span]:
    """The spans in the order of the story; of one term none overlap, and there is a bound."""
    shown: list[Place] = []
    for place in sorted(set(places), key=lambda p: (FIELDS.index(p.field), p.start, -p.end, p.term)):
        rivals = [
            other
            for other in shown
            if (other.field, other.term, other.entity) == (place.field, place.term, place.entity)
        ]
        if place.field == "tag" or all(other.end <= place.start for other in rivals):
            shown.append(place)
    return ((place.field, place.start, place.end) for place in shown[:SPANS])
