"""What stands before every page: security headers, the desk's gate, and the limit of a request's body. Plain ASGI.

The gate denies by default: a new route is closed until its path is put on the public list below. It decides on
`scope["path"]`, the very string that the router matches, and never on `request.url`, which a forged Host header can
bend (CVE-2026-48710).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 64 * 1024  # bytes; the pages' forms and RFC 8058 posts are far below 1 KB
BODY_SECONDS = 10.0

PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})
STATIC = "/static/"
PUBLIC_FOLDERS = ("/u/", "/a/", STATIC)

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address of a /u page is a key to it
}

Refuse = Callable[[str, int], Response]  # (path, status) → the page that says so


def is_public(path: str) -> bool:
    """Whether `path` is open to everybody: health, signed links and the style sheets."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDERS)


def secure(headers: MutableHeaders, path: str) -> None:
    """Add the security headers to `headers`. Pages are never stored; style sheets are asked for again by their ETag."""
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
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


class Gate:
    """ASGI middleware: what is not public demands `Authorization: Bearer TOKEN`.

    Without a token only this machine sees the desk: 403 for everybody else. That holds behind a proxy too, whose
    X-Forwarded-For uvicorn turns into the client's address. A token in the address is not accepted, since addresses are
    logged, kept in histories and sent on.
    """

    def __init__(self, app: ASGIApp, token: str | None, refuse: Refuse) -> None:
        self.app = app
        self._token = None if token is None else token.encode()
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        status = 0
        if scope["type"] in ("http", "websocket") and not is_public(scope["path"]):
            status = self._verdict(scope)
        if not status:
            await self.app(scope, receive, send)
            return
        answer = self._refuse(scope["path"], status)
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send)

    def _verdict(self, scope: Scope) -> int:
        if self._token is None:
            return 0 if _from_here(scope) else 403
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # Starlette reads header bytes as Latin-1, so this gives back the bytes that were sent.
        known = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return 0 if known and scheme.lower() == "bearer" else 401


def _from_here(scope: Scope) -> bool:
    """Whether the client is on this machine; unknown says no."""
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


class BodyLimit:
    """ASGI middleware: reads the body before the page acts; above BODY_LIMIT bytes 413, slower than BODY_SECONDS 408.

    A request that breaks off half-way therefore changes nothing.
    """

    def __init__(self, app: ASGIApp, refuse: Refuse, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self._refuse = refuse
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, or answer 413 or 408 and close the connection."""
        if scope["type"] != "http":
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


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body already read, then what the server has (the client's hanging up)."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
