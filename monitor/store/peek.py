"""A look into an archive that may be in use, or not be there at all: reads only, and leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from monitor.models import Sighting, Story

_WAIT = 1.0  # seconds for another process's write


def newest_stories(url: str, folder: Path, limit: int) -> Sequence[Story]:
    """Return the newest stories of the SQLite database at `url`, the newest first, without those of first polls.

    Relative paths are within `folder`. Returns none where there is no such file, where it cannot be read, or where it
    is no SQLite: this is for hints, which are not worth an error or a wait for a server.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        return ()
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return ()
    path = folder / parsed.database
    if not path.is_file():
        return ()
    # Without a log beside it nobody has the file open, and reading it as one that may change would make such a log.
    state = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    engine = create_engine(
        f"sqlite:///file:{quote(str(path.absolute()))}?{state}&uri=true", connect_args={"timeout": _WAIT}
    )
    try:
        with Session(engine) as session:
            told = select(Sighting.story_id).where(col(Sighting.baseline).is_(False))
            newest = select(Story).where(col(Story.id).in_(told)).order_by(col(Story.id).desc()).limit(limit)
            return session.exec(newest).all()
    except SQLAlchemyError:
        return ()
    finally:
        engine.dispose()
