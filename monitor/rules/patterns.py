"""Leaves of a query → patterns of folded words, in the words that `monitor.text` makes of stories too."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from monitor.query import Forms, Phrase, Term
from monitor.text import folded_words, words

_WILD = "*?"
_BLANKS = re.compile(r"\s+")


class Pattern(NamedTuple):
    """Sequences of folded words, `*` and `?` standing for letters.

    One sequence is a phrase. With `within` there may be several, each found in any place, with at most so many other
    words among them. `needed` are its words without wildcards: a story without one of them is a miss at once.
    """

    sequences: tuple[tuple[str, ...], ...]
    within: int | None = None
    needed: tuple[str, ...] = ()


def is_wild(word: str) -> bool:
    """Whether a pattern's word has a wildcard; folded words of a story never hold these characters."""
    return "*" in word or "?" in word


@lru_cache(maxsize=1 << 15)
def pattern(leaf: Term | Phrase) -> Pattern:
    """Return the pattern of a term or phrase; it has no word where no letter or digit counts as one."""
    within = leaf.within if isinstance(leaf, Phrase) else None
    if within is None and not is_wild(leaf.text):
        plain = folded_words(leaf.text)
        return Pattern((plain,) if plain else (), None, plain)
    units = [leaf.text] if within is None else leaf.text.split()
    sequences = tuple([found for unit in units if (found := pattern_words(unit))])
    needed = tuple([word for unit in sequences for word in unit if not is_wild(word)])
    return Pattern(sequences, within, needed)


@dataclass(frozen=True, slots=True)
class ExactText:
    """Text that counts letter for letter: its folded words, and the characters before the first and behind the last."""

    text: str
    sequence: tuple[str, ...]
    before: int
    after: int

    def at(self, text: str, start: int, end: int) -> tuple[int, int] | None:
        """Return where it stands in `text` around the words from character `start` to `end`, None where it does not.

        A blank is any blank or line break, and composed and decomposed letters are the same text.
        """
        low, high = start - self.before, end + self.after
        if low < 0:
            return None
        found = text[low:high]
        if found != self.text and unicodedata.normalize("NFC", _BLANKS.sub(" ", found)) != self.text:
            return None
        return low, high


@lru_cache(maxsize=1 << 12)
def exact_text(text: str) -> ExactText | None:
    """Return what {text} looks for; None where it holds no word."""
    text = unicodedata.normalize("NFC", text)
    found = words(text)
    if not found:
        return None
    sequence = tuple(word.folded for word in found)
    return ExactText(text, sequence, found[0].start, len(text) - found[-1].end)


@lru_cache(maxsize=1 << 13)
def forms(leaf: Forms) -> tuple[tuple[str, ...], ...]:
    """Return the sequences of words, as written, of which a FORMS wants every form: one, or with `within` several."""
    units = [leaf.text] if leaf.within is None else leaf.text.split()
    written = [tuple(unit[word.start : word.end] for word in words(unit)) for unit in units]
    return tuple(unit for unit in written if unit)


def pattern_words(text: str) -> tuple[str, ...]:
    """Return the folded words of `text`; words with only wildcards between them are one (`organi*ation`)."""
    if not is_wild(text):
        return folded_words(text)
    found: list[str] = []
    end = 0
    for word in words(text):
        between = text[end : word.start]
        if found and between and not between.strip(_WILD):
            found[-1] += between + word.folded
        else:
            if found:
                found[-1] += _leading(between)
            found.append(word.folded)
        end = word.end
    if found:
        found[-1] += _leading(text[end:])
    return tuple(found)


def _leading(text: str) -> str:
    """Return the wildcards that `text` starts with."""
    return text[: len(text) - len(text.lstrip(_WILD))]


def literal_prefix(word: str) -> str:
    """Return what stands before a pattern word's first wildcard."""
    return word[: min(word.index(char) for char in _WILD if char in word)] if is_wild(word) else word


def glob(pattern_word: str, word: str) -> bool:
    """Whether the whole of `word` fits: `*` is any run of characters, `?` exactly one.

    On a mismatch only the latest `*` is moved on, so the time is at most the product of the two lengths.
    """
    at, place = 0, 0  # in the pattern, in the word
    star, after_star = -1, 0
    while place < len(word):
        if at < len(pattern_word) and pattern_word[at] == "*":
            star, after_star = at, place
            at += 1
        elif at < len(pattern_word) and pattern_word[at] in ("?", word[place]):
            at += 1
            place += 1
        elif star >= 0:
            after_star += 1
            at, place = star + 1, after_star
        else:
            return False
    return not pattern_word[at:].strip("*")
