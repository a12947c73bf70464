"""robots.txt: what a site lets programs read (RFC 9309). The only importer of protego."""

from __future__ import annotations

from collections import OrderedDict
from urllib.parse import urlsplit, urlunsplit

import protego

KEPT = 24 * 3600.0  # seconds
LIMIT = 500_000  # bytes that are read of one; what stands beyond is ignored
MEMORY = 20_000_000  # bytes of all that are kept


def robots_url(url: str) -> str:
    """Return the address of the robots.txt that is about `url`."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/robots.txt", "", ""))


def product(user_agent: str) -> str:
    """Return the name by which robots.txt knows a program: `NewsMonitor/1.0 (…)` is NewsMonitor."""
    return next(iter(user_agent.replace("/", " ").split()), "")


def asks(robots: bytes, agent: str, url: str) -> tuple[bool, float]:
    """Return whether `robots` lets `agent` read `url`, and the seconds it wants between two requests (`Crawl-delay`).

    Slow on hostile input, so call it in a worker.
    """
    parsed = protego.Protego.parse(robots.decode("utf-8-sig", "replace"))
    return bool(parsed.can_fetch(url, agent)), float(parsed.crawl_delay(agent) or 0.0)


class Kept:
    """The robots.txt of sites by their address, for `KEPT` seconds and in `MEMORY` bytes: the latest stay."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0

    def get(self, address: str, now: float) -> bytes | None:
        """Return one that is kept; `now` is on the clock of `put`, in seconds."""
        at, body = self._bodies.get(address, (now - KEPT, b""))
        return body if now - at < KEPT else None

    def put(self, address: str, body: bytes, now: float) -> None:
        """Keep one; an empty one allows everything."""
        self._forget(address)
        self._bodies[address] = now, body[:LIMIT]
        self._size += _cost(address, body)
        while self._size > MEMORY:
            self._forget(next(iter(self._bodies)))

    def _forget(self, address: str) -> None:
        if (found := self._bodies.pop(address, None)) is not None:
            self._size -= _cost(address, found[1])


def _cost(address: str, body: bytes) -> int:
    return len(address) + min(len(body), LIMIT) + 500  # with what Python needs for them
