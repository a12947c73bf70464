"""Good feeds next to hostile ones, with `kill -9` among them: what it costs the good ones."""

from __future__ import annotations

import email
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.policy import default
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from monitor.models import Story
from monitor.store import Store
from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.servers import MailServer

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address only"),
]

GOOD = 8  # feeds, each with a host of its own
SETTLE = 2.0  # seconds
WINDOW = 9.0  # seconds that are measured
PACE = 2.0  # seconds between two stories of a feed
MORE_DEEP = 5  # hostile feeds that keep a worker busy until it is killed, beside the one of the list
# A topic and a subscriber for each feed: a mail server takes the messages of one channel one after another.
TOPIC = "  t{n}: {{any: [sanction*], scope: {{feeds: [good{n}]}}}}\n"
SUBSCRIBER = """  s{n}:
    channels: {{mail: "mailto://127.0.0.1:{port}?to=s{n}@corvid.example"}}
    subscriptions: [{{topics: [t{n}], alert: {{via: [mail], at_most: off}}}}]
"""
MONITOR = """
mail_from: Corvid risk desk <news@corvid.example>
web: off
budget: off
fetch: {allow_private: [127.0.0.0/8], timeout: 5s, per_host_gap: 0s}
"""


class Publishers:
    """Good feeds that publish from `go` to `stop`; when each story came out is kept, on the monotonic clock."""

    def __init__(self) -> None:
        self.published: dict[str, float] = {}
        self._titles: list[list[str]] = [[] for _ in range(GOOD)]
        self._servers = [self._server(number) for number in range(GOOD)]
        self._going, self._closed = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=server.serve_forever) for server in self._servers]
        self._threads.append(threading.Thread(target=self._publish))
        for thread in self._threads:
            thread.start()

    def feeds(self) -> dict[str, str]:
        """Return their addresses by name."""
        return {
            f"good{n}": f"http://127.0.0.{100 + n}:{server.server_address[1]}/"
            for n, server in enumerate(self._servers)
        }

    def close(self) -> None:
        self._closed.set()
        for server in self._servers:
            server.shutdown()
        for thread in self._threads:
            thread.join()
        for server in self._servers:
            server.server_close()

    def go(self) -> None:
        self._going.set()

    def stop(self) -> None:
        self._going.clear()

    def _publish(self) -> None:
        count = 0
        while not self._closed.wait(PACE / GOOD):
            if not self._going.is_set():
                continue
            title = f"Sanctions number {count} agreed by council {count % GOOD}"
            self._titles[count % GOOD].insert(0, title)
            self.published[title] = time.monotonic()
            count += 1

    def _server(self, number: int) -> ThreadingHTTPServer:
        titles = self._titles[number]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = make.rss(*((title.replace(" ", "-"), title) for title in list(titles)))
                self.send_response(200)
                self.send_header("Content-Type", "application/rss+xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer((f"127.0.0.{100 + number}", 0), Handler)
        server.daemon_threads = True
        return server


class TimedMail(MailServer):
    """A mail server that keeps when each headline came first, on the monotonic clock, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.came: dict[str, float] = {}
        self.times: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=default)
        title = str(message["Subject"]).partition(": ")[2]
        self.came.setdefault(title, time.monotonic())
        self.times[title] += 1
        return await super().handle_DATA(server, session, envelope)


@contextmanager
def hostile_feeds() -> Iterator[dict[str, str]]:
    """The hostile server as a process of its own; yields the addresses of its feeds by name."""
    command = [sys.executable, "-m", "tests.hostile"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, *names = process.stdout.readline().split()
        names += ["deep"] * MORE_DEEP
        yield {f"hostile{n}": f"http://127.0.0.{1 + n}:{port}/{name}" for n, name in enumerate(names)}
        process.kill()


@dataclass(frozen=True)
class Measured:
    """What the good feeds' alerts came to."""

    delays: list[float]  # sorted, in seconds, of the stories published within `WINDOW`
    stories: int
    again: int  # alerts that came twice
    memory: float  # MB

    def __str__(self) -> str:
        return (
            f"delay p50 {self.at(0.5):.2f} s, p95 {self.at(0.95):.2f} s of {len(self.delays)} alerts; "
            f"{self.stories} stories in all, {self.again} alerts again, {self.memory:.0f} MB"
        )

    def at(self, share: float) -> float:
        return self.delays[int(share * (len(self.delays) - 1))]


def measure(folder: Path, hostile: dict[str, str], kills: int) -> Measured:
    """Run the daemon, killed before and after the time that is measured where there are `kills`."""
    publishers, mail = Publishers(), TimedMail()
    mail.start()
    every = {**dict.fromkeys(publishers.feeds(), "1s"), **dict.fromkeys(hostile, "2s")}
    feeds = "".join(
        f"  {name}: {{url: '{url}', source: {name}, every: {every[name]}, first_poll: alert}}\n"
        for name, url in {**publishers.feeds(), **hostile}.items()
    )
    config = make.write_config(
        folder / "config",
        monitor=MONITOR,
        feeds=f"feeds:\n{feeds}",
        topics="topics:\n" + "".join(TOPIC.format(n=n) for n in range(GOOD)),
        subscribers="subscribers:\n" + "".join(SUBSCRIBER.format(n=n, port=mail.port) for n in range(GOOD)),
    )
    process = DaemonProcess(config, folder / "data")
    lives = (SETTLE, WINDOW, 0.0) if kills else (WINDOW,)
    begins = [0.0]
    try:
        for life, seconds in enumerate(lives):
            with running(process):
                wait_for(partial(_begun, process, life + 1), 30, "the daemon to begin")
                if seconds == WINDOW:
                    time.sleep(SETTLE)  # what was published before a kill comes first
                    begins = [time.monotonic()]
                if seconds:
                    publishers.go()
                time.sleep(seconds)
                assert process.alive, process.log[-3000:]
                if life < len(lives) - 1:
                    memory = process.memory()
                    process.kill()
                    publishers.stop()
                else:
                    publishers.stop()
                    wait_for(lambda: set(publishers.published) <= set(mail.came), 40, "the good feeds' alerts")
                    memory = max(memory, process.memory()) if kills else process.memory()
    finally:
        publishers.close()
        mail.stop()
    with database(process.data) as store:
        stored = Counter(title for title in _titles(store) if title in publishers.published)
    assert stored == Counter(publishers.published.keys()), "each story of the good feeds exactly once"
    again = sum(mail.times[title] > 1 for title in publishers.published)
    assert again <= GOOD * kills, "an alert comes again only when it was on the wire at a kill: one a channel"
    # Not the last second: what was published then may have waited for the daemon to come back.
    measured = [t for t, at in publishers.published.items() if begins[0] <= at < begins[0] + WINDOW - 1]
    delays = sorted(mail.came[title] - publishers.published[title] for title in measured)
    return Measured(delays, len(stored), again, memory)


def _begun(process: DaemonProcess, times: int) -> bool:
    return process.log.count("News Monitor ") >= times


def _titles(store: Store) -> Sequence[str]:
    with store.read() as session:
        return session.exec(select(Story.title).where(col(Story.title).contains("Sanctions number"))).all()


@pytest.mark.timeout(150)
def test_thirty_hostile_feeds_cost_the_good_ones_no_story_and_little_time(tmp_path: Path) -> None:
    alone = measure(tmp_path / "alone", {}, kills=0)
    print(f"\n{GOOD} good feeds alone: {alone}")
    with hostile_feeds() as hostile:
        assert len(hostile) >= 30
        beside = measure(tmp_path / "beside", hostile, kills=2)
    print(f"next to {len(hostile)} hostile ones, with two kills: {beside}")
    # Twice, and one interval: a story that just misses its poll waits for the next one.
    assert beside.at(0.95) <= 2 * alone.at(0.95) + 1.0
    assert beside.memory < 600
