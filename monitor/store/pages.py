"""Stories' pages that wait to be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, or_, select

from monitor.models import Page, Sighting, Story

Transaction = Callable[[], AbstractContextManager[Session]]
LONGEST = timedelta(days=1)  # that a page is ever put off


class Pages:
    """Reads and writes of `page`."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def due(self, now: datetime, limit: int, busy: Collection[str] = ()) -> Sequence[tuple[Page, Story]]:
        """Return up to `limit` pages to read now with their stories, the longest overdue first: one of a host, and of
        `busy` hosts none, so that no host's many pages keep others waiting.

        A due time further ahead than any may be (the clock went back) has come.
        """
        place = func.row_number().over(partition_by=col(Page.host), order_by=(col(Page.due_at), col(Page.story_id)))
        due = (
            select(col(Page.story_id).label("id"), place.label("place"))
            .where(
                col(Page.due_at).is_not(None),
                or_(col(Page.due_at) <= now, col(Page.due_at) > now + LONGEST),
                col(Page.host).not_in(busy),
            )
            .subquery()
        )
        with self._read() as session:
            rows = session.exec(
                select(Page, Story)
                .join(Story, col(Story.id) == col(Page.story_id))
                .join(due, due.c.id == col(Page.story_id))
                .where(due.c.place == 1)
                .order_by(col(Page.due_at), col(Page.story_id))
                .limit(limit)
            )
            return [(page, story) for page, story in rows]

    def put_off(self, story_id: int, due_at: datetime, error: str) -> None:
        """Read a page later, since it failed now; counts the try. Nothing for one that is done with."""
        with self._write() as session:
            page = session.get(Page, story_id)
            if page is not None and page.due_at is not None:
                page.due_at, page.tries, page.error = due_at, page.tries + 1, error

    def wait(self, story_id: int, due_at: datetime) -> None:
        """Read a page later, since its site wants to be left alone; no try of ours."""
        with self._write() as session:
            page = session.get(Page, story_id)
            if page is not None and page.due_at is not None:
                page.due_at = due_at

    def give_up(self, story_id: int, error: str) -> None:
        """Read a page never; `error` says why."""
        with self._write() as session:
            page = session.get(Page, story_id)
            if page is not None:
                page.due_at, page.error = None, error

    def texts(self, feed: str, guids: Collection[str]) -> dict[str, str]:
        """Return the texts that were read from the pages of the stories that `feed` has under `guids`, by guid."""
        wanted = list(guids)
        found: dict[str, str] = {}
        with self._read() as session:
            for start in range(0, len(wanted), 500):
                rows = session.exec(
                    select(Sighting.guid, Story.text)
                    .join(Story, col(Story.id) == col(Sighting.story_id))
                    .where(
                        Sighting.feed == feed,
                        col(Sighting.guid).in_(wanted[start : start + 500]),
                        col(Story.page_at).is_not(None),
                    )
                )
                for guid, text in rows:
                    found[guid] = text
        return found
