"""The page by which a subscriber chooses what to get, and when: /s/TOKEN.

As with all signed links, GET and HEAD show and change nothing, and POST acts with the token alone. What a form has no
field for stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from monitor.app import App
from monitor.links import Purpose, fingerprint, last_day_of, read_until
from monitor.preferences import DIGEST_AT, FREQUENCIES, Frequency
from monitor.render import languages, load_language, shipped
from monitor.service.choices import A_PAGE, LONGEST_PAUSE, Choices, Wanted, choices_of, choose, pause_end
from monitor.web.guard import read_fields
from monitor.web.pages import Pages, page_at
from monitor.web.session import Sessions

_MOST_FIELDS = 1000
_REGIONS = (
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip
HOURS = tuple(f"{hour:02}:00" for hour in range(24))
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


class Choosing:
    """The subscribers' page of a running program."""

    def __init__(self, app: App) -> None:
        self._app = app

    def add(self, fastapi: FastAPI, pages: Pages, _sessions: Sessions) -> None:
        """Add the routes."""
        self._pages = pages
        fastapi.add_api_route(
            "/s/{token}", self.show, methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False
        )
        fastapi.add_api_route("/s/{token}", self.save, methods=["POST"], include_in_schema=False)

    def show(self, request: Request, token: str, skip: str = "") -> HTMLResponse:
        """What is chosen now."""
        view = self._view(token, skip)
        return self._gone(request) if view is None else self._page(request, token, view, _form(view, self._app.now()))

    async def save(self, request: Request, token: str, skip: str = "") -> HTMLResponse:
        """Choose; nothing of a form with a mistake in it is taken."""
        body = await request.body()
        return await run_in_threadpool(self._save, request, token, skip, read_fields(body, _MOST_FIELDS))

    def _save(self, request: Request, token: str, skip: str, fields: Mapping[str, Sequence[str]]) -> HTMLResponse:
        app, now = self._app, self._app.now()
        view = self._view(token, skip)
        if view is None:
            return self._gone(request)
        given = {name: values[0] for name, values in fields.items()}
        wanted, errors = read_wanted(given, view, now)
        if errors:
            # A checkbox that is not ticked is not sent.
            form = {**_form(view, now), **({"quiet": ""} if "times" in given else {}), **given}
            return self._page(request, token, view, form, errors)
        changed = choose(app, view.name, wanted, now, f"preferences link {fingerprint(token)}")
        fresh = choices_of(app, view.name, now, view.skip) or view
        names = [topic for topic in fresh.topics if topic.name in wanted.topics]
        before = {topic.name: topic.often for topic in view.topics}
        other = [topic for topic in names if topic.often != before.get(topic.name)]
        saved = {"changed": changed, "topic": other[0] if len(other) == 1 == changed else None}
        return self._page(request, token, fresh, _form(fresh, now), saved=saved)

    def _view(self, token: str, skip: str) -> Choices | None:
        name = read_until(self._app.secret, token, Purpose.PREFERENCES, self._app.now())
        return None if name is None else choices_of(self._app, name, self._app.now(), page_at(skip))

    def _gone(self, request: Request) -> HTMLResponse:
        return self._pages.reader(request.scope["path"], "gone", language_of(request), 404)

    def _page(
        self,
        request: Request,
        token: str,
        view: Choices,
        form: Mapping[str, str],
        errors: Mapping[str, str] | None = None,
        saved: Mapping[str, object] | None = None,
    ) -> HTMLResponse:
        app = self._app
        layered = app.config.subscribers[view.name]
        now = app.now().astimezone(ZoneInfo(view.timezone))
        days = layered.digest.days if layered.digest is not None else {0}
        let_through = layered.quiet_hours is not None and layered.quiet_hours.except_severity is not None
        earliest, latest = now.date() + timedelta(days=1), now.date() + LONGEST_PAUSE
        return self._pages.reader(
            request.scope["path"],
            "preferences",
            view.language,
            422 if errors else 200,
            view=view,
            token=token,
            form=form,
            errors=errors or {},
            saved=saved,
            now=now,
            a_page=A_PAGE,
            zones=_zones(app.now(), form["zone"]),
            hours=HOURS if form["at"] in ("", *HOURS) else tuple(sorted((*HOURS, form["at"]))),
            usual=view.usual_at or (DIGEST_AT,),
            let_through=let_through,
            week_day=date(2024, 1, 1) + timedelta(days=min(days)),  # a Monday, and the days after it
            earliest=earliest,
            latest=latest,
            good_until=last_day_of(token),
            languages=spoken(view.language),
        )


def read_wanted(given: Mapping[str, str], view: Choices, now: datetime) -> tuple[Wanted, dict[str, str]]:
    """Return what a form asks for, and its mistakes: what is wrong, by field."""
    errors: dict[str, str] = {}
    topics: dict[str, Frequency] = {}
    for topic in view.topics:
        value = given.get(f"t:{topic.name}")
        often = next((one for one in FREQUENCIES if one == value), None)
        if often is not None:
            topics[topic.name] = often
        elif value is not None:
            errors["what"] = "often"
    if "times" not in given:
        return Wanted(topics, start_again=given.get("start") == "1"), errors
    zone = given.get("zone", "")
    if zone not in {*known_zones(), view.timezone}:
        errors["zone"] = "zone"
        zone = view.timezone
    quiet = "off"
    if given.get("quiet"):
        start, end = given.get("from", ""), given.get("until", "")
        quiet = f"{start}-{end}"
        if not _TIME.fullmatch(start) or not _TIME.fullmatch(end):
            errors["from"] = "time"
        elif start == end:
            errors["from"] = "same"
    at = given.get("at", "")
    if at and not _TIME.fullmatch(at):
        errors["at"] = "time"
    language = given.get("language", "")
    if language not in {code for code, _, _ in spoken(view.language)}:
        errors["language"] = "language"
    pause: datetime | str = ""
    if given.get("pause"):
        today = now.astimezone(ZoneInfo(zone)).date()
        try:
            until = date.fromisoformat(given["pause"])
        except ValueError:
            until = today
        if today < until <= today + LONGEST_PAUSE:
            pause = pause_end(until, zone)
        else:
            errors["pause"] = "date"
    return Wanted(topics, zone, language, quiet, at, pause), errors


def _form(view: Choices, now: datetime) -> dict[str, str]:
    """Return what the fields hold at first."""
    start, _, end = view.quiet.partition("-")
    paused = view.paused_until.astimezone(ZoneInfo(view.timezone)) if view.paused_until is not None else None
    return {
        "zone": view.timezone,
        "quiet": "1" if end else "",
        "from": start if end else "22:00",
        "until": end or "07:00",
        "at": view.digest_at,
        "pause": f"{paused:%Y-%m-%d}" if paused is not None and paused > now else "",
        "language": view.language or "en",
    }


@cache
def _every_zone() -> frozenset[str]:
    return frozenset(available_timezones())  # which reads the disk every time


@cache
def known_zones() -> frozenset[str]:
    """Return the time zones that the page offers: those named by a place, and UTC."""
    return frozenset({"UTC", *(name for name in _every_zone() if name.partition("/")[0] in _REGIONS)})


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)  # which keeps eight by itself, and reads the others from the disk every time


def _zones(now: datetime, own: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the zones by region, each with its time now."""
    by_region: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(known_zones() | ({own} & _every_zone())):
        at = now.astimezone(_zone(name))
        by_region.setdefault(name.partition("/")[0], []).append((name, f"{at:%H:%M}"))
    return sorted(by_region.items())


@cache
def _names() -> tuple[tuple[str, str, str], ...]:
    folder = shipped("templates")
    found = (load_language(code, [folder]) for code in languages(folder))
    return tuple((one.code, one.name, one.dir) for one in found)


def spoken(own: str = "") -> tuple[tuple[str, str, str], ...]:
    """Return the languages to choose from: tag, its own name, direction. `own` stands for its language."""
    base = own.partition("-")[0]
    known = tuple((own if code == base else code, name, text_dir) for code, name, text_dir in _names())
    return known if not own or base in {code for code, _, _ in _names()} else ((own, own, "ltr"), *known)


def language_of(request: Request) -> str:
    """Return the language in which to answer somebody of whom nothing is known: as asked for, or as browsers say."""
    asked = [request.query_params.get("lang", "")]
    for part in request.headers.get("accept-language", "")[:200].split(","):
        asked.append(part.partition(";")[0])
    codes = [code for code, _, _ in _names()]
    bases = (tag.strip().lower().partition("-")[0] for tag in asked)
    return next((base for base in bases if base in codes), "en")
