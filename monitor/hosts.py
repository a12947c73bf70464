"""The hosts that are asked: whose turn it is at each, and where each is. All that is fetched shares these."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from monitor.config import FetchSettings

HOSTS_REMEMBERED = 10_000
GAPS = {"api.gdeltproject.org": 5.0}  # seconds between two requests that a host's own rules ask for
PAGE_GAP = 5.0  # seconds between two requests for pages to one host, at least
# Names looked up at the same time. A look-up cannot be ended: those of hosts in doubt may hold their threads for long,
# and threads are made when they are wanted.
LOOKUPS, DOUBTFUL_LOOKUPS = 16, 64

# Whether what is being fetched is in doubt; aiohttp asks for a name alone, in the context of the request.
in_doubt: ContextVar[bool] = ContextVar("in_doubt", default=False)


def host_gap(settings: FetchSettings, host: str) -> float:
    """Return the seconds between two requests to a host."""
    return max(settings.per_host_gap, GAPS.get(host, 0.0))


def page_gap(settings: FetchSettings) -> float:
    """Return the seconds between two requests for pages to one host."""
    return max(settings.per_host_gap, PAGE_GAP)


class Turns:
    """So many requests to a host at a time, and a gap between their starts; pages come one by one with a longer gap."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._lanes: dict[tuple[str, bool], _Lane] = {}

    def turn(self, host: str, *, page: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for a turn at a host, and hold it. A page that waits for its longer gap keeps no feed waiting."""
        gap = host_gap(self._settings, host)
        lane = self._lane(host, False, self._settings.per_host, gap)
        if not page:
            return lane
        return self._page(lane, self._lane(host, True, 1, max(gap, page_gap(self._settings))))

    @asynccontextmanager
    async def _page(self, lane: _Lane, pages: _Lane) -> AsyncIterator[None]:
        async with pages, lane:
            pages.started = lane.started
            yield

    def _lane(self, host: str, page: bool, at_once: int, gap: float) -> _Lane:
        lane = self._lanes.get((host, page))
        if lane is None:
            if len(self._lanes) >= HOSTS_REMEMBERED:
                self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_idle}
            lane = self._lanes[host, page] = _Lane(at_once, gap)
        return lane


class _Lane(AbstractAsyncContextManager[None]):
    """To enter it is to wait for a place, and to hold it from the time on that a request may start.

    A class and no generator, since each poll enters one.
    """

    def __init__(self, at_once: int, gap: float) -> None:
        self.started = float("-inf")
        self._inside = 0  # those that hold a place, or wait for one
        self._room, self._gap, self._gate = asyncio.Semaphore(at_once), gap, asyncio.Lock()
        self._clock = asyncio.get_running_loop().time

    @property
    def is_idle(self) -> bool:
        """Whether nothing hangs on it any more."""
        return not self._inside and self.started + self._gap < self._clock()

    async def __aenter__(self) -> None:
        self._inside += 1
        has_place = False
        try:
            has_place = await self._room.acquire()
            async with self._gate:
                if (wait := self.started + self._gap - self._clock()) > 0:
                    await asyncio.sleep(wait)
                self.started = self._clock()
        except BaseException:  # it was cancelled
            self._leave(has_place)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave(True)

    def _leave(self, has_place: bool) -> None:
        if has_place:
            self._room.release()
        self._inside -= 1


class Resolver(AbstractResolver):
    """Looks names up in threads of its own: a name server that is down must not stop the work of other threads.

    Those that are wanted for what is `in_doubt` have threads apart, so that names which take long, or are never
    answered for, keep no name waiting that is known to be good.
    """

    def __init__(self) -> None:
        self._good, self._doubtful = ThreadPoolExecutor(LOOKUPS, "dns"), ThreadPoolExecutor(DOUBTFUL_LOOKUPS, "dns-2")
        self.looking: set[str] = set()  # the names that are being looked up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises socket.gaierror (an OSError)."""
        loop = asyncio.get_running_loop()
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        self.looking.add(host)
        try:
            found = await loop.run_in_executor(self._doubtful if in_doubt.get() else self._good, ask)
        finally:
            self.looking.discard(host)
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=numeric)
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Let no further look-up begin."""
        for threads in (self._good, self._doubtful):
            threads.shutdown(wait=False, cancel_futures=True)
