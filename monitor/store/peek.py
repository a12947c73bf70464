"""A look into an archive that may be in use, or not be there at all: reads only, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, func, select

from monitor.models import Preference, Sighting, SignUp, Story
from monitor.store.preferences import every

T = TypeVar("T")

_WAIT = 1.0  # seconds for another process's write


def newest_stories(url: str, folder: Path, limit: int) -> Sequence[Story]:
    """Return the newest stories of the SQLite database at `url`, the newest first, without those of first polls.

    Relative paths are within `folder`. Returns none where there is no such file, where it cannot be read, or where it
    is no SQLite: this is for hints, which are not worth an error or a wait for a server.
    """
    told = select(Sighting.story_id).where(col(Sighting.baseline).is_(False))
    newest = select(Story).where(col(Story.id).in_(told)).order_by(col(Story.id).desc()).limit(limit)
    return _look(url, folder, lambda session: session.exec(newest).all()) or ()


def what_is_set(url: str, folder: Path) -> Mapping[str, Sequence[Preference]]:
    """Return what each subscriber has set, in the same way."""
    return _look(url, folder, every) or {}


def members(url: str, folder: Path) -> int:
    """Return how many signed up, in the same way."""
    confirmed = select(func.count()).select_from(SignUp).where(col(SignUp.confirmed_at).is_not(None))
    return _look(url, folder, lambda session: session.exec(confirmed).one()) or 0


def _look(url: str, folder: Path, ask: Callable[[Session], T]) -> T | None:
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        return None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    path = folder / parsed.database
    if not path.is_file():
        return None
    # Without a log beside it nobody has the file open, and reading it as one that may change would make such a log.
    state = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    engine = create_engine(
        f"sqlite:///file:{quote(str(path.absolute()))}?{state}&uri=true", connect_args={"timeout": _WAIT}
    )
    try:
        with Session(engine) as session:
            return ask(session)
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
