"""What stands before every page: security headers, the desk's gate, the limit of a request's body, and the check that
a form is one of ours. Plain ASGI.

The gate denies by default: a new route is closed until its path is put on the public list below. It decides on
`scope["path"]`, the very string that the router matches, and never on `request.url`, which a forged Host header can
bend (CVE-2026-48710).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.hubs import CALLBACKS
from monitor.web.session import COOKIE, FIELD, Sessions

BODY_LIMIT = 64 * 1024  # bytes; the pages' forms and RFC 8058 posts are far below 1 KB
BODY_SECONDS = 10.0

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/login", "/subscribe"})
STATIC = "/static/"
PUBLIC_FOLDERS = ("/s/", "/u/", "/a/", "/subscribe/", CALLBACKS, STATIC)

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address of a /u page is a key to it
}

Refuse = Callable[[str, int], Response]  # (path, status) → the page that says so
WHO = "monitor.who"  # in a request's scope: the visitor that the gate let through
_FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded")
_SAFE = ("GET", "HEAD", "OPTIONS")


def is_public(path: str) -> bool:
    """Whether `path` is open to everybody: health, signed links, sign-up, hubs' callbacks and the style sheets."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDERS)


def secure(headers: MutableHeaders, path: str) -> None:
    """Add the security headers to `headers`. Pages are never stored; style sheets are asked for again by their ETag.

    A page may have set a stricter policy of its own.
    """
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers["Cache-Control"] = "no-cache" if path.startswith(STATIC) else "no-store"


class SecurityHeaders:
    """ASGI middleware: every answer carries the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add to the answer's headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self.app(scope, receive, send_secured)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A reverse proxy that says in `header` who its visitor is; believed from these addresses only."""

    header: str
    networks: Sequence[IPv4Network | IPv6Network]

    def visitor(self, scope: Scope) -> str:
        """Return whom the proxy names, or ""."""
        peer = _peer(scope)
        if peer is None or not any(peer in network for network in self.networks):
            return ""
        named = Headers(scope=scope).getlist(self.header)
        return named[0].strip() if len(named) == 1 else ""  # two are one of the proxy's and one of somebody else's


class Gate:
    """ASGI middleware: what is not public demands the token, as `Authorization: Bearer TOKEN` or by a session that was
    begun with it, or the name of a visitor from a trusted proxy.

    Without a token and a proxy only this machine sees the desk: 403 for everybody else, what came through a proxy on it
    included. A token in the address is not accepted, since addresses are logged, kept in histories and sent on.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        refuse: Refuse,
        proxy: Proxy | None = None,
        opened: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.app = app
        self._opened = opened
        self._sessions = sessions
        self._token = None if sessions.token is None else sessions.token.encode()
        self._proxy = proxy
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        status = 0
        if scope["type"] in ("http", "websocket") and not is_public(scope["path"]):
            status = self._verdict(scope)
            if status and scope.get("method") in ("GET", "HEAD") and self._opened(scope["path"]):
                status = 0  # and nobody is in `WHO`: the page shows what is for everybody
        if not status:
            await self.app(scope, receive, send)
            return
        answer = self._refuse(scope["path"], status)
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send)

    def _verdict(self, scope: Scope) -> int:
        who = self._who(scope)
        if who:
            scope[WHO] = who
            return 0
        return 403 if self._token is None and self._proxy is None else 401

    def _who(self, scope: Scope) -> str:
        """Return the visitor, as form tokens are made for: a session's cookie, or how they came in; "" for nobody."""
        if self._proxy is not None and (visitor := self._proxy.visitor(scope)):
            return f"proxy {visitor}"
        if self._token is None:
            return "this machine" if self._proxy is None and _from_here(scope) else ""
        headers = Headers(scope=scope)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Starlette reads header bytes as Latin-1, so this gives back the bytes that were sent.
        known = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        if known and scheme.lower() == "bearer":
            return BEARER
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return cookie if cookie and self._sessions.holds(cookie, time.time()) else ""


BEARER = "bearer"  # no browser sends it by itself, so its posts need no form token


def _peer(scope: Scope) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that the connection comes from; None when it is not known."""
    client = scope.get("client")
    try:
        return ipaddress.ip_address(client[0]) if client is not None else None
    except ValueError:
        return None


def _from_here(scope: Scope) -> bool:
    """Whether the visitor is on this machine: unknown says no, and so does what a proxy passed on."""
    peer = _peer(scope)
    headers = Headers(scope=scope)
    return peer is not None and peer.is_loopback and not any(name in headers for name in _FORWARDED)


class BodyLimit:
    """ASGI middleware: reads the body before the page acts; above BODY_LIMIT bytes 413, slower than BODY_SECONDS 408.

    A request that breaks off half-way therefore changes nothing. Hubs push whole documents: those pages have limits of
    their own, after a look at who pushes.
    """

    def __init__(self, app: ASGIApp, refuse: Refuse, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self._refuse = refuse
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or answer 413 or 408 and close the connection."""
        if scope["type"] != "http" or scope["path"].startswith(CALLBACKS):
            await self.app(scope, receive, send)
            return
        body = bytearray()
        more, status = True, 0
        try:
            async with asyncio.timeout(self._seconds):
                while more and len(body) <= BODY_LIMIT:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
        except TimeoutError:
            status = 408
        if len(body) > BODY_LIMIT:
            status = 413
        if status:
            answer = self._refuse(scope["path"], status)
            answer.headers["Connection"] = "close"  # what is still on its way is not read
            await answer(scope, receive, send)
            return
        await self.app(scope, _replay(bytes(body), receive), send)


class FormGuard:
    """ASGI middleware behind `BodyLimit`: a request that may change something must be a form that we made for the same
    visitor, else 400. What is public (signed links, the login) is its own proof, and so is a bearer token.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, refuse: Refuse) -> None:
        self.app = app
        self._sessions = sessions
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400."""
        open_to_all = scope["type"] != "http" or scope["method"] in _SAFE or is_public(scope["path"])
        if open_to_all or scope.get(WHO) == BEARER:
            await self.app(scope, receive, send)
            return
        message = await receive()
        body = message.get("body", b"")
        kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        given = read_form(body).get(FIELD, "") if kind == _FORM else ""
        if not self._sessions.fits(given, scope.get(WHO, "")):
            await self._refuse(scope["path"], 400)(scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)


_FORM = "application/x-www-form-urlencoded"


_MOST_FIELDS = 100


def read_fields(body: bytes, most: int = _MOST_FIELDS) -> dict[str, list[str]]:
    """Return the fields of a URL-encoded form; none where there are more than `most`."""
    try:
        return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=most)
    except ValueError:
        return {}


def read_form(body: bytes) -> dict[str, str]:
    """Return the fields of a URL-encoded form, the first of each name; none where there are unreasonably many."""
    return {name: values[0] for name, values in read_fields(body).items()}


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body already read, then what the server has (the client's hanging up)."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
