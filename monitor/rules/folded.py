"""A story folded once: all its words in one run of bytes, which an automaton scans, and the way back to the text.

    " title words \\0 summary words \\0 body words "    UTF-8, one space around every word

The words are those of `monitor.text.words`, exactly (a property test compares them); what differs is the cost. Nearly
all characters fold one to one, so `replace`, `translate` and one pattern do in C what would be a Python step for each
word. A story with other characters (decomposed accents, ligatures, vowel marks, conjoining jamo) goes the slow way, by
`words` itself. Places in the published text are worked out only where something was found.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate

from monitor.text import APOSTROPHES, IGNORED, SEMITIC_MARKS, UNSPACED, Word, fold, words

MAX_CHARACTERS = 500_000  # of a field; a page that is longer is no story
FIELD_GAP = 1_000  # between the numbers of two fields' words, so that no phrase and no NEAR (at most 100) spans both
NAMES = ("title", "summary", "text")

_LOWER = bytes(
    code + 32
    if 65 <= code <= 90
    else code
    if 48 <= code <= 57 or 97 <= code <= 122 or code >= 128 or code in (0, 39)
    else 39
    if chr(code) in APOSTROPHES
    else 32
    for code in range(256)
)
_SPACES = re.compile(rb"  +")
# The look-behind stands behind the literal, so that the search for it runs at memory speed.
_POSSESSIVE = re.compile(rb"'s(?<=[a-z0-9\x80-\xff]'s)(?![a-z0-9\x80-\xff])")
# The same before scripts without spaces are spread, where a character of theirs may stand before or behind it.
_POSSESSIVE_TEXT = re.compile(f"'[sS](?<=[^\\W_]'.)(?![^\\W_{UNSPACED}])")
# Two bytes in UTF-8 before and after, so that no place moves.
_TWO_LETTERS = tuple((char.encode(), fold(char).encode()) for char in "ßæœþ")
_UNSPACED_RUN = re.compile(f"[{UNSPACED}]+")
_DROPPED = re.compile(f"[{IGNORED}{SEMITIC_MARKS}]+")
_IGNORED_END = re.compile(f"[{IGNORED}]+\\Z")
_JAMO = ((0x1100, 0x11FF), (0xA960, 0xA97F), (0xD7B0, 0xD7FF))


_SPREAD, _NOTHING, _NUMBER = "spread", "nothing", "number"


@cache
def _fate(char: str) -> str | None:
    """Return what stands for a character outside ASCII: a letter or digit, a space or apostrophe where it parts words,
    _SPREAD for one of a script without spaces, _NOTHING for one that is dropped, _NUMBER for a fraction or the like,
    which parts words and yet may have a possessive; None where what becomes of it depends
    on its neighbours.
    """
    code, category = ord(char), unicodedata.category(char)
    if _DROPPED.match(char):
        return _NOTHING
    if category == "No":
        return _NUMBER
    if category[0] == "M" or category in ("Cs", "Cf") or char in "ʼʻ\uff9e\uff9f":
        return None
    if any(low <= code <= high for low, high in _JAMO):
        return None
    if char in APOSTROPHES:
        return "'"
    if _UNSPACED_RUN.match(char):
        return _SPREAD if fold(char) == char else None
    if char.lower() in ("ß", "æ", "œ", "þ"):
        return char.lower()
    around = [word.folded for word in words(f"a{char}a")]
    if around == ["a", "a"]:
        return " "
    inside = around[0][1:-1]
    return inside if len(around) == 1 and len(inside) == 1 else None


def _plain() -> str:
    """Return a class of characters that stand for themselves: most of a text, and so not looked at one by one."""
    blocks = (*range(0x80, 0x700), *range(0x3041, 0x3100), *range(0x4E00, 0xA000), *range(0xAC00, 0xD7A4))
    found = [code for code in blocks if _fate(chr(code)) in (chr(code), _SPREAD)]
    runs: list[list[int]] = []
    for code in found:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "\\x00-\\x7f" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in runs)


_OTHERS = re.compile(f"[^{_plain()}]")
# All scripts without spaces lie here, and others; a class of two ranges is searched many times as fast as theirs.
_MAYBE_UNSPACED = re.compile("[\u0e00-\u1fff\u3000-\U0003ffff]")


def _two_letters(data: bytes) -> bytes:
    """Return `data` with the letters that fold to two, as long as before."""
    if not data.isascii():
        for char, letters in _TWO_LETTERS:
            data = data.replace(char, letters)
    return data


def _apart(run: re.Match[str]) -> str:
    return f" {' '.join(run[0])} "


class Folded:
    """A story's three fields, folded. `data` is the run of bytes; `edges` are the spaces before its two separators."""

    __slots__ = (
        "_bases",
        "_counted",
        "_dropped",
        "_even",
        "_places",
        "_read",
        "_spread",
        "_words",
        "data",
        "edges",
        "fields",
    )

    def __init__(self, title: str, summary: str, text: str) -> None:
        if len(title) > MAX_CHARACTERS or len(summary) > MAX_CHARACTERS or len(text) > MAX_CHARACTERS:
            title, summary, text = title[:MAX_CHARACTERS], summary[:MAX_CHARACTERS], text[:MAX_CHARACTERS]
        self.fields = (title, summary, text)
        self._words: dict[int, tuple[Word, ...]] = {}
        self._bases: tuple[int, int, int] | None = None
        self._places: _Places | None = None
        self._counted = (-1, 0, 0)  # the field, byte and number asked for last
        joined = f" {title} \0 {summary} \0 {text} "
        if joined.count("\0") > 2:
            title, summary, text = (field.replace("\0", " ") for field in self.fields)
            joined = f" {title} \0 {summary} \0 {text} "
        # The text before its spaces were squeezed, in bytes; empty where it was folded the slow way.
        self._even = b""
        self._spread = self._dropped = ""  # the text before scripts were spread, and before marks were dropped
        self.data = data = self._quickly(joined) or self._slowly()
        first = data.index(b"\0") - 1
        self.edges = (first, data.index(b"\0", first + 2) - 1)

    def _quickly(self, joined: str) -> bytes:
        if not joined.isascii():
            published, dropped, numbers = joined, False, False
            spread = _MAYBE_UNSPACED.search(joined) is not None and _UNSPACED_RUN.search(joined) is not None
            for char in set(_OTHERS.findall(joined)):
                fate = _fate(char)
                if fate is None:
                    return b""
                if fate is _NOTHING:
                    dropped = True
                elif fate is _NUMBER:
                    numbers = True
                    joined = joined.replace(char, " ")
                elif fate is not _SPREAD and fate != char:
                    joined = joined.replace(char, fate)
            if (dropped or numbers or spread) and ("'" in joined or "`" in joined):
                # Whether an s behind an apostrophe is a possessive depends on what is before it.
                if dropped or numbers:
                    return b""
                joined = _POSSESSIVE_TEXT.sub("  ", joined.replace("`", "'"))
            if dropped:
                self._dropped, joined = published, _DROPPED.sub("", joined)
            if spread:
                self._spread, joined = joined, _UNSPACED_RUN.sub(_apart, joined)
        data = joined.encode().translate(_LOWER)
        if b"'" in data:
            if b"'s" in data:
                data = _POSSESSIVE.sub(b"  ", data)
            data = data.replace(b"'", b" ")
        self._even = data
        return _SPACES.sub(b" ", _two_letters(data))

    def _slowly(self) -> bytes:
        self._spread = self._dropped = ""
        parts = (b" ".join(w.folded.encode("utf-8", "surrogatepass") for w in self.words(n)) for n in range(3))
        return _SPACES.sub(b" ", b" " + b" \0 ".join(parts) + b" ")

    def words(self, field: int) -> tuple[Word, ...]:
        """Return the words of a field (0 title, 1 summary, 2 text)."""
        found = self._words.get(field)
        if found is None:
            found = self._words[field] = words(self.fields[field])
        return found

    @property
    def bases(self) -> tuple[int, int, int]:
        """The number of each field's first word."""
        if self._bases is None:
            first, second = self.edges
            summary = self.data.count(b" ", 0, first) + FIELD_GAP
            self._bases = (0, summary, summary + self.data.count(b" ", first + 2, second) + FIELD_GAP)
        return self._bases

    def zones(self) -> tuple[tuple[int, int], ...]:
        """Return the numbers of each field's words: from, up to but not including."""
        _, summary, text = self.bases
        return (
            (0, summary - FIELD_GAP),
            (summary, text - FIELD_GAP),
            (text, text + self.data.count(b" ", self.edges[1] + 2, len(self.data) - 1)),
        )

    def number(self, start: int) -> int:
        """Return the number of the word behind the space at byte `start`. Cheap when asked in ascending order."""
        field = self._field(start)
        before, since, number = self._counted
        if before != field or since > start:
            since, number = (0, *(edge + 2 for edge in self.edges))[field], self.bases[field]
        number += self.data.count(b" ", since, start)
        self._counted = field, start, number
        return number

    def _field(self, start: int) -> int:
        return 0 if start < self.edges[0] else 1 if start < self.edges[1] else 2

    def place(self, start: int, end: int) -> tuple[int, int, int]:
        """Return the field, and the characters of the published text, of the words between the space at byte `start`
        and the one at byte `end` - 1. Cheap when asked in ascending order.
        """
        field = self._field(start)
        if not self._even:
            found, first = self.words(field), self.number(start) - self.bases[field]
            return field, found[first].start, found[first + self.data.count(b" ", start + 1, end - 1)].end
        if self._places is None:
            self._places = _Places(self.data, self._even, self._spread, self._dropped)
        low, high = self._places.of(start, end)
        title, summary, _ = self.fields
        before = 1 if field == 0 else len(title) + 4 if field == 1 else len(title) + len(summary) + 7
        return field, low - before, high - before


class _Places:
    """The way back from bytes of a story's folded words to characters of its text: each step of the folding undone."""

    def __init__(self, data: bytes, even: bytes, spread: str, dropped: str) -> None:
        self._data, self._even, self._ascii, self._published = data, even, even.isascii(), dropped
        self._slack = len(even) - len(data)  # spaces that were squeezed out
        self._spaced = _two_letters(even)
        self._read = (0, 0)  # a byte of the text, and the characters before it
        self._squeezed = _Removed((run.start(), run.end() - run.start() - 1) for run in _SPACES.finditer(even))
        self._runs = [run.span() for run in _UNSPACED_RUN.finditer(spread)]
        # Spreading puts a space before each character of a run and one behind it.
        lengths = accumulate((high - low + 1 for low, high in self._runs), initial=0)
        self._starts = [low + put_in for (low, _), put_in in zip(self._runs, lengths, strict=False)]
        marks = _DROPPED.finditer(dropped)
        self._dropped = _Removed((run.start(), run.end() - run.start()) for run in marks)

    def of(self, start: int, end: int) -> tuple[int, int]:
        """Return from which to which character (not included) the words between two spaces of the data go."""
        low = self._unsqueezed(start)
        last = self._data.rindex(b" ", start, end - 1)
        high = (low if last == start else self._unsqueezed(last)) + end - last - 2
        if not self._ascii:
            low, high = self._character(low), self._character(high)
        if self._runs:
            low, high = self._unspread(low), self._unspread(high - 1) + 1
        if self._published:
            low, high = self._dropped.undo(low), self._dropped.undo(high - 1) + 1
            marks = _DROPPED.match(self._published, high)
            if marks is not None:
                high += len(_IGNORED_END.sub("", marks[0]))
        return low, high

    def _unsqueezed(self, space: int) -> int:
        """Return the byte of the text, before its spaces were squeezed, of the word behind a space of the data."""
        if not self._slack:
            return space + 1
        # It lies at most so many bytes further on as spaces were squeezed out: mostly it is the only such word there.
        word = self._data[space : self._data.index(b" ", space + 1) + 1]
        furthest = space + self._slack + len(word)
        found = self._spaced.find(word, space, furthest)
        if found >= 0 and self._spaced.find(word, found + 1, furthest) < 0:
            return found + 1
        return self._squeezed.undo(space + 1)

    def _character(self, byte: int) -> int:
        """Return how many characters stand before a byte of the text."""
        since, characters = self._read if self._read[0] <= byte else (0, 0)
        characters += len(self._even[since:byte].decode())
        self._read = byte, characters
        return characters

    def _unspread(self, at: int) -> int:
        """Return where a character stood before spaces were put into scripts that have none."""
        index = bisect_right(self._starts, at) - 1
        if index < 0:
            return at
        (low, high), start = self._runs[index], self._starts[index]
        inside = (at - start - 1) // 2
        return low + inside if inside < high - low else high + at - start - 2 * (high - low) - 1


class _Removed:
    """What was taken out of a text, so that a place in the rest can be told in the whole. Read only as far as asked."""

    def __init__(self, taken: Iterator[tuple[int, int]]) -> None:
        """`taken` yields where and how many, in the whole and in ascending order."""
        self._taken = taken
        self._places: list[int] = [-1]
        self._totals: list[int] = [0]
        self._read = -1  # up to this place of the rest all is known

    def undo(self, at: int) -> int:
        """Return where character `at` of the rest stood in the whole."""
        while self._read < at:
            start, length = next(self._taken, (_END, 0))
            total = self._totals[-1]
            self._read = start - total
            self._places.append(self._read)
            self._totals.append(total + length)
        return at + self._totals[bisect_right(self._places, at) - 1]


_END = 1 << 60
