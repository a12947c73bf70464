"""One YAML file → plain data with the place of every value, within bounds. Pure.

Only PyYAML's scanner and parser are used, event by event: both work without recursion, and no object is ever made of
a tag. Anchors, aliases, merge keys, tags and second documents are refused, since small files that use them hang a full
loader or grow without end (PyYAML's own `safe_load` takes minutes for 700 bytes of nested merge keys).

Scalars stay text: `NO`, `on`, `07:00`, `2026-01-02` and `0755` mean what is written. The models say what is a number.
"""

from __future__ import annotations

import bisect
import itertools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

import yaml
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from monitor.config.scalars import Scalar
from monitor.config.syntax import explain

MAX_BYTES = 4_000_000
MAX_DEPTH = 20
MAX_NODES = 200_000
MAX_MISTAKES = 100  # that are told one by one
MAX_KEY = 200  # characters; names and keys are words, not texts


class Empty(Enum):
    """The value of a key that has none (`key:`), which is neither text nor absent."""

    EMPTY = "nothing"


EMPTY: Final = Empty.EMPTY
Data: TypeAlias = "str | Empty | list[Data] | dict[str, Data]"
KeyPath: TypeAlias = tuple[str | int, ...]


class YAMLError(Exception):
    """The file cannot be read as YAML: `message` and `fix` for people, at `line` and `column` (from 1; 0: the file)."""

    def __init__(self, message: str, fix: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message, self.fix, self.line, self.column = message, fix, line, column


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data, where its keys and values stand by key path (the whole file has the path ()), and mistakes.

    A key stands at a character offset into the text, and so does a value that is no text.
    """

    text: str
    data: Data
    keys: Mapping[KeyPath, int]
    values: Mapping[KeyPath, Scalar | int]
    mistakes: tuple[YAMLError, ...] = ()


class Lines:
    """Line and column of a character offset, as editors count them (PyYAML also counts U+2028 and U+0085 as breaks)."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return (line, column), both from 1."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def decode(raw: bytes) -> str:
    """Return the text of a file of at most `MAX_BYTES` bytes of UTF-8, without a byte order mark. Raises YAMLError."""
    if len(raw) > MAX_BYTES:
        raise YAMLError(f"the file is larger than {MAX_BYTES // 1_000_000} MB", "split it: see “folders of files”")
    if raw.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        raise YAMLError("the file is UTF-32, not UTF-8", "save it as UTF-8", 1, 1)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise YAMLError("the file is UTF-16, not UTF-8", "save it as UTF-8", 1, 1)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        line, column = Lines(before).place(len(before))
        raise YAMLError("the file is not UTF-8 from here on", "save it as UTF-8", line, column) from None


def parse(text: str) -> Document:
    """Return the data of `text`, with marks; a text without a value is an empty mapping.

    Raises YAMLError at the first mistake that what follows cannot be understood without; others are in `mistakes`.
    """
    return _Composer(text).document()


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end is not reached yet. `key` is the key that waits for its value."""

    node: list[Data] | dict[str, Data]
    path: KeyPath
    start: int
    key: str | None = None
    key_path: KeyPath = ()
    seen: dict[str, int] = field(default_factory=dict)


class _Events(Reader, Scanner, Parser):
    """PyYAML's reader, scanner and parser without composer, resolver and constructor."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


class _Composer:
    """Makes plain data of the parser's events, with a stack of its own, so that depth never becomes recursion."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines(text)
        self.keys: dict[KeyPath, int] = {}
        self.values: dict[KeyPath, Scalar | int] = {}
        self.stack: list[_Open] = []
        self.root: Data = EMPTY
        self.documents = 0
        self.mistakes: list[YAMLError] = []
        self.untold = 0
        self.unmask: dict[int, str] = {}

    def document(self) -> Document:
        if not self.text.strip():  # PyYAML has no event for a document that is not there
            return Document(self.text, {}, {}, {(): 0})
        try:
            events = _Events(self._masked())
            while events.check_event():
                self._take(events.get_event())  # type: ignore[no-untyped-call] # types-PyYAML leaves it open
        except ReaderError as error:
            raise self._error(
                f"the file holds the control character U+{_code(error.character):04X}",
                "delete it; in double quotes it can be written as an escape",
                error.position,
            ) from None
        except yaml.MarkedYAMLError as error:
            message, fix, offset = explain(error, self.text)
            raise self._error(message, fix, offset) from None
        if self.untold:
            message = f"{self.untold:,} more keys or texts have mistakes like these"
            self.mistakes.append(YAMLError(message, f"mend the first {MAX_MISTAKES}, and check again"))
        data = {} if self.root is EMPTY else self.root
        return Document(self.text, data, self.keys, self.values, tuple(self.mistakes))

    def _masked(self) -> str:
        """Return the text with other characters for the braces of `${NAME}`, which would end a plain text in `{…}`.

        They are single characters of the private use area that the text does not hold, so all offsets stay true.
        """
        if not _VARIABLE.search(self.text):
            return self.text
        free = (chr(code) for code in range(0xE000, 0xF8FF))
        opening, closing = itertools.islice((c for c in free if c not in self.text), 2)
        self.unmask = str.maketrans({opening: "{", closing: "}"})
        return _VARIABLE.sub(lambda match: f"${opening}{match[1]}{closing}", self.text)

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._error("a second document begins here", "keep one document: remove the `---`", _at(event))
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()

    def _node(self, event: yaml.NodeEvent) -> None:
        start = _at(event)
        if isinstance(event, yaml.ScalarEvent) and self.unmask:
            event.value = event.value.translate(self.unmask)
        sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
        if event.anchor is not None:
            raise self._error(
                f"anchors and aliases (`{sign}{event.anchor[:40]}`) are not read",
                f"quote the text if it really begins with `{sign}`; else write the value out",
                start,
            )
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.tag is not None:
            raise self._error(
                "tags (`!…`) are not read", "remove the tag, or quote the text if it begins with `!`", start
            )
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.node, dict) and top.key is None:
            self._key(top, event, start)
            return
        path: KeyPath = ()
        if top is not None:
            path = top.key_path if top.key is not None else (*top.path, len(top.node))
        if len(self.values) >= MAX_NODES:
            raise self._error(f"the file holds more than {MAX_NODES:,} values", "split it over several files", start)
        value = self._value(event, path, start)
        if top is None:
            self.root = value
        elif isinstance(top.node, list):
            top.node.append(value)
        else:
            assert top.key is not None
            top.node[top.key], top.key = value, None

    def _value(self, event: yaml.NodeEvent, path: KeyPath, start: int) -> Data:
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style is None
            value: Data = EMPTY if plain and event.value in _NULL else self._checked(event.value, start)
            assert event.end_mark is not None
            scalar = Scalar(event.style or "", start, event.end_mark.index)
            self.values[path] = start if value is EMPTY else scalar
            return value
        if len(self.stack) >= MAX_DEPTH:
            raise self._error(
                f"more than {MAX_DEPTH} levels of nesting", "no setting lies so deep: look for a stray bracket", start
            )
        node: list[Data] | dict[str, Data] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        self.values[path] = start
        self.stack.append(_Open(node, path, start))
        return node

    def _key(self, top: _Open, event: yaml.NodeEvent, start: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(
                "a key must be a word, not a list or mapping",
                "write `key: value`; quote text that holds `{` or `[`",
                start,
            )
        key = sys.intern(event.value)  # fifty thousand feeds have the same few
        if event.style is None and key == "<<":
            raise self._error("merge keys (`<<`) are not read", "write the keys out", start)
        if not key.strip() or (event.style is None and key in _NULL):
            raise self._error("a key is empty here", "write `key: value`", start)
        if len(key) > MAX_KEY:
            raise self._error(f"a key is longer than {MAX_KEY} characters", "is a quote missing above?", start)
        self._checked(key, start)
        if key in top.seen:
            first, _ = self.lines.place(top.seen[key])
            message = f"`{key}` is written twice: on line {first} and here"
            self._mistake(message, "keep one of the two, or give one another name", start)
        top.seen[key] = start
        top.key, top.key_path = key, (*top.path, key)
        self.keys[top.key_path] = start

    def _checked(self, value: str, start: int) -> str:
        bad = _UNFIT.search(value)
        if bad:
            message = f"the text holds the character U+{ord(bad[0]):04X}, which no message can show"
            self._mistake(message, "delete its escape", start)
        return value

    def _mistake(self, message: str, fix: str, start: int) -> None:
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append(self._error(message, fix, start))
        else:
            self.untold += 1

    def _error(self, message: str, fix: str, offset: int) -> YAMLError:
        return YAMLError(message, fix, *self.lines.place(offset))


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
# Lone surrogates and controls can only come in through escapes such as "\ud800" and "\0".
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def _at(event: yaml.Event) -> int:
    assert event.start_mark is not None
    index: int = event.start_mark.index
    return index


def _code(character: str | bytes | int) -> int:
    return character if isinstance(character, int) else ord(character)
