"""Delivering processes die at every point of a message's way: none is lost, and a repeat is one that could not be
known, under the same Message-ID, and marked. On SQLite and PostgreSQL, with two workers on one database."""

from __future__ import annotations

import asyncio
import email
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from monitor.app import App, open_app
from monitor.config import load_config
from monitor.dispatch import Alert, StoryView, TopicRef
from monitor.models import Delivery
from monitor.pipeline.outgoing import alert_delivery
from tests import make
from tests.acceptance.crashing import POINTS, WORKERS
from tests.servers import MailServer

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]  # half a minute each on a machine of its own

MESSAGES, READERS = 200, 20
CHANCE, MOST = 0.15, 5  # of dying at each passage, and how often each worker may


class RoughServer(MailServer):
    """A mail server that greylists, refuses, hangs up and hangs; in turn, so that every run is the same for a message.

    What it does to a message depends on the message's number and on how often it has come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tries: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=default)
        number = int(str(mail["Subject"]).rpartition(" ")[2])
        self.tries[mail["Message-ID"]] += 1
        first, kind = self.tries[mail["Message-ID"]] == 1, number % 10
        if kind == 1 and first:
            return "451 4.7.1 greylisted, come again"
        if kind == 2 and first:
            return "421 4.3.2 going down"
        if kind == 3:
            return "550 5.7.1 not wanted here"
        if kind in (4, 6) and first:  # before anything is kept, at once or after a long silence
            await asyncio.sleep(2.5 if kind == 6 else 0)
            server.transport.abort()
            return "421 gone"
        reply = await super().handle_DATA(server, session, envelope)
        if kind == 5 and first:
            server.transport.abort()  # kept, and nobody hears of it
        return reply


class SlowServer(MailServer):
    """A mail server that keeps a message and takes its time to say so: what is widened is the gap of RFC 1047."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        reply = await super().handle_DATA(server, session, envelope)
        await asyncio.sleep(0.2)
        return reply


@pytest.fixture
def mail(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    name = request.node.name
    server = RoughServer() if "rough" in name else SlowServer() if "any_moment" in name else MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def outbox(folder: Path, database_url: str, port: int) -> App:
    """An outbox full of alerts, on a database that the workers share."""
    readers = "".join(
        f'  r{n}: {{channels: {{mail: "mailto://127.0.0.1:{port}?to=r{n}@corvid.example"}}, '
        "subscriptions: [{topics: all, alert: {via: [mail], at_most: off}}]}\n"
        for n in range(READERS)
    )
    config = make.write_config(
        folder / "config",
        monitor=f"{make.MONITOR}budget: off\nsecret_key: {'k' * 32}\ndatabase_url: {database_url}\n",
        subscribers=f"subscribers:\n{readers}",
    )
    app = open_app(load_config(config, {}), folder / "data", migrate=False)
    app.store.migrate()
    now = datetime.now(UTC)
    for number in range(MESSAGES):
        title = f"New sanctions number {number}"
        story = StoryView(number, number, title, f"https://news.example/{number}", "Wire", "", "en", now)
        alert = Alert(f"r{number % READERS}", "mail", (TopicRef("sanctions", "Sanctions", "normal"),), story)
        assert app.store.outbox.add(alert_delivery(app, alert, f"story {number}", None, now))
    return app


def run(folder: Path, point: str, senders: int, chance: float = CHANCE) -> tuple[int, list[tuple[str, str]]]:
    """Let the workers deliver; return how often one died, and where and at which message."""
    command = [sys.executable, "-m", "tests.acceptance.crashing", str(folder)]
    done = subprocess.run(
        [*command, point, str(chance), str(MOST), str(senders)], capture_output=True, text=True, timeout=540
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    log = folder / "crashes.txt"
    crashes = [line.partition(" ") for line in log.read_text().splitlines()] if log.exists() else []
    return int(done.stdout), [(where, message) for where, _, message in crashes]


def copies(server: MailServer) -> Counter[str]:
    """How often each Message-ID arrived; one always names the same message to the same reader."""
    arrived: Counter[str] = Counter()
    told: dict[str, tuple[str, ...]] = {}
    for mail in server.mails:
        message = email.message_from_bytes(mail.content, policy=default)
        name = message["Message-ID"].strip("<>")
        arrived[name] += 1
        what = (*mail.rcpt_tos, message["Subject"])
        assert told.setdefault(name, what) == what
    return arrived


def check(rows: Sequence[Delivery], arrived: Counter[str]) -> set[str]:
    """Nothing is lost, nothing arrived that was not sent, and a repeat is marked; return the repeated Message-IDs."""
    sent = {row.message_id: row for row in rows if row.state == "sent"}
    assert set(arrived) == set(sent)
    for name, count in arrived.items():
        assert count - 1 <= sent[name].maybe_dup, f"{count} copies of a message that is marked {sent[name].maybe_dup}×"
    return {name for name, count in arrived.items() if count > 1}


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_loses_nothing(tmp_path: Path, database: str, mail: MailServer, point: str) -> None:
    app = outbox(tmp_path, database, mail.port)
    died, crashes = run(tmp_path, point, senders=1)
    assert died == len(crashes) >= WORKERS * MOST * 3 // 4
    rows, arrived = app.store.outbox.latest(limit=1000), copies(mail)
    app.store.close()
    assert len(rows) == MESSAGES
    assert {row.state for row in rows} == {"sent"}
    repeated, marked = check(rows, arrived), {row.message_id for row in rows if row.maybe_dup}
    if point in ("dot", "answer"):  # nobody can know whether it arrived, so it goes once more
        assert repeated == marked == {message for _, message in crashes}
        assert sum(arrived.values()) == MESSAGES + died
    else:
        assert repeated == set()
        assert bool(marked) == (point == "wire")  # that may have been sent, as far as anybody knows
    print(f"{point}: {died} crashes, 0 lost, {sum(arrived.values()) - MESSAGES} repeats, {len(marked)} marked")


def test_workers_that_are_killed_at_any_moment_lose_nothing(tmp_path: Path, database: str, mail: MailServer) -> None:
    app = outbox(tmp_path, database, mail.port)
    died, _ = run(tmp_path, "random", senders=4)
    rows, arrived = app.store.outbox.latest(limit=1000), copies(mail)
    app.store.close()
    assert died >= WORKERS * MOST // 2
    assert len(rows) == MESSAGES
    assert {row.state for row in rows} == {"sent"}
    repeated = check(rows, arrived)
    assert 0 < len(repeated) <= 4 * died, "of ten kills while four messages are on their way some fall into the gap"
    print(f"random: {died} kills, 0 lost, {len(repeated)} repeats, {sum(1 for row in rows if row.maybe_dup)} marked")


def test_a_rough_server_and_killed_workers_lose_nothing(tmp_path: Path, database: str, mail: MailServer) -> None:
    app = outbox(tmp_path, database, mail.port)
    died, _ = run(tmp_path, "random", senders=4)
    rows, arrived = app.store.outbox.latest(limit=1000), copies(mail)
    app.store.close()
    check(rows, arrived)
    states = Counter(row.state for row in rows)
    print(f"rough: {died} kills, {dict(states)}, {sum(arrived.values()) - len(arrived)} repeats")
    assert len(rows) == MESSAGES
    by_number = {int(row.subject.rpartition(" ")[2]): row for row in rows}
    refused = {number for number, row in by_number.items() if row.state in ("dead", "held")}
    assert refused == {number for number in by_number if number % 10 == 3}
    assert all(row.detail for row in rows if row.state != "sent"), "what was not sent says why"
