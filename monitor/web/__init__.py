"""The web pages: health, signed links, the desk, and what machines read. Makes the application that the daemon serves.

    security headers → hosts → the gate → a body's limit → our own forms only → the routes

Signed links follow RFC 8058: GET and HEAD show a page and change nothing, since mail scanners open every link; POST
acts at once, without login, cookie or redirect. Whoever serves the application should keep no access log: the address
of a /u page is the key to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from monitor.errors import MonitorError
from monitor.web.choosing import language_of
from monitor.web.guard import BodyLimit, FormGuard, Gate, Proxy, SecurityHeaders, read_form, secure
from monitor.web.login import add_login
from monitor.web.pages import Pages
from monitor.web.session import Sessions

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SHOW = ["GET", "HEAD"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkView:
    """What a signed link is about, as its page names it: titles, not names. `topic` is "" when it means everything.

    `can_undo`: what was stopped can be started again by it; `can_get_less`: there is less than now, and not nothing.
    """

    subscriber: str
    topic: str
    already_off: bool
    language: str = "en"
    can_undo: bool = True
    can_get_less: bool = True


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What an acknowledging link is about: the headline, who holds the link, and who has acknowledged it already.

    `escalates_at` is when it goes on to others, in words; "" when it does not. So is `acknowledged_at`.
    """

    title: str
    holder: str
    acknowledged_by: str
    acknowledged_at: str
    escalates_at: str


class Backend(Protocol):
    """What the pages need from the program. The functions may block: they are called in threads.

    A MonitorError becomes a page that says to try again (503).
    """

    def ready(self) -> tuple[bool, str]:
        """Whether the program can do its work, and a sentence that says so or why not."""

    def describe(self, token: str) -> LinkView | None:
        """What a link is about; None when it is forged, cut, or its subscriber or topic is gone. Changes nothing."""

    def turn_off(self, token: str) -> bool:
        """Stop what the link is about at once, waiting messages included. Harmless twice. False: unknown link."""

    def turn_on(self, token: str) -> bool:
        """Undo `turn_off`. Harmless twice. False: unknown link, or it can be undone no more."""

    def get_less(self, token: str, how: str) -> datetime | None:
        """Have less come of what the link is about: `week`, nothing for a week, or `daily`, one mail a day.

        Returns when a week is over. None: unknown link, or no such thing.
        """

    def incident(self, token: str) -> IncidentView | None:
        """What an acknowledging link is about; None for an unknown one. Changes nothing."""

    def acknowledge(self, token: str) -> bool:
        """Acknowledge it at once; the first who does so counts. Harmless twice. False: unknown link."""


Part = Callable[[FastAPI, Pages, Sessions], None]  # adds its routes


def create_app(
    backend: Backend,
    *,
    site: str,
    token: str | None,
    host_names: Iterable[str],
    secret: bytes,
    proxy: Proxy | None = None,
    https: bool = False,
    opened: Callable[[str], bool] = lambda _: False,
    parts: Sequence[Part] = (),
) -> FastAPI:
    """Make the application. `site` is the name shown; `host_names` are answered to besides loopback's (no ports).

    With `token`, all but health, signed links and style sheets demand it, or a session begun with it, signed with
    `secret`; a `proxy` may vouch for visitors. Without either, they are shown to this machine only. `parts` add the
    desk and what machines read, of which everybody may see the paths that are `opened`. `https`: visitors come by it,
    and cookies go no other way. Raises ValueError for an empty token.
    """
    if token is not None and not token.strip():
        raise ValueError("the desk's token is empty: anybody could send that")
    pages, sessions = Pages(site), Sessions(secret, token)
    app = FastAPI(title=site, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    hosts = [*_LOOPBACK, *(f"[{name}]" if ":" in name and name[0] != "[" else name for name in host_names)]
    # The last one added is the outermost: even a refused Host gets the security headers.
    app.add_middleware(FormGuard, sessions=sessions, refuse=pages.refusal)
    app.add_middleware(BodyLimit, refuse=pages.refusal)
    app.add_middleware(Gate, sessions=sessions, refuse=pages.refusal, proxy=proxy, opened=opened)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    app.add_middleware(SecurityHeaders)
    _add_errors(app, pages)
    _add_health(app, backend)
    _add_links(app, backend, pages)
    _add_acknowledging(app, backend, pages)
    add_login(app, pages, sessions, https=https)
    for add in parts:
        add(app, pages, sessions)
    app.state.prepare = pages.prepare
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    return app


def _add_errors(app: FastAPI, pages: Pages) -> None:
    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = pages.refusal(request.scope["path"], error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    def unavailable(request: Request, error: Exception) -> Response:
        # The message may name files and addresses: it is for the log, not for whoever holds a link.
        log.error("A page could not be made: %s", error, exc_info=error)
        return pages.refusal(request.scope["path"], 503)

    def failed(request: Request, _error: Exception) -> Response:
        # Starlette answers these outside of all middleware, and the server logs them.
        path = request.scope["path"]
        answer = pages.refusal(path, 500)
        secure(answer.headers, path)
        return answer

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(MonitorError, unavailable)
    app.add_exception_handler(Exception, failed)


def _add_health(app: FastAPI, backend: Backend) -> None:
    @app.api_route("/healthz", methods=_SHOW)
    async def healthz() -> PlainTextResponse:
        # Not in a thread: this says that the loop is alive, also while all threads wait for the database.
        return PlainTextResponse("ok")

    @app.api_route("/readyz", methods=_SHOW)
    def readyz() -> PlainTextResponse:
        ready, sentence = backend.ready()
        return PlainTextResponse(sentence, status_code=200 if ready else 503)


def _add_links(app: FastAPI, backend: Backend, pages: Pages) -> None:
    def answer(request: Request, template: str, token: str, view: LinkView | None) -> HTMLResponse:
        path = request.scope["path"]
        if view is None:
            return pages.reader(path, "gone", language_of(request), 404)
        return pages.reader(path, template, view.language, link=view, token=token)

    @app.api_route("/u/{token}", methods=_SHOW)
    def show(request: Request, token: str) -> HTMLResponse:
        return answer(request, "unsubscribe", token, backend.describe(token))

    # The body is not looked at: holding the token is all that counts. So `List-Unsubscribe=One-Click` of mail programs
    # (RFC 8058, form-encoded or multipart) and the page's empty form do the same, and no odd encoding is in the way.
    @app.post("/u/{token}")
    def stop(request: Request, token: str) -> HTMLResponse:
        known = backend.turn_off(token)
        return answer(request, "unsubscribed", token, backend.describe(token) if known else None)

    @app.post("/u/{token}/undo")
    def undo(request: Request, token: str) -> HTMLResponse:
        view = backend.describe(token)
        done = view is not None and (view.can_undo or not view.already_off) and backend.turn_on(token)
        return answer(request, "restored" if done else "unsubscribe", token, view)

    @app.post("/u/{token}/less")
    async def less(request: Request, token: str) -> HTMLResponse:
        how = read_form(await request.body()).get("how", "")
        return await run_in_threadpool(get_less, request, token, how)

    def get_less(request: Request, token: str, how: str) -> HTMLResponse:
        view, until = backend.describe(token), backend.get_less(token, how)
        if view is None or until is None:
            return answer(request, "unsubscribe", token, view)
        return pages.reader(request.scope["path"], "less", view.language, link=view, how=how, until=until)


def _add_acknowledging(app: FastAPI, backend: Backend, pages: Pages) -> None:
    def answer(request: Request, token: str, view: IncidentView | None) -> HTMLResponse:
        path = request.scope["path"]
        if view is None:
            return pages.reader(path, "gone", language_of(request), 404)
        return pages.page(path, "acknowledge", incident=view, token=token)

    @app.api_route("/a/{token}", methods=_SHOW)
    def show_incident(request: Request, token: str) -> HTMLResponse:
        return answer(request, token, backend.incident(token))

    @app.post("/a/{token}")
    def acknowledge(request: Request, token: str) -> HTMLResponse:
        known = backend.acknowledge(token)
        return answer(request, token, backend.incident(token) if known else None)
