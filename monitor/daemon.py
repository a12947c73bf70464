"""`monitor run`: the ticks, the signals and the reload. The only importer of APScheduler.

The schedule is in the database (`next_poll_at`, `next_attempt_at`, the digest slot) and the scheduler only ticks, so
nothing is lost with its memory: restarts, missed runs and clock changes find everything that is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import math
import os
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from monitor import __version__
from monitor.app import App, feeds_to_poll, utc_now
from monitor.checking import Loaded, idle, load
from monitor.collector import lasting, set_aside, settle
from monitor.config import Config, copy_files
from monitor.errors import ConfigError, MonitorError, Problem
from monitor.pipeline import (
    LOOKS_BACK,
    Watch,
    ask_hubs,
    audit,
    audit_due,
    deliver_due,
    digest_due,
    poll_due,
    prune,
    read_due,
    record_audit,
    volume_due,
)
from monitor.pipeline.deliver import LEASE
from monitor.service import report_bad_config
from monitor.service.record import STATE, read_state, told

log = logging.getLogger(__name__)

ROLES = frozenset({"poll", "deliver", "web"})
LAST_GOOD = "last-good"
MISTAKES = 20  # that pages show one by one
STOP_GRACE = 7.0  # seconds that messages on their way get to end; a container is killed after ten
RELOADS_SET_ASIDE = (
    100  # after so many, the garbage that they froze is collected; it stops all for 0.4 s at 10,000 topics
)
SETTLED_SET_ASIDE = 24 * 60  # minutes between two looks for frozen garbage that stop all for half a second


def load_or_last_good(folder: Path, data: Path, env: Mapping[str, str], now: datetime) -> Loaded:
    """Return the configuration in `folder`; while that is bad, the last good one, with the problems on record.

    Raises ConfigError when there is no good one.
    """
    try:
        loaded = load(folder, env)
    except ConfigError as error:
        kept = data / LAST_GOOD
        if not kept.is_dir():
            raise
        try:
            loaded = load(kept, env)
        except ConfigError:
            raise error from None
        write_state(data, now, loaded.config, error.problems)
        for problem in error.problems:
            log.error("%s", problem)
        log.error("%s was not loaded. Running on the last good configuration, kept in %s.", folder, kept)
        return loaded
    keep(data, loaded.config, now)
    return loaded


def keep(data: Path, config: Config, now: datetime) -> None:
    """Keep a good configuration as the last good one, and put it on record. Raises MonitorError when it cannot."""
    try:
        copy_files(config, data / LAST_GOOD)
        write_state(data, now, config, ())
    except OSError as error:
        raise MonitorError(f"the configuration could not be kept in {data}: {error.strerror}") from error


def write_state(data: Path, now: datetime, running: Config, problems: Collection[Problem]) -> None:
    """Put on record, for `monitor status`, what runs and what is wrong with the files."""
    before = read_state(data)
    bad = [problem for problem in problems if problem.level == "error"]
    since = before.get("since") if before.get("ok") is (not bad) else None
    state = {
        "ok": not bad,
        "since": since or now.isoformat(),
        "fingerprint": running.fingerprint,
        "loaded_at": before.get("loaded_at") if before.get("fingerprint") == running.fingerprint else now.isoformat(),
        "problems": [str(problem) for problem in bad],
        "mistakes": [told(problem) for problem in bad[:MISTAKES]],
    }
    fresh = data / f"{STATE}.{os.getpid()}"
    data.mkdir(parents=True, exist_ok=True)
    fresh.write_text(json.dumps(state))
    fresh.rename(data / STATE)


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[IO[str]]:
    """Hold the data folder's lock. Raises MonitorError when another daemon has it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        opened = (data / "monitor.lock").open("a+")
    except OSError as error:
        raise MonitorError(f"the data folder {data} cannot be used: {error.strerror}") from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MonitorError(f"another `monitor run` is using the data folder {data}") from error
        yield lock


def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what tells that a configuration folder changed: its files' names, times and sizes."""
    found = []
    for path in sorted(folder.rglob("*"))[:5000]:
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


class Daemon:
    """The running program. `roles` limits it to some of `ROLES`; `serve` serves the web pages until it is cancelled."""

    def __init__(
        self,
        app: App,
        folder: Path,
        env: Mapping[str, str],
        roles: Collection[str] = ROLES,
        serve: Callable[[App], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.app, self.folder, self.env, self.roles, self.serve = app, folder, env, frozenset(roles), serve
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ticks: set[asyncio.Task[Any]] = set()  # that run just now
        self._stamp = self._seen = stamp(folder)
        self._again = False
        self._reloads = self._settled = 0
        self._watch = Watch()

    async def run(self) -> None:
        """Run until `stop` or a signal."""
        app = self.app
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._ask_reload)
        await app.db(app.store.feeds.ensure, feeds_to_poll(app.config), app.now())
        # What an earlier process of this folder was sending, it is sending no more.
        hold = app.config.settings.on_unknown == "hold"
        freed = await app.db(app.store.outbox.sweep, app.now(), app.worker, (), hold)
        if freed:
            log.warning("%d messages were being sent when the program last stopped; they are taken up again", freed)
        await self._tell_what_is_wrong()
        scheduler = self._scheduler()
        waker = asyncio.create_task(self._wake_deliveries(), name="wake deliveries")
        web: asyncio.Task[None] | None = None
        if self.serve is not None and "web" in self.roles:
            web = asyncio.create_task(self.serve(app), name="the web server")
            web.add_done_callback(self._ended)
        set_aside()
        if "poll" in self.roles:
            app.ticked = time.monotonic()
        scheduler.start()
        log.info(
            "News Monitor %s: %d feeds, %d topics, %d subscribers",
            __version__,
            len(feeds_to_poll(app.config)),
            len(app.config.topics),
            sum(s.enabled for s in app.config.subscribers.values()),
        )
        for sentence in idle(app.config):
            log.warning("%s", sentence)
        await self.stopping.wait()
        log.info("stopping")
        end = asyncio.get_running_loop().time() + STOP_GRACE
        if web is not None:
            web.cancel()
        # A tick that is cut off might have claimed what nobody sends then until its lease is over.
        scheduler.pause()
        app.wake_delivery.set()
        await _until(end, {waker, *self._ticks})
        scheduler.shutdown(wait=False)
        # A poll or a page that is cut off is made again; a message that is cut off may come twice.
        for task in [task for task in self._tasks if task.get_name().startswith(("poll ", "read "))]:
            task.cancel()
        await _until(end, self._tasks)

    async def _tell_what_is_wrong(self) -> None:
        """Say what is on record at the start: feeds that fail, and files that were not loaded."""
        app, now = self.app, self.app.now()
        feeds = feeds_to_poll(app.config)
        recorded = await app.db(app.store.feeds.remarkable, math.inf, now)
        failing = [one for name, one in recorded.items() if one.failures and name in feeds]
        if failing:
            since = min(one.failing_since for one in failing if one.failing_since is not None)
            following = min(one.next_poll_at for one in failing)
            log.warning(
                "%d feeds could not be read when last tried, the first since %s UTC; the next try is at %s UTC",
                len(failing),
                f"{since:%Y-%m-%d %H:%M}",
                f"{max(following, now):%Y-%m-%d %H:%M:%S}",
            )
        await app.db(report_bad_config, app, read_state(app.data), now)

    def stop(self) -> None:
        """Ask the daemon to stop; what is in flight gets `STOP_GRACE` seconds."""
        self.stopping.set()

    def _ask_reload(self) -> None:
        self._again = True

    def _scheduler(self) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(timezone="UTC")
        ticks: list[tuple[str, Callable[[], Awaitable[None]], float, bool]] = [
            ("poll", self._poll, 1, "poll" in self.roles),
            ("read", self._read, 1, "poll" in self.roles),
            ("deliver", self._deliver, 1, "deliver" in self.roles),
            ("digest", self._digest, 5, "deliver" in self.roles),
            ("volume", self._volume, 60, "deliver" in self.roles),
            ("sweep", self._sweep, 15, "deliver" in self.roles),
            ("health", self._health, 60, "poll" in self.roles),
            ("prune", self._prune, 600, "poll" in self.roles),
            ("hubs", self._hubs, 10, self.serve is not None and "web" in self.roles),  # they ask back by the web server
            ("audit", self._audit, 600, "deliver" in self.roles),
            ("settle", self._settle, 60, True),
            ("take up", self._take_up, 2, True),
            ("reload", self._reload, 2, True),
        ]
        for name, tick, seconds, wanted in ticks:
            if wanted:
                # The scheduler goes by the machine's clock, whatever clock the program is given.
                at_once = {"next_run_time": utc_now()} if seconds < 60 else {}
                scheduler.add_job(
                    self._guarded,
                    "interval",
                    args=(name, tick),
                    seconds=seconds,
                    id=name,
                    coalesce=True,
                    max_instances=1,
                    misfire_grace_time=None,
                    **at_once,
                )
        return scheduler

    async def _guarded(self, name: str, tick: Callable[[], Awaitable[None]]) -> None:
        """Run a tick, unless the daemon stops; what goes wrong in it is logged, and the next one tries again."""
        if self.stopping.is_set() or (running := asyncio.current_task()) is None:
            return
        self._ticks.add(running)
        try:
            await tick()
        except asyncio.CancelledError:
            if not self.stopping.is_set():
                raise
            log.warning("%s was cut off by the stop; the next start goes on with it", name)
        except MonitorError as error:
            log.error("%s: %s; tried again shortly", name, error)
        except Exception:
            # The last guard of a program that must not stop: whatever a tick did not foresee is shown with its trace.
            log.exception("%s failed unexpectedly; tried again shortly", name)
        finally:
            self._ticks.discard(running)

    def _follow(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        for task in tasks:
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed; it is tried again: %s", task.get_name(), error, exc_info=error)

    async def _poll(self) -> None:
        self._follow(await poll_due(self.app))
        self.app.ticked = time.monotonic()

    async def _read(self) -> None:
        self._follow(await read_due(self.app))

    async def _deliver(self) -> None:
        self._follow(await deliver_due(self.app))

    async def _wake_deliveries(self) -> None:
        while "deliver" in self.roles and not self.stopping.is_set():
            await self.app.wake_delivery.wait()
            self.app.wake_delivery.clear()
            await self._guarded("deliver", self._deliver)

    async def _digest(self) -> None:
        for row in await self.app.db(digest_due, self.app):
            log.info("digest for %s by %s is ready: %s", row.subscriber, row.channel, ", ".join(row.topics) or "empty")

    async def _volume(self) -> None:
        for row in await self.app.db(volume_due, self.app):
            log.info("%s: %s", row.subscriber, row.subject)

    async def _sweep(self) -> None:
        app, hold, busy = self.app, self.app.config.settings.on_unknown == "hold", tuple(self.app.sending)
        await app.db(app.store.outbox.renew, app.now(), LEASE, app.worker, busy)
        freed = await app.db(app.store.outbox.sweep, app.now(), None, busy, hold)
        if freed:
            log.warning("%d messages whose sending took too long are taken up again", freed)

    async def _hubs(self) -> None:
        await ask_hubs(self.app)

    async def _health(self) -> None:
        await self.app.db(self._watch.look, self.app)

    async def _prune(self) -> None:
        # Chunk by chunk, so that nothing else waits for long; what is left at a stop goes the next time.
        while not self.stopping.is_set() and any(await self.app.db(prune, self.app, self.app.now())):
            pass

    async def _settle(self) -> None:
        self._settled += 1
        if self._settled % SETTLED_SET_ASIDE:
            settle()
        else:
            set_aside()

    async def _audit(self) -> None:
        app, now = self.app, self.app.now()
        if await asyncio.to_thread(audit_due, app, now):
            # It only reads, so it keeps nobody from writing, however long it takes.
            found = await asyncio.to_thread(audit, app, now - LOOKS_BACK, now)
            await app.db(record_audit, app, found)

    async def _take_up(self) -> None:
        if await self.app.db(self.app.take_up):
            log.info("what subscribers set was taken up")

    async def _reload(self) -> None:
        fresh = await asyncio.to_thread(stamp, self.folder)
        if not self._again:
            # Files that were changed since the last look may still be being written.
            settled, self._seen = fresh == self._seen, fresh
            if fresh == self._stamp or not settled:
                return
        app, now = self.app, self.app.now()
        try:
            loaded = await asyncio.to_thread(self._load)
        except ConfigError as error:
            await asyncio.to_thread(write_state, app.data, now, app.declared, error.problems)
            for problem in error.problems:
                log.error("%s", problem)
            log.error("%s was not loaded: still running the last good configuration", self.folder)
            await app.db(report_bad_config, app, read_state(app.data), now)
        else:
            await self._use(loaded, now)
        # Only now: what failed on the way (a full disk) is tried again with the next tick.
        self._stamp, self._again = fresh, False

    def _load(self) -> Loaded:
        with lasting():
            return load(self.folder, self.env, Loaded(self.app.declared, self.app.rules))

    async def _use(self, loaded: Loaded, now: datetime) -> None:
        app, before = self.app, self.app.declared
        await app.db(app.store.feeds.ensure, feeds_to_poll(loaded.config), now)
        layered = await app.db(app.lay_over, loaded.config)
        app.use(loaded.config, loaded.rules, layered)
        await asyncio.to_thread(keep, app.data, loaded.config, now)
        self._reloads += 1
        if self._reloads % RELOADS_SET_ASIDE == 0:
            set_aside()
        if loaded.config.fingerprint == before.fingerprint:
            return
        log.info("the configuration was loaded anew: %d topics", len(loaded.config.topics))
        for sentence in idle(loaded.config):
            log.warning("%s", sentence)
        new, old = loaded.config.settings, before.settings
        if (new.web, new.secret_key, new.database_url) != (old.web, old.secret_key, old.database_url):
            log.warning("`web`, `secret_key` and `database_url` of monitor.yaml count from the next start on")


async def _until(end: float, tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait until tasks have ended, or the loop's clock shows `end`."""
    if tasks:
        await asyncio.wait(tasks, timeout=max(0.0, end - asyncio.get_running_loop().time()))
