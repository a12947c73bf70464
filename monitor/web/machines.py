"""What machines read: JSON with OpenAPI under /api, an Atom feed for each topic, Prometheus metrics, CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import FastAPI, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response, StreamingResponse

from monitor import __version__
from monitor.app import App
from monitor.config import Topic
from monitor.errors import MonitorError, NotFoundError
from monitor.models import Delivery, Event, Match, Story
from monitor.service.desk import written
from monitor.service.feeds import FeedHealth, feed_briefs, feed_health
from monitor.service.metrics import metrics
from monitor.text import clean
from monitor.transfer import COLUMNS, csv_lines
from monitor.urls import host
from monitor.web.pages import Pages
from monitor.web.session import Sessions
from monitor.web.words import safe_link

T = TypeVar("T")
ENTRIES = 50  # of an Atom feed

_Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
_Name = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]*$")]
_Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
_Before = Annotated[int, Query(ge=0, le=2**63 - 1, description="The `next` of the page before this one.")]
_Limit = Annotated[int, Query(ge=1, le=200)]


class ListOf(BaseModel, Generic[T]):
    """A page, the latest first. `next` is what to give as `before` for the page after it; none: this is the last."""

    items: list[T]
    next: int | None = None


class NamedOf(BaseModel, Generic[T]):
    """A page of what has a name, by name. `next` is what to give as `after` for the page after it; none: the last."""

    items: list[T]
    next: str | None = None


class StoryOut(BaseModel):
    """A story. `published` is what its publisher claims, `first_seen` when it was seen here."""

    id: int
    title: str
    url: str
    source: str
    feed: str
    language: str
    author: str
    summary: str
    published: datetime | None
    first_seen: datetime
    event: int | None
    edits: int


class EvidenceOut(BaseModel):
    """Where a term was found: characters `start` to `end` of a field."""

    field: str
    start: int
    end: int
    term: str
    entity: str = ""


class MatchOut(BaseModel):
    """A story that a topic's rule matched; `alerting` is false for a feed's first poll."""

    id: int
    story: int
    topic: str
    rule: str
    evidence: list[EvidenceOut]
    matched: datetime
    alerting: bool


class StoryWhole(StoryOut):
    """A story with its text and its matches."""

    text: str
    matches: list[MatchOut]


class EventOut(BaseModel):
    """The stories of several outlets about one happening."""

    id: int
    started: datetime
    updated: datetime
    stories: int


class TopicOut(BaseModel):
    """A topic as it is declared now."""

    name: str
    title: str
    severity: str
    query: str
    public: bool


class FeedOut(BaseModel):
    """A feed's health. `interval` is in seconds."""

    name: str
    source: str
    url: str
    state: str
    remarks: list[str]
    polled: datetime | None
    next_poll: datetime | None
    interval: float
    stories_a_day: float
    failures: int


class DeliveryOut(BaseModel):
    """A message's record, without what it says."""

    id: int
    kind: str
    subscriber: str
    channel: str
    topics: list[str]
    subject: str
    state: str
    attempts: int
    created: datetime
    next_attempt: datetime
    finished: datetime | None
    code: str
    detail: str


class Machines:
    """The machine surfaces of a running program."""

    def __init__(self, app: App) -> None:
        self._app = app

    def add(self, fastapi: FastAPI, pages: Pages, _sessions: Sessions) -> None:
        """Add the routes."""
        self._pages = pages
        show = ["GET", "HEAD"]
        # Before the pages: /topics/NAME would take NAME.atom for a name.
        fastapi.add_api_route("/topics/{name}.atom", self.atom, methods=show)
        fastapi.add_api_route("/metrics", self.metrics, methods=show)
        fastapi.add_api_route("/export/{what}.csv", self.csv, methods=show)
        fastapi.mount("/api", self._api())

    def _api(self) -> FastAPI:
        api = FastAPI(title="News Monitor", version=__version__, docs_url=None, redoc_url=None)
        api.add_exception_handler(NotFoundError, _not_found)
        api.add_exception_handler(MonitorError, _unavailable)
        missing: dict[int | str, dict[str, Any]] = {404: {"description": "It is not there."}}
        api.add_api_route("/topics", self.topics)
        api.add_api_route("/stories", self.stories)
        api.add_api_route("/stories/{number}", self.story, responses=missing)
        api.add_api_route("/events", self.events)
        api.add_api_route("/matches", self.matches)
        api.add_api_route("/feeds", self.feeds)
        api.add_api_route("/deliveries", self.deliveries)
        return api

    def opened(self, path: str) -> bool:
        """Whether a path is the page or the feed of a topic that is declared `public: true`."""
        name = path.removeprefix("/topics/").removesuffix(".atom")
        topic = self._app.config.topics.get(name)
        return path in (f"/topics/{name}", f"/topics/{name}.atom") and topic is not None and topic.public

    def topics(self, after: _Text = "", limit: _Limit = 50) -> NamedOf[TopicOut]:
        """Topics by name."""
        names = sorted(name for name in self._app.config.topics if name > after)
        items = [_topic(self._app.config.topics[name]) for name in names[:limit]]
        return NamedOf(items=items, next=names[limit - 1] if len(names) > limit else None)

    def stories(
        self, feed: _Text = "", source: _Text = "", before: _Before = 0, limit: _Limit = 50
    ) -> ListOf[StoryOut]:
        """Stories, the latest first."""
        rows = self._app.store.reports.page(Story, before, limit, feed=feed, source=source)
        return ListOf(items=[StoryOut(**_story(row)) for row in rows], next=_next(rows, limit))

    def story(self, number: _Number) -> StoryWhole:
        """One story, with its text and its matches."""
        found = self._app.store.archive.journey(number)
        if found is None:
            raise NotFoundError(f"no story has the number {number}")
        matches = [_match(match) for match in found.matches]
        return StoryWhole(**_story(found.story), text=found.story.text, matches=matches)

    def events(self, before: _Before = 0, limit: _Limit = 50) -> ListOf[EventOut]:
        """Events, the latest first."""
        rows = self._app.store.reports.page(Event, before, limit)
        items = [
            EventOut(id=row.id, started=row.started_at, updated=row.updated_at, stories=row.stories) for row in rows
        ]
        return ListOf(items=items, next=_next(rows, limit))

    def matches(self, topic: _Text = "", before: _Before = 0, limit: _Limit = 50) -> ListOf[MatchOut]:
        """Matches, the latest first."""
        rows = self._app.store.reports.page(Match, before, limit, topic=topic)
        return ListOf(items=[_match(row) for row in rows], next=_next(rows, limit))

    def feeds(self, state: _Text = "", after: _Text = "", limit: _Limit = 50) -> NamedOf[FeedOut]:
        """The health of feeds by name, of all or those in a state."""
        names = sorted(one.name for one in feed_briefs(self._app) if state in ("", one.state) and one.name > after)
        items = [_feed(one) for one in feed_health(self._app, names[:limit])]
        return NamedOf(items=items, next=names[limit - 1] if len(names) > limit else None)

    def deliveries(
        self, state: _Text = "", subscriber: _Text = "", before: _Before = 0, limit: _Limit = 50
    ) -> ListOf[DeliveryOut]:
        """Messages, the latest first, without what they say."""
        rows = self._app.store.reports.page(Delivery, before, limit, state=state, subscriber=subscriber)
        return ListOf(items=[_delivery(row) for row in rows], next=_next(rows, limit))

    def atom(self, request: Request, name: _Name) -> Response:
        """A topic's latest stories as an Atom feed (RFC 4287)."""
        app = self._app
        topic = app.config.topics.get(name)
        if topic is None:
            raise NotFoundError(f"no topic `{name}` is declared")
        rows = app.store.reports.matched(name, 0, ENTRIES)
        base = app.config.settings.public_url.rstrip("/")
        values = {
            "topic": topic, "base": base, "here": f"{base}/topics/{name}.atom", "rows": rows, "clean": clean,
            "authority": host(base) or "localhost", "link": safe_link,
            "updated": max((match.matched_at for match, _ in rows), default=app.now() - timedelta(days=1)),
        }  # fmt: skip
        return self._pages.document(request.scope["path"], "topic.atom", "application/atom+xml", **values)

    def metrics(self) -> Response:
        """Prometheus text."""
        return Response(metrics(self._app, self._app.now()), media_type="text/plain; version=0.0.4")

    def csv(self, what: str) -> Response:
        """Stories, matches or deliveries as CSV whose cells no spreadsheet runs."""
        if what not in COLUMNS:
            raise NotFoundError(f"`{what}` is not exported; {', '.join(COLUMNS)} are")
        lines: Iterator[str] = csv_lines(self._app, what)
        named = {"Content-Disposition": f'attachment; filename="{what}.csv"'}
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=named)


def _not_found(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 404)


def _unavailable(_request: Request, _error: Exception) -> Response:
    # What the message names (files, addresses) is for the log.
    return JSONResponse({"detail": "the database did not answer; try again in a minute"}, 503)


def _next(rows: object, limit: int) -> int | None:
    assert isinstance(rows, list)
    return rows[-1].id if len(rows) == limit else None


def _story(row: Story) -> dict[str, object]:
    same = ("id", "title", "url", "source", "feed", "language", "author", "summary", "edits")
    own = {"published": row.claimed_at, "first_seen": row.first_seen_at, "event": row.event_id}
    return {name: getattr(row, name) for name in same} | own


def _match(row: Match) -> MatchOut:
    return MatchOut(
        id=row.id or 0,
        story=row.story_id,
        topic=row.topic,
        rule=row.rule,
        evidence=[EvidenceOut(**one) for one in row.evidence],
        matched=row.matched_at,
        alerting=row.alerting,
    )


def _topic(one: Topic) -> TopicOut:
    return TopicOut(name=one.name, title=one.title, severity=one.severity, query=written(one), public=one.public)


def _feed(one: FeedHealth) -> FeedOut:
    return FeedOut(
        name=one.name,
        source=one.source,
        url=one.url,
        state=one.state,
        remarks=list(one.remarks),
        polled=one.polled_at,
        next_poll=one.next_poll_at,
        interval=one.interval,
        stories_a_day=one.per_day,
        failures=one.failures,
    )


def _delivery(row: Delivery) -> DeliveryOut:
    same = ("id", "kind", "subscriber", "channel", "topics", "subject", "state", "attempts", "code", "detail")
    return DeliveryOut(
        **{name: getattr(row, name) for name in same},
        created=row.created_at,
        next_attempt=row.next_attempt_at,
        finished=row.finished_at,
    )
