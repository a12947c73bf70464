"""The desk's pages of who is told: where what subscribers set differs from the files, and who signed up."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.app import App
from monitor.service import people
from monitor.web.desk import Desk
from monitor.web.guard import read_form
from monitor.web.pages import Pages, page_at
from monitor.web.session import Sessions

A_PAGE = 50

# How a setting reads on the page; topics and frequencies have names of their own.
KEYS = {
    "topic": "Topic",
    "digest_at": "Digest at",
    "timezone": "Time zone",
    "quiet_hours": "Quiet hours",
    "language": "Language",
    "pause": "Pause",
    "joined": "Signing up",
}
OFTEN = {"alert": "right away", "daily": "once a day", "weekly": "once a week"}


class People:
    """The pages of subscribers, in the frame of the desk's."""

    def __init__(self, app: App, desk: Desk) -> None:
        self._app, self._desk = app, desk

    def add(self, fastapi: FastAPI, pages: Pages, _sessions: Sessions) -> None:
        """Add the pages' routes."""
        pages.use(keys=KEYS, often=lambda setting: OFTEN.get(setting, setting) or "taken back")
        for path, page in (("/subscribers", self.everybody), ("/subscribers/{name}", self.one)):
            fastapi.add_api_route(
                path, page, methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False
            )
        for path, act in (("/subscribers/clear", self.clear), ("/subscribers/remove", self.remove)):
            fastapi.add_api_route(path, act, methods=["POST"], include_in_schema=False)

    def everybody(self, request: Request, who: str = "", skip: str = "") -> HTMLResponse:
        """All, or those who set something (`who=set`) or signed up (`who=signed`)."""
        found = people.people(self._app, self._app.now())
        kinds: dict[str, Callable[[people.Person], bool]] = {
            "set": lambda one: bool(one.differences), "signed": lambda one: one.signed_up_at is not None,
        }  # fmt: skip
        counts = {"": len(found), **{kind: sum(map(fits, found)) for kind, fits in kinds.items()}}
        wanted = [one for one in found if who not in kinds or kinds[who](one)]
        at = page_at(skip)
        return self._desk.page(
            request, "subscribers", here="subscribers", rows=wanted[at : at + A_PAGE], every=len(wanted), counts=counts,
            who=who if who in kinds else "", skip=at,
        )  # fmt: skip

    def one(self, request: Request, name: str) -> HTMLResponse:
        """One, with the history of what it set."""
        view = people.person_of(self._app, name, self._app.now())
        return self._desk.page(request, "subscriber", here="subscribers", view=view)

    async def clear(self, request: Request) -> Response:
        """Take back what a subscriber set."""
        name = read_form(await request.body()).get("name", "")
        await self._app.db(people.clear, self._app, name, self._app.now())
        return RedirectResponse("../subscribers?who=set", 303)

    async def remove(self, request: Request) -> Response:
        """Remove one who signed up."""
        name = read_form(await request.body()).get("name", "")
        await self._app.db(people.remove, self._app, name, self._app.now())
        return RedirectResponse("../subscribers?who=signed", 303)
