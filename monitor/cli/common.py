"""What all commands share: options, output, opening the program."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticCustomError
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor import logs
from monitor.app import App, open_app
from monitor.checking import Loaded, load
from monitor.config.values import duration
from monitor.errors import ConfigError, QueryError, carets
from monitor.text import clean

cli = typer.Typer(
    help="Watches news feeds and alerts people to the stories that their rules describe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path, typer.Option("--config", envvar="MONITOR_CONFIG", help="Folder of the YAML files.", metavar="DIR")
]
Data = Annotated[
    Path, typer.Option("--data", envvar="MONITOR_DATA", help="Folder that the program writes to.", metavar="DIR")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CONFIG, DATA = Path("config"), Path("data")

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


def to_json(value: Any) -> None:
    """Print a value as one line of JSON: dataclasses and rows as objects, times as ISO 8601 in UTC."""
    line = json.dumps(plain(value), ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and no encoding can
        line = json.dumps(plain(value))
    sys.stdout.write(line + "\n")


def plain(value: Any) -> Any:
    """Return a value in JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(part) for part in value)
    if isinstance(value, BaseModel):
        # In the order declared: a row read from the database holds its columns in the order they happened to come.
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    return value


def told(text: str, style: str = "") -> Text:
    """Return a publisher's text fit for a terminal: no control characters, and none of Rich's markup."""
    return Text(clean(text), style=style)


def hang(text: Text, indent: int = 0) -> None:
    """Print a text `indent` cells from the left; in a terminal, what does not fit goes on as far from it."""
    for line in text.wrap(out, out.width - indent) if out.is_terminal else [text]:
        line.rstrip()
        out.print(Text(" " * indent) + line, soft_wrap=True)


def mistake(error: QueryError) -> None:
    """Print what is wrong with a query, where, and what to write instead."""
    hang(Text(_apart(clean(error.message)), "bold"))
    whole = error.text.split("\n")[error.line - 1]
    room = out.width - 4 if out.is_terminal else len(whole) * 2
    line, start, end = _around(whole, error.column - 1, error.column - 1 + error.end - error.start, room)
    if line.strip():
        shown = Text(line)
        shown.stylize("bold red", start, end)
        hang(shown, 4)
        # A terminal that turns a line round shows its columns elsewhere, so no caret could stand under them.
        hang(Text(f"at: {line[start:end]}" if _turned(line) else carets(line, start, end), style="bold red"), 4)
    if error.fix:
        hang(Text.assemble(("Fix: ", "bold"), _apart(clean(error.fix))))


def _apart(text: str) -> str:
    """Return `text` with each part in backticks isolated, so that its signs stay when it runs from right to left."""
    return re.sub(r"`[^`]+`", "\u2066\\g<0>\u2069", text) if out.is_terminal and _turned(text) else text


def _turned(text: str) -> bool:
    return any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)


def _around(line: str, start: int, end: int, room: int) -> tuple[str, int, int]:
    """Return what of `line` fits into `room` cells around its characters `start` to `end`, and where they are in it."""
    line = "".join(char if char.isprintable() or unicodedata.category(char) == "Cf" else " " for char in line)
    if cell_len(line) > room:
        low = start
        while low and cell_len(line[low - 1 : start]) < room // 3:
            low -= 1
        line = ("…" if low else "") + line[low:]
        start, end = start - low + bool(low), end - low + bool(low)
    if cell_len(line) > room:
        line = f"{chop_cells(line, room - 1)[0]}…"
    return line, min(start, len(line)), max(min(end, len(line)), start + 1)


def table(*columns: str) -> Table:
    """Return an empty table in the program's style."""
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def clock(at: datetime | None) -> str:
    """Return a time for people, in this machine's zone: 14:05, or with the date when it is not today."""
    if at is None:
        return "–"
    local = at.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


def moment(since: str, now: datetime) -> datetime | None:
    """Return the time that an option `--since` names, `30d` before `now` or in ISO 8601; None for an empty one."""
    if not since:
        return None
    try:
        if re.fullmatch(r"[\d.]+[a-z]", since):
            return now - timedelta(seconds=duration(since))
        at = datetime.fromisoformat(since)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, PydanticCustomError):
        raise typer.BadParameter(f"{since!r} is neither a duration such as 30d nor a time such as 2026-11-25") from None


def opened(config: Path, data: Path) -> App:
    """Open the program for a question: on the configuration in `config`, or the last good one while that is bad."""
    logs.setup("WARNING")
    loaded = load_any(config, data)
    return open_app(loaded.config, data, rules=loaded.rules)


def load_any(config: Path, data: Path) -> Loaded:
    """Return the configuration in `config`, or the last good one that the daemon kept, saying so."""
    try:
        return load(config, os.environ)
    except ConfigError as error:
        kept = data / "last-good"
        if not kept.is_dir():
            raise
        loaded = load(kept, os.environ)
        errors = sum(problem.level == "error" for problem in error.problems)
        err.print(
            f"{config} has {errors} mistakes (`monitor check` shows them); this is the last good configuration.",
            style="yellow",
            markup=False,
        )
        return loaded


@contextmanager
def using(config: Path, data: Path) -> Iterator[App]:
    """Open the program and close it again."""
    import asyncio

    app = opened(config, data)
    try:
        yield app
    finally:
        asyncio.run(app.close())
