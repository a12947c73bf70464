"""One feed: fetch → parse → match → save, under the feed's own name in every log line."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

from monitor.app import App, feeds_to_poll
from monitor.article import Article, extract
from monitor.config import Feed
from monitor.errors import WorkerError
from monitor.fetch import Failed, Fetched, NotModified
from monitor.models import FeedState
from monitor.parse import ParsedFeed, ParsedStory, parse_feed
from monitor.pipeline.ingest import Ingested, content_hash, ingest, match_stories
from monitor.store import History
from monitor.timing import (
    EXPECTED,
    HISTORY,
    Rhythm,
    document_span,
    failure_delay,
    learn,
    moved_for_good,
    next_whole,
    poll_interval,
    silent_at,
    spread,
    whole_due,
)
from monitor.urls import host, site

log = logging.getLogger(__name__)

PARSE_DEADLINE = 10.0  # seconds; a real document takes 0.02, hostile ones minutes (notes on security, 3.1)
POLLS_AT_ONCE = 200
POLLS_OF_A_HOST = 4  # of these
TICK = 1.0  # seconds between two looks for what is due
OWN_TROUBLE, OWN_TROUBLE_MOST = 30.0, 600.0  # seconds until a feed is polled again after trouble of ours
DELTA = 226  # the status of an answer that holds what is new alone (RFC 3229)
PAGES_A_POLL = 20
SHORT = 500  # characters of feed text below which `full_text: when_short` fetches the page
FAILURES_OF_ANOTHER_ADDRESS = 3  # in a row, before the declared one is asked again


@dataclass(frozen=True, slots=True)
class Polled:
    """What became of a poll: new stories, nothing new, an error for people, or none since the site wants a rest."""

    feed: str
    result: Literal["stories", "unchanged", "failed", "resting"]
    ingested: Ingested | None = None
    error: str = ""
    baseline: bool = False


class _Turn(NamedTuple):
    """What a poll begins with: its feed's state, and until when which sites want to be left alone."""

    state: FeedState
    rests: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: `whole` without validators, `at` when the poll began."""

    feed: Feed
    state: FeedState
    url: str
    whole: bool
    at: datetime


async def poll_due(app: App, limit: int = POLLS_AT_ONCE) -> list[asyncio.Task[Polled]]:
    """Start a poll of each feed that is due and not being polled; return the tasks."""
    room = limit - len(app.in_flight)
    if room <= 0:
        return []
    now, clock = app.now(), asyncio.get_running_loop().time()
    went_back = now.timestamp() - clock < app.clock_lead - TICK / 2
    turns = await app.db(_turns, app, _Places(app, clock), now, room, went_back)
    app.clock_lead = now.timestamp() - clock if went_back else max(app.clock_lead, now.timestamp() - clock)
    feeds = feeds_to_poll(app.config)  # once more: a feed may have been taken out meanwhile
    return [
        start(app, turn.state.feed, turn)
        for turn in turns
        if turn.state.feed in feeds and turn.state.feed not in app.in_flight
    ]


class _Places:
    """Which feeds may be polled: no host, by hanging, holds the places of others' feeds."""

    def __init__(self, app: App, clock: float) -> None:
        self._feeds = feeds_to_poll(app.config)
        self._busy = app.in_flight | {name for name, (at, _) in app.not_before.items() if at > clock}
        self._hosts = Counter(host(self._feeds[name]) for name in app.in_flight if name in self._feeds)

    def take(self, name: str) -> bool:
        """Whether there is a place for a poll of feed `name`; it is taken then."""
        if name not in self._feeds or name in self._busy:
            return False
        where = host(self._feeds[name])
        self._hosts[where] += 1
        return self._hosts[where] <= POLLS_OF_A_HOST


def _turns(app: App, places: _Places, now: datetime, room: int, went_back: bool) -> list[_Turn]:
    """Return whose turn it is. Uses the database."""
    if went_back:
        app.store.feeds.bring_forward(now)
    # What comes due before the middle of two ticks is taken now, or an interval of a second would last two.
    due = app.store.feeds.due(places.take, now + timedelta(seconds=TICK / 2), room)
    rests = app.store.feeds.rests(now) if due else {}
    return [_Turn(state, rests) for state in due]


def _turn(app: App, name: str) -> _Turn:
    state = app.store.feeds.get(name)
    assert state is not None, f"feed {name} has no state"
    return _Turn(state, app.store.feeds.rests(app.now()))


def start(app: App, name: str, turn: _Turn | None = None) -> asyncio.Task[Polled]:
    """Start a poll of feed `name`, which must not be in flight."""
    app.in_flight.add(name)
    task = asyncio.create_task(poll(app, name, turn), name=f"poll {name}")
    task.add_done_callback(partial(_ended, app, name))
    return task


def _ended(app: App, name: str, task: asyncio.Task[Polled]) -> None:
    app.in_flight.discard(name)
    if task.cancelled() or task.exception() is None:
        app.not_before.pop(name, None)
        return
    # Trouble of our own (a full disk, a locked database): the publisher need not be asked again and again for it.
    _, waited = app.not_before.get(name, (0.0, 0.0))
    wait = min(max(2 * waited, OWN_TROUBLE), OWN_TROUBLE_MOST)
    app.not_before[name] = (task.get_loop().time() + wait, wait)


async def poll(app: App, name: str, turn: _Turn | None = None) -> Polled:
    """Poll one feed now. What the feed does is in the result; only trouble of our own (the database) raises."""
    state, rests = turn if turn is not None else await app.db(_turn, app, name)
    feed, began = app.config.feeds[name], app.now()
    assert feed.url is not None  # `feeds_to_poll` names only feeds with one
    # An address that was changed just now is not asked about what another one said.
    changed = state.url != feed.url
    url = feed.url if changed else state.address or feed.url
    asked = _Asked(feed, state, url, changed or whole_due(state.whole_due_at, began), began)
    rest = rests.get(site(url))
    if rest is not None and rest > began and host(url) not in app.config.settings.fetch.own_hosts:
        return await _resting(app, asked, (rest - began).total_seconds())
    if asked.whole:
        answer = await app.fetch(url)
    else:
        answer = await app.fetch(url, etag=state.etag, last_modified=state.last_modified)
    if isinstance(answer, Failed):
        if answer.resting:
            return await _resting(app, asked, answer.retry_after or 0.0)
        return await _failed(app, asked, answer)
    # The same body is the same news only where it was read; once a day it is read anew, whatever it looks like.
    if isinstance(answer, NotModified) or (answer.body_hash == state.body_hash and not asked.whole):
        return await _unchanged(app, asked, answer)
    try:
        # A delta is not the document, and now and then all is read anew, as a check.
        part = answer.status != DELTA and not asked.whole
        seen = await app.db(app.store.feeds.document, name) if part else ""
        parsed: ParsedFeed = await app.workers.run(
            parse_feed, answer.body, answer.url, answer.content_type, seen, timeout=PARSE_DEADLINE
        )
    except WorkerError as error:
        reason = f"the document could not be read: {error}"
        return await _failed(app, asked, Failed(reason, answer.status, "hard"))
    if not parsed.readable:
        reason = " ".join(parsed.problems) or "the document is not a feed"
        return await _failed(app, asked, Failed(reason, answer.status, "hard"))
    return await _stories(app, asked, answer, parsed)


async def _stories(app: App, asked: _Asked, answer: Fetched, parsed: ParsedFeed) -> Polled:
    feed, state = asked.feed, asked.state
    guids = [story.guid for story in parsed.stories]
    history = await app.db(app.store.feeds.history, feed.name, guids, app.now() - HISTORY)
    known = history.known
    changed = [story for story in parsed.stories if known.get(story.guid) != content_hash(story)]
    pages = await _pages(app, feed, [story for story in changed if story.guid not in known])
    # Read together: topics of one configuration and subscriptions of another would tell nobody. The feed may be gone.
    config, rules = app.config, app.rules
    feed = config.feeds.get(feed.name, feed)
    ready = await asyncio.to_thread(match_stories, rules, feed, changed, parsed.language, pages)
    # No story is known of a feed that is new, or that has moved to where other stories are.
    baseline = state.baseline_at is None and feed.first_poll == "baseline" and not known
    values: dict[str, Any] = {
        **_healthy(app, asked, answer, **_learnt(app, asked, answer, parsed, history)),
        "baseline_at": state.baseline_at or app.now(),
        "note": "; ".join(parsed.problems)[:500] or None,
        "changed_at": app.now() if changed else state.changed_at,
    }
    seen = None if answer.status == DELTA else parsed.seen
    done = await app.db(ingest, app, config, feed, ready, values, baseline=baseline, listed=parsed.listed, seen=seen)
    if done.alerts:
        app.wake_delivery.set()
    log.info(
        "%s: %d stories, %d new, %d edited, %d matched, %d alerts%s",
        feed.name,
        len(parsed.listed),
        done.new,
        done.edited,
        done.matched,
        done.alerts,
        " (first poll: a baseline, no alerts)" if baseline else "",
    )
    return Polled(feed.name, "stories", done, baseline=baseline)


async def _pages(app: App, feed: Feed, fresh: Sequence[ParsedStory]) -> dict[str, str]:
    """Return the text of the pages of new stories, by guid, where the feed asks for it, without those that fail."""
    if feed.full_text == "never":
        return {}
    pages = {}
    for story in fresh[:PAGES_A_POLL]:
        long_enough = len(story.text or story.summary) >= SHORT
        if not story.url or (feed.full_text == "when_short" and long_enough):
            continue
        answer = await app.fetch(story.url, accept="text/html,application/xhtml+xml")
        if not isinstance(answer, Fetched):
            continue
        try:
            article: Article = await app.workers.run(extract, answer.body, answer.url, timeout=PARSE_DEADLINE)
        except WorkerError as error:
            log.info("%s: the page %s could not be read: %s", feed.name, story.url, error)
            continue
        if article.text and not article.paywalled:
            pages[story.guid] = article.text
    return pages


def _learnt(app: App, asked: _Asked, answer: Fetched, parsed: ParsedFeed, history: History) -> dict[str, Any]:
    """Return what a document that was read says of when to ask again."""
    state, now, count = asked.state, app.now(), len(parsed.listed)
    known, first, seen = history.known, history.first, history.seen
    values: dict[str, Any] = {}
    if len(parsed.stories) > len(known):
        values["silent_at"] = silent_at([*seen, now], first or now, now)
    if answer.status == DELTA:
        return {**values, "rhythm": learn(seen, first or now, now).as_list()}
    # What was left out of the parsing is known by its guid alone; the daily whole reading tells how far back all goes.
    times = [story.published for story in parsed.stories if story.published]
    span = document_span(times, now) if parsed.whole else state.span or 0.0
    expected = count / span * 86400 if span else EXPECTED
    rhythm = learn(seen, first or now, now, expected)
    values |= {
        "rhythm": rhythm.as_list(),
        "stories": count,
        # Undated stories come at the usual pace; a document without any covers no time, and hides nothing.
        "span": span or count / rhythm.per_day * 86400 or None,
        "ttl": parsed.ttl,
    }
    if state.baseline_at is not None and state.stories and count and parsed.whole and not known:
        log.warning("%s: none of its %d stories was known: some may have come and gone unseen", state.feed, count)
        values["gap_at"] = now
    return values


def _healthy(app: App, asked: _Asked, answer: Fetched | NotModified, **learnt: Any) -> dict[str, Any]:
    """Return the state of a feed that answered; the interval is counted from when it was asked."""
    state, polling = asked.state, app.config.settings.polling
    span = 0.0 if "gap_at" in learnt else learnt.get("span", state.span)
    floor = max(answer.fresh, learnt.get("ttl", state.ttl))
    rhythm = Rhythm.of(learnt.get("rhythm", state.rhythm))
    interval = poll_interval(asked.feed, polling, rhythm, asked.at, span=span, floor=floor)
    shortest = 0.0 if asked.feed.every is not None else max(polling.min, min(floor, interval))
    interval = max(spread(interval, app.rng, first=state.succeeded_at is None), shortest)
    if state.failures:
        log.info("%s: answers again, after %d failures", state.feed, state.failures)
    now = app.now()
    return {
        "url": asked.feed.url,
        **learnt,
        **_validators(state, answer),
        **_moved(state, answer.moved_to, now),
        "gone_since": None,
        "whole_due_at": next_whole(now, app.rng) if asked.whole else state.whole_due_at,
        "polled_at": now,
        "succeeded_at": now,
        "took": answer.took if state.succeeded_at is None else (2 * state.took + answer.took) / 3,
        "status": answer.status if isinstance(answer, Fetched) else 304,
        "failures": 0,
        "failing_since": None,
        "error": None,
        "interval": interval,
        "next_poll_at": asked.at + timedelta(seconds=interval),
    }


def _validators(state: FeedState, answer: Fetched | NotModified) -> dict[str, str | None]:
    """Return the validators to send the next time: never any that the server did not send."""
    if isinstance(answer, NotModified):
        # A 304 may carry fresh ones (RFC 9111, 4.3.4); one without keeps what we have.
        etag, modified = answer.etag or state.etag, answer.last_modified or state.last_modified
        return {"etag": etag, "last_modified": modified}
    body_hash = None if answer.status == DELTA else answer.body_hash
    return {"etag": answer.etag, "last_modified": answer.last_modified, "body_hash": body_hash}


def _moved(state: FeedState, moved_to: str | None, now: datetime) -> dict[str, Any]:
    """Return what is known of permanent redirects after an answer that came by some, to `moved_to`, or by none."""
    if moved_to is None or moved_to != state.moved_to or state.moved_since is None:
        since = now if moved_to is not None else None
        return {"moved_to": moved_to, "moved_since": since, "moved_polls": int(moved_to is not None)}
    polls = state.moved_polls + 1
    if not moved_for_good(state.moved_since, polls, now):
        return {"moved_polls": polls}
    log.warning("%s: moved to %s, which is asked from now on: write it in feeds.yaml", state.feed, moved_to)
    return {"address": moved_to, "moved_to": None, "moved_since": None, "moved_polls": 0}


async def _resting(app: App, asked: _Asked, seconds: float) -> Polled:
    """Put a feed off whose site wants to be left alone, and its feeds a little apart."""
    feed, delay = asked.feed, seconds * app.rng.uniform(1.0, 1.1)
    at = app.now() + timedelta(seconds=delay)
    await app.save_state(feed.name, url=feed.url, interval=delay, next_poll_at=at)
    log.debug("%s: %s wants to be left alone for %d s", feed.name, site(asked.url), seconds)
    said = f"{site(asked.url)} wants to be left alone; it is asked again at {at:%Y-%m-%d %H:%M} UTC"
    return Polled(feed.name, "resting", error=said)


async def _unchanged(app: App, asked: _Asked, answer: Fetched | NotModified) -> Polled:
    name = asked.feed.name
    values = _healthy(app, asked, answer)
    await app.save_state(name, **values)
    log.debug("%s: nothing new", name)
    return Polled(name, "unchanged")


async def _failed(app: App, asked: _Asked, failed: Failed) -> Polled:
    feed, state, now = asked.feed, asked.state, app.now()
    failures, since = state.failures + 1, state.failing_since or now
    # Where we went on to by permanent redirects is given up sooner than the declared address.
    astray = state.address is not None and (failures >= FAILURES_OF_ANOTHER_ADDRESS or failed.kind == "gone")
    gone_since = (state.gone_since or now) if failed.kind == "gone" and not astray else state.gone_since
    kind = "gone" if gone_since is not None else "soft" if astray else failed.kind
    delay = failure_delay(feed, app.config.settings.polling, failures, kind, failed.retry_after)
    if failed.wants_rest and host(failed.url) not in app.config.settings.fetch.own_hosts:
        until = now + timedelta(seconds=failed.retry_after or delay)
        await app.db(app.store.feeds.set_rest, site(failed.url), until, now)
    # Never before the server wants it.
    delay = max(spread(delay, app.rng), failed.retry_after or 0.0)
    values = {
        "url": feed.url,
        "polled_at": now,
        "status": failed.status,
        "failures": failures,
        "failing_since": since,
        "gone_since": gone_since,
        "address": None if astray else state.address,
        # What one address said of its document says nothing of another's.
        "whole_due_at": None if astray else state.whole_due_at,
        "error": failed.reason[:1000],
        "interval": delay,
        "next_poll_at": now + timedelta(seconds=delay),
    }
    await app.save_state(feed.name, **values)
    log.warning("%s: %s (failure %d; the next try in %d s)", feed.name, failed.reason, failures, delay)
    return Polled(feed.name, "failed", error=failed.reason)
