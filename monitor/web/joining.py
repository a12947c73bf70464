"""The pages where people sign up: /subscribe asks, and /subscribe/TOKEN, from the mail that this sends, confirms.

The answer is the same for every address, and given before the address is looked up: whether somebody is a subscriber
shows neither in its words nor in its time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from ipaddress import ip_network

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from monitor.app import App
from monitor.config import Rate, SignUps
from monitor.links import Purpose, fingerprint, read_until
from monitor.preferences import Frequency
from monitor.service import signup
from monitor.service.choices import Volume, volumes
from monitor.web.choosing import language_of, spoken
from monitor.web.guard import read_fields
from monitor.web.pages import Pages
from monitor.web.session import Sessions

COUNTED = 60.0  # seconds that a count of what to expect is good for
CLIENTS = 10_000  # network addresses that are remembered
_SHOW = ["GET", "HEAD"]
_OFTEN: tuple[Frequency, ...] = ("alert", "daily", "weekly")

log = logging.getLogger(__name__)


class Limit:
    """Counts who asked, in all and by network address, on the monotonic clock; a sliding window in memory."""

    def __init__(self) -> None:
        self._all: deque[float] = deque()
        self._clients: OrderedDict[str, deque[float]] = OrderedDict()

    def takes(self, client: str, rate: Rate, now: float) -> bool:
        """Whether one more may ask; then it is counted. One address gets a tenth of all."""
        own = self._clients.pop(client, deque())
        for times in (self._all, own):
            while times and now - times[0] >= rate.per:
                times.popleft()
        fits = len(self._all) < rate.count and len(own) < max(1, rate.count // 10)
        if fits:
            self._all.append(now)
            own.append(now)
        self._clients[client] = own
        while len(self._clients) > CLIENTS:
            self._clients.popitem(last=False)
        return fits


class Joining:
    """The sign-up pages of a running program; while `sign_up` is off there are none."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._limit = Limit()
        self._asking: set[asyncio.Task[None]] = set()
        self._expected: tuple[float, Mapping[str, Volume]] = (-COUNTED, {})  # anybody may ask for it, and often

    def add(self, fastapi: FastAPI, pages: Pages, _sessions: Sessions) -> None:
        """Add the routes."""
        self._pages = pages
        for path, page, methods in (
            ("/subscribe", self.show, _SHOW),
            ("/subscribe", self.ask, ["POST"]),
            ("/subscribe/{token}", self.show_confirm, _SHOW),
            ("/subscribe/{token}", self.confirm, ["POST"]),
        ):
            fastapi.add_api_route(path, page, methods=methods, response_class=HTMLResponse, include_in_schema=False)

    def show(self, request: Request, topic: str = "") -> Response:
        """The form; `topic` is ticked."""
        if self._open() is None:
            return self._pages.refusal(request.scope["path"], 404)
        return self._form(request, {"topics": [topic], "often": "daily", "address": ""}, {})

    async def ask(self, request: Request) -> Response:
        """Take a form, and answer before anything is looked up."""
        settings = self._open()
        path, language = request.scope["path"], language_of(request)
        if settings is None:
            return self._pages.refusal(path, 404)
        fields = read_fields(await request.body(), 500)
        given = {name: fields.get(name, [""])[0] for name in ("often", "address")}
        topics = [one for one in fields.get("topic", []) if one in self._app.config.public]
        address = signup.address_of(given["address"])
        often = next((one for one in _OFTEN if one == given["often"]), None)
        errors = {**({} if topics else {"topics": "topics"}), **({} if address else {"address": "address"})}
        if errors or often is None:
            form = {"topics": topics, "often": often or "daily", "address": given["address"][:254]}
            return await asyncio.to_thread(self._form, request, form, errors or {"topics": "often"})
        if not self._limit.takes(self._client(request), settings.at_most, time.monotonic()):
            return self._pages.reader(path, "too_many", language, 429)
        task = asyncio.create_task(self._ask(address, topics, often, language), name="a sign-up")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        log.info("somebody asked for %s by the sign-up page", ", ".join(topics))
        return self._pages.reader(path, "asked", language, address=address)

    async def _ask(self, address: str, topics: Sequence[str], often: Frequency, language: str) -> None:
        app = self._app
        try:
            if await app.db(signup.ask, app, address, topics, often, language, app.now()):
                app.wake_delivery.set()
        except Exception:
            # Nobody waits for it: the visitor has an answer, and can ask again.
            log.exception("a sign-up could not be recorded")

    def show_confirm(self, request: Request, token: str) -> HTMLResponse:
        """What is to be confirmed; changes nothing."""
        name = self._name(token)
        row = signup.asked(self._app, name) if name is not None else None
        if row is None:
            return self._pages.reader(request.scope["path"], "gone", language_of(request), 404)
        config = self._app.config
        titles = [config.topics[one].title for one in config.public if one in row.topics]
        return self._pages.reader(
            request.scope["path"],
            "confirm",
            row.language,
            address=row.address,
            topics=titles,
            often=row.often,
            token=token,
        )

    def confirm(self, request: Request, token: str) -> HTMLResponse:
        """Subscribe."""
        app, name = self._app, self._name(token)
        by = f"confirmation link {fingerprint(token)}"
        row = signup.confirm(app, name, app.now(), by) if name is not None else None
        if row is None:
            return self._pages.reader(request.scope["path"], "gone", language_of(request), 404)
        link = app.sign_until(row.name, Purpose.PREFERENCES, app.now())
        return self._pages.reader(
            request.scope["path"], "confirmed", row.language, address=row.address, preferences=link
        )

    def _open(self) -> SignUps | None:
        settings = self._app.config.settings.sign_up
        return settings if settings is not None and settings.open else None

    def _name(self, token: str) -> str | None:
        return read_until(self._app.secret, token, Purpose.CONFIRM, self._app.now())

    def _form(self, request: Request, form: Mapping[str, object], errors: Mapping[str, str]) -> HTMLResponse:
        app = self._app
        names, now = app.config.public, time.monotonic()
        if now - self._expected[0] >= COUNTED or not self._expected[1].keys() >= {*names}:
            self._expected = now, volumes(app, names, app.now())
        expected = self._expected[1]
        return self._pages.reader(
            request.scope["path"],
            "sign_up",
            language_of(request),
            422 if errors else 200,
            topics=[(name, app.config.topics[name].title, expected[name]) for name in names],
            form=form,
            errors=errors,
            languages=spoken(),
        )

    def _client(self, request: Request) -> str:
        """Return the network address that asks: of IPv6 its network, and what our own proxy says where it is one.

        Only the last address of X-Forwarded-For is the proxy's own word.
        """
        web = self._app.config.settings.web
        said = request.client.host if request.client is not None else ""
        try:
            peer = ipaddress.ip_address(said)
            if web is not None and any(peer in ip_network(one) for one in web.proxies):
                passed_on = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
                peer = ipaddress.ip_address(passed_on) if passed_on else peer
        except ValueError:
            return said[:100]
        return str(ipaddress.ip_network((peer, 64), strict=False)) if peer.version == 6 else str(peer)
