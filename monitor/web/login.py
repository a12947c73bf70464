"""The way in for people where the desk demands a token: a form that begins a session, and the button that ends it."""

from __future__ import annotations

import re
import time

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from monitor.web.guard import read_form
from monitor.web.pages import Pages
from monitor.web.session import COOKIE, LASTS, Sessions

TRIES, WITHIN = 20, 60.0  # wrong tokens that are looked at within so many seconds, whoever gives them
_PATH = re.compile(r"/(?:[\w.~-][\w.~/%-]*)?(?:\?[\w.~=&%+-]*)?", re.ASCII)


def add_login(app: FastAPI, pages: Pages, sessions: Sessions, *, https: bool) -> None:
    """Add the login's routes. `https`: the cookie goes over HTTPS only."""
    wrong: list[float] = []  # when wrong tokens were given, on the monotonic clock

    @app.api_route("/login", methods=["GET", "HEAD"])
    def show(request: Request) -> Response:
        return pages.page(request.scope["path"], "login", wrong=False, to="/")

    @app.post("/login")
    async def enter(request: Request) -> Response:
        path, now = request.scope["path"], time.monotonic()
        given = read_form(await request.body())
        wrong[:] = [at for at in wrong if now - at < WITHIN]
        if len(wrong) >= TRIES:
            return pages.refusal(path, 429)
        to = local(given.get("to", ""))
        if not sessions.knows(given.get("token", "")):
            wrong.append(now)
            return pages.page(path, "login", 401, wrong=True, to=to)
        answer = RedirectResponse(f".{to}", 303)
        cookie = sessions.start(time.time())
        answer.set_cookie(COOKIE, cookie, max_age=LASTS, httponly=True, samesite="lax", secure=https)
        return answer

    @app.post("/logout")
    def leave() -> Response:
        answer = RedirectResponse("./login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=https)
        return answer


def local(path: str) -> str:
    """Return `path` where it is a plain one within this site, else `/`: no link may lead elsewhere by way of us."""
    return path if _PATH.fullmatch(path) and "//" not in path else "/"
