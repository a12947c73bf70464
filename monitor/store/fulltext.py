"""The full-text index of the archive: which stories may have a rule's words. A view of `story`, never the truth.

SQLite keeps it as an FTS5 table without a copy of the text, PostgreSQL as a tsvector with a GIN index. Both hold the
terms of `rules.preselect` as they are and no positions: a look yields candidates, and rules decide (decision 24).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import TextClause
from sqlalchemy.engine import Connection
from sqlmodel import Session, text

from monitor.models import Story
from monitor.rules.preselect import ANY, Expression, Has, Some, terms, written

TABLE = "story_words"
_CHUNK = 500  # stories that are indexed together when all are
# `ascii` parts at blanks and ASCII punctuation alone, so that a folded word of ours is one token, whatever its script.
_MAKE = {
    "sqlite": (
        f"CREATE VIRTUAL TABLE {TABLE} USING fts5(terms, content='', columnsize=0, detail=none, tokenize='ascii')",
    ),
    "postgresql": (
        f"CREATE TABLE {TABLE} (story_id BIGINT PRIMARY KEY REFERENCES story (id) ON DELETE CASCADE, "
        "terms TSVECTOR NOT NULL)",
        f"CREATE INDEX ix_{TABLE}_terms ON {TABLE} USING gin (terms)",
    ),
}
_ADD = {
    "sqlite": f"INSERT INTO {TABLE} (rowid, terms) VALUES (:id, :terms)",  # noqa: S608 - a name of ours
    "postgresql": f"INSERT INTO {TABLE} (story_id, terms) "  # noqa: S608 - a name of ours
    "VALUES (:id, array_to_tsvector(string_to_array(:terms, ' '))) "
    "ON CONFLICT (story_id) DO UPDATE SET terms = excluded.terms",
}
# An FTS5 table without a copy of the text is told what it is to forget.
_FORGET = {
    "sqlite": f"INSERT INTO {TABLE} ({TABLE}, rowid, terms) VALUES ('delete', :id, :terms)",  # noqa: S608 - a name of ours
    "postgresql": f"DELETE FROM {TABLE} WHERE story_id = :id AND CAST(:terms AS TEXT) IS NOT NULL",  # noqa: S608 - a name of ours
}
_AMONG = {
    "sqlite": f"story.id IN (SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH :wanted)",  # noqa: S608 - a name of ours
    "postgresql": f"story.id IN (SELECT story_id FROM {TABLE} WHERE terms @@ CAST(:wanted AS tsquery))",  # noqa: S608 - a name of ours
}

Row = dict[str, int | str]


def row(story: Story) -> Row:
    """Return what the index holds of a story as it stands."""
    assert story.id is not None
    return {"id": story.id, "terms": " ".join(terms(story.title, story.summary, story.text))}


def add(session: Session, rows: Collection[Row]) -> None:
    """Index stories that are not in the index, or that were forgotten."""
    _run(session, _ADD, rows)


def forget(session: Session, rows: Collection[Row]) -> None:
    """Take stories out, of which `rows` are as they were indexed. What an index has else of one does no harm."""
    _run(session, _FORGET, rows)


def _run(session: Session, statements: dict[str, str], rows: Collection[Row]) -> None:
    if rows:
        connection = session.connection()
        connection.execute(text(statements[connection.dialect.name]), list(rows))


def among(session: Session, wanted: Expression) -> TextClause:
    """Return the condition on `story` that it may be one with what is `wanted`."""
    dialect = session.get_bind().dialect.name
    whole = Some((wanted, Has(ANY)))
    told = written(whole, _lexeme, " & ", " | ") if dialect == "postgresql" else written(whole, _token, " AND ", " OR ")
    return text(_AMONG[dialect]).bindparams(wanted=told)


def _token(has: Has) -> str:
    return f'"{has.term}" *' if has.open else f'"{has.term}"'


def _lexeme(has: Has) -> str:
    return f"'{has.term}':*" if has.open else f"'{has.term}'"


def make(connection: Connection) -> None:
    """Make the index, of all stories that there are."""
    dialect = connection.dialect.name
    for statement in _MAKE[dialect]:
        connection.execute(text(statement))
    for rows in _all(connection):
        connection.execute(text(_ADD[dialect]), rows)


def drop(connection: Connection) -> None:
    """Remove the index."""
    connection.execute(text(f"DROP TABLE {TABLE}"))


def _all(connection: Connection) -> Iterable[Sequence[Row]]:
    # In SQL and not by the models, which may have columns that this database does not have yet.
    chunk = text("SELECT id, title, summary, text FROM story WHERE id > :last ORDER BY id LIMIT :count")
    last = 0
    while found := connection.execute(chunk, {"last": last, "count": _CHUNK}).all():
        yield [{"id": number, "terms": " ".join(terms(*told))} for number, *told in found]
        last = found[-1][0]
