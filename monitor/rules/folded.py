"""A story folded once: all its words in one run of bytes, which an automaton scans, and the way back to the text.

    " title words \\0 summary words \\0 body words "    UTF-8, one space around every word

The words are those of `monitor.text.words`, exactly (a property test compares them); what differs is the cost. The
story is an array of characters, folded by one look into a table of what each stands for; a place in the published text
is the way back that an element of the array took. A story with characters whose folding depends on their neighbours in
ways of their own (conjoining jamo, marks that compose) goes the slow way, by `words` itself.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from monitor.rules import core
from monitor.text import (
    APOSTROPHES,
    IGNORED,
    MARKS,
    SEMITIC_MARKS,
    TOO_MANY_MARKS,
    UNSPACED,
    Word,
    fold,
    possessive,
    words,
)

MAX_CHARACTERS = 500_000  # of a field; a page that is longer is no story
FIELD_GAP = 1_000  # between the numbers of two fields' words, so that no phrase and no NEAR (at most 100) spans both
NAMES = ("title", "summary", "text")

Codes = NDArray[np.uint32]
Ascii = NDArray[np.uint8]

_SPACE, _APOSTROPHE, _S = b" 's"
_LOWER = bytes(
    code + 32
    if 65 <= code <= 90
    else code
    if 48 <= code <= 57 or 97 <= code <= 122 or code == 0
    else _APOSTROPHE
    if chr(code) in APOSTROPHES
    else _SPACE
    for code in range(128)
).ljust(256)

# What a character stands for is a character's number, or one of these, some of them with a number in the bits below.
_PLAIN = (1 << 21) - 1
_SPREAD = 1 << 21  # of a script without spaces: a word of its own
_MARK = 1 << 22  # belongs to the letter before it
_TWO = 1 << 23  # two letters, the second of them in the bits from the eighth on
_NUMBER = 1 << 24  # a fraction or the like, which parts words and yet may have a possessive
_GONE = 1 << 25  # dropped
_ACCENT = 1 << 26  # dropped behind a letter from a to z; others may compose with it
_BY_WORDS = 1 << 27  # depends on the neighbours
_UNKNOWN = 1 << 28  # not yet asked for

_UNSPACED_CHARACTER = re.compile(f"[{UNSPACED}]")
_DROPPED = re.compile(f"[{IGNORED}{SEMITIC_MARKS}]+")
_MARKS_BEHIND = re.compile(f"[{MARKS}{IGNORED}]+")
_IGNORED_END = re.compile(f"[{IGNORED}]+\\Z")
_JAMO = ((0x1100, 0x11FF), (0xA960, 0xA97F), (0xD7B0, 0xD7FF))


def _meaning(char: str) -> int:
    """Return what stands for a character; see the numbers above."""
    code, category = ord(char), unicodedata.category(char)
    if _DROPPED.match(char):
        return _GONE
    if char in APOSTROPHES:
        return _APOSTROPHE
    if category == "No":
        return _NUMBER
    if 0x300 <= code <= 0x36F:
        return _ACCENT
    if category[0] == "M":
        return _MARK | code if fold(f"क{char}") == f"क{char}" else _BY_WORDS
    if category in ("Cs", "Cf") or char in "\uff9e\uff9f" or any(low <= code <= high for low, high in _JAMO):
        return _BY_WORDS
    if _UNSPACED_CHARACTER.match(char):
        return _SPREAD | code if fold(char) == char else _BY_WORDS
    if not char.isalnum():
        return _SPACE
    folded = fold(char)
    if [word.folded for word in words(f"a{char}a")] != [f"a{folded}a"]:
        return _BY_WORDS
    if len(folded) == 2 and folded.isascii():
        return _TWO | ord(folded[1]) << 8 | ord(folded[0])
    return ord(folded) if len(folded) == 1 else _BY_WORDS


# By a character's number. Filled as characters are met: to ask for all would take seconds.
_meanings: Codes = np.full(0x110000, _UNKNOWN, np.uint32)
_meanings[:128] = np.frombuffer(_LOWER, np.uint8)[:128]


def _look_up(raw: Codes) -> tuple[Codes, int]:
    """Return what the characters stand for, and all bits that any of it has."""
    codes = _meanings[raw]
    bits = int(np.bitwise_or.reduce(codes))
    if bits & _UNKNOWN:
        for code in np.unique(raw[codes == _UNKNOWN]).tolist():
            _meanings[code] = _meaning(chr(code))
        codes = _meanings[raw]
        bits = int(np.bitwise_or.reduce(codes))
    return codes, bits


class Folded:
    """A story's three fields, folded. `data` is the run of bytes; `edges` are the spaces before its two separators."""

    __slots__ = (
        "_bases",
        "_counted",
        "_direct",
        "_gone",
        "_kept",
        "_map",
        "_origins",
        "_places",
        "_read",
        "_words",
        "_zones",
        "before",
        "data",
        "edges",
        "fields",
        "joined",
    )

    def __init__(self, title: str, summary: str, text: str) -> None:
        if len(title) > MAX_CHARACTERS or len(summary) > MAX_CHARACTERS or len(text) > MAX_CHARACTERS:
            title, summary, text = title[:MAX_CHARACTERS], summary[:MAX_CHARACTERS], text[:MAX_CHARACTERS]
        self.fields = (title, summary, text)
        self._words: dict[int, tuple[Word, ...]] = {}
        self._zones: tuple[tuple[int, int], ...] | None = None
        self._bases: tuple[int, int, int] | None = None
        self._counted = (-1, 0, 0)  # the field, byte and number asked for last
        self._read = (0, 0)  # a byte of the data, and the characters before it
        joined = f" {title} \0 {summary} \0 {text} "
        if joined.count("\0") > 2:
            title, summary, text = (field.replace("\0", " ") for field in self.fields)
            joined = f" {title} \0 {summary} \0 {text} "
        self.joined = joined
        self.before = (1, len(title) + 4, len(title) + len(summary) + 7)  # characters of `joined` before each field
        # Which characters of `joined` the data are made of: those at `_origins` (None: all) that are `_kept`.
        self._kept: NDArray[np.bool_] | None = None  # None: the story was folded the slow way
        self._origins: NDArray[np.intp] | None = None
        self._map: bytes | None = None  # of each byte of the data its character of `joined`, where the core folded it
        self._places: NDArray[np.intp] | NDArray[np.int32] | None = None
        self._gone = False  # whether characters were dropped
        self.data = data = self._folded()
        first = data.index(b"\0") - 1
        # Whether `_places` is by bytes of the data, not by characters.
        self._direct = self._map is not None or (data.isascii() and not self._gone)
        self.edges = (first, data.index(b"\0", first + 2) - 1)

    @property
    def origins(self) -> bytes | None:
        """The character of title, summary and body, with three between two of them and one before, of each byte of the
        data, in 32 bits. None where that is not all that `place` looks at.
        """
        return None if self._gone else self._map

    def _folded(self) -> bytes:
        joined = self.joined
        if core.CORE is not None:
            known = core.CORE.fold(joined, _meanings)
            if known is not None:
                folded: bytes
                folded, origins, gone, marks = known
                if not marks or self._composed():
                    self._map, self._gone = origins, bool(gone)
                    return folded
        if joined.isascii():
            data = bytearray(joined.encode().translate(_LOWER))
            return self._squeezed(np.frombuffer(data, np.uint8))
        codes, bits = _look_up(np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32))
        if bits < 128:
            return self._squeezed(codes.astype(np.uint8))
        if bits > _PLAIN:
            unfolded = self._without_specials(codes, bits)
            if unfolded is None:
                return self._slowly()
            codes = unfolded
        return self._squeezed(codes)

    def _squeezed(self, codes: Codes | Ascii) -> bytes:
        """Return the folded characters in UTF-8, without the s of possessives, with one space between words."""
        apostrophes = (codes == _APOSTROPHE).nonzero()[0]
        if apostrophes.size:
            following = apostrophes[codes[apostrophes + 1] == _S]
            if following.size:
                inside = codes[following - 1] > _APOSTROPHE  # a letter or a digit
                inside &= (codes[following + 2] == _SPACE) | (codes[following + 2] == _APOSTROPHE)
                codes[following[inside] + 1] = _SPACE
            codes[apostrophes] = _SPACE
        letters = codes != _SPACE
        kept = letters.copy()
        kept[1:] |= letters[:-1]
        kept[0] = True
        self._kept = kept
        data: bytes = codes[kept].tobytes()
        return data if codes.itemsize == 1 else data.decode("utf-32-le").encode()

    def _without_specials(self, codes: Codes, bits: int) -> Codes | None:
        """Return the characters with words apart, and letters for what is special; None where only `words` knows."""
        joined = self.joined
        if bits & _BY_WORDS:
            return None
        apostrophes = (codes == _APOSTROPHE).nonzero()[0]
        for at in apostrophes[codes[apostrophes + 1] == _S].tolist():
            # Neighbours may be gone or be numbers, so the text itself is asked.
            if possessive(joined, at + 1):
                codes[at + 1] = _SPACE
        codes[apostrophes] = _SPACE
        if bits & _NUMBER:
            codes[codes == _NUMBER] = _SPACE
        if bits & _MARK and (bits & (_GONE | _ACCENT) or not self._marks_fit(codes)):
            return None
        if bits & _ACCENT:
            accents = (codes == _ACCENT).nonzero()[0]
            if ((codes[accents - 1] > 127) | (codes[accents - 1] <= _APOSTROPHE)).any():
                return None
            codes[accents] = _GONE
        if bits & (_GONE | _ACCENT):
            self._gone = True
            self._origins = (codes != _GONE).nonzero()[0]
            codes = codes[self._origins]
        return self._spread(codes) if bits & (_SPREAD | _TWO | _MARK) else codes

    def _marks_fit(self, codes: Codes) -> bool:
        """Whether every mark stands behind its letter, composed as far as it can be."""
        marks = (codes & _MARK).nonzero()[0]
        if (codes[marks - 1] == _SPACE).any() or (codes[marks - 1] == 0).any():
            return False
        return self._composed()

    def _composed(self) -> bool:
        return unicodedata.is_normalized("NFC", self.joined) and not TOO_MANY_MARKS.search(self.joined)

    def _spread(self, codes: Codes) -> Codes:
        """Return the characters with a space around those of scripts without spaces, and with both of two letters."""
        alone, two, mark = (codes & _SPREAD) != 0, (codes & _TWO) != 0, (codes & _MARK) != 0
        # A character begins a word where it is a word of its own, or stands behind such a one and its marks.
        owner = np.maximum.accumulate(np.where(mark, 0, np.arange(len(codes))))
        spaced = alone.copy()
        spaced[1:] |= alone[owner[:-1]] & ~mark[1:]
        lengths = 1 + spaced.astype(np.intp) + two
        ends = np.cumsum(lengths)
        plain = codes & _PLAIN
        plain[two] &= 0xFF
        spread = np.repeat(plain, lengths)
        spread[(ends - lengths)[spaced]] = _SPACE
        spread[ends[two] - 1] = codes[two] >> 8 & 0xFF
        origins = np.repeat(np.arange(len(codes)), lengths)
        self._origins = origins if self._origins is None else self._origins[origins]
        return spread

    def _slowly(self) -> bytes:
        self._origins = None
        parts = (b" ".join(w.folded.encode("utf-8", "surrogatepass") for w in self.words(n)) for n in range(3))
        return re.sub(rb"  +", b" ", b" " + b" \0 ".join(parts) + b" ")

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

    def run(self, field: int, first: int, last: int) -> tuple[int, int]:
        """Return the bytes of words `first` to `last` of a field (from 0), as `place` takes them."""
        spaces = (np.frombuffer(self.data, np.uint8) == _SPACE).nonzero()[0]
        before = int(np.searchsorted(spaces, (0, *(edge + 2 for edge in self.edges))[field]))
        return spaces.item(before + first), spaces.item(before + last + 1) + 1

    @property
    def zones(self) -> tuple[tuple[int, int], ...]:
        """The numbers of each field's words: from, up to but not including."""
        if self._zones is None:
            _, summary, text = self.bases
            end = text + self.data.count(b" ", self.edges[1] + 2, len(self.data) - 1)
            self._zones = ((0, summary - FIELD_GAP), (summary, text - FIELD_GAP), (text, end))
        return self._zones

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

    def place(self, start: int, end: int) -> tuple[str, int, int]:
        """Return the field's name, and the characters of the published text, of the words between the space at byte
        `start` and the one at byte `end` - 1. Cheap when asked in ascending order.
        """
        first, second = self.edges
        field = 0 if start < first else 1 if start < second else 2
        places = self._places
        if places is None and self._map is not None:
            places = self._places = np.frombuffer(self._map, np.int32)
        if places is None:
            if self._kept is None:
                found, number = self.words(field), self.number(start) - self.bases[field]
                last = number + self.data.count(b" ", start + 1, end - 1)
                return NAMES[field], found[number].start, found[last].end
            places = self._kept.nonzero()[0]
            places = self._places = places if self._origins is None else self._origins[places]
        before = self.before[field]
        if self._direct:
            low, high = places.item(start + 1), places.item(end - 2) + 1
        else:
            low, high = places.item(self._character(start + 1)), places.item(self._character(end - 1) - 1) + 1
        if self._gone:
            marks = _MARKS_BEHIND.match(self.joined, high)
            if marks is not None:
                high += len(_IGNORED_END.sub("", marks[0]))
        return NAMES[field], low - before, high - before

    def _character(self, byte: int) -> int:
        """Return how many characters of the data stand before a byte of it."""
        since, characters = self._read if self._read[0] <= byte else (0, 0)
        characters += len(self.data[since:byte].decode())
        self._read = byte, characters
        return characters
