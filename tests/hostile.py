"""A server on loopback whose every path does something that a feed's server should not."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]

ITEM = "<item><guid isPermaLink='false'>{0}</guid><title>Hostile story {0}</title></item>"
HOSTS = 80  # addresses of loopback that it listens on
ZEROS = 200_000_000  # bytes that a bomb unpacks to


def rss(items: str, head: str = "") -> bytes:
    return (
        f"<?xml version='1.0'?>{head}<rss version='2.0' xmlns:dc='http://purl.org/dc/elements/1.1/' "
        f"xmlns:content='http://purl.org/rss/1.0/modules/content/'><channel><title>Hostile</title>{items}</channel></rss>"
    ).encode()


def item(inside: str) -> bytes:
    return rss(f"<item><guid>1</guid><title>Hostile story</title>{inside}</item>")


def document(body: bytes, *headers: str, content_type: str = "application/rss+xml", status: str = "200 OK") -> bytes:
    """Return a whole answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n" + body


def says(answer: bytes) -> Behaviour:
    """Answer with these bytes and hang up."""

    async def write(out: asyncio.StreamWriter) -> None:
        out.write(answer)
        await out.drain()

    return write


def drips(answer: bytes, pause: float = 1.0) -> Behaviour:
    """Answer byte by byte."""

    async def write(out: asyncio.StreamWriter) -> None:
        for place in range(len(answer)):
            out.write(answer[place : place + 1])
            await out.drain()
            await asyncio.sleep(pause)

    return write


def repeats(begin: bytes, part: bytes, pause: float = 0.0) -> Behaviour:
    """Answer without end."""

    async def write(out: asyncio.StreamWriter) -> None:
        out.write(begin)
        while True:
            out.write(part)
            await out.drain()
            await asyncio.sleep(pause)

    return write


async def _hangs(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _resets(out: asyncio.StreamWriter) -> None:
    out.write(document(item(""))[:200])
    await out.drain()
    connection: socket.socket = out.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    out.transport.abort()


_numbers = itertools.count()


async def _floods(out: asyncio.StreamWriter) -> None:
    """Bring a thousand stories that were never there before, each time."""
    run = next(_numbers)
    await says(document(rss("".join(ITEM.format(f"{run}-{n}") for n in range(1000)))))(out)


def _bomb(bits: int) -> bytes:
    """Return `ZEROS` zeros, packed: a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(ZEROS // 1_000_000)]
    return b"".join((*parts, packer.flush()))


def _laughs() -> str:
    names = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
    return f"<!DOCTYPE rss [<!ENTITY l0 'lol'>{names}]>"


def _entity(value: str, times: int) -> bytes:
    return rss(f"<item><guid>1</guid><title>{'&x;' * times}</title></item>", f"<!DOCTYPE rss [<!ENTITY x {value}>]>")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n"
ONE = item("")


def behaviours(port: int) -> dict[str, Behaviour]:
    """Return what the server at `port` does, by path without its slash."""
    bomb = _bomb(zlib.MAX_WBITS | 16)
    here = f"http://127.0.0.1:{port}"

    def leads(to: str) -> Behaviour:
        return says(document(b"", f"Location: {to}", status="302 Found"))

    return {
        # slowly, or without end
        "drip": drips(document(ONE)),
        "drip-headers": drips(HEAD + b"X-Slow: yes\r\n" * 50),
        "silence": _hangs,
        "no-end-of-headers": repeats(HEAD, b"X-More: and more\r\n" * 50, 0.01),
        "no-end-of-header": repeats(HEAD + b"X-More: ", b"x" * 4096, 0.01),
        "no-end-of-interim-answers": repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0.01),
        "no-end-of-body": repeats(HEAD + b"\r\n<rss><channel>", ITEM.format("x").encode() * 200, 0.01),
        # wrong lengths and framing
        "length-too-long": says(HEAD + b"Content-Length: 999999\r\n\r\n" + ONE),
        "length-too-short": says(HEAD + b"Content-Length: 100\r\n\r\n" + ONE),
        "length-negative": says(HEAD + b"Content-Length: -5\r\n\r\n" + ONE),
        "length-twice": says(HEAD + b"Content-Length: 5\r\nContent-Length: 900\r\n\r\n" + ONE),
        "bad-chunks": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n<rss>\r\n0\r\n\r\n"),
        "huge-chunk": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n<rss>"),
        "http-0.9": says(ONE),
        "not-http": says(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "reset": _resets,
        # bombs
        "gzip-bomb": says(document(bomb, "Content-Encoding: gzip")),
        "gzip-bomb-in-gzip": says(document(gzip.compress(bomb), "Content-Encoding: gzip")),
        "gzip-twice": says(document(bomb, "Content-Encoding: gzip, gzip")),
        "deflate-bomb": says(document(_bomb(zlib.MAX_WBITS), "Content-Encoding: deflate")),
        "brotli": says(document(b"\x8b\x02\x80", "Content-Encoding: br")),
        "gzip-broken-off": says(document(gzip.compress(ONE)[:-30], "Content-Encoding: gzip")),
        # elsewhere
        "redirect-loop": leads(f"{here}/redirect-loop"),
        "redirect-private": leads("http://169.254.169.254/latest/meta-data/"),
        "redirect-mapped": leads("http://[::ffff:10.0.0.1]/"),
        "redirect-file": leads("file:///etc/passwd"),
        # another answer than was asked for
        "not-modified": says(document(b"", status="304 Not Modified")),
        "empty": says(document(b"")),
        "page": says(document(b"<!doctype html><html><body><p>Log in</p></body></html>", content_type="text/html")),
        # documents that take long or much to read
        "100000-stories": says(document(rss("".join(ITEM.format(n) for n in range(100_000))))),
        "new-stories-each-time": _floods,
        "long-author": says(document(item(f"<author>{'a' * 1_000_000}</author>"))),
        "many-categories": says(document(item("<category>x</category>" * 100_000))),
        "many-attributes": says(document(item("<x " + " ".join(f"a{n}='1'" for n in range(100_000)) + "/>"))),
        "comments": says(document(item(f"<description><![CDATA[{'<!--' * 500_000}]]></description>"))),
        "style": says(document(item(f"<description><![CDATA[<p style='{'a' * 1_000_000}'>]]></description>"))),
        "billion-laughs": says(document(rss("<item><title>&l9;</title></item>", _laughs()))),
        "entities": says(document(_entity("'aaaaaaaaaa'", 1_000_000))),
        "external": says(document(_entity(f"SYSTEM '{here}/seen'", 1))),
        "deep": says(document(item("<a>" * 600_000))),
        "deep-html": says(document(item(f"<description><![CDATA[{'<div>' * 300_000}]]></description>"))),
        "deep-json": says(document(b'{"version": "https://jsonfeed.org/version/1.1", "items": ' + b"[" * 500_000)),
        "one-word": says(document(item(f"<description>{'x' * 9_000_000}</description>"))),
        "nul-bytes": says(document(ONE.replace(b"Hostile", b"Hos\x00tile"))),
        "half-a-surrogate": says(document(item("<description>&#xD800; &#xDC00;</description>"))),
        "utf-7": says(document(ONE.replace(b"?>", b" encoding='utf-7'?>").replace(b"story", b"+ADw-script+AD4-"))),
        "utf-16-lie": says(document(ONE.replace(b"?>", b" encoding='utf-16'?>"))),
        "no-markup-end": says(document(rss("<item " * 200_000))),
        "cdata": says(document(item("<description>" + "<![CDATA[x" * 300_000))),
    }


class HostileServer:
    """Does what `behaviours` says, by path; `with HostileServer() as server:`.

    It listens on all of loopback's addresses that it has names for, so that every behaviour has a host of its own.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hostile server")
        self._behaviours: dict[str, Behaviour] = {}
        self._talks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What it can do."""
        return tuple(self._behaviours)

    def url(self, name: str, host: int = 0) -> str:
        """Return the address of a behaviour, at host 127.0.0.1 or another of `HOSTS`."""
        return f"http://127.0.0.{1 + host}:{self.port}/{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        hosts = [f"127.0.0.{1 + n}" for n in range(HOSTS)]
        self._server = await asyncio.start_server(self._talk, hosts, self.port)
        self._behaviours = behaviours(self.port)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, incoming: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            request = await incoming.readuntil(b"\r\n\r\n")
            name = request.split()[1].decode().strip("/")
            self.asked.append(name)
            await self._behaviours[name](out)
        except (OSError, asyncio.IncompleteReadError, KeyError, asyncio.CancelledError):
            pass  # the client may well have had enough, or the test
        finally:
            self._talks.discard(task)
            with contextlib.suppress(OSError):
                out.close()
                await out.wait_closed()


class SlowNames:
    """Stands for `socket.getaddrinfo` on a name server that never answers for `*.tarpit.example`, until `end`.

    Every other name leads to loopback.
    """

    def __init__(self) -> None:
        self._over = threading.Event()

    def __call__(self, name: str, port: int, *_: object) -> list[tuple[object, ...]]:
        if str(name).endswith(".tarpit.example"):
            self._over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def end(self) -> None:
        """Let all go that wait."""
        self._over.set()


def main() -> None:
    """Serve until standard input ends, as a process of its own; print the port and the names."""
    with HostileServer() as server:
        print(server.port, *server.names, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
