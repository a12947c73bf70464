"""`kill -9` at random moments: no story lost, no message lost, and a repeat only of what was on the wire."""

from __future__ import annotations

import email
import random
import threading
import time
from collections import Counter
from email.policy import default
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.servers import MailServer

KILLS = 20
STORIES = 600
SEED = 20261125

SUBSCRIBERS = """
subscribers:
  ruth:
    name: Ruth Whitcombe
    channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"}}
    subscriptions:
      - {{topics: all, alert: {{via: [mail], at_most: off}}}}
  omar:
    name: Omar Tarifi
    channels: {{mail: "mailto://127.0.0.1:{port}?to=omar@corvid.example"}}
    subscriptions:
      - {{topics: [sanctions], alert: {{via: [mail], at_most: off}}}}
"""


class Publisher:
    """A feed over HTTP that lists all it has published; every answer has its ETag, and it goes on publishing."""

    def __init__(self) -> None:
        self.published = 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                count = publisher.published
                etag = f'"{count}"'
                if self.headers.get("If-None-Match") == etag:
                    self.send_response(304)
                    self.send_header("ETag", etag)
                    self.end_headers()
                    return
                body = make.rss(*(story(n) for n in range(count, 0, -1)))
                self.send_response(200)
                self.send_header("ETag", etag)
                self.send_header("Content-Type", "application/rss+xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/feed.xml"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def story(number: int) -> tuple[str, str]:
    """Every third story matches no topic."""
    subject = "Football results of the week" if number % 3 == 0 else "New sanctions on the shipping line"
    return f"story-{number}", f"{subject} number {number}"


@pytest.mark.acceptance
@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing_and_repeat_only_what_was_on_the_wire(tmp_path: Path) -> None:
    publisher, server, rng = Publisher(), MailServer(), random.Random(SEED)
    server.start()
    config = make.write_config(
        tmp_path / "config",
        feeds=f"feeds:\n  wire: {{url: '{publisher.url}', source: Wire, every: 1s, first_poll: alert}}\n",
        subscribers=SUBSCRIBERS.format(port=server.port),
        monitor=make.MONITOR + "budget: off\n",
    )
    process = DaemonProcess(config, tmp_path / "data")
    try:
        for kill in range(KILLS):
            with running(process):
                # Past the start-up, so that the kills fall into polls, commits and sends.
                wait_for(partial(_begun, process, kill + 1), 30, "the daemon to begin")
                until = time.monotonic() + rng.uniform(0, 2.5)
                while time.monotonic() < until and process.alive:
                    publisher.published = min(STORIES, publisher.published + 2)
                    time.sleep(0.12)
                assert process.alive, f"the daemon ended by itself before kill {kill}:\n{process.log[-3000:]}"
                process.kill()
        assert publisher.published > 100
        expected = {f"{story(n)[1]}" for n in range(1, publisher.published + 1)}
        matching = {title for title in expected if "sanctions" in title}
        with running(process):
            wait_for(lambda: _settled(process.data, len(expected)), 90, "all stories and messages")
            assert process.stop() == 0
    finally:
        publisher.close()
        server.stop()
    _check(process.data, server, expected, matching)


def _begun(process: DaemonProcess, times: int) -> bool:
    return process.log.count("News Monitor ") >= times


def _settled(data: Path, stories: int) -> bool:
    with database(data) as store:
        counts = store.outbox.counts()
        return store.archive.counts()["stories"] == stories and set(counts) == {"sent"}


def _check(data: Path, server: MailServer, expected: set[str], matching: set[str]) -> None:
    with database(data) as store:
        titles = [found.title for found in store.archive.find("number", 10_000)]
        rows = store.outbox.latest(limit=10_000)
    assert sorted(titles) == sorted(expected), "each story exactly once"
    assert len(rows) == 2 * len(matching), "one message for each story and subscriber"
    assert all(row.state == "sent" for row in rows)
    arrived: Counter[str] = Counter()
    told: dict[str, set[tuple[str, str]]] = {}
    for mail in server.mails:
        message = email.message_from_bytes(mail.content, policy=default)
        arrived[message["Message-ID"]] += 1
        told.setdefault(message["Message-ID"], set()).add((mail.rcpt_tos[0], message["Subject"]))
    assert set(arrived) == {f"<{row.message_id}>" for row in rows}, "every message arrived, and none besides"
    assert all(len(contents) == 1 for contents in told.values()), "a Message-ID always names the same message"
    repeated = {message_id for message_id, count in arrived.items() if count > 1}
    marked = {f"<{row.message_id}>" for row in rows if row.maybe_dup}
    assert repeated <= marked, "a repeat is always one that the log marks as possibly sent before"
    assert len(repeated) <= 2 * KILLS, "at most what was on the wire: one message a channel and kill"
    print(f"{len(rows)} messages, {len(repeated)} repeated, {len(marked)} marked as possible repeats, {KILLS} kills")
