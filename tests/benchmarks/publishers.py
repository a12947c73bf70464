"""Many publishers on loopback, each with an address of its own, and what they have published.

    python -m tests.benchmarks.publishers RECORD

Every host of 127.0.0.0/8 is a publisher: feed n is `http://127.x.y.z:PORT/n.xml`. Of the requests 5 % are answered a
second late, 2 % with 503, 2 % with 429, 1 % never (the mix of the notes on feeds, section 5); of the others two thirds
of the feeds answer 304, and a third never does and sends 53 KB of 50 items, gzipped: in 70 % of the answers with one
new item, so that 21 % of all polls bring one (section 1c, at 15 minutes), else the same document as before. (A feed
that answers 304 answers a request without its validators with its document.)

The first line of the output is the port. When the standard input says `freeze`, nothing more is published, and RECORD
gets, as JSON, how many items each feed had sent by then, and the counts of answers. The end of the input ends it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import sys
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path

from aiohttp import web

ITEMS = 50
DOCUMENT = 53_000  # bytes
BEFORE = 1_000  # items that each feed had published when its life begins here
TROUBLE = (("slow", 0.05), ("503", 0.02), ("429", 0.02), ("hang", 0.01))
DOCUMENTS, NEWS = 3, 0.7  # one feed in three sends documents, so many of them with a new item
SLOW, REST = 1.0, 30  # seconds
TYPE = "application/rss+xml; charset=utf-8"


def sends_documents(feed: int) -> bool:
    """Whether a feed answers with its whole document each time."""
    return feed % DOCUMENTS == 0


def url(feed: int, port: int) -> str:
    """Return a feed's address, on a host of its own."""
    number = feed + 256 + feed // 250  # not 127.0.0.x
    return f"http://127.{number >> 16}.{number >> 8 & 255}.{number & 255}:{port}/{feed}.xml"


def guid(feed: int, item: int) -> str:
    """Return the guid of an item."""
    return f"f{feed}-{item}"


@cache
def text(item: int) -> str:
    """Return the words of an item; they come again after 50 items."""
    if item >= ITEMS:
        return text(item % ITEMS)
    words = random.Random(item)
    return " ".join("".join(words.choices("etaoinshrdlu", k=words.randint(2, 9))) for _ in range(128))


def title(feed: int, item: int) -> str:
    """Return the headline of an item, which no other has."""
    return f"Outlet {feed} reports {text(item)[:40].strip()} in its story {item}"


def item_link(feed: int, item: int) -> str:
    """Return the address of an item's page."""
    return f"https://outlet-{feed}.example/story/{item}"


def item_xml(feed: int, item: int) -> str:
    """Return an item as it stands in the document."""
    return (
        f"<item><guid isPermaLink='false'>{guid(feed, item)}</guid><link>{item_link(feed, item)}</link>"
        f"<title>{title(feed, item)}</title><description>{text(item)}</description></item>"
    )


@lru_cache(maxsize=256)
def document(feed: int, last: int) -> bytes:
    """Return the document of a feed whose newest item is `last`."""
    items = "".join(item_xml(feed, item) for item in range(last, last - ITEMS, -1))
    return (
        f"<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>Outlet {feed}</title>"
        f"<link>https://outlet-{feed}.example/</link><description>All of {feed}</description>{items}</channel></rss>"
    ).encode()


def etag(feed: int, last: int) -> str:
    """Return the ETag of that document."""
    return f'"{feed}-{last}"'


class Publishers:
    """All of them, in one server. `asked` counts the answers by kind."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.frozen: dict[int, int] | None = None
        self.asked: Counter[str] = Counter()
        self._rng = random.Random(5)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        feed = int(request.match_info["feed"])
        draw, kind = self._rng.random(), "304"
        for trouble, share in TROUBLE:
            if draw < share:
                kind = trouble
                break
            draw -= share
        if kind in ("503", "429"):
            self.asked[kind] += 1
            return web.Response(status=int(kind), headers={"Retry-After": str(REST)} if kind == "429" else {})
        if kind in ("slow", "hang"):
            self.asked[kind] += 1
            await asyncio.sleep(SLOW if kind == "slow" else 600)
        if kind == "hang":  # nobody waits for it any more: what it told of would have been published to nobody
            return web.Response(status=504)
        last = self.last.get(feed, BEFORE)
        if sends_documents(feed) and self._rng.random() < NEWS and self.frozen is None:
            last = self.last[feed] = last + 1
        headers = {"ETag": etag(feed, last), "Content-Type": TYPE}
        if request.headers.get("If-None-Match") == etag(feed, last) and not sends_documents(feed):
            self.asked["304"] += 1
            return web.Response(status=304, headers=headers)
        self.asked["200"] += 1
        body = gzip.compress(document(feed, last), 6)
        return web.Response(body=body, headers={**headers, "Content-Encoding": "gzip"})

    def freeze(self) -> dict[int, int]:
        """Publish nothing more; return how many items each feed has sent."""
        self.frozen = dict(self.last)
        return self.frozen


def loopback_socket() -> socket.socket:
    """Return a socket at a free port of every address of 127.0.0.0/8, and of no other."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listening.bind(("0.0.0.0", 0))
    return listening


async def serve(record: Path) -> None:
    """Serve until the standard input ends."""
    publishers = Publishers()
    application = web.Application()
    application.router.add_get("/{feed:[0-9]+}.xml", publishers.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, loopback_socket(), backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "freeze":
            record.write_text(json.dumps({"sent": publishers.freeze(), "asked": publishers.asked}))
            print("frozen", flush=True)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
