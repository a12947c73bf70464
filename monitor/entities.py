"""Entity names and their aliases: which of them stand in a text. Pure.

An alias matches as a phrase: its words one after another, case and accents folded. Two rules keep short names apart:

- An alias of at most four Latin letters, all capitals (US, WHO, EU, NATO), matches in exactly this case: in small
  letters "us" and "who" are words.
- The longest alias wins: an alias that stands inside a longer alias of any entity does not count, so "South Sudan" is
  not "Sudan" where both are declared.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeVar

from monitor.config import Config
from monitor.text import Word, words

T = TypeVar("T")
_ACRONYM = 4  # letters


@dataclass(frozen=True, slots=True)
class Alias:
    """One name of an entity. `exact` are its words as they must be written, or empty where case does not count."""

    entity: str
    text: str
    words: tuple[str, ...]
    exact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An alias in a text: the words number `first` to `last` (both included, from 0)."""

    alias: Alias
    first: int
    last: int


class Aliases:
    """The aliases of all declared entities, by entity, by list and by first word."""

    def __init__(self, config: Config) -> None:
        self._members: dict[str, tuple[str, ...]] = {name: (name,) for name in config.entities}
        for name, declared in config.lists.items():
            known = tuple(entity for entity in declared.entities if entity in config.entities)
            self._members.setdefault(name, known)
        self._by_entity = {
            name: tuple(_aliases(name, (entity.title, *entity.aliases))) for name, entity in config.entities.items()
        }
        self._by_first: dict[str, list[Alias]] = {}
        for aliases in self._by_entity.values():
            for alias in aliases:
                if alias.words:
                    self._by_first.setdefault(alias.words[0], []).append(alias)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        """Yield every name that `@name` may use: entities and lists."""
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def members(self, name: str) -> tuple[str, ...]:
        """Return the entities that `@name` stands for: itself, or those of the list."""
        return self._members[name]

    def of(self, entity: str) -> tuple[Alias, ...]:
        """Return the aliases of an entity, its name first."""
        return self._by_entity[entity]

    def entities(self) -> Iterator[str]:
        """Yield the names of all declared entities, without the lists."""
        yield from self._by_entity

    def find(self, text: str, found: Sequence[Word]) -> list[Occurrence]:
        """Return the aliases that stand in `text`, whose words are `found`, in order; the longest wins."""
        occurrences = []
        for index, word in enumerate(found):
            for alias in self._by_first.get(word.folded, ()):
                if _stands_at(alias, index, text, found):
                    occurrences.append(Occurrence(alias, index, index + len(alias.words) - 1))
        return longest(occurrences, attrgetter("first", "last"))


def _aliases(entity: str, texts: Sequence[str]) -> Iterator[Alias]:
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for text in texts:
        found = words(text)
        folded = tuple(word.folded for word in found)
        exact = tuple(_written(text, word) for word in found) if _is_acronym(text) else ()
        if (folded, exact) not in seen:
            seen.add((folded, exact))
            yield Alias(entity, text, folded, exact)


def _is_acronym(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return (
        0 < len(letters) <= _ACRONYM
        and all(char.isupper() for char in letters)
        and all(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    )


def _written(text: str, word: Word) -> str:
    return unicodedata.normalize("NFC", text[word.start : word.end])


def _stands_at(alias: Alias, index: int, text: str, found: Sequence[Word]) -> bool:
    window = found[index : index + len(alias.words)]
    return tuple(word.folded for word in window) == alias.words and (
        not alias.exact or tuple(_written(text, word) for word in window) == alias.exact
    )


def longest(found: Sequence[T], place: Callable[[T], tuple[int, int]]) -> list[T]:
    """Return those of `found` that stand inside no longer one, in order; `place` tells the first and last word."""
    placed = [(*place(one), one) for one in found]
    placed.sort(key=lambda at: (at[0], -at[1]))
    kept = []
    reach = (-1, -1)  # of the one that reaches furthest
    for first, last, one in placed:
        if last > reach[1] or (first, last) == reach:
            kept.append(one)
            reach = (first, last)
    return kept
