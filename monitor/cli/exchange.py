"""Commands that take from other programs and give to them: import, export."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
import yaml

from monitor.cli.common import CONFIG, DATA, Config, Data, Json, cli, err, load_any, moment, to_json, told, using
from monitor.config import Config as Configuration
from monitor.errors import InputError
from monitor.foreign import forms, read_rules
from monitor.opml import as_yaml, write_opml
from monitor.sanctions import read_list
from monitor.transfer import COLUMNS, Exported, csv_lines, export, feeds_of, read_apart

READ_LIMIT = 50_000_000  # bytes of a file that is imported


@cli.command("import")
def import_(
    kind: Annotated[str, typer.Argument(metavar="opml|entities|topics", help="What it is.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file, - for standard input, or an address: of a list or web page.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="Whose file it is, where its content does not say: of entities un, ofac or opensanctions, of topics "
            "trendradar, miniflux, freshrss or google.",
        ),
    ] = "",
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Print YAML of what others have: feeds (OPML, or a web page), entities (sanctions lists), topics (rules)."""
    if kind not in _FORMS:
        raise typer.BadParameter(f"{kind}: what is imported is one of {', '.join(_FORMS)}")
    if form and form not in _FORMS[kind]:
        raise typer.BadParameter(f"--format {form}: {kind} are of {', '.join(_FORMS[kind]) or 'one format'}")
    source = _source(file)
    if kind != "opml":
        _import_rules(kind, source, file, form, as_json)
        return
    # A file needs no configuration: it may be about to become one.
    asks = isinstance(source, str) and config.is_dir()
    declared = load_any(config, data).config if asks else Configuration()
    found = asyncio.run(feeds_of(source, declared.settings.fetch))
    if as_json:
        to_json({"feeds": found.feeds, "notes": found.notes})
    else:
        for note in found.notes:
            err.print(told(note))
    if not found.feeds:
        raise InputError(f"{file} holds no feed")
    if not as_json:
        sys.stdout.write(as_yaml(found.feeds))


_FORMS = {"opml": (), "entities": ("un", "ofac", "opensanctions"), "topics": tuple(forms())}


def _import_rules(kind: str, source: bytes | str, file: str, form: str, as_json: bool) -> None:
    """Print the entities of a sanctions list, or the topics of another program's rules."""
    if isinstance(source, str):
        raise typer.BadParameter(f"{file}: {kind} are read from a file, or - for standard input; fetch it first")
    if kind == "entities":
        names = asyncio.run(read_apart(read_list, source, form))
        notes, found = names.notes, {"entities": names.entities, "lists": names.lists if names.entities else {}}
    else:
        rules = asyncio.run(read_apart(read_rules, source, form))
        notes, found = rules.notes, {"topics": rules.topics}
    if as_json:
        to_json({**found, "notes": notes})
    else:
        for note in notes:
            err.print(told(note))
    if not found[kind]:
        raise InputError(f"{file} holds no {kind}")
    if not as_json:
        sys.stdout.write(yaml.safe_dump(found, allow_unicode=True, sort_keys=False, width=10_000))


def _source(file: str) -> bytes | str:
    """Return an address as it is, and a file's content. Raises InputError."""
    if file.lower().startswith(("http://", "https://")):
        return file
    try:
        if file == "-":
            body = sys.stdin.buffer.read(READ_LIMIT + 1)
        else:
            with Path(file).open("rb") as opened:
                body = opened.read(READ_LIMIT + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    if len(body) > READ_LIMIT:
        raise InputError(f"{file} is larger than {READ_LIMIT // 1_000_000} MB")
    return body


@cli.command("export")
def export_(
    what: Annotated[str, typer.Argument(metavar="stories|matches|deliveries|opml", help="What to print.")],
    form: Annotated[str, typer.Option("--format", help="jsonl or csv; of opml, none.")] = "",
    since: Annotated[
        str, typer.Option("--since", help="Only what came later: 30d, or a time in ISO 8601 (UTC without zone).")
    ] = "",
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Print what is recorded, as JSON lines or CSV, or the declared feeds as OPML."""
    if what not in (*COLUMNS, "opml"):
        raise typer.BadParameter(f"{what}: what is exported is one of {', '.join((*COLUMNS, 'opml'))}")
    if form not in ("", "jsonl", "csv") or (what == "opml" and (form or since or as_json)):
        raise typer.BadParameter("the format is jsonl or csv; opml has one format, and is of now")
    if as_json and form == "csv":
        raise typer.BadParameter("--json and --format csv exclude each other")
    if what == "opml":
        declared = load_any(config, data).config
        sys.stdout.buffer.write(write_opml(declared.feeds.values(), declared.settings.site))
        return
    with using(config, data) as app:
        if form != "csv":
            for row in export(app, cast(Exported, what), moment(since, app.now())):
                to_json(row)
            return
        for line in csv_lines(app, what, moment(since, app.now())):
            sys.stdout.write(line)
