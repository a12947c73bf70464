"""A desk with a history, for tests of its pages: feeds, topics, people, eight weeks of stories, all messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI
from sqlmodel import col, select

from monitor.app import App
from monitor.models import Delivery
from monitor.pipeline.digest import schedule_slots
from monitor.web import create_app
from monitor.web.backend import WebBackend
from monitor.web.machines import Machines
from monitor.web.serve import parts
from tests.pipe import Pipe, item

NOW = datetime(2026, 11, 24, 14, 32, 8, tzinfo=UTC)
MONITOR = """
site: Corvid risk desk
timezone: Europe/London
mail_from: Corvid risk desk <news@corvid.example>
web: {host: 127.0.0.1, port: 8080}
"""
OUTLETS = (
    "Northern Wire", "Delta Post", "Halden Courier", "Kestrel Daily", "Harbour Post", "Lowland Gazette",
    "Baltrop Observer", "Sarn Shipping News", "Kolva Herald", "Meridian Times",
)  # fmt: skip
NAMES = tuple(outlet.lower().replace(" ", "-") for outlet in OUTLETS)
FEEDS = "feeds:\n" + "".join(
    f'  {name}: {{url: "https://{name}.example/world.xml", source: {outlet}, language: en}}\n'
    for name, outlet in zip(NAMES, OUTLETS, strict=True)
)
ENTITIES = """
entities:
  varka-army: {name: Varkan army, kind: organisation, aliases: [Varkan armed forces, "Varka's military"]}
  kolva: {name: Kolva, kind: place, aliases: [Kolva river, Lower Kolva, Upper Kolva]}
"""
TOPICS = """
topics:
  border-deployments:
    title: Border deployments
    severity: high
    query: >
      (@varka-army OR "interior troops" OR battalion*)
      NEAR/12 (border OR frontier OR crossing* OR @kolva)
      AND NOT (exercise NEAR/3 anniversary)
    examples:
      match: ["Varkan army moves to the Kolva frontier", "Battalion crosses the border at dawn"]
      no_match: ["Border collie wins prize"]
  sarn-strait:
    title: Sarn Strait disruption
    query: '"Sarn Strait" NEAR/8 (clos* OR suspend* OR mine* OR convoy*)'
  sanctions: {title: Sanctions, any: [sanction*, embargo]}
  port-strikes: {title: Port strikes, all: [{any: [strike*, walkout]}, {any: [port, dock*]}]}
  grain: {title: Grain prices, query: 'grain NEAR/10 price*'}
"""
SUBSCRIBERS = """
subscribers:
  risk-desk:
    name: "#risk-desk"
    channels: {slack: "slack://aaaaaaaaa/bbbbbbbbb/cccccccccccccccccccccccc"}
    subscriptions: [{topics: all, alert: {via: [slack], at_most: off}}]
  ines:
    name: Ines Okafor
    timezone: America/Los_Angeles
    channels: {mail: "mailto://127.0.0.1:2525?to=ines@corvid.example"}
    quiet_hours: {from: "22:00", to: "07:00"}
    subscriptions: [{topics: [border-deployments], alert: {via: [mail]}}]
  ruth:
    name: Ruth Whitcombe
    timezone: Europe/London
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    digest: {at: ["17:00"], via: [mail]}
    subscriptions: [{topics: all, digest: true}]
  arden:
    name: J. Arden
    channels: {mail: "mailto://127.0.0.1:2525?to=arden@corvid.example"}
    digest: {at: ["17:00"], via: [mail]}
    subscriptions: [{topics: [border-deployments], alert: {via: [mail], at_most: 1/h}, digest: true}]
  kai:
    name: Kai Brandt
    channels: {mail: "mailto://127.0.0.1:2525?to=kai@corvid.example"}
    subscriptions: [{topics: [border-deployments], alert: {via: [mail]}}]
"""
KOLVA = (
    "Two battalions of interior troops took control of the Lower Kolva crossing before dawn on Tuesday, three days "
    "after talks on the frontier timetable broke down, residents and a district official said. Ferry operators said "
    "that traffic towards the Sarn Strait was moving normally and that no one had yet been told to expect closures."
)
TODAY = (
    ("northern-wire", "Varkan interior troops take over two Kolva river crossings", KOLVA, 9),
    ("delta-post", "Varkan interior troops take over two Kolva river crossings", "As residents watched.", 9.3),
    ("halden-courier", "Varkan interior troops take over two Kolva river crossings", "", 9.5),
    ("kestrel-daily", "Varkan interior troops take over two Kolva river crossings", "", 9.9),
    ("harbour-post", "Varkan interior troops take over two Kolva river crossings", "", 10.2),
    ("delta-post", "Battalion moves in as Kolva bridges close to trucks", "Customs officers were sent home.", 10.6),
    ("meridian-times", "Union calls strike at three ports from Friday", "Dock workers want 6 % more.", 11),
    ("sarn-shipping-news", "Insurers suspend cover for the Sarn Strait", "Mines were seen by two crews.", 12),
    ("kolva-herald", "Grain rises after the crossings close", "The price of grain went up 4 %.", 13),
    ("kestrel-daily", "Border collie wins prize at county show", "", 13.2),
    ("harbour-post", "Council sanctions new ferry terminal", "", 13.9),
)
QUIET = "Mayor opens a library in the old town hall"


class World:
    """A running desk whose clock stands at `NOW`."""

    def __init__(self, folder: Path, **files: str) -> None:
        given = {
            "monitor": MONITOR, "feeds": FEEDS, "topics": TOPICS, "subscribers": SUBSCRIBERS, "entities": ENTITIES,
        }  # fmt: skip
        self.pipe = Pipe(folder, NOW - timedelta(days=57), **{**given, **files})
        self.app = self.pipe.app

    def live(self) -> None:
        """Let eight weeks go by, and today."""
        for day in range(57, 0, -1):
            self.pipe.time = NOW.replace(hour=11) - timedelta(days=day)
            several = [
                item(
                    f"{day}-{n}", f"Battalion {day}-{n} sent to the border" if n % 2 else f"Sanctions on firm {day}-{n}"
                )
                for n in range(1 + day * 7 % 4)
            ]
            self.pipe.put(NAMES[day % len(NAMES)], *several)
            self._settle()
        self.pipe.time = NOW.replace(hour=0)
        schedule_slots(self.app, self.app.config, self.pipe.time)
        for number, (feed, title, summary, hour) in enumerate(TODAY):
            self.pipe.time = NOW.replace(hour=0, minute=0) + timedelta(hours=hour)
            if number == 3:
                self.app.store.preferences.turn_off("kai", "border-deployments", self.pipe.time)
            self.pipe.put(feed, item(f"today-{number}", title, summary=summary, published=self.pipe.time))
        self.pipe.put("northern-wire", item("quiet", QUIET))
        self._settle(fail=True)
        self._health()
        self.pipe.time = NOW

    def _settle(self, fail: bool = False) -> None:
        """Have the messages that are due taken; with `fail` the last two are refused, one of them for good."""
        with self.app.store.write() as session:
            due = select(Delivery).where(Delivery.state == "pending", col(Delivery.next_attempt_at) <= self.pipe.time)
            for row in session.exec(due):
                assert row.id is not None
                row.state, row.attempts, row.code, row.receipt = "sent", 1, "250", f"250 2.0.0 queued as {row.id:08X}"
                row.finished_at = row.next_attempt_at + timedelta(seconds=20 + row.id % 60)
            if fail:
                slack = select(Delivery).where(Delivery.subscriber == "risk-desk").order_by(col(Delivery.id).desc())
                first, second = session.exec(slack.limit(2)).all()
                first.state, first.finished_at, first.code = "dead", self.pipe.time, "550"
                first.detail = "the channel does not exist, says Slack: channel_not_found"
                second.state, second.finished_at, second.code = "pending", None, "429"
                second.detail, second.next_attempt_at = "Slack asked us to wait 30 seconds", NOW + timedelta(seconds=40)

    def _health(self) -> None:
        feeds, now = self.app.store.feeds, NOW
        for number, name in enumerate(NAMES):
            feeds.update(
                name, polled_at=now - timedelta(minutes=number), succeeded_at=now - timedelta(minutes=number),
                changed_at=now - timedelta(hours=number), next_poll_at=now + timedelta(minutes=5 + number),
                interval=600.0, status=200, stories=30, took=0.2 + number / 20, rhythm=[1.5] * 24 + [36.0] * 7,
            )  # fmt: skip
        since = now - timedelta(hours=6)
        feeds.update(
            "baltrop-observer", failures=12, failing_since=since, status=403,
            error="its server refuses our requests (403). Ask its publisher to let us in; it may pass by itself",
        )  # fmt: skip
        feeds.update("lowland-gazette", changed_at=now - timedelta(hours=19), silent_at=now - timedelta(hours=1))
        feeds.update("sarn-shipping-news", took=6.2)

    def web(self, token: str | None = None) -> FastAPI:
        """The pages, as the daemon serves them."""
        return web_of(self.app, token)


def web_of(app: App, token: str | None = None) -> FastAPI:
    """The pages of a program, as the daemon serves them."""
    return create_app(
        WebBackend(app), site=app.config.settings.site, token=token, host_names=[], secret=app.secret, parts=parts(app),
        opened=Machines(app).opened,
    )  # fmt: skip


@contextmanager
def world(folder: Path, **files: str) -> Iterator[World]:
    """A world with its history, closed at the end."""
    made = World(folder, **files)
    made.live()
    try:
        yield made
    finally:
        # In a thread, since Playwright leaves a loop running in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(made.app.close())).result()
