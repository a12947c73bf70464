"""Where, in a YAML file, the character at an offset of a scalar's text stands: for carets inside long queries. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# YAML 1.2, section 5.7; `x`, `u` and `U` are followed by so many hexadecimal digits.
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_HEX = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar in a file's text: its style (empty, `'`, `"`, `|` or `>`), where it begins, and where it has ended."""

    style: str
    start: int
    end: int

    def locate(self, source: str, offset: int, text: str) -> int:
        """Return where in `source` the character `offset` of the scalar's value `text` stands.

        Folding changes blanks and line breaks only, so the visible characters of source and value are the same
        sequence: the n-th of one is the n-th of the other. A blank stands behind the visible character before it.
        """
        offset = max(0, min(offset, len(text)))
        visible = [index for index, character in enumerate(text[:offset]) if not character.isspace()]
        places = [at for character, at in self._characters(source) if not character.isspace()]
        if offset < len(text) and not text[offset].isspace():
            return places[len(visible)] if len(visible) < len(places) else self.start
        if not visible or len(visible) > len(places):
            return places[0] if places and not visible else self.start
        last = places[len(visible) - 1]
        wanted = last + offset - visible[-1]
        broken = source.find("\n", last, wanted)
        return min(wanted if broken < 0 else broken, self.end)

    def _characters(self, source: str) -> Iterator[tuple[str, int]]:
        """Yield the value's characters, each with its offset in `source`; blanks may be more than the value has."""
        start, end = self.start, self.end
        if self.style in ("|", ">"):
            header = source.find("\n", start, end)  # the rest of the header's line is no content
            start = end if header < 0 else header + 1
        elif self.style:
            start, end = start + 1, end - 1
        at = start
        while at < end:
            character, width = source[at], 1
            if self.style == "'" and character == "'":
                width = 2  # '' stands for one '
            elif self.style == '"' and character == "\\":
                character, width = _escape(source, at)
            yield character, at
            at += width


def _escape(source: str, at: int) -> tuple[str, int]:
    """Return the character of the escape at `at`, and the escape's width; an escaped line break is a blank."""
    letter = source[at + 1]
    digits = _HEX.get(letter)
    if digits is not None:
        return chr(int(source[at + 2 : at + 2 + digits], 16)), 2 + digits
    return _ESCAPES.get(letter, "\n"), 2
