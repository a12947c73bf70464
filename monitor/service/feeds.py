"""Feed health, as an operator sees it: how each feed is, and what is to be known of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.app import App
from monitor.config import Feed
from monitor.hubs import is_live
from monitor.models import FeedState, HubLease
from monitor.pipeline.health import State, describe, verdict
from monitor.store.feeds import Brief
from monitor.timing import Rhythm, bounds
from monitor.urls import host


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """A feed as an operator sees it. `state` is that of pipeline.health; `remarks` say what is to be known of it.

    `moved_to` is the address that is asked instead of the declared one; `took` and `interval` are in seconds. `push` is
    how it stands with its `hub`: asked, verified, denied, broken, or "" where it has none that is asked.
    """

    name: str
    source: str
    url: str
    state: State
    remarks: tuple[str, ...]
    polled_at: datetime | None
    changed_at: datetime | None
    next_poll_at: datetime | None
    interval: float
    per_day: float
    took: float
    stories: int
    failures: int
    failing_since: datetime | None
    silent_at: datetime | None
    gone_since: datetime | None
    gap_at: datetime | None
    moved_to: str | None
    hub: str | None
    push: str
    pushed_at: datetime | None
    error: str
    note: str


GAP_SHOWN = timedelta(days=7)
WORST_FIRST: tuple[State, ...] = ("broken", "silent", "slow", "new", "healthy", "paused")


@dataclass(frozen=True, slots=True)
class FeedBrief:
    """A feed and how it is, without what is to be known of it. `gone`: its server says that it is gone for good."""

    name: str
    source: str
    url: str
    state: State
    failures: int
    gone: bool
    polled_at: datetime | None
    next_poll_at: datetime | None
    took: float

    @property
    def is_problem(self) -> bool:
        """Whether it is listed among the problems."""
        return self.state in ("broken", "silent", "slow") or bool(self.failures) or self.gone


def feed_briefs(app: App) -> tuple[FeedBrief, ...]:
    """Return how every declared feed is: those that cannot be relied on first, those that are paused last.

    With thousands of feeds this is what a page can afford; `feed_health` then tells of those that it shows.
    """
    known = app.store.feeds.briefs()
    found = [_brief(feed, known.get(feed.name)) for feed in app.config.feeds.values()]
    return tuple(sorted(found, key=lambda feed: (WORST_FIRST.index(feed.state), not feed.failures, feed.name)))


def _brief(feed: Feed, known: Brief | None) -> FeedBrief:
    off = not feed.enabled
    return FeedBrief(
        feed.name,
        feed.source or feed.name,
        feed.address,
        "paused" if off else verdict(known),
        known.failures if known else 0,
        known is not None and known.gone_since is not None,
        known.polled_at if known else None,
        known.next_poll_at if known and not off else None,
        known.took if known else 0.0,
    )


def feed_health(app: App, names: Sequence[str] | None = None) -> tuple[FeedHealth, ...]:
    """Return the health of declared feeds: of those named, in their order, or of all as `feed_briefs` lists them."""
    if names is None:
        names = [feed.name for feed in feed_briefs(app)]
    states, now = app.store.feeds.some(names), app.now()
    leases = {lease.feed: lease for lease in app.store.hubs.all()}
    return tuple(_health(app.config.feeds[name], states.get(name), leases.get(name), app, now) for name in names)


def _health(feed: Feed, recorded: FeedState | None, lease: HubLease | None, app: App, now: datetime) -> FeedHealth:
    url = feed.address
    state = recorded or FeedState(feed=feed.name, url=url, next_poll_at=now)
    off = not feed.enabled
    return FeedHealth(
        name=feed.name,
        source=feed.source or feed.name,
        url=url,
        state="paused" if off else verdict(recorded),
        remarks=("switched off in feeds.yaml",) if off else (*_remarks(state, app, now), *_of_hub(lease, now)),
        polled_at=state.polled_at,
        changed_at=state.changed_at,
        next_poll_at=None if off or recorded is None else state.next_poll_at,
        interval=state.interval,
        per_day=round(Rhythm.of(state.rhythm).per_day, 2),
        took=round(state.took, 3),
        stories=state.stories,
        failures=state.failures,
        failing_since=state.failing_since,
        silent_at=state.silent_at,
        gone_since=state.gone_since,
        gap_at=state.gap_at,
        moved_to=state.address,
        hub=lease.hub if lease else None,
        push=_push(lease, now) if lease else "",
        pushed_at=lease.pushed_at if lease else None,
        error=state.error or "",
        note=state.note or "",
    )


def _remarks(state: FeedState, app: App, now: datetime) -> Iterator[str]:
    if wrong := describe(state):
        yield wrong
    if state.address and state.address not in (state.note or ""):  # which tells of it once the feed was read from there
        yield f"has moved: write {state.address} in feeds.yaml"
    if state.gap_at is not None and now - state.gap_at < GAP_SHOWN:
        yield f"stories may be lost: at {state.gap_at:%Y-%m-%d %H:%M} UTC its document held none that was known"
    feed = app.config.feeds[state.feed]
    longest = max(bounds(feed, app.config.settings.polling)[1] * 1.06, feed.every or 0.0)
    if not state.failures and state.interval > longest:
        yield f"its server wants it asked every {round(state.interval / 60)} minutes at most; `every` overrules that"
    if state.note:
        yield state.note


def _push(lease: HubLease, now: datetime) -> str:
    return lease.state if lease.state == "denied" or is_live(lease, now) else "asked"


def _of_hub(lease: HubLease | None, now: datetime) -> Iterator[str]:
    if lease is None:
        return
    name, last = host(lease.hub), f"{lease.pushed_at:%Y-%m-%d %H:%M} UTC" if lease.pushed_at else "never so far"
    yield {
        "asked": f"{name} was asked to push it, and has not agreed: {lease.error or 'it did not ask back yet'}",
        "verified": f"{name} pushes it (last: {last})",
        "denied": f"{name} does not push it: {lease.error or 'it does not say why'}",
        "broken": f"{name} does not push all of it (last: {last}), so that it is polled at its own interval",
    }[_push(lease, now)]
    if lease.forged:
        yield f"{lease.forged} pushes with a wrong signature were dropped"
