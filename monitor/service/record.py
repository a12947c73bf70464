"""What the daemon puts on record about the files, for everybody who asks how it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

STATE = "config-state.json"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in the files that are not in use. `excerpt` is what the message shows of a query, with its caret."""

    place: str
    message: str
    excerpt: str
    fix: str


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


def _mistake(told: dict[str, Any]) -> Mistake:
    place = f"{told['file']} line {told['line']}" if told["line"] else told["file"]
    message, _, excerpt = told["message"].partition("\n")
    return Mistake(place, message, excerpt.rstrip(), told["fix"])


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
