"""Conditional GET with limits on everything → Fetched | NotModified | Failed. What a server does is never an exception.
Forms go to hubs within the same limits.

The address guard sits where sockets are made: it sees the very address that is connected to, so literal addresses,
redirects and names that resolve anew (rebinding) all pass it (notes on security, 3.5).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

import aiohttp
from yarl import URL

from monitor import __version__
from monitor.config import FetchSettings
from monitor.errors import URLError
from monitor.hosts import Resolver, Turns, in_doubt
from monitor.hubs import links
from monitor.unpack import BodyError, Unpacked
from monitor.urls import check_url, host, resolve, site

REDIRECTS = 4
HEADER_LIMIT = 64 * 1024  # bytes of one header line; some publishers' cookies and policies fill the usual 8 KB
RETRY_AFTER_CAP = FRESH_CAP = 24 * 3600.0  # seconds
VALIDATOR_LIMIT = 4096  # characters of an ETag that is kept
SITES_REMEMBERED = 10_000
# Hosts that at times answer 404 for what is there (newsboat #3269, FreshRSS #8808, NetNewsWire #5212).
FLAPPING = frozenset({"www.youtube.com"})
FEED_TYPES = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5"

# What `ipaddress.is_global` of Python 3.11 lets through or later versions disagree on. The embedded forms (6to4, NAT64,
# IPv4-compatible) would lead to whatever IPv4 address they hold.
_NOT_PUBLIC = [
    ip_network(text)
    for text in (
        *(
            "0.0.0.0/8",
            "100.64.0.0/10",
            "168.63.129.16/32",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
]
_GLOBAL_V6 = IPv6Network("2000::/3")  # all that has been given out so far; everything else has a special use, or none
Network = IPv4Network | IPv6Network
Resting = Callable[[str], float]  # an address → for how many seconds its site is to be left alone
Kind = Literal["soft", "dns", "hard", "blocked", "gone"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document: its final address, its body after decompression, and validators byte for byte.

    `status` 226 is a delta: what is new alone. `moved_to` is the final address where redirects led there, all of them
    permanent. `fresh` is for how many seconds the server says that it stays as it is, `took` how many the answer took.
    `links` are the addresses of its Link headers by relation.
    """

    url: str
    status: int
    body: bytes
    content_type: str
    etag: str | None
    last_modified: str | None
    body_hash: str
    links: Mapping[str, str] = field(default_factory=dict)
    moved_to: str | None = None
    fresh: float = 0.0
    took: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server says that nothing changed; its validators, where it sent any. The rest is as in Fetched."""

    etag: str | None = None
    last_modified: str | None = None
    moved_to: str | None = None
    fresh: float = 0.0
    took: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing came. `reason` is a sentence for people: what happened and what to do. `retry_after` is in seconds.

    `url` is the address that failed, after redirects. `resting`: it was not even asked, since its site wants a rest.
    """

    reason: str
    status: int | None = None
    kind: Kind = "hard"
    retry_after: float | None = None
    url: str = ""
    resting: bool = False

    @property
    def wants_rest(self) -> bool:
        """Whether the server said that its whole site is to be left alone for a while."""
        return self.status == 429 or (self.status == 503 and bool(self.retry_after))


@dataclass(frozen=True, slots=True)
class _Redirect:
    to: str
    permanent: bool


class _BlockedError(OSError):
    """The guard refused an address."""


def is_public(address: str, allow: tuple[Network, ...] = ()) -> bool:
    """Whether `address` is a public one, or within `allow`. An IPv4-mapped address counts as what it holds."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if any(found in network for network in allow if network.version == found.version):
        return True
    if isinstance(found, IPv6Address) and found not in _GLOBAL_V6:
        return False
    return found.is_global and not any(found in n for n in _NOT_PUBLIC if n.version == found.version)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is sent at each hop, and taken: at most `limit` bytes, of the types that `only` names, if any.

    No address is asked that is `resting`.
    """

    headers: Mapping[str, str]
    limit: int
    only: str
    resting: Resting
    page: bool = False
    form: Mapping[str, str] | None = None


def _never(_: str) -> float:
    return 0.0


class Fetcher:
    """Fetches within `settings`; made within a running loop, shared by all feeds so that hosts are treated fairly.

    `contact` is the address where web servers' operators learn who asks.
    """

    def __init__(self, settings: FetchSettings, contact: str = "") -> None:
        self._settings = settings
        self._allow: tuple[Network, ...] = tuple(ip_network(text, strict=False) for text in settings.allow_private)
        self._turns = Turns(settings)
        self._rests: dict[str, tuple[float, float]] = {}  # site → when it said so on the loop's clock, and for how long
        who = f"+{contact}" if contact else "news feed reader"
        agent = settings.user_agent or f"NewsMonitor/{__version__} ({who})"
        self._resolver = Resolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver, socket_factory=self._guard, limit=0, ttl_dns_cache=300
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Only what can be undone with a cap on its output; a chain of codings is refused.
            headers={"User-Agent": agent, "Accept-Encoding": "gzip, deflate"},
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(),  # none of its own: each request has one that counts for all hops
            trust_env=False,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
            max_headers=1000,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._resolver.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

    def _guard(self, addr_info: Any) -> socket.socket:
        family, kind, proto, _, address = addr_info
        if not is_public(str(address[0]), self._allow):
            raise _BlockedError(f"{address[0]} is a private or reserved address")
        made = socket.socket(family, kind, proto)
        made.setblocking(False)
        return made

    async def fetch(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        max_bytes: int | None = None,
        accept: str = FEED_TYPES,
        only: bool = False,
        page: bool = False,
        doubtful: bool = False,
        resting: Resting = _never,
    ) -> Fetched | NotModified | Failed:
        """Fetch `url` within `fetch.timeout`, redirects and body included; never raises for what a server does.

        `etag` and `last_modified` are sent back as they came (RFC 9110, 13.1), and with the former a delta is accepted
        (RFC 3229). `max_bytes` (default: the setting) is counted after decompression. With `only`, nothing is read of
        an answer that says it is of another type than `accept` names. A `page` has turns of its own at its host. What
        is `doubtful` keeps only its like waiting for names. No address is asked that is `resting`, also of
        those that redirects lead to.
        """
        headers = {"Accept": accept}
        if etag:
            headers |= {"If-None-Match": etag, "A-IM": "feed"}
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        limit = max_bytes if max_bytes is not None else self._settings.max_bytes
        in_doubt.set(doubtful)
        try:
            return await self._follow(url, _Request(headers, limit, accept if only else "", resting, page))
        except URLError as error:
            return Failed(f"{error}; mend its address in feeds.yaml", kind="hard")

    async def post(self, url: str, form: Mapping[str, str], resting: Resting = _never) -> Failed | None:
        """Send a form, with the manners of `fetch`; None when it was accepted (2xx). What the answer says is not read.

        Only redirects that keep the form a form (307, 308) are followed.
        """
        in_doubt.set(True)
        try:
            found = await self._follow(url, _Request({}, 0, "", resting, form=form))
        except URLError as error:
            return Failed(str(error), kind="hard")
        return found if isinstance(found, Failed) else None

    async def _follow(self, url: str, request: _Request) -> Fetched | NotModified | Failed:
        url = check_url(url)
        loop = asyncio.get_running_loop()
        entered = loop.time()
        left = self._settings.timeout  # seconds for all hops together; waiting for the host's turn is not counted
        hops: list[_Redirect] = []
        while len(hops) <= REDIRECTS:
            name = host(url)
            own = name in self._settings.own_hosts
            if not own and (rest := request.resting(url)) > 0:
                return _resting(url, rest)
            async with self._turns.turn(name, page=request.page):
                began = loop.time()
                said, rest = self._rests.get(site(url), (entered, 0.0)) if self._rests else (entered, 0.0)
                if said > entered:  # while this request waited for its turn; before that is not for us to remember
                    return _resting(url, said + rest - began)
                found = await self._once(url, request, name, left)
                left -= loop.time() - began
            if isinstance(found, Failed):
                if found.wants_rest and found.retry_after and not own:
                    if len(self._rests) >= SITES_REMEMBERED:
                        self._rests.clear()
                    self._rests[site(url)] = loop.time(), found.retry_after
                return replace(found, url=url)
            if not isinstance(found, _Redirect):
                moved = url if hops and all(hop.permanent for hop in hops) else None
                return replace(found, moved_to=moved, took=self._settings.timeout - left)
            hops.append(found)
            url = found.to
        return Failed(f"{name} redirected more than {REDIRECTS} times; look where its feed is now", url=url)

    async def _once(
        self, url: str, request: _Request, name: str, left: float
    ) -> Fetched | NotModified | Failed | _Redirect:
        """One request of at most `left` seconds."""
        # Encoded: what `check_url` let pass is what is sent, not what a second parser makes of it.
        address = URL(url, encoded=True)
        try:
            async with asyncio.timeout(max(left, 0.0)):
                method, headers, form = "GET" if request.form is None else "POST", request.headers, request.form
                asking = self._session.request(method, address, headers=headers, data=form, allow_redirects=False)
                async with asking as answer:
                    return await self._read(url, answer, request, name) if form is None else _taken(url, answer, name)
        except TimeoutError:
            if name in self._resolver.looking:
                return Failed(f"{name} was not found in time (DNS): check the network, or the address", kind="dns")
            return Failed(f"{name} did not answer within {self._settings.timeout:g} s", kind="soft")
        except (aiohttp.ClientError, OSError, ValueError, AssertionError, zlib.error) as error:
            # ValueError and AssertionError: what aiohttp's parser raises on some answers that are not HTTP.
            return _explain(error, name)

    async def _read(
        self, url: str, answer: aiohttp.ClientResponse, request: _Request, name: str
    ) -> Fetched | NotModified | Failed | _Redirect:
        etag, modified = _validator(answer.headers.get("ETag")), _validator(answer.headers.get("Last-Modified"))
        if answer.status == 304:
            if not answer.request_info.headers.keys() & {"If-None-Match", "If-Modified-Since"}:
                return Failed(f"{name} says that nothing changed (304), unasked; this mostly passes", 304, "soft")
            return NotModified(etag, modified, fresh=_fresh(answer))
        if answer.status in (301, 302, 303, 307, 308):
            target = resolve(url, answer.headers.get("Location", ""))
            if not target:
                return Failed(f"{name} redirected to no usable address", answer.status, "hard")
            return _Redirect(target, answer.status in (301, 308))
        if answer.status not in (200, 226):
            return _refusal(answer.status, answer.headers, name)
        content_type = answer.headers.get("Content-Type", "")[:200]
        said = content_type.partition(";")[0].strip().lower()
        if request.only and said and said not in request.only:
            return Failed(f"{name} sent {said}, which is no page", answer.status, "hard")
        body = await _body(answer, request.limit)
        if body is None:
            size = f"{request.limit / 1_000_000:g} MB"
            return Failed(
                f"the document of {name} is larger than {size}; raise `fetch.max_bytes`", answer.status, "hard"
            )
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        fresh, linked = _fresh(answer), links(answer.headers.getall("Link", ()), url)
        return Fetched(url, answer.status, body, content_type, etag, modified, digest, linked, fresh=fresh)


def _resting(url: str, seconds: float) -> Failed:
    return Failed(f"{site(url)} wants to be left alone", None, "soft", seconds, url, resting=True)


def _taken(url: str, answer: aiohttp.ClientResponse, name: str) -> Fetched | Failed | _Redirect:
    """What the answer to a form says."""
    if 200 <= answer.status < 300:
        return Fetched(url, answer.status, b"", "", None, None, "")
    if answer.status in (307, 308) and (target := resolve(url, answer.headers.get("Location", ""))):
        return _Redirect(target, answer.status == 308)
    refusal = _refusal(answer.status, answer.headers, name)
    return replace(refusal, reason=f"{name} refused what it was asked ({answer.status})")


async def _body(answer: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body after decompression, None when over `limit` bytes. Raises BodyError or zlib.error."""
    said = answer.headers.get("Content-Encoding", "").lower()
    coding = ", ".join(word for part in said.split(",") if (word := part.strip()) not in _NO_CODING)
    if coding not in ("", "gzip", "x-gzip", "deflate"):
        raise BodyError(f"sent a document coded as {coding[:40]!r}, which was not asked for")
    unpacked = Unpacked(limit, coding)
    async for chunk in answer.content.iter_chunked(64 * 1024):
        unpacked.feed(chunk)
        if len(unpacked.body) > limit:
            return None
    unpacked.end()
    return bytes(unpacked.body)


_NO_CODING = {"", "identity", "none", "utf-8", "utf8", "8bit", "binary"}  # some servers name the charset here


def _validator(value: str | None) -> str | None:
    # One with characters that may not stand in a header could not be sent back.
    return value if value and len(value) <= VALIDATOR_LIMIT and value.isascii() and value.isprintable() else None


_STATUS = {
    401: "wants a login ({status}): it has no public feed at this address",
    403: "refuses us ({status}): it may block programs; ask the publisher, or take another feed",
    404: "has nothing at this address ({status}): look for the feed's new one",
    410: "says that the feed is gone for good ({status}): take it out of feeds.yaml",
    429: "says we ask too often ({status}); it is left alone for a while",
}


def _refusal(status: int, headers: Mapping[str, str], name: str) -> Failed:
    wait = _retry_after(headers)
    flapping = status == 404 and name in FLAPPING
    if flapping:
        sentence = "says that nothing is there (404), as it does at times; if it lasts, check the id"
    elif status in _STATUS:
        sentence = _STATUS[status].format(status=status)
    elif 500 <= status < 600:
        sentence = f"has trouble of its own ({status}); this mostly passes"
    else:
        sentence = f"answered {status}, which is no document"
    kind: Kind = "gone" if status == 410 else "soft" if 500 <= status < 600 or status == 429 or flapping else "hard"
    return Failed(f"{name} {sentence}", status, kind, wait if status in (429, 503) else None)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After, a date being relative to the server's own clock; a day at most."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,10}", value):
        return min(float(value), RETRY_AFTER_CAP)
    until, sent = _http_date(value), _http_date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((until - sent).total_seconds(), 0.0), RETRY_AFTER_CAP) if until else None


def _fresh(answer: aiohttp.ClientResponse) -> float:
    """Return for how many seconds an answer says that it stays as it is, a day at most; 0 when it does not say.

    Expires counts where Cache-Control names no max-age, by the server's own clock (RFC 9111, 4.2.1), and the Age that
    the answer had on its way is taken off. `no-cache` and `no-store` ask to be asked each time.
    """
    headers = answer.headers
    said = [part.strip().lower() for line in headers.getall("Cache-Control", ()) for part in line.split(",")]
    if {"no-cache", "no-store"} & set(said):
        return 0.0
    ages = [float(found[1]) for part in said if (found := re.fullmatch(r'max-age="?(\d{1,10})"?', part))]
    if not ages and (until := _http_date(headers.get("Expires", ""))) and (sent := _http_date(headers.get("Date", ""))):
        ages = [(until - sent).total_seconds()]
    age = headers.get("Age", "").strip()
    spent = float(age) if re.fullmatch(r"\d{1,10}", age) else 0.0
    return min(max(min(ages, default=0.0) - spent, 0.0), FRESH_CAP)


def _http_date(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _explain(error: BaseException, name: str) -> Failed:
    """Return a connection's failure as a sentence for people."""
    chain = [error, *_causes(error)]
    if any(isinstance(one, _BlockedError) for one in chain) or "private or reserved address" in str(error):
        return Failed(
            f"{name} leads to a private or reserved address, which is not fetched; if it is yours, list it under "
            "`fetch.allow_private` in monitor.yaml",
            kind="blocked",
        )
    if any(isinstance(one, socket.gaierror | aiohttp.ClientConnectorDNSError) for one in chain):
        return Failed(f"{name} could not be found (DNS): check the network, or the address", kind="dns")
    if any(isinstance(one, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError) for one in chain):
        return Failed(f"{name} has no valid certificate: {_short(error)}", kind="hard")
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return Failed(f"{name} refused the connection: nothing listens at {_port(error)}", kind="soft")
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionError | aiohttp.ServerDisconnectedError):
        return Failed(f"the connection to {name} failed: {_short(error)}", kind="soft")
    if isinstance(error, BodyError):
        return Failed(f"{name} {error}", kind="soft")
    if isinstance(error, zlib.error):
        return Failed(f"{name} sent a document that cannot be unpacked", kind="soft")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failed(f"{name} broke off in the middle of the document", kind="soft")
    return Failed(f"{name} answered in a way that is not HTTP: {_short(error)}", kind="soft")


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    while len(found) < 8 and (following := getattr(error, "os_error", None) or error.__cause__) is not None:
        if following is error or following in found:
            break
        found.append(following)
        error = following
    return found


def _port(error: BaseException) -> str:
    return f"port {error.port}" if isinstance(error, aiohttp.ClientConnectorError) else "its port"


def _short(error: BaseException) -> str:
    # aiohttp's parser adds the bytes that it stumbled over, on lines of their own.
    first = error.message.strip().partition("\n")[0] if isinstance(error, aiohttp.ClientResponseError) else str(error)
    said = " ".join(first.split()).rstrip(":") or type(error).__name__
    return "".join(c for c in said if c.isprintable())[:200]
