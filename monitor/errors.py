"""The error tree. Errors are values at the edges (one bad feed, one bad address) and exceptions inside.

    MonitorError
    ├── ConfigError        the configuration is wrong; carries every Problem found
    ├── QueryError         a query is wrong; carries the place, a caret and a remedy
    ├── URLError           an address that we do not fetch or show
    ├── StoreError         the database cannot be opened, read or written
    ├── RenderError        a template failed
    ├── SendError          a channel's address cannot be used
    ├── WorkerError        a worker process died or ran out of time
    ├── InputError         what was given to a command cannot be read
    └── NotFoundError      what was asked about is not there

Each has a message for people: what happened, to what, and what to do. The original exception is chained (`__cause__`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, at its place. `line`, `column` count from 1; 0 says "the whole file".

    `draft`: the topic and the query that it is about, to be tried elsewhere.
    """

    level: Literal["error", "warning"]
    file: str
    line: int
    column: int
    message: str
    fix: str = ""
    draft: tuple[str, str] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        blank = "" if self.message.endswith("\n") else " "  # a query's mistake ends with its own lines
        remedy = f"{blank}Fix: {self.fix}" if self.fix else ""
        return f"{place}: {self.level}: {self.message}{remedy}"


class MonitorError(Exception):
    """Root of all errors that the program raises on purpose."""


class ConfigError(MonitorError):
    """The configuration is wrong. `problems` holds every problem found, errors and warnings, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class QueryError(MonitorError):
    """A query is wrong at characters `start` to `end` of `text`; `fix` is what to write instead."""

    def __init__(self, message: str, text: str, start: int, end: int | None = None, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.start = start
        self.end = start + 1 if end is None else max(end, start + 1)
        self.fix = fix

    @property
    def line(self) -> int:
        """Line of the mistake within the query, from 1."""
        return self.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        """Column of the mistake within its line, from 1, in characters."""
        return self.start - (self.text.rfind("\n", 0, self.start) + 1) + 1

    def caret(self) -> str:
        """The line with the mistake and, under it, carets as wide as the mistake."""
        line = self.text.split("\n")[self.line - 1]
        start = self.column - 1
        return f"{line}\n{carets(line, start, start + self.end - self.start)}"


def carets(line: str, start: int, end: int) -> str:
    """Return what to print under `line` so that carets stand under its characters `start` to `end` (at least one).

    Blanks are as wide as what they stand under: twice as wide under Chinese, none under a combining mark.
    """
    blanks = "".join(
        "\t" if char == "\t" else ("", " ", "\u3000")[_cells(char)]  # an ideographic space is as wide as the letters
        for char in line[:start]
    )
    return blanks + "^" * max(1, sum(map(_cells, line[start:end])))


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class URLError(MonitorError):
    """An address that is not fetched or shown; the message says why."""


class StoreError(MonitorError):
    """The database cannot be opened, read or written.

    `unavailable`: whatever was to be saved, it could not be (locked, full, gone).
    """

    unavailable = False


class RenderError(MonitorError):
    """A template failed; the message names it."""


class SendError(MonitorError):
    """A channel's address cannot be used; the message never holds the address's secrets."""


class WorkerError(MonitorError):
    """A worker process died or was ended at its deadline; the task's input is to blame."""


class InputError(MonitorError):
    """What was given to a command (a file, a line of JSON) is bad; the message names the place in it."""


class NotFoundError(MonitorError):
    """What was asked about is not there."""
