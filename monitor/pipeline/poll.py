"""One feed: fetch → parse → match → save, under the feed's own name in every log line."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from monitor.app import App, feeds_to_poll
from monitor.config import Feed
from monitor.dispatch import Notice
from monitor.errors import WorkerError
from monitor.fetch import Failed, Fetched, NotModified
from monitor.models import FeedState
from monitor.parse import ParsedFeed
from monitor.pipeline.deliver import notify_operators
from monitor.pipeline.ingest import Ingested, content_hash, ingest, match_stories
from monitor.pipeline.lanes import PARSE_DEADLINE, is_doubtful, read_feed
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
    spread,
    whole_due,
)
from monitor.urls import host, site

log = logging.getLogger(__name__)

POLLS_AT_ONCE = 64
POLLS_OF_A_HOST = 4  # of these
TICK = 1.0  # seconds between two looks for what is due
OWN_TROUBLE, OWN_TROUBLE_MOST = 30.0, 600.0  # seconds until a feed is polled again after trouble of ours
REST = 2.0  # times as long as a part took, before the next: the database is left to others two thirds of the time
PART = 50  # stories that are saved in one transaction: half a tenth of a second
DELTA = 226  # the status of an answer that holds what is new alone (RFC 3229)
FAILURES_OF_ANOTHER_ADDRESS = 3  # in a row, before the declared one is asked again
FAILURES_TO_TELL = 6  # in a row, before the operators hear of it


@dataclass(frozen=True, slots=True)
class Polled:
    """What became of a poll: new stories, nothing new, an error for people, or none since the site wants a rest."""

    feed: str
    result: Literal["stories", "unchanged", "failed", "resting"]
    ingested: Ingested | None = None
    error: str = ""
    baseline: bool = False


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
    feeds, clock = feeds_to_poll(app.config), asyncio.get_running_loop().time()
    held = {name for name, (at, _) in app.not_before.items() if at > clock}
    # What comes due before the middle of two ticks is taken now, or an interval of a second would last two.
    soon = app.now() + timedelta(seconds=TICK / 2)
    due = await app.db(app.store.feeds.due, feeds.keys() - app.in_flight - held, soon)
    feeds = feeds_to_poll(app.config)  # once more: a feed may have been taken out meanwhile
    hosts = Counter(host(feeds[name]) for name in app.in_flight if name in feeds)
    tasks: list[asyncio.Task[Polled]] = []
    for state in due:
        if len(tasks) == room:
            break
        # A host that hangs holds its own feeds' places only.
        if state.feed not in feeds or state.feed in app.in_flight:
            continue
        name, doubtful = host(feeds[state.feed]), is_doubtful(state)
        if hosts[name] < POLLS_OF_A_HOST and not (doubtful and len(app.doubtful) >= limit // 2):
            hosts[name] += 1
            tasks.append(start(app, state.feed, doubtful=doubtful))
    return tasks


def start(app: App, name: str, *, doubtful: bool = False) -> asyncio.Task[Polled]:
    """Start a poll of feed `name`, which must not be in flight; `doubtful` as `lanes` says."""
    app.in_flight.add(name)
    if doubtful:
        app.doubtful.add(name)
    task = asyncio.create_task(poll(app, name), name=f"poll {name}")
    task.add_done_callback(partial(_ended, app, name))
    return task


def _ended(app: App, name: str, task: asyncio.Task[Polled]) -> None:
    app.in_flight.discard(name)
    app.doubtful.discard(name)
    if task.cancelled() or task.exception() is None:
        app.not_before.pop(name, None)
        return
    # Trouble of our own (a full disk, a locked database): the publisher need not be asked again and again for it.
    _, waited = app.not_before.get(name, (0.0, 0.0))
    wait = min(max(2 * waited, OWN_TROUBLE), OWN_TROUBLE_MOST)
    app.not_before[name] = (task.get_loop().time() + wait, wait)


async def poll(app: App, name: str) -> Polled:
    """Poll one feed now. What the feed does is in the result; only trouble of our own (the database) raises."""
    feed, began = app.config.feeds[name], app.now()
    assert feed.url is not None  # `feeds_to_poll` names only feeds with one
    state = await app.db(app.store.feeds.get, name)
    assert state is not None, f"feed {name} has no state"
    # An address that was changed just now is not asked about what another one said.
    changed = state.url != feed.url
    url = feed.url if changed else state.address or feed.url
    asked = _Asked(feed, state, url, changed or whole_due(state.whole_due_at, began), began)
    rest = await app.db(app.store.feeds.rest, site(url), began)
    if rest is not None and host(url) not in app.config.settings.fetch.own_hosts:
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
        parsed, reading = await read_feed(app, state, answer)
    except WorkerError as error:
        reason = f"the document could not be read: {error}"
        return await _failed(app, asked, Failed(reason, answer.status, "hard"), reading=PARSE_DEADLINE)
    if not parsed.readable:
        reason = " ".join(parsed.problems) or "the document is not a feed"
        return await _failed(app, asked, Failed(reason, answer.status, "hard"), reading=reading)
    return await _stories(app, asked, answer, parsed, reading)


async def _stories(app: App, asked: _Asked, answer: Fetched, parsed: ParsedFeed, reading: float) -> Polled:
    feed, state = asked.feed, asked.state
    known = await app.db(app.store.feeds.known, feed.name, [story.guid for story in parsed.stories])
    changed = [story for story in parsed.stories if known.get(story.guid) != content_hash(story)]
    pages = await app.db(app.store.pages.texts, feed.name, [story.guid for story in changed if story.guid in known])
    # Read together: topics of one configuration and subscriptions of another would tell nobody. The feed may be gone.
    config, rules = app.config, app.rules
    feed = config.feeds.get(feed.name, feed)
    ready = await asyncio.to_thread(match_stories, rules, feed, changed, parsed.language, pages)
    # No story is known of a feed that is new, or that has moved to where other stories are.
    baseline = state.baseline_at is None and feed.first_poll == "baseline" and (state.baseline_open or not known)
    values: dict[str, Any] = {
        **_healthy(app, asked, answer, **await _learnt(app, asked, answer, parsed, known)),
        "reading": reading,
        "baseline_at": state.baseline_at or app.now(),
        "note": "; ".join(parsed.problems)[:500] or None,
        "changed_at": app.now() if changed else state.changed_at,
    }
    listed = [story.guid for story in parsed.stories]
    save = partial(ingest, app, config, feed, baseline=baseline, listed=listed)
    done = Ingested()
    # Part by part, the oldest first, so that a huge document keeps no other feed's stories and no message waiting. Each
    # story is saved with its messages, and with the last part what keeps the document from being read again.
    clock = asyncio.get_running_loop().time
    while len(ready) > PART:
        ready, part = ready[:-PART], ready[-PART:]
        async with app.saving:
            began = clock()
            done.add(await app.db(save, part, {"baseline_open": baseline}, last=False))
            if done.alerts:
                app.wake_delivery.set()
            await asyncio.sleep(REST * (clock() - began))
    done.add(await app.db(save, ready, {**values, "baseline_open": False}))
    if done.alerts:
        app.wake_delivery.set()
    log.info(
        "%s: %d stories, %d new, %d edited, %d matched, %d alerts%s",
        feed.name,
        len(parsed.stories),
        done.new,
        done.edited,
        done.matched,
        done.alerts,
        " (first poll: a baseline, no alerts)" if baseline else "",
    )
    return Polled(feed.name, "stories", done, baseline=baseline)


async def _learnt(
    app: App, asked: _Asked, answer: Fetched, parsed: ParsedFeed, known: Collection[str]
) -> dict[str, Any]:
    """Return what a document that was read says of when to ask again."""
    state, now, count = asked.state, app.now(), len(parsed.stories)
    first, seen = await app.db(app.store.feeds.seen, state.feed, now - HISTORY)
    if answer.status == DELTA:
        return {"rhythm": learn(seen, first or now, now).as_list()}
    span = document_span([story.published for story in parsed.stories if story.published], now)
    expected = count / span * 86400 if span else EXPECTED
    rhythm = learn(seen, first or now, now, expected)
    values = {
        "rhythm": rhythm.as_list(),
        "stories": count,
        "span": span or count / rhythm.per_day * 86400,  # undated stories come at the usual pace
        "ttl": parsed.ttl,
    }
    if state.baseline_at is not None and state.stories and count and not known:
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
    await app.db(app.store.feeds.update, feed.name, url=feed.url, interval=delay, next_poll_at=at)
    log.debug("%s: %s wants to be left alone for %d s", feed.name, site(asked.url), seconds)
    said = f"{site(asked.url)} wants to be left alone; it is asked again at {at:%Y-%m-%d %H:%M} UTC"
    return Polled(feed.name, "resting", error=said)


async def _unchanged(app: App, asked: _Asked, answer: Fetched | NotModified) -> Polled:
    name = asked.feed.name
    values = _healthy(app, asked, answer)
    await app.db(app.store.feeds.update, name, **values)
    log.debug("%s: nothing new", name)
    return Polled(name, "unchanged")


async def _failed(app: App, asked: _Asked, failed: Failed, *, reading: float | None = None) -> Polled:
    """Record a failure; `reading` is for how many seconds its document was read, if it came to that."""
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
        "error": failed.reason[:1000],
        "reading": state.reading if reading is None else reading,
        "interval": delay,
        "next_poll_at": now + timedelta(seconds=delay),
    }
    await app.db(app.store.feeds.update, feed.name, **values)
    if gone_since is not None and state.gone_since is None:
        lines = (
            f"{failed.reason}",
            "It is asked once a week from now on, in case it comes back. If it does not, take it out of feeds.yaml.",
        )
        await app.db(
            notify_operators,
            app,
            f"gone:{feed.name}:{since.isoformat()}",
            Notice(f"Feed {feed.name} is gone", lines),
            now,
        )
    elif failures == FAILURES_TO_TELL:
        lines = (
            f"{failed.reason}",
            f"It failed {failures} times since {since:%Y-%m-%d %H:%M} UTC. The other feeds go on, and this one "
            f"is tried again, the next time in {round(delay)} s.",
        )
        notice = Notice(f"Feed {feed.name} cannot be read", lines)
        await app.db(notify_operators, app, f"feed:{feed.name}:{since.isoformat()}", notice, now)
    log.warning("%s: %s (failure %d; the next try in %d s)", feed.name, failed.reason, failures, delay)
    return Polled(feed.name, "failed", error=failed.reason)
