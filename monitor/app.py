"""The composition root: `open_app(config, data)` → App, with everything a tick or a command needs."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import os
import random
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from monitor import __version__
from monitor.article import extract
from monitor.config import Config, FetchSettings, Subscriber
from monitor.endpoints import addressed_to
from monitor.errors import MonitorError, StoreError
from monitor.events import Grouping
from monitor.fetch import Failed, Fetched, Fetcher, NotModified, Resting
from monitor.links import Purpose, last_day, sign
from monitor.logs import redactor
from monitor.parse import parse_feed
from monitor.preferences import laid_over
from monitor.render import Links, Reader, Renderer, Site
from monitor.robots import Kept, asks
from monitor.rules import Rules, compile_rules
from monitor.send import Sender
from monitor.store import Store
from monitor.urls import ascii_domain, host, site
from monitor.workers import Workers

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

SENDERS = 16  # threads that may wait for servers at the same time
TOGETHER = 0.1  # seconds that what a poll reads or saves waits for that of others
LOOPBACK = ("127.0.0.1", "::1", "localhost")
OPERATORS = ""  # the "subscriber" of messages to the operators; a declared one always has a name


def utc_now() -> datetime:
    """Return the present, in UTC."""
    return datetime.now(UTC)


class App:
    """What is open: the configuration and the rules made of it, the database, the ways in and out.

    `config` is what the files say (`declared`) with what subscribers set laid over it, and those who signed up.
    `declared` and `rules` are replaced together by `use`; a tick reads each once, so it never sees half a change.
    """

    def __init__(self, config: Config, rules: Rules, data: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.data = data
        self.now = clock
        self.rng = random.Random()  # noqa: S311 - spreads polls and retries; nothing secret hangs on it
        self.secret = _secret(config, data)
        self.store = Store(config.settings.database_url, data)
        self.renderer = Renderer()
        count = max(1, min(4, os.cpu_count() or 1))
        # Lanes (pipeline.lanes): for feeds, for those whose documents take long, and for pages, so that none of these
        # keeps the others waiting.
        parsing = partial(parse_feed, b"<rss><channel/></rss>", "")
        pages = partial(extract, b"<p>", ""), partial(asks, b"", "", "https://site.example/")
        self.workers, self.suspect_workers = Workers(count, parsing), Workers(1, parsing, nice=10)
        self.page_workers = Workers(1, *pages, nice=5)
        self.newcomers = asyncio.Semaphore(max(1, count - 1))  # feeds never read before, among the first of these
        self.robots = Kept()
        self.in_flight: set[str] = set()  # feeds being polled
        self.doubtful: set[str] = set()  # those of them that may hold their places for long
        self.ticked: float | None = None  # when a look for due feeds last ended, on the monotonic clock, in a daemon
        self.reading: set[str] = set()  # hosts of which a page is being read
        self.pausing: set[str] = set()  # hosts that want a pause before the next, by their robots.txt
        self.sending: set[str] = set()  # "subscriber/channel" being sent to
        self.tidied: tuple[datetime, Config] | None = None  # when the outbox was last tidied, and for which addresses
        # The stories of the events' window and the latest change by an operator that they show; in the database's
        # thread only (pipeline.placing).
        self.grouping: tuple[Grouping, int] | None = None
        self.claiming = asyncio.Lock()
        self.saving = asyncio.Lock()  # held by the one document that is saved part by part
        self.not_before: dict[str, tuple[float, float]] = {}  # feed → when it is polled again after trouble of ours,
        # on the loop's clock, and the seconds waited
        self.clock_lead = math.inf  # seconds that the clock was ahead of the loop's when feeds were last looked at
        self.wake_delivery = asyncio.Event()
        self._waiting: dict[Any, list[tuple[Any, asyncio.Future[Any]]]] = {}  # what is done together, by how
        self._batches: set[asyncio.Task[None]] = set()
        self._database = ThreadPoolExecutor(1, "database")
        self._senders = ThreadPoolExecutor(SENDERS, "send")
        self._fetcher: Fetcher | None = None
        self._retired: list[Fetcher] = []
        self._using: Counter[Fetcher] = Counter()
        self.declared, self.config, self.rules = config, config, rules
        self._laid: tuple[Config, int] | None = None  # what `config` was made of
        self.sender = Sender(config.settings.mail_from)
        redactor.learn(config.secrets)

    def use(self, config: Config, rules: Rules, layered: Config | None = None) -> None:
        """Go over to another configuration; what is in flight ends under the old one.

        `layered` is what `lay_over` made of it, where that was done in the database's thread already.
        """
        if way_in(config) != way_in(self.config):
            self._retired += [self._fetcher] if self._fetcher is not None else []
            self._fetcher = None
        redactor.learn((*self.config.secrets, *config.secrets))
        if layered is None:
            layered = self.lay_over(config)
        self.declared, self.config, self.rules = config, layered, rules
        self.sender = Sender(config.settings.mail_from, self.sender)

    def take_up(self) -> bool:
        """Take up what subscribers set, and who signed up, since the last time; whether there was anything.

        Whoever records such a thing calls it; a daemon does so every few seconds too, for what others recorded.
        """
        laid = self._laid
        if laid is not None and laid[0] is self.declared and laid[1] == self.store.preferences.version():
            return False
        self.config = self.lay_over(self.declared)
        return True

    def lay_over(self, declared: Config) -> Config:
        """Return a configuration with what subscribers set, and those who signed up."""
        preferences = self.store.preferences
        version = preferences.version()
        layered = laid_over(declared, preferences.all(), preferences.members(), version)
        self._laid = (declared, version)
        return layered

    @property
    def fetcher(self) -> Fetcher:
        """The way in; made at first use, within the running loop."""
        if self._fetcher is None:
            self._fetcher = Fetcher(*way_in(self.config))
        return self._fetcher

    async def fetch(self, url: str, **options: Any) -> Fetched | NotModified | Failed:
        """Fetch an address by the way in of now."""
        return await self._by_way_in(lambda fetcher: fetcher.fetch(url, **options))

    async def post(self, url: str, form: Mapping[str, str], resting: Resting) -> Failed | None:
        """Send a form by the way in of now."""
        return await self._by_way_in(lambda fetcher: fetcher.post(url, form, resting))

    async def rests(self) -> Resting:
        """Return for how long sites are to be left alone, by what is on record now."""
        return self.resting(await self.db(self.store.feeds.rests, self.now()))

    def resting(self, rests: Mapping[str, datetime]) -> Resting:
        """Return for how long sites are to be left alone, each until a time of `rests`."""

        def left(url: str) -> float:
            until = rests.get(site(url)) if rests else None
            return 0.0 if until is None else (until - self.now()).total_seconds()

        return left

    async def _by_way_in(self, ask: Callable[[Fetcher], Awaitable[T]]) -> T:
        """Ask by the way in of now; one that was replaced is closed when the last that uses it has ended."""
        fetcher = self.fetcher
        self._using[fetcher] += 1
        try:
            return await ask(fetcher)
        finally:
            self._using[fetcher] -= 1
            for idle in [one for one in self._retired if not self._using[one]]:
                self._retired.remove(idle)
                del self._using[idle]
                await idle.close()

    async def save_state(self, feed: str, **values: Any) -> None:
        """Save fields of a feed's state, together with those of feeds that are polled at the same time."""
        await self.together(_save_states, (feed, values))

    async def together(self, work: Callable[[App, Sequence[T]], Sequence[R]], one: T) -> R:
        """Have `one` read or saved in one transaction with what others give to `work` at the same time.

        A transaction costs more than all else of a poll that finds nothing new. `work` does as many as it likes of
        what it is given, from the first on, and returns what came of each. What goes wrong with one alone is its own.
        """
        waiting = self._waiting.get(work)
        if waiting is None:
            waiting = self._waiting[work] = []
            task = asyncio.create_task(self._together(work), name="the database, for several polls")
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        waiting.append((one, done))
        return await done

    async def _together(self, work: Callable[[App, Sequence[T]], Sequence[R]]) -> None:
        if len(self.in_flight) > len(self._waiting[work]):
            await asyncio.sleep(TOGETHER)
        waiting = self._waiting.pop(work)
        while waiting:
            results = await self.db(_tried, self, work, [one for one, _ in waiting])
            for (_, done), result in zip(waiting, results, strict=False):
                if done.done():  # its poll was cancelled
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)
            waiting = waiting[len(results) :]

    async def db(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that uses the database in the one thread that writes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._database, lambda: function(*args, **kwargs))

    def db_wait(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same from a thread that is not the loop's, waiting for the result."""
        return self._database.submit(lambda: function(*args, **kwargs)).result()

    async def in_sender(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that waits for a server in one of the sending threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._senders, lambda: function(*args, **kwargs))

    async def close_fetchers(self) -> None:
        """Close the ways in; a later fetch opens them anew."""
        for fetcher in (*self._retired, self._fetcher):
            if fetcher is not None:
                await fetcher.close()
        self._retired, self._fetcher = [], None

    async def close(self, *, wait: bool = True) -> None:
        """Close everything. Without `wait` a thread that is still sending is left behind: the end of the process ends
        it, and its message is taken up at the next start.
        """
        await self.close_fetchers()
        if self._batches:
            await asyncio.wait(self._batches)
        for workers in (self.workers, self.suspect_workers, self.page_workers):
            workers.close()
        await asyncio.to_thread(self._senders.shutdown, wait=wait, cancel_futures=True)
        await asyncio.to_thread(self.sender.close)
        self._database.shutdown()
        self.store.close()

    @functools.cached_property
    def worker(self) -> str:
        """Who holds leases. One process at a time delivers from a data folder, so it frees what an earlier one held."""
        return f"{socket.gethostname()}-{_kept(self.data / 'worker.id', 4)}"

    @property
    def site(self) -> Site:
        """How messages name this installation."""
        settings = self.config.settings
        return Site(settings.site, settings.public_url.rstrip("/"), settings.mail_from, __version__)

    @property
    def mail_host(self) -> str:
        """The domain of Message-IDs: that of `mail_from`, else of `public_url`."""
        sender = self.config.settings.mail_from.rpartition("@")[2].strip(" >")
        return ascii_domain(sender) or urlsplit(self.config.settings.public_url).hostname or "localhost"

    def reader(self, subscriber: Subscriber | None) -> Reader:
        """Return who reads a message; None stands for the operators."""
        if subscriber is None:
            return Reader("", "Operators", ZoneInfo(self.config.settings.timezone), "en")
        return Reader(subscriber.name, subscriber.title, ZoneInfo(subscriber.timezone), subscriber.language)

    def links(self, subscriber: str, topics: tuple[str, ...], at: datetime) -> Links:
        """Return the signed links of a subscriber's message about `topics` made `at`; the operators' have none."""
        if subscriber == OPERATORS:
            return Links("", {}, "")
        base = self.site.public_url
        off = {topic: f"{base}/u/{sign(self.secret, subscriber, topic)}" for topic in topics}
        return Links(f"{base}/u/{sign(self.secret, subscriber)}", off, self.preferences_link(subscriber, at))

    def preferences_link(self, subscriber: str, at: datetime) -> str:
        """Return the signed link by which a subscriber chooses, good for `links.LASTS` days from `at` on."""
        return f"{self.site.public_url}/s/{self.sign_until(subscriber, Purpose.PREFERENCES, at)}"

    def confirm_link(self, name: str, at: datetime) -> str:
        """Return the signed link by which one who signed up `at` confirms it."""
        return f"{self.site.public_url}/subscribe/{self.sign_until(name, Purpose.CONFIRM, at)}"

    def sign_until(self, name: str, purpose: Purpose, at: datetime) -> str:
        """Return a token for a name, made `at`, that expires as its purpose says."""
        return sign(self.secret, name, last_day(purpose, at), purpose)

    def acknowledge_link(self, name: str, incident: str) -> str:
        """Return the signed link by which `name` (a subscriber or channel) acknowledges an incident."""
        return f"{self.site.public_url}/a/{sign(self.secret, name, incident, Purpose.ACKNOWLEDGE)}"


def _save_states(app: App, states: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[None]:
    app.store.feeds.save(states)
    return [None] * len(states)


def _tried(app: App, work: Callable[[App, Sequence[T]], Sequence[R]], ones: Sequence[T]) -> Sequence[R | Exception]:
    """Return what `work` made of the first of `ones`; where they cannot be done together, of each alone."""
    try:
        return work(app, ones)
    except Exception as error:  # noqa: BLE001 - whatever it is, it goes to whoever waits for what came of it
        # With a database that is gone each alone would fail as well, after a wait for each.
        if len(ones) == 1 or (isinstance(error, StoreError) and error.unavailable):
            return [error] * len(ones)
    return [_tried(app, work, [one])[0] for one in ones]


def way_in(config: Config) -> tuple[FetchSettings, str]:
    """Return what a Fetcher is made of; a `public_url` on loopback tells nobody who asks."""
    public_url = config.settings.public_url
    return config.settings.fetch, "" if host(public_url) in LOOPBACK else public_url


def channel_url(config: Config, subscriber: str, channel: str) -> str | None:
    """Return the address of a subscriber's channel as it is declared now; None when it no longer is."""
    if subscriber == OPERATORS:
        index = int(channel) if channel.isdecimal() else -1
        operators = config.settings.operators
        return operators[index].get_secret_value() if 0 <= index < len(operators) else None
    declared = config.subscribers.get(subscriber)
    if declared is None or not declared.enabled or channel not in declared.channels:
        return None
    return declared.channels[channel].get_secret_value()


def address_of(config: Config, kind: str, subscriber: str, channel: str) -> str | None:
    """Return the address that a message of a kind goes to, as it is declared now; None when it no longer is."""
    if kind == "escalation":
        return next((to[channel] for topic in config.topics if channel in (to := config.escalation(topic))), None)
    if kind == "confirmation":
        settings = config.settings.sign_up
        return addressed_to(settings.via.get_secret_value(), channel) if settings is not None else None
    return channel_url(config, subscriber, channel)


def open_app(
    config: Config,
    data: Path,
    clock: Callable[[], datetime] = utc_now,
    *,
    rules: Rules | None = None,
    migrate: bool = True,
) -> App:
    """Return an App on `data`, which is made when absent; `rules` are those of `config`, where they are made already.

    Raises ConfigError, StoreError or MonitorError.
    """
    if rules is None:
        rules = compile_rules(config)
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MonitorError(f"the data folder {data} cannot be made: {error.strerror}") from error
    app = App(config, rules, data, clock)
    if migrate and app.store.is_sqlite:
        app.store.migrate()
    try:
        app.take_up()
    except StoreError as error:
        # A database that is away, or not brought up to date yet, decides nothing either; a daemon tries again.
        log.warning("what subscribers set could not be read: %s", error)
    return app


def _secret(config: Config, data: Path) -> bytes:
    """Return the key that signs links: the declared one, or one made once and kept in the data folder."""
    if config.settings.secret_key is not None:
        return config.settings.secret_key.get_secret_value().encode()
    return _kept(data / "secret.key", 32).encode()


def _kept(path: Path, size: int) -> str:
    """Return the random text kept in a file, which is made when absent. Raises MonitorError."""
    try:
        if not path.exists():
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_hex(size))
            fresh.rename(path)
        return path.read_text().strip()
    except OSError as error:
        raise MonitorError(f"{path} cannot be read or made: {error.strerror}") from error


def describe_url(url: str) -> str:
    """Return an address fit for a log line: without user-info and query."""
    parts = urlsplit(url)
    return quote(f"{parts.scheme}://{parts.hostname or ''}{parts.path}", safe=":/%")


def feeds_to_poll(config: Config) -> Mapping[str, str]:
    """Return the addresses of the enabled feeds, by name."""
    return config.polled
