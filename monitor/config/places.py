"""Where a value of the configuration stands: file, line, column, down to a character within a query. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.config.scalars import Scalar
from monitor.config.yamlfile import Document, KeyPath, Lines

ENTRY = 2  # names of the path of an entry, such as ("feeds", "wire"): all of one is in one file
ENVIRONMENT = "environment"  # the "file" of settings that come from MONITOR_… variables


@dataclass(frozen=True, slots=True)
class Source:
    """A file's name as people are shown it, with its text."""

    file: str
    text: str = field(repr=False)
    lines: Lines = field(repr=False, compare=False)

    @classmethod
    def of(cls, file: str, text: str) -> Source:
        """Return the source with its line table."""
        return cls(file, text, Lines(text))


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; `line` and `column` count from 1, and 0 says "the whole file"."""

    file: str
    line: int = 0
    column: int = 0
    source: Source | None = field(default=None, repr=False, compare=False)
    scalar: Scalar | None = field(default=None, repr=False, compare=False)

    def at(self, offset: int, text: str) -> Place:
        """Return the place of character `offset` of `text`, the value here; for values from variables, this place."""
        if self.source is None or self.scalar is None:
            return self
        line, column = self.source.lines.place(self.scalar.locate(self.source.text, offset, text))
        return Place(self.file, line, column)


class Places:
    """The places of all keys and values, by key path, over all files."""

    def __init__(self) -> None:
        # Fifty thousand feeds have half a million: what all of an entry share stands once, and places are made when
        # they are asked for.
        self._sources: dict[KeyPath, Source] = {}  # of the entries of the top level's mappings, and of its own
        self._keys: dict[KeyPath, int] = {}
        self._values: dict[KeyPath, Scalar | int] = {}
        self._written: dict[KeyPath, KeyPath] = {}
        self.overridden: dict[KeyPath, str] = {}  # what variables set, with the variable's name

    def learn(self, source: Source, document: Document) -> None:
        """Add the places of a file; of a path in two files the first place stays."""
        for path, start in document.keys.items():
            if self._sources.setdefault(path[:ENTRY], source) is source:
                self._keys.setdefault(path, start)
        for path, value in document.values.items():
            if self._sources.setdefault(path[:ENTRY], source) is source:
                self._values.setdefault(path, value)

    def rename(self, path: KeyPath, written: KeyPath) -> None:
        """Let `path` (`token`) be found where `written` (`token_file`) is; the text there is not the value."""
        self._written[path] = written

    def override(self, path: KeyPath, variable: str) -> None:
        """Note that what is at `path` comes from an environment variable."""
        self.overridden[path] = variable

    def variable(self, path: KeyPath) -> str:
        """Return the name of the variable that set `path` or what it lies in, or an empty string."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overridden:
                return self.overridden[path[:length]]
        return ""

    def key(self, path: KeyPath) -> Place:
        """Return where the key at `path` is written; for list items, the item; for what is not there, what holds it."""
        return self._find(path, prefer_key=True)

    def value(self, path: KeyPath) -> Place:
        """Return where the text at `path` stands; of a list or mapping, its key; of what is absent, what holds it."""
        return self._find(path, prefer_key=False)

    def _find(self, path: KeyPath, *, prefer_key: bool) -> Place:
        if self.variable(path):
            return Place(ENVIRONMENT)
        for length in range(len(path), 0, -1):
            part = path[:length]
            if part in self._written:
                return self.key(self._written[part])
            value = self._values.get(part)
            if isinstance(value, Scalar) and not prefer_key:
                return self._place(part, value.start, value)
            start = self._keys.get(part, value)
            if start is not None:
                return self._place(part, start.start if isinstance(start, Scalar) else start)
        return Place("")

    def _place(self, path: KeyPath, start: int, scalar: Scalar | None = None) -> Place:
        source = self._sources[path[:ENTRY]]
        return Place(source.file, *source.lines.place(start), source, scalar)
