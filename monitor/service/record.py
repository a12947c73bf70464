"""What the daemon puts on record about the files, for everybody who asks how it runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.errors import Problem, carets

STATE = "config-state.json"


Line = tuple[int, str]  # of a file: its number, and what of it is shown

AROUND, _BEFORE = 40, 16  # characters of a line that are shown, and of these before the place of a mistake
_FILE_BYTES = 4_000_000  # of a file that are looked at
_DRAFT = 2_000  # characters of a query that an address can hold
# Of these files whole lines are shown. The others' values hold passwords, or addresses that are keys.
_OPEN = ("topics", "entities")
_KEY = re.compile(r"[ \t]*(?:- )?(?:[\w.-]+[ \t]*:(?=\s|\Z))?")
_WORD = re.compile(r"[\w$@./-]+")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in the files that are not in use: its place, and there the file's lines with carets under one of them.

    `draft` is the topic and the query that it is about, or None.
    """

    place: str
    message: str
    fix: str
    lines: tuple[Line, ...]
    at: int
    carets: str
    draft: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Running:
    """Which configuration runs. `since` is when its files became good, or bad; `loaded_at` is of the one in use."""

    ok: bool
    since: datetime | None
    loaded_at: datetime | None
    mistakes: tuple[Mistake, ...]


def read_state(data: Path) -> dict[str, Any]:
    """Return what the daemon last put on record, or nothing."""
    try:
        state = json.loads((data / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def running(data: Path) -> Running:
    """Return which configuration runs, as it is on record; without a record all is well."""
    state = read_state(data)
    return Running(
        bool(state.get("ok", True)),
        _time(state.get("since")),
        _time(state.get("loaded_at")),
        tuple(_mistake(one) for one in state.get("mistakes", ())),
    )


def told(problem: Problem) -> dict[str, Any]:
    """Return a problem as it is put on record: with the lines around it, as the file has them now."""
    path = Path(problem.file)
    message, _, excerpt = problem.message.partition("\n")
    lines, carets = _around(path, problem.line, problem.column, excerpt.count("^"))
    draft = problem.draft if problem.draft is not None and len(problem.draft[1]) <= _DRAFT else None
    return {
        "file": path.name, "line": problem.line, "message": message, "fix": problem.fix, "lines": lines,
        "carets": carets, "draft": draft,
    }  # fmt: skip


def _around(path: Path, number: int, column: int, wide: int) -> tuple[list[Line], str]:
    """Return the line of a place, with the one before and after it, and what to print under it. `wide`: 0, a word."""
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return [], ""
    every = text.rstrip("\n").split("\n")
    if not 1 <= number <= len(every):
        return [], ""
    whole = path.stem in _OPEN or path.parent.name in _OPEN
    shown = {n: _shown(every[n - 1], whole=whole) for n in range(number - 1, number + 2) if 1 <= n <= len(every)}
    line, start = shown[number], max(column - 1, 0)
    start = min(start, max(len(line) - 1, 0))
    word = _WORD.match(line, start)
    end = start + (wide or (word.end() - start if word else 1))
    first = max(0, start - _BEFORE) if len(line) > AROUND else 0
    before = "… " if first else ""
    lines = [(n, f"{before}{_cut(one[first:])}" if n == number else _cut(one)) for n, one in shown.items()]
    end = min(end, first + AROUND)
    return lines, carets(before + line[first:], len(before) + start - first, len(before) + end - first)


def _shown(line: str, *, whole: bool) -> str:
    line = line.rstrip().replace("\t", " ")
    if whole:
        return "".join(char if char.isprintable() else " " for char in line)
    key = _KEY.match(line)
    shown = key[0] if key else ""
    return shown if len(shown) == len(line) else f"{shown} …" if shown.strip() else f"{shown}…"


def _cut(line: str) -> str:
    return line if len(line) <= AROUND else f"{line[:AROUND]} …"


def _mistake(on_record: dict[str, Any]) -> Mistake:
    place = f"{on_record['file']} line {on_record['line']}" if on_record["line"] else on_record["file"]
    draft = on_record.get("draft")
    return Mistake(
        place,
        on_record["message"].partition("\n")[0],
        on_record["fix"],
        tuple((number, text) for number, text in on_record.get("lines", ())),
        on_record["line"],
        on_record.get("carets", ""),
        (draft[0], draft[1]) if draft else None,
    )


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
