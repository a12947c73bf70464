"""Pages for readers on a program of their own, for tests: two topics with weeks of events, and a door to sign up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI

from monitor.links import Purpose, sign
from tests.desk import web_of
from tests.pipe import Pipe, item

NOW = datetime(2026, 11, 24, 14, 32, tzinfo=UTC)
MONITOR = """
site: Corvid risk desk
timezone: Europe/London
mail_from: Corvid risk desk <news@corvid.example>
public_url: https://desk.corvid.example
sign_up: {via: "mailto://127.0.0.1:2525?to=desk@corvid.example", at_most: 60/h}
"""
TOPICS = """
topics:
  border: {title: Border deployments, public: true, query: border AND troops}
  vessels: {title: Sanctioned vessels, public: true, query: sanction* AND vessel}
  grain: {title: Grain prices, query: grain}
"""
SUBSCRIBERS = """
subscribers:
  maya:
    name: Maya Haddad
    timezone: Europe/London
    channels: {mail: "mailto://127.0.0.1:2525?to=maya@corvid.example"}
    quiet_hours: {from: "22:00", to: "07:00"}
    digest: {at: ["17:00"], via: [mail]}
    subscriptions:
      - {topics: [border, grain], alert: {via: [mail]}}
      - {topics: [vessels], digest: true}
"""


class Readers:
    """A running program whose clock stands at `NOW`; with `history`, four weeks of stories."""

    def __init__(self, folder: Path, *, history: bool = True, **files: str) -> None:
        given = {"monitor": MONITOR, "topics": TOPICS, "subscribers": SUBSCRIBERS, **files}
        self.pipe = Pipe(folder, NOW - timedelta(days=29), **given)
        self.app = self.pipe.app
        for day in range(28, -1, -1) if history else ():
            self.pipe.time = NOW - timedelta(days=day, hours=1)
            three = [item(f"{day}-{n}", f"Troops number {day}-{n} move to the border") for n in range(3)]
            weekly = [item(f"v{day}", f"Sanctions on vessel number {day}")] if day % 4 == 0 else []
            self.pipe.put("wire", *three, *weekly)
        self.pipe.time = NOW

    def web(self) -> FastAPI:
        """The pages, as the daemon serves them."""
        return web_of(self.app, "open-sesame")

    def path(self, name: str = "maya", page: str = "s") -> str:
        """The path of a subscriber's signed link."""
        if page == "u":
            return f"/u/{sign(self.app.secret, name)}"
        purpose = Purpose.PREFERENCES if page == "s" else Purpose.CONFIRM
        return f"/{page}/{self.app.sign_until(name, purpose, self.app.now())}"


@contextmanager
def readers(folder: Path, *, history: bool = True, **files: str) -> Iterator[Readers]:
    """Readers, closed at the end."""
    made = Readers(folder, history=history, **files)
    try:
        yield made
    finally:
        # In a thread, since Playwright leaves a loop running in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(made.app.close())).result()
