"""`monitor demo`: the whole path on an invented newswire, offline.

The newswire is served over real HTTP on loopback, mails go to a real SMTP server, Slack messages to a webhook that
answers as Slack does; between them runs the very daemon of `monitor run`, with the configuration in `config/`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console

from monitor import logs
from monitor.app import App, open_app
from monitor.checking import load as load_config
from monitor.daemon import Daemon
from monitor.demo.newswire import Newswire, load
from monitor.demo.sinks import MailSink, NewswireServer, SlackSink
from monitor.dispatch import Reason
from monitor.errors import MonitorError
from monitor.models import Decision
from monitor.service import Status, status
from monitor.text import clean

CONFIG = Path(__file__).parent / "config"
DIGEST_AFTER = 35.0  # seconds from the start to the digest's minute, at pace 1
LONGEST = 90.0  # seconds after which the demo ends whatever has come
DIGESTS = 3  # one for each subscriber
ZONES = {"DEMO_DIGEST_AT": "Europe/London", "DEMO_DIGEST_AT_AMMAN": "Asia/Amman"}


def run_demo(folder: Path, pace: float = 1.0) -> int:
    """Run the demo, writing mails and messages into `folder`, which is emptied; return the exit status.

    `pace` is how many times as fast the newswire publishes. Raises MonitorError when `folder` holds anything else.
    """
    marker = folder / ".news-monitor-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise MonitorError(f"{folder} holds files that are not a demo's: name another folder with --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()
    return asyncio.run(_Demo(folder, pace).run())


@dataclass(frozen=True, slots=True)
class _Tally:
    """What went out, and how often a reader was `spared` a story of an event that they had been told of."""

    alerts: int
    updates: int
    digests: int
    spared: int


def _count(app: App) -> _Tally:
    sent = Counter(
        "update" if row.kind == "alert" and row.payload["news"] else row.kind
        for row in app.store.outbox.latest(("sent",), 1_000)
    )
    spared = app.store.reports.page(Decision, 0, 1_000, reason=str(Reason.ALREADY_TOLD))
    return _Tally(sent["alert"], sent["update"], sent["digest"], len(spared))


class _Demo:
    """One run. The demo's clock is the real one, moved by less than a minute so that the digest's minute comes soon."""

    def __init__(self, folder: Path, pace: float) -> None:
        self.folder, self.pace = folder, pace
        self.newswire: Newswire = load()
        self.out = Console(highlight=False, soft_wrap=False)
        self.begun = time.monotonic()
        digest_in = max(12.0, DIGEST_AFTER / pace)
        now = datetime.now(UTC)
        self.shift = timedelta(seconds=(60 - digest_in - now.second - now.microsecond / 1e6) % 60)
        self.start = now + self.shift
        self.digest_at = (self.start + timedelta(seconds=digest_in + 1)).replace(second=0, microsecond=0)

    def clock(self) -> datetime:
        """Return the demo's time."""
        return datetime.now(UTC) + self.shift

    def elapsed(self) -> float:
        """Return how many of the newswire's seconds have passed."""
        return (time.monotonic() - self.begun) * self.pace

    def say(self, who: str, what: str, style: str = "") -> None:
        """Print a line of what is happening."""
        seconds = time.monotonic() - self.begun
        line = f"{seconds:5.1f}s  {who:<9} {clean(what)}"
        self.out.print(line, style=style, markup=False, overflow="ellipsis", no_wrap=True)

    async def run(self) -> int:
        """Run the demo from beginning to end."""
        logs.setup("ERROR")
        wire = NewswireServer(self.newswire, self.elapsed, self.start)
        slack = SlackSink(self.folder / "slack", lambda text: self.say("Slack", text, "magenta"))
        mail = MailSink(self.folder / "mail", lambda text: self.say("mail", text, "green"))
        await wire.start()
        await slack.start()
        mail.start()
        env = {
            **os.environ,
            "DEMO_HTTP": wire.url,
            "DEMO_MAIL": f"mailto://127.0.0.1:{mail.port}?from=news@corvid.example",
            "DEMO_SLACK": f"slack://T0DEMO0001/B0DEMO0001/demodemodemodemodemodemo/?base={slack.url}",
            **{name: f"{self.digest_at.astimezone(ZoneInfo(zone)):%H:%M}" for name, zone in ZONES.items()},
        }
        self._introduce()
        loaded = load_config(CONFIG, env)
        app = open_app(loaded.config, self.folder / "data", self.clock, rules=loaded.rules)
        self.begun = time.monotonic()
        daemon = Daemon(app, CONFIG, env, {"poll", "deliver"})
        running = asyncio.create_task(daemon.run())
        try:
            await self._watch(app, running)
            found, tally = status(app, self.clock()), _count(app)
        finally:
            daemon.stop()
            await running
            await app.close()
            await wire.stop()
            await slack.stop()
            mail.stop()
        self.out.print()
        self._conclude(found, tally, wire, mail)
        return 0 if tally.digests >= DIGESTS else 3

    def _introduce(self) -> None:
        outlets = self.newswire.outlets.values()
        languages = ", ".join(sorted({outlet.language for outlet in outlets}))
        self.out.print(
            f"An invented newswire: {len(self.newswire.stories)} stories from {len(outlets)} outlets ({languages}), "
            "published over HTTP on this machine.\nThe daemon polls it, matches six topics, sends alerts at once and "
            f"digests at {self.digest_at.astimezone(ZoneInfo('Europe/London')):%H:%M} London time. About 45 seconds.\n",
            markup=False,
            soft_wrap=True,
        )

    async def _watch(self, app: App, running: asyncio.Task[None]) -> None:
        """Tell of new matches as they are recorded, until the digests are there."""
        last, edits, ended = 0, 0, time.monotonic() + LONGEST
        while time.monotonic() < ended and not running.done():
            await asyncio.sleep(0.3)
            for story, topics, alerting in await app.db(app.store.archive.matched_since, last):
                assert story.id is not None
                last = max(last, story.id)
                said = f"[{', '.join(topics)}] {story.title} ({story.source})"
                self.say("match" if alerting else "baseline", said, "" if alerting else "dim")
            counts = await app.db(app.store.archive.counts)
            if counts["edits"] > edits:
                edits = counts["edits"]
                self.say("edit", "an outlet changed a story it had published: recorded, and not told twice", "yellow")
            waiting = await app.db(app.store.outbox.unfinished, self.clock())
            published = self.elapsed() > self.newswire.duration + 3
            if published and not waiting and (await app.db(_count, app)).digests >= DIGESTS:
                return

    def _conclude(self, found: Status, tally: _Tally, wire: NewswireServer, mail: MailSink) -> None:
        say = self.out.print
        say("What happened", style="bold")
        say(
            f"  {found.stories} stories came from {wire.documents} documents of {len(self.newswire.outlets)} outlets; "
            f"{wire.unchanged} more requests were answered “304, nothing new”.",
            soft_wrap=True,
        )
        say(f"  {found.matches} matches, {found.edits} story edited after publication.", markup=False)
        say(
            f"  {tally.alerts} alerts, {tally.updates} updates in the threads of alerts, and {tally.digests} digests "
            f"went out by mail and Slack. {tally.spared} times a reader had been told of the event by another outlet's "
            "story, and was not told again.\n",
            soft_wrap=True,
        )
        say("Where to look", style="bold")
        say(f"  mails, as sent and as a page:  {self.folder}/mail/*.eml, *.html", markup=False)
        say(f"  an update, in its thread:      {mail.update or 'none came'}", markup=False)
        say(f"  the digest:                    {mail.digest or 'none came'}", markup=False)
        say(f"  Slack messages, as posted:     {self.folder}/slack/*.json", markup=False)
        say(f"  everything recorded:           {self.folder}/data/monitor.db\n", markup=False)
        say("What next", style="bold")
        say("  README.md, “Your first topic in five minutes”; or edit config/subscribers.yaml and type: make run")
