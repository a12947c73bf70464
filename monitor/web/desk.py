"""The desk's pages: `monitor.service` asked, templates filled. Every page answers to GET alone but for the buttons."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor import service
from monitor.app import App
from monitor.errors import NotFoundError
from monitor.service import desk as views
from monitor.service.deliveries import deliveries_view
from monitor.service.feedlist import feeds_view
from monitor.service.journey import journey_of, why
from monitor.service.lab import DAYS, LONGEST, Trial
from monitor.service.previews import MESSAGES, preview, send_test
from monitor.service.record import running
from monitor.service.stories import story_view
from monitor.store.reports import STANDINGS, Standing
from monitor.text import clean, series
from monitor.web.colours import coloured
from monitor.web.guard import BEARER, WHO, read_form
from monitor.web.login import local
from monitor.web.machines import ENTRIES
from monitor.web.pages import Pages
from monitor.web.session import Sessions
from monitor.web.words import Words, count, few, safe_link, span, ticked

_SHOW = ["GET", "HEAD"]
FORMS = ("html", "text", "slack")  # of a digest's preview
PARTS = ("topics", "stories", "people", "messages")  # long lists of a story's page
A_MENU = 100  # subscribers that one chooses from; of more, one is named
PATIENCE = 0.8  # seconds without a sign that a person waits for

# How a decision reads on a page: its badge, and the words on it. Other codes are shown as they are.
REASONS: Mapping[str, tuple[str, str]] = {
    "sent": ("ok", "Sent"),
    "gathered": ("ok", "Gathered"),
    "held": ("held", "Held"),
    "limited": ("warn", "Limited"),
    "paused": ("held", "Paused"),
    "silenced": ("idle", "Silenced"),
    "digest": ("idle", "In the digest"),
    "muted": ("idle", "Turned off"),
    "old": ("idle", "Old"),
    "baseline": ("idle", "First poll"),
    "already told": ("idle", "Already told"),
}
# And what became of one that made a message.
OUTCOMES: Mapping[str, tuple[str, str]] = {
    **REASONS,
    "partly": ("bad", "Failed in part"),
    "failed": ("bad", "Failed"),
    "waiting": ("warn", "Waiting"),
    "cancelled": ("idle", "Cancelled"),
    "gone": ("idle", "No longer on record"),
}
STATES: Mapping[str, tuple[str, str]] = {
    "broken": ("bad", "Broken"),
    "silent": ("warn", "Silent"),
    "slow": ("warn", "Slow"),
    "new": ("idle", "Not polled yet"),
    "healthy": ("ok", "Healthy"),
    "paused": ("idle", "Paused"),
}
STANDS: Mapping[Standing, tuple[str, str]] = {
    "failed": ("bad", "Failed"),
    "retrying": ("warn", "Retrying"),
    "held": ("held", "Held"),
    "queued": ("idle", "Queued"),
    "sent": ("ok", "Accepted"),
    "cancelled": ("idle", "Cancelled"),
}


def nice(highest: float) -> int:
    """Return a round even number from `highest` on, for the top of an axis."""
    step = 10 ** max(0, math.floor(math.log10(max(highest, 1))) - 1)
    return next(top for top in range(2 * step, 10**12, 2 * step) if top >= highest)


def capfirst(text: str) -> str:
    """Return a sentence's beginning in its proper case; the rest is as it was."""
    return text[:1].upper() + text[1:]


def stands(row: Any, now: Any) -> Standing:
    """Return how a message stands."""
    if row.state == "dead":
        return "failed"
    if row.state == "pending" and row.attempts:
        return "retrying"
    if row.state == "pending" and row.next_attempt_at > now:
        return "held"
    return row.state if row.state in ("sent", "cancelled", "held") else "queued"


class Desk:
    """The pages of a running program."""

    def __init__(self, app: App) -> None:
        self._app = app

    def add(self, fastapi: FastAPI, pages: Pages, sessions: Sessions) -> None:
        """Add the pages' routes."""
        self._pages, self._sessions = pages, sessions
        pages.use(
            nice=nice, coloured=coloured, count=count, few=few, span=span, series=series, stands=stands,
            capfirst=capfirst, link=safe_link, ticked=ticked, outcomes=OUTCOMES, a_menu=A_MENU, states=STATES,
            standings=STANDS,
            title_of=lambda name: views.title_of(self._app, name),
            name_of=lambda name: views.name_of(self._app, name),
        )  # fmt: skip
        shown = (
            ("/", self.desk),
            ("/events", self.events),
            ("/topics", self.topics),
            ("/topics/{name}", self.topic),
            ("/stories", self.search),
            ("/stories/{number}", self.story),
            ("/lab", self.lab),
            ("/feeds", self.feeds),
            ("/deliveries", self.deliveries),
            ("/subscribers/{name}/digest", self.digest),
            ("/subscribers/{name}/digest/mail", self.mail),
        )
        for path, page in shown:
            fastapi.add_api_route(path, page, methods=_SHOW, response_class=HTMLResponse, include_in_schema=False)
        fastapi.add_exception_handler(NotFoundError, self._not_found)
        fastapi.add_api_route("/feeds/poll", self.poll, methods=["POST"], include_in_schema=False)
        test = "/subscribers/{name}/digest/test"
        fastapi.add_api_route(test, self.test, methods=["POST"], response_class=HTMLResponse, include_in_schema=False)
        fastapi.add_api_route("/deliveries/retry", self.retry, methods=["POST"], include_in_schema=False)
        fastapi.add_api_route("/addresses/resume", self.resume, methods=["POST"], include_in_schema=False)

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Fill a template, with what every page of the desk says."""
        return self._pages.page(request.scope["path"], template, status, **self._values(request, **values))

    def _values(self, request: Request, **values: Any) -> dict[str, Any]:
        app = self._app
        who = request.scope.get(WHO, "")
        return {
            "w": Words(app.now(), ZoneInfo(app.config.settings.timezone)),
            "config": app.config,
            "running": running(app.data),
            "form_token": self._sessions.form_token(who),
            "leaves": self._sessions.token is not None and who != BEARER and not who.startswith("proxy "),
            **values,
        }

    def _not_found(self, request: Request, error: Exception) -> Response:
        return self.page(request, "missing", 404, said=str(error), here="")

    def desk(self, request: Request) -> HTMLResponse:
        """What is wrong, and what is happening."""
        app = self._app
        view = views.desk(app, app.now())
        ready = bool(app.config.topics) and any(one.enabled for one in app.config.subscribers.values())
        return self.page(request, "desk" if ready else "first_run", here="desk", view=view)

    def events(self, request: Request, days: str = "", order: str = "", skip: str = "") -> HTMLResponse:
        """All events of a time."""
        period, newest = _number(days, 1), order == "newest"
        view = views.events_view(self._app, self._app.now(), period=period, newest=newest, skip=_number(skip))
        return self.page(request, "events", here="desk", view=view)

    def topics(self, request: Request, skip: str = "") -> HTMLResponse:
        """All topics."""
        found, at = views.topics_view(self._app, self._app.now()), _number(skip)
        rows = found[at : at + views.A_PAGE]
        last = views.last_matches(self._app, rows)
        return self.page(request, "topics", here="topics", every=found, rows=rows, last=last, skip=at)

    def topic(self, request: Request, name: str, days: str = "", order: str = "", skip: str = "") -> HTMLResponse:
        """What a topic is catching, and why; to those whom the gate let through because it is public, its stories."""
        if WHO not in request.scope:
            return self._public_topic(request, name)
        view = views.topic_view(
            self._app, name, self._app.now(), period=_number(days, 30), newest=order == "newest", skip=_number(skip)
        )
        return self.page(request, "topic", here="topics", view=view, skip=_number(skip))

    def _public_topic(self, request: Request, name: str) -> HTMLResponse:
        app = self._app
        rows = app.store.reports.matched(name, 0, ENTRIES)
        w = Words(app.now(), ZoneInfo(app.config.settings.timezone))
        topic = app.config.topics[name]
        return self._pages.page(request.scope["path"], "topic_public", topic=topic, rows=rows, w=w, clean=clean)

    def search(self, request: Request, story: str = "", who: str = "") -> Response:
        """Find a story by its address or words of its headline: the one there is, or a choice."""
        found = self._app.store.archive.find(story[:2000], 20) if story.strip() else ()
        who = views.named(self._app, who) or who[:200]
        if len(found) == 1:
            query = urlencode({"who": who}) if who else ""
            return RedirectResponse(f"stories/{found[0].id}{'?' if query else ''}{query}", 303)
        since = self._app.store.reports.first_seen()
        status = 200 if found or not story else 404
        values = {"found": found, "asked": story[:200], "who": who, "since": since}
        return self.page(request, "stories", status, here="desk", **values)

    def story(self, request: Request, number: str, who: str = "", topic: str = "") -> HTMLResponse:
        """A story's whole journey. Of each long list in it a part is shown, from the row on that the address says."""
        app = self._app
        found = journey_of(app, _number(number), also=topic if topic in app.config.topics else "")
        name = views.named(app, who)
        answer = why(app, found, name, app.now()) if name else None
        view = story_view(app, found, topic)
        skip = {part: _number(request.query_params.get(part, "")) for part in PARTS}
        values: dict[str, Any] = {"who": name or who[:200], "answer": answer, "topic": topic, "skip": skip}
        return self.page(request, "story", here="desk", view=view, **values)

    def lab(self, request: Request, q: str = "", topic: str = "", days: str = "") -> Response:
        """What a draft would change; its address is the draft. One that takes longer says on the way how far it is."""
        app = self._app
        topic = topic if topic in app.config.topics else ""
        period = _number(days, 30)
        query = q.replace("\r\n", "\n")[: LONGEST + 1]
        trial = Trial(app, query, app.now(), topic=topic, days=period if period in DAYS else 30)
        steps, began = trial.steps(), time.monotonic()
        for step in steps:
            if time.monotonic() - began > PATIENCE:
                more = {"steps": itertools.chain([step], steps), "finish": trial.result}
                values = self._values(request, here="lab", found=trial.told, topic=topic, **more)
                return self._pages.stream(request.scope["path"], "lab", **values)
        return self.page(request, "lab", here="lab", found=trial.result(), topic=topic, steps=None)

    def digest(
        self, request: Request, name: str, message: str = "", form: str = "html", width: str = ""
    ) -> HTMLResponse:
        """A subscriber's digest as it would go now, or another message, in a frame that nothing of it can leave."""
        return self._digest(request, name, message, form, width)

    def _digest(
        self, request: Request, name: str, message: str, form: str = "html", width: str = "", tested: Any = ()
    ) -> HTMLResponse:
        view = preview(self._app, name, self._app.now(), message)
        form = form if form in FORMS else "html"
        values = {"view": view, "messages": MESSAGES, "form": form, "phone": width == "phone", "tested": tested}
        return self.page(request, "digest", here="deliveries", **values)

    def test(self, request: Request, name: str, message: str = "") -> HTMLResponse:
        """Send it to the operators, as a test that counts for nobody, and say what became of it."""
        tested = send_test(self._app, name, self._app.now(), message)
        return self._digest(request, name, message, tested=tested)

    def mail(self, name: str, message: str = "") -> HTMLResponse:
        """The mail in that frame: as it would go, so with styles of its own, and shut off from all else."""
        mail = preview(self._app, name, self._app.now(), message).mail
        if mail is None:
            raise NotFoundError("there is no such message to show")
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
        return HTMLResponse(mail.html, headers={"Content-Security-Policy": policy})

    def feeds(
        self, request: Request, q: str = "", state: str = "", sort: str = "problems", skip: str = ""
    ) -> HTMLResponse:
        """Which feeds cannot be relied on."""
        view = feeds_view(self._app, self._app.now(), words=q[:200], state=state, order=sort, skip=_number(skip))
        return self.page(request, "feeds", here="feeds", view=view, q=q[:200], state=state, sort=sort)

    async def poll(self, request: Request) -> Response:
        """Have a feed polled with the next look, a second from now; the daemon does it, politely as ever."""
        form = read_form(await request.body())
        app = self._app
        await app.db(app.store.feeds.make_due, form.get("feed", ""), app.now())
        return _back(form)

    def deliveries(self, request: Request, state: str = "", before: str = "") -> HTMLResponse:
        """What went out, and if not, what comes next."""
        standing: Standing | None = next((one for one in STANDINGS if one == state), None)
        view = deliveries_view(self._app, self._app.now(), standing=standing, before=_number(before))
        return self.page(request, "deliveries", here="deliveries", view=view)

    async def retry(self, request: Request) -> Response:
        """Send a message that failed or waits at once."""
        form = read_form(await request.body())
        app = self._app
        await app.db(service.retry, app, [_number(form.get("id", ""))], app.now())
        app.wake_delivery.set()
        return _back(form)

    async def resume(self, request: Request) -> Response:
        """Write to a suspended address again, with what was held for it."""
        form = read_form(await request.body())
        app = self._app
        await app.db(service.resume_address, app, form.get("key", ""), app.now())
        app.wake_delivery.set()
        return _back(form)


def _back(form: Mapping[str, str]) -> Response:
    """Lead back to the page that a form stood on. The addresses of forms are all two names long."""
    return RedirectResponse(f"..{local(form.get('to', '/'))}", 303)


def _number(text: str, otherwise: int = 0) -> int:
    """Return a number of the address; one that is none, or too large for the database, is as if it were not there."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else otherwise


assert set(STANDS) == set(get_args(Standing))
