"""Pages of new stories: robots.txt → fetch → extract → match again → save. The headline has been told by then."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from monitor.app import App, feeds_to_poll
from monitor.article import PAGE_LIMIT, PAGE_TYPES, Article, extract, is_about
from monitor.errors import WorkerError
from monitor.fetch import Failed, Fetched, NotModified
from monitor.hosts import page_gap
from monitor.models import Page, Story
from monitor.pipeline.ingest import Ingested, ingest_page
from monitor.robots import asks, product, robots_url
from monitor.store.archive import story_text
from monitor.urls import host, site

log = logging.getLogger(__name__)

READS_AT_ONCE = 16
READ_DEADLINE = 10.0  # seconds; a real page takes 0.05
TRIES = (60.0, 600.0, 3600.0, 6 * 3600.0)  # seconds until a page that failed is tried again; then it is given up
LONGEST_PAUSE = 3600.0  # seconds between two pages of a host, whatever `Crawl-delay` says
OWN_TROUBLE = 30.0  # seconds until a host's pages are read again after trouble of ours
AGENT = "NewsMonitor"  # what robots.txt calls us, unless `fetch.user_agent` says something else


@dataclass(frozen=True, slots=True)
class ReadPage:
    """What became of a story's page."""

    story_id: int
    result: Literal["read", "later", "given up"]
    ingested: Ingested | None = None
    error: str = ""


async def read_due(app: App) -> list[asyncio.Task[ReadPage]]:
    """Start to read the pages that are due, one of a host at a time; return the tasks."""
    room = READS_AT_ONCE - len(app.reading)
    if room <= 0:
        return []
    tasks = []
    for page, story in await app.db(app.store.pages.due, app.now(), room, (*app.reading, *app.pausing)):
        app.reading.add(page.host)
        task = asyncio.create_task(_read(app, page, story), name=f"read {page.story_id}")
        task.add_done_callback(partial(_ended, app, page.host))
        tasks.append(task)
    return tasks


async def read_all(app: App) -> None:
    """Read all pages that are due now, one after another of each host. Raises StoreError."""
    waiting: set[asyncio.Task[ReadPage]] = set()
    while True:
        waiting |= set(await read_due(app))
        if not waiting:
            return
        finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in finished:
            task.result()


def _ended(app: App, name: str, task: asyncio.Task[ReadPage]) -> None:
    if task.cancelled() or task.exception() is None:
        app.reading.discard(name)
    else:  # a full disk, a locked database: the publisher need not be asked again at once for it
        task.get_loop().call_later(OWN_TROUBLE, app.reading.discard, name)


async def _read(app: App, page: Page, story: Story) -> ReadPage:
    """Read one page. What its server does is in the result; only trouble of our own raises."""
    feed = app.config.feeds.get(page.feed)
    if feed is None or page.feed not in feeds_to_poll(app.config) or feed.full_text == "never":
        return await _give_up(app, page, f"feed {page.feed} does not ask for pages any more")
    article = await _article(app, story.url)
    if isinstance(article, Failed):
        return await _failed(app, page, article)
    if len(article.text) <= max(len(story.text), len(story.summary)):
        return await _give_up(app, page, "it says no more than the feed")
    if not is_about(article, story.title):
        return await _give_up(app, page, "it is about something else")
    # Read together, as in a poll; the feed may be gone.
    config, rules = app.config, app.rules
    feed = config.feeds.get(page.feed, feed)
    known = story_text(story)
    tags = tuple(dict.fromkeys((*known.tags, *feed.tags)))
    text = replace(known, text=article.text, feed=feed.name, tags=tags)
    matches = await asyncio.to_thread(rules.match, text)
    verdicts = await asyncio.to_thread(rules.verdicts, text, matches)
    done = await app.db(ingest_page, app, config, feed, story, text, matches, verdicts)
    if done is None:
        return ReadPage(page.story_id, "later", error="the story was changed meanwhile")
    if done.alerts:
        app.wake_delivery.set()
    log.info(
        "%s: read the page of story %d: %d characters, %d matched, %d alerts",
        feed.name,
        page.story_id,
        len(text.text),
        done.matched,
        done.alerts,
    )
    return ReadPage(page.story_id, "read", done)


async def _article(app: App, url: str) -> Article | Failed:
    """Return the article at an address, or why there is none."""
    refused = await _refused(app, url)
    if refused is not None:
        return refused
    answer = await _fetch(app, url, accept=PAGE_TYPES, only=True)
    if isinstance(answer, Failed):
        return answer
    assert isinstance(answer, Fetched)  # nothing was sent that could be answered by "not modified"
    name = host(answer.url)
    if robots_url(answer.url) != robots_url(url) and (refused := await _refused(app, answer.url)) is not None:
        return refused
    try:
        article = await app.page_workers.run(extract, answer.body, answer.url, timeout=READ_DEADLINE)
    except WorkerError as error:
        return Failed(f"it could not be read: {error}", kind="soft")
    if article.paywalled:
        return Failed("it is behind a paywall")
    return article if article.text else Failed(f"{name} shows no article there")


async def _fetch(app: App, url: str, **options: Any) -> Fetched | NotModified | Failed:
    """Fetch a page, or a robots.txt. Its host may be any, as its publisher likes."""
    resting = await app.rests()
    return await app.fetch(url, max_bytes=PAGE_LIMIT, page=True, doubtful=True, resting=resting, **options)


async def _refused(app: App, url: str) -> Failed | None:
    """Return why robots.txt keeps us from a page, or None. One that cannot be had refuses for now (RFC 9309, 2.3.1)."""
    address, clock, name = robots_url(url), asyncio.get_running_loop().time(), host(url)
    body = app.robots.get(address, clock)
    if body is None:
        answer = await _fetch(app, address, accept="text/plain, */*;q=0.5")
        if isinstance(answer, Fetched):
            body = answer.body
        elif isinstance(answer, Failed) and answer.status in range(400, 500) and not answer.wants_rest:
            body = b""
        else:
            assert isinstance(answer, Failed)
            kind = answer.kind if answer.kind == "blocked" else "soft"
            return replace(answer, reason=f"the robots.txt of {name} could not be had: {answer.reason}", kind=kind)
        app.robots.put(address, body, clock)
    agent = product(app.config.settings.fetch.user_agent or AGENT)
    try:
        allowed, pause = True, 0.0
        if body:
            allowed, pause = await app.page_workers.run(asks, body, agent, url, timeout=READ_DEADLINE)
    except WorkerError as error:
        return Failed(f"the robots.txt of {name} could not be read: {error}", kind="soft")
    if pause > page_gap(app.config.settings.fetch):
        # A place is not held meanwhile, unlike for the gap that every host gets.
        app.pausing.add(name)
        asyncio.get_running_loop().call_later(min(pause, LONGEST_PAUSE), app.pausing.discard, name)
    return None if allowed else Failed(f"the robots.txt of {name} does not allow it", kind="blocked")


async def _failed(app: App, page: Page, failed: Failed) -> ReadPage:
    now = app.now()
    until = now + timedelta(seconds=failed.retry_after or TRIES[0])
    if failed.resting:
        await app.db(app.store.pages.wait, page.story_id, until)
        return ReadPage(page.story_id, "later", error=failed.reason)
    if failed.wants_rest and host(failed.url) not in app.config.settings.fetch.own_hosts:
        await app.db(app.store.feeds.set_rest, site(failed.url), until, now)
    # A page may be published a little after the feed that names it.
    passes = failed.kind in ("soft", "dns") or failed.status == 404
    if not passes or page.tries >= len(TRIES):
        return await _give_up(app, page, failed.reason)
    delay = max(TRIES[page.tries] * app.rng.uniform(1.0, 1.1), failed.retry_after or 0.0)
    await app.db(app.store.pages.put_off, page.story_id, now + timedelta(seconds=delay), failed.reason[:500])
    log.info("%s: the page of story %d: %s; again in %d s", page.feed, page.story_id, failed.reason, delay)
    return ReadPage(page.story_id, "later", error=failed.reason)


async def _give_up(app: App, page: Page, reason: str) -> ReadPage:
    await app.db(app.store.pages.give_up, page.story_id, reason[:500])
    log.info("%s: the page of story %d is not read: %s", page.feed, page.story_id, reason)
    return ReadPage(page.story_id, "given up", error=reason)
