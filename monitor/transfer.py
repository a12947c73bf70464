"""What other programs hand over and take: feeds, by lists and web pages, in; stories, matches and deliveries out."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

from pydantic_core import to_jsonable_python

from monitor.app import App
from monitor.config import FetchSettings
from monitor.errors import InputError, MonitorError, WorkerError
from monitor.fetch import Fetched, Fetcher
from monitor.models import Delivery, Match, Story
from monitor.opml import FeedList, is_opml, of_document, read_opml
from monitor.parse import ParsedFeed, parse_feed
from monitor.pipeline.elsewhere import FEEDS_TRIED
from monitor.pipeline.lanes import PARSE_DEADLINE
from monitor.workers import Workers

T = TypeVar("T")
PAGES_FIRST = "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.5"

Exported = Literal["stories", "matches", "deliveries"]
# What is not for other programs: the index of headlines, the message as the templates take it.
_HIDDEN = {"title_fold", "payload"}
_OF_STORY = ("url", "title", "source", "feed")  # that a match's row tells of its story
_TABLES: Mapping[Exported, type[Story | Match | Delivery]] = {
    "stories": Story,
    "matches": Match,
    "deliveries": Delivery,
}
COLUMNS: dict[Exported, tuple[str, ...]] = {
    "stories": tuple(name for name in Story.model_fields if name not in _HIDDEN),
    "matches": (*Match.model_fields, *_OF_STORY),
    "deliveries": tuple(name for name in Delivery.model_fields if name not in _HIDDEN),
}


async def feeds_of(source: bytes | str, fetch: FetchSettings) -> FeedList:
    """Return the feeds in a document of OPML, or at an address: of a list, of a feed, or of a page that leads to one.

    Raises InputError when there are none, MonitorError when the address does not answer.
    """
    workers = Workers(1)
    try:
        if isinstance(source, bytes):
            return await _run(workers, read_opml, source)
        return await _Finder(workers, fetch).feeds_at(source)
    finally:
        workers.close()


async def read_apart(function: Callable[..., T], body: bytes, *arguments: Any) -> T:
    """Return `function(body, …)`, run in a worker of its own, since files of others are read. Raises InputError."""
    workers = Workers(1)
    try:
        return await _run(workers, function, body, *arguments)
    finally:
        workers.close()


async def _run(workers: Workers, function: Callable[..., T], *arguments: Any) -> T:
    try:
        return await workers.run(function, *arguments, timeout=PARSE_DEADLINE)
    except WorkerError as error:
        raise InputError(f"the document could not be read: {error}") from error


class _Finder:
    """Looks for feeds at addresses; documents are read in `workers`."""

    def __init__(self, workers: Workers, fetch: FetchSettings) -> None:
        self.workers, self.fetch = workers, fetch

    async def feeds_at(self, url: str) -> FeedList:
        """Return the list at `url`, the feed that it is, or the first good one that it leads to."""
        fetcher = Fetcher(self.fetch)
        try:
            answer = await fetcher.fetch(url, accept=PAGES_FIRST)
            if not isinstance(answer, Fetched):
                raise MonitorError(getattr(answer, "reason", f"{url} does not answer"))
            if await _run(self.workers, is_opml, answer.body, answer.content_type):
                return await _run(self.workers, read_opml, answer.body, answer.content_type)
            page = await self._read(answer)
            if page.readable or page.kind == "index":
                return of_document(page, url)
            return await self._of_page(fetcher, url, page)
        finally:
            await fetcher.close()

    async def _read(self, answer: Fetched) -> ParsedFeed:
        return await _run(self.workers, parse_feed, answer.body, answer.url, answer.content_type)

    async def _of_page(self, fetcher: Fetcher, url: str, page: ParsedFeed) -> FeedList:
        for feed in page.elsewhere[:FEEDS_TRIED]:
            answer = await fetcher.fetch(feed)
            if isinstance(answer, Fetched) and (parsed := await self._read(answer)).readable:
                found = of_document(parsed, feed)
                found.notes.append(f"{url} is a web page; it leads to the feed {feed}")
                found.notes.extend(f"it also leads to {other}" for other in page.elsewhere if other != feed)
                return found
        raise InputError(f"{url}: {' '.join(page.problems)}")


def export(app: App, what: Exported, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a kind, those of `since` or later, in the order in which they came, each as its `COLUMNS`."""
    for row, story in app.store.archive.rows(_TABLES[what], since):
        told = {name: getattr(row, name) for name in COLUMNS[what] if name in type(row).model_fields}
        yield told | ({name: getattr(story, name) for name in _OF_STORY} if story is not None else {})


# What a spreadsheet takes for a formula, and so for a command (OWASP, CSV injection).
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")


def csv_lines(app: App, what: str, since: datetime | None = None) -> Iterator[str]:
    """Yield the lines of a table of `COLUMNS` as CSV (RFC 4180), whose cells no spreadsheet takes for a formula."""
    columns = COLUMNS[cast(Exported, what)]
    yield _line(columns)
    for row in export(app, cast(Exported, what), since):
        yield _line([_cell(row.get(name)) for name in columns])


def _line(cells: Any) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()


def _cell(value: Any) -> str:
    """Return a value as a spreadsheet's cell, which shows text and runs none."""
    value = to_jsonable_python(value)
    if not isinstance(value, str):
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    return f"'{value}" if _FORMULA.match(value) else value
