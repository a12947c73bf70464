"""All SQL. Every method of a part is one short transaction; `ingest` and `closing` are one of several steps.

SQLite runs in WAL mode with `synchronous=FULL` (NORMAL loses the last commits in a power cut, and a lost commit here is
a lost alert), and every transaction that writes begins IMMEDIATE: one that reads first and writes later would fail at
once when another has written in between, whatever its timeout.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlmodel import Session, func, select, text

from monitor.errors import StoreError
from monitor.models import Delivery, Story
from monitor.store.archive import Archive
from monitor.store.audit import Audits
from monitor.store.endpoints import SUSPENDED, Endpoints
from monitor.store.escalations import Escalations
from monitor.store.events import Events, EventStories
from monitor.store.feeds import Coming, Feeds, History
from monitor.store.hubs import Hubs
from monitor.store.ingest import Ingest
from monitor.store.outbox import UNKNOWN, Outbox
from monitor.store.pages import Pages
from monitor.store.policies import OVER_BUDGET, Policies, Spending
from monitor.store.preferences import Preferences
from monitor.store.reports import Reports
from monitor.store.slots import Closing, Slots, Window
from monitor.store.volumes import Volumes

_WINDOW_LOCK = 0x77696E646F77  # any number that no other lock has
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's write

__all__ = [
    "OVER_BUDGET",
    "SUSPENDED",
    "UNKNOWN",
    "Archive",
    "Audits",
    "Closing",
    "Coming",
    "Endpoints",
    "Escalations",
    "EventStories",
    "Events",
    "Feeds",
    "History",
    "Hubs",
    "Ingest",
    "Outbox",
    "Pages",
    "Policies",
    "Preferences",
    "Reports",
    "Slots",
    "Spending",
    "Store",
    "Window",
]


class Store:
    """The database at `url`; relative SQLite paths are within `folder`. Opening it checks that it can be reached.

    `writes` is safe from one thread at a time (SQLite has one writer); reads are safe from any.
    """

    def __init__(self, url: str, folder: Path) -> None:
        try:
            parsed = make_url(url)
        except SQLAlchemyError as error:
            raise StoreError(f"`database_url` is not a database address: {error}") from error
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database and parsed.database != ":memory:":
            path = folder / parsed.database
            path.parent.mkdir(parents=True, exist_ok=True)
            parsed = parsed.set(database=str(path))
        self.url = parsed
        self._name = parsed.render_as_string(hide_password=True)
        if self.is_sqlite:
            self._writer = _sqlite(parsed.render_as_string(hide_password=False), "BEGIN IMMEDIATE")
            self._reader = _sqlite(parsed.render_as_string(hide_password=False), "BEGIN")
        else:
            self._writer = self._reader = create_engine(parsed, pool_pre_ping=True)
        self._writable = True
        self.feeds = Feeds(self.read, self.write)
        self.hubs = Hubs(self.read, self.write)
        self.endpoints = Endpoints(self.read, self.write)
        self.escalations = Escalations(self.read, self.write)
        self.outbox = Outbox(self.read, self.write)
        self.pages = Pages(self.read, self.write)
        self.slots = Slots(self.read, self.write)
        self.policies = Policies(self.read, self.write)
        self.preferences = Preferences(self.read, self.write)
        self.archive = Archive(self.read, self.write)
        self.events = Events(self.read, self.write)
        self.reports = Reports(self.read)
        self.audits = Audits(self.read, self.write)
        self.volumes = Volumes(self.read)

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that writes: committed at the end, rolled back on an exception.

        On SQLite nothing else is written meanwhile, so a time taken in it is later than that of every transaction
        before. On PostgreSQL that holds of `ingest` and `closing`, for each other.
        """
        try:
            with self._wrapped(), Session(self._writer, expire_on_commit=False) as session, session.begin():
                session.connection()  # begins it now, and not at the first statement
                yield session
        except StoreError:
            self._writable = False
            raise
        self._writable = True

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that only reads, on a consistent state."""
        with self._wrapped(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def ingest(self) -> Iterator[Ingest]:
        """The one transaction of polls: stories, sightings, matches, decisions, deliveries and feed state."""
        with self.write() as session:
            self._in_turn(session, "pg_advisory_xact_lock_shared")
            work = Ingest(session)
            yield work
            work.settle()

    @contextmanager
    def window(self) -> Iterator[Window]:
        """One transaction that reads what a digest is made of."""
        with self.read() as session:
            yield Window(session)

    @contextmanager
    def spending(self) -> Iterator[Spending]:
        """One transaction that puts messages into the outbox by what stands and what the budget leaves."""
        with self.write() as session:
            yield Spending(session)

    @contextmanager
    def closing(self) -> Iterator[Closing]:
        """The one transaction that closes a digest's slot: its window is read, its messages and the slot are saved."""
        with self.write() as session:
            self._in_turn(session, "pg_advisory_xact_lock")
            yield Closing(session)

    def _in_turn(self, session: Session, lock: str) -> None:
        """Let no window be closed while something is saved that takes its time from before the window's end.

        SQLite has one writer at a time. On PostgreSQL several processes save at once, beside each other; one that
        closes a window waits for them, and they for it.
        """
        if not self.is_sqlite:
            session.execute(text(f"SELECT {lock}(:key)").bindparams(key=_WINDOW_LOCK))

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            told = StoreError(f"the database {self._name} could not be used: {_cause(error)}")
            told.unavailable = isinstance(error, OperationalError | sqlite3.OperationalError)
            raise told from error

    def migrate(self, version: str = "head") -> None:
        """Bring the database up to date, or to a `version`.

        Raises StoreError when it cannot be opened or is newer than this program.
        """
        with self._wrapped(), resources.as_file(resources.files("monitor") / "migrations") as scripts:
            config = AlembicConfig()
            config.set_main_option("script_location", str(scripts))
            with self._writer.connect() as connection:
                config.attributes["connection"] = connection
                try:
                    command.upgrade(config, version)
                except Exception as error:
                    # A migration may raise anything; a revision that Alembic does not know means a newer database.
                    raise StoreError(f"the database {self._name} could not be brought up to date: {error}") from error
                connection.commit()

    def clocks(self) -> tuple[datetime | None, datetime | None]:
        """Return the latest time on record of what was done, and the database server's own time, where it has one."""
        with self.read() as session:
            times = [session.exec(select(func.max(at))).one() for at in (Story.first_seen_at, Delivery.created_at)]
            theirs = None if self.is_sqlite else session.exec(select(func.now())).one()
        return max((at for at in times if at is not None), default=None), theirs

    def ready(self) -> bool:
        """Whether the database answers and has its tables, and the last write to it succeeded (a disk may be full)."""
        if not self._writable:
            return False
        try:
            with self.read() as session:
                session.execute(text("SELECT count(*) FROM delivery WHERE id < 0"))
        except StoreError:
            return False
        return True


def _cause(error: BaseException) -> str:
    original: BaseException = getattr(error, "orig", None) or error
    return " ".join(str(original).split())[:300]


def _sqlite(url: str, begin: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own implicit BEGIN is a deferred one
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "mmap_size=0"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
