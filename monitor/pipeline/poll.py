"""One feed: fetch → parse → match → save, under the feed's own name in every log line."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

from monitor.app import App, feeds_to_poll
from monitor.config import Feed
from monitor.errors import WorkerError
from monitor.fetch import Failed, Fetched, NotModified
from monitor.hubs import PUSH_LATE, is_live, is_pushing
from monitor.models import FeedState, HubLease
from monitor.parse import ParsedFeed
from monitor.pipeline.elsewhere import follow
from monitor.pipeline.hubs import note_hub
from monitor.pipeline.ingest import PART, Incoming, Ingested, content_hash, ingest, match_stories, story_key
from monitor.pipeline.lanes import PARSE_DEADLINE, is_doubtful, read_feed
from monitor.store import Coming, History
from monitor.timing import (
    EXPECTED,
    HISTORY,
    Rhythm,
    bounds,
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

POLLS_AT_ONCE = 200
POLLS_OF_A_HOST = 4  # of these
TICK = 1.0  # seconds between two looks for what is due
STARTS, PAUSE = 16, 0.04  # polls that are started at once, and seconds until the next; nothing waits for all of a tick
OWN_TROUBLE, OWN_TROUBLE_MOST = 30.0, 600.0  # seconds until a feed is polled again after trouble of ours
REST = 2.0  # times as long as a part took, before the next: the database is left to others two thirds of the time
BRIEF = 3_000  # characters that are matched where they are: in half a millisecond, which a thread would cost again
DELTA = 226  # the status of an answer that holds what is new alone (RFC 3229)
ALWAYS = {"url", "next_poll_at", "was_due"}  # saved whatever they were: they are compared there (`store.feeds.update`)
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
    """What a poll begins with: its feed's state, until when which sites rest, and what its hub was asked for."""

    state: FeedState
    rests: Mapping[str, datetime]
    lease: HubLease | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: `whole` without validators, `at` when the poll began. `lease` is with the feed's hub."""

    feed: Feed
    state: FeedState
    url: str
    whole: bool
    at: datetime
    lease: HubLease | None

    @property
    def pushed(self) -> bool:
        """Whether the feed's hub pushes its stories."""
        return self.lease is not None and is_pushing(self.lease, self.at)


async def poll_due(app: App, limit: int = POLLS_AT_ONCE) -> list[asyncio.Task[Polled]]:
    """Start a poll of each feed that is due and not being polled; return the tasks."""
    room = limit - len(app.in_flight)
    if room <= 0:
        return []
    now, clock = app.now(), asyncio.get_running_loop().time()
    went_back = now.timestamp() - clock < app.clock_lead - TICK / 2
    turns = await app.db(_turns, app, _Places(app, limit, clock), now, room, went_back)
    app.clock_lead = now.timestamp() - clock if went_back else max(app.clock_lead, now.timestamp() - clock)
    tasks: list[asyncio.Task[Polled]] = []
    for turn in turns:
        name = turn.state.feed
        # A feed may have been taken out meanwhile, or be polled by hand.
        if name in feeds_to_poll(app.config) and name not in app.in_flight:
            tasks.append(start(app, name, turn))
            if len(tasks) % STARTS == 0:
                await asyncio.sleep(PAUSE)
    return tasks


class _Places:
    """Which feeds may be polled: what hangs holds the places of its like only (`lanes`), and of its own host."""

    def __init__(self, app: App, limit: int, clock: float) -> None:
        self._feeds = feeds_to_poll(app.config)
        self._busy = app.in_flight | {name for name, (at, _) in app.not_before.items() if at > clock}
        self._hosts = Counter(host(self._feeds[name]) for name in app.in_flight if name in self._feeds)
        self._doubtful = limit // 2 - len(app.doubtful)

    def take(self, coming: Coming) -> bool:
        """Whether there is a place for a poll of a feed; it is taken then."""
        name, doubtful = coming.feed, is_doubtful(coming)
        if name not in self._feeds or name in self._busy or (doubtful and self._doubtful <= 0):
            return False
        where = host(self._feeds[name])
        if self._hosts[where] >= POLLS_OF_A_HOST:
            return False
        self._hosts[where] += 1
        self._doubtful -= doubtful
        return True


def _turns(app: App, places: _Places, now: datetime, room: int, went_back: bool) -> list[_Turn]:
    """Return whose turn it is. Uses the database."""
    if went_back:
        app.store.feeds.bring_forward(now)
    # What comes due before the middle of two ticks is taken now, or an interval of a second would last two.
    states = app.store.feeds.due(places.take, now + timedelta(seconds=TICK / 2), room)
    return _with_rests(app, states, now) if states else []


def _turn(app: App, name: str) -> _Turn:
    state = app.store.feeds.get(name)
    assert state is not None, f"feed {name} has no state"
    return _with_rests(app, [state], app.now())[0]


def _with_rests(app: App, states: Sequence[FeedState], now: datetime) -> list[_Turn]:
    rests = app.store.feeds.rests(now)
    leases = app.store.hubs.current([state.feed for state in states])
    return [_Turn(state, rests, leases.get(state.feed)) for state in states]


def start(app: App, name: str, turn: _Turn | None = None) -> asyncio.Task[Polled]:
    """Start a poll of feed `name`, which must not be in flight."""
    app.in_flight.add(name)
    if turn is not None and is_doubtful(turn.state):
        app.doubtful.add(name)
    task = asyncio.create_task(poll(app, name, turn), name=f"poll {name}")
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


async def poll(app: App, name: str, turn: _Turn | None = None) -> Polled:
    """Poll one feed now. What the feed does is in the result; only trouble of our own (the database) raises."""
    feed = app.config.feeds[name]  # first: it may be taken out while the database is waited for
    state, rests, lease = turn if turn is not None else await app.db(_turn, app, name)
    began = app.now()
    # An address that was changed just now is not asked about what another one said.
    changed = state.url != feed.address
    url = feed.address if changed else state.address or feed.address
    asked = _Asked(feed, state, url, changed or whole_due(state.whole_due_at, began), began, lease)
    validators = {} if asked.whole else {"etag": state.etag, "last_modified": state.last_modified}
    answer = await app.fetch(url, **validators, doubtful=is_doubtful(state), resting=app.resting(rests))
    if isinstance(answer, Failed):
        if answer.resting:
            return await _resting(app, asked, answer)
        return await _failed(app, asked, answer)
    # The same body is the same news only where it was read; once a day it is read anew, whatever it looks like.
    if isinstance(answer, NotModified) or (answer.body_hash == state.body_hash and not asked.whole):
        return await _unchanged(app, asked, answer)
    # A delta is not the document, and now and then all is read anew, as a check.
    part = answer.status != DELTA and not asked.whole
    read = _Reader(app, state)
    parsed = await read(answer, await app.together(_documents, name) if part else "")
    if isinstance(parsed, ParsedFeed) and not parsed.readable:
        led = await follow(app, feed, answer, parsed, read)
        if isinstance(led, Failed):
            if led.resting:
                return await _resting(app, asked, led)
            return await _failed(app, asked, led, reading=read.seconds)
        if parsed.kind == "page":
            asked = replace(asked, url=led.url)  # from now on the feed itself is asked
        answer, parsed = led.answer, led.parsed
    if isinstance(parsed, Failed):
        return await _failed(app, asked, parsed, reading=read.seconds)
    return await _stories(app, asked, answer, parsed, read.seconds or 0.0)


@dataclass(slots=True)
class _Reader:
    """Reads a poll's documents in workers; `seconds` is the longest that one of them took."""

    app: App
    state: FeedState
    seconds: float | None = None

    async def __call__(self, answer: Fetched, seen: str = "") -> ParsedFeed | Failed:
        """Return what a document says; `seen` are the items of it that need not be parsed again."""
        try:
            parsed, seconds = await read_feed(self.app, self.state, answer, seen)
        except WorkerError as error:
            self.seconds = PARSE_DEADLINE
            return Failed(f"the document could not be read: {error}", answer.status, "hard")
        self.seconds = max(seconds, self.seconds or 0.0)
        return parsed


async def take_push(app: App, lease: HubLease, body: bytes, content_type: str) -> Polled | None:
    """Take in what the feed's hub pushed, as the delta that it is; None where it is no news but that there is some.

    The feed is then polled soon. Only trouble of our own raises.
    """
    feed, state = app.config.feeds.get(lease.feed), await app.db(app.store.feeds.get, lease.feed)
    if feed is None or not feed.enabled or state is None or state.url != feed.address or state.baseline_at is None:
        return None  # another address was declared since, and its first poll is still to come
    # Relative links lead where those of the document do, so that a story is the same by either way.
    answer = Fetched(state.address or state.url, DELTA, body, content_type, None, None, "")
    read = _Reader(app, state)
    parsed = await read(answer)
    if isinstance(parsed, Failed):
        log.info("%s: what its hub pushed: %s", feed.name, parsed.reason)
    if isinstance(parsed, Failed) or not parsed.stories:
        await app.db(app.store.hubs.pinged, lease.key, app.now())
        return None
    asked = _Asked(feed, state, answer.url, False, app.now(), lease)
    polled = await _stories(app, asked, answer, parsed, read.seconds or 0.0, pushed=True)
    await app.db(app.store.hubs.pushed, lease.key, parsed.listed, app.now())
    return polled


async def _stories(
    app: App, asked: _Asked, answer: Fetched, parsed: ParsedFeed, reading: float, *, pushed: bool = False
) -> Polled:
    feed, state = asked.feed, asked.state
    guids = [story.guid for story in parsed.stories]
    history = await app.together(_histories, (feed.name, guids))
    known = history.known
    changed = [story for story in parsed.stories if known.get(story.guid) != content_hash(story)]
    edited = [story.guid for story in changed if story.guid in known]
    pages = await app.db(app.store.pages.texts, feed.name, edited) if edited else {}
    # Read together: topics of one configuration and subscriptions of another would tell nobody. The feed may be gone.
    config, rules = app.config, app.rules
    feed = config.feeds.get(feed.name, feed)
    matching = partial(match_stories, rules, feed, changed, parsed.language, pages)
    length = sum(len(one.title) + len(one.summary) + len(one.text) for one in changed) + sum(map(len, pages.values()))
    ready = matching() if length <= BRIEF else await asyncio.to_thread(matching)
    # No story is known of a feed that is new, or that has moved to where other stories are.
    baseline = state.baseline_at is None and feed.first_poll == "baseline" and (state.baseline_open or not known)
    values = _learnt(app, asked, answer, parsed, history)
    if await _is_gap(app, asked, answer, parsed, known):
        values["gap_at"] = app.now()
    if pushed:  # it says nothing of the server and its document
        values["url"] = feed.address
    else:
        missed = await _missed(app, asked, [story.guid for story in changed if story.guid not in known])
        values = {
            **_healthy(app, asked, answer, pushed=asked.pushed and not missed, **values),
            "reading": reading,
            "baseline_at": state.baseline_at or app.now(),
            "note": "; ".join((*parsed.problems, *_address_to_write(asked)))[:500] or None,
        }
    if changed:
        values["changed_at"] = app.now()
    seen = None if answer.status == DELTA else parsed.seen
    # What a document goes on having need not be written with each new story: the whole reading of every day does that.
    listing = parsed.whole or state.baseline_at is None
    state_of = {**values, "baseline_open": False}
    brought = Incoming(config, feed, ready, state_of, baseline, parsed.listed, seen, listing=listing)
    done = Ingested()
    # Part by part, the oldest first, so that a huge document keeps no other feed's stories and no message waiting. Each
    # story is saved with its messages, and with the last part what keeps the document from being read again.
    clock = asyncio.get_running_loop().time
    while len(ready) > PART:
        ready, part = ready[:-PART], ready[-PART:]
        async with app.saving:
            began = clock()
            some = replace(brought, ready=part, state={"baseline_open": baseline}, seen=None, last=False)
            done.add(*await app.db(ingest, app, [some]))
            if done.alerts:
                app.wake_delivery.set()
            await asyncio.sleep(REST * (clock() - began))
    done.add(await app.together(ingest, replace(brought, ready=ready)))
    if done.alerts:
        app.wake_delivery.set()
    if not pushed and answer.status != DELTA:
        await note_hub(app, feed.name, asked.url, answer, parsed, asked.lease)
    log.info(
        "%s: %d stories, %d new, %d edited, %d matched, %d alerts%s%s",
        feed.name,
        len(parsed.listed),
        done.new,
        done.edited,
        done.matched,
        done.alerts,
        " (first poll: a baseline, no alerts)" if baseline else "",
        " (pushed)" if pushed else "",
    )
    return Polled(feed.name, "stories", done, baseline=baseline)


def _documents(app: App, feeds: Sequence[str]) -> Sequence[str]:
    found = app.store.feeds.documents(feeds)
    return [found.get(feed, "") for feed in feeds]


def _histories(app: App, asked: Sequence[tuple[str, Collection[str]]]) -> Sequence[History]:
    return app.store.feeds.histories(asked, app.now() - HISTORY)


async def _missed(app: App, asked: _Asked, fresh: Sequence[str]) -> bool:
    """Whether the feed's hub should have pushed stories that a poll found; they are recorded, since it still may."""
    lease = asked.lease
    if lease is None or not fresh or asked.state.baseline_at is None or not is_live(lease, asked.at):
        return False
    if lease.pinged_at is not None and asked.at - lease.pinged_at < PUSH_LATE:  # it was the hub that sent us here
        return False
    await app.db(app.store.hubs.missed, lease.key, fresh, app.now())
    return True


def _address_to_write(asked: _Asked) -> tuple[str, ...]:
    """Say where a feed is read from that is not at its declared address."""
    if asked.feed.url is None or asked.url == asked.feed.url:
        return ()
    return (f"it is read from {asked.url}: write `url: {asked.url}` in feeds.yaml",)


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
    return values


async def _is_gap(app: App, asked: _Asked, answer: Fetched, parsed: ParsedFeed, known: Collection[str]) -> bool:
    """Whether a document has none of the feed's stories, so that some may have come and gone unseen.

    Where they are known by their links, only the guids are other ones.
    """
    state = asked.state
    if state.baseline_at is None or not state.stories or not parsed.stories or not parsed.whole or known:
        return False
    if answer.status == DELTA:
        return False
    keys = {story_key(asked.feed, story) for story in parsed.stories}
    if await app.db(app.store.feeds.has_any, state.feed, keys):
        return False
    count = len(parsed.listed)
    log.warning("%s: none of its %d stories was known: some may have come and gone unseen", state.feed, count)
    return True


def _healthy(app: App, asked: _Asked, answer: Fetched | NotModified, *, pushed: bool, **learnt: Any) -> dict[str, Any]:
    """Return the state of a feed that answered; the interval is counted from when it was asked."""
    state, polling = asked.state, app.config.settings.polling
    span = 0.0 if "gap_at" in learnt else learnt.get("span", state.span)
    floor = max(answer.fresh, learnt.get("ttl", state.ttl))
    rhythm = Rhythm.of(learnt.get("rhythm", state.rhythm))
    interval = poll_interval(asked.feed, polling, rhythm, asked.at, span=span, floor=floor, pushed=pushed)
    shortest = 0.0 if asked.feed.every is not None else max(bounds(asked.feed, polling)[0], min(floor, interval))
    interval = max(spread(interval, app.rng, first=state.succeeded_at is None), shortest)
    if state.failures:
        log.info("%s: answers again, after %d failures", state.feed, state.failures)
    now = app.now()
    return {
        "url": asked.feed.address,
        "address": asked.url if asked.url != asked.feed.address else None,
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
        "was_due": state.next_poll_at,
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


async def _resting(app: App, asked: _Asked, rest: Failed) -> Polled:
    """Put a feed off whose site, or one on the way, wants to be left alone; and its feeds a little apart."""
    feed, delay = asked.feed, (rest.retry_after or 0.0) * app.rng.uniform(1.0, 1.1)
    at = app.now() + timedelta(seconds=delay)
    await app.save_state(feed.name, url=feed.address, interval=delay, next_poll_at=at, was_due=asked.state.next_poll_at)
    log.debug("%s: %s for %d s", feed.name, rest.reason, delay)
    return Polled(feed.name, "resting", error=f"{rest.reason}; it is asked again at {at:%Y-%m-%d %H:%M} UTC")


async def _unchanged(app: App, asked: _Asked, answer: Fetched | NotModified) -> Polled:
    name, state = asked.feed.name, asked.state
    healthy = _healthy(app, asked, answer, pushed=asked.pushed)
    # Most of it is as it was, and each value takes its time on the way to the database.
    news = {key: value for key, value in healthy.items() if key in ALWAYS or value != getattr(state, key)}
    await app.save_state(name, **news)
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
        "url": feed.address,
        "polled_at": now,
        "status": failed.status,
        "failures": failures,
        "failing_since": since,
        "gone_since": gone_since,
        "address": None if astray else state.address,
        # What one address said of its document says nothing of another's.
        "whole_due_at": None if astray else state.whole_due_at,
        "error": failed.reason[:1000],
        "reading": state.reading if reading is None else reading,
        "interval": delay,
        "next_poll_at": now + timedelta(seconds=delay),
        "was_due": state.next_poll_at,
    }
    await app.save_state(feed.name, **values)
    log.warning("%s: %s (failure %d; the next try in %d s)", feed.name, failed.reason, failures, delay)
    return Polled(feed.name, "failed", error=failed.reason)
