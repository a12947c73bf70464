"""Good feeds next to hostile ones, with `kill -9` among them: what it costs the good ones."""

from __future__ import annotations

import email
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.policy import default
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from monitor.models import Story
from monitor.store import Store
from tests import make
from tests.acceptance.daemon import DaemonProcess, database, running, wait_for
from tests.servers import MailServer
from tests.test_hostile import WANTED

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(sys.platform != "linux", reason="loopback has one address only"),
]

GOOD = 8  # feeds, each with a host of its own
SETTLE = 2.0  # seconds
WINDOW = 9.0  # seconds that are measured
KILLS, TURNS = 2, 2  # kills before what is measured beside hostile feeds; runs with these and without, in turns
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


@dataclass
class Measured:
    """What the good feeds' alerts came to, over one run or several."""

    delays: list[float]  # in seconds, of the stories published in the lives that are measured
    again: int = 0  # alerts that came twice
    memory: float = 0.0  # MB

    def __str__(self) -> str:
        return (
            f"delay p50 {self.at(0.5):.2f} s, p95 {self.at(0.95):.2f} s of {len(self.delays)} alerts; "
            f"{self.again} alerts again, {self.memory:.0f} MB"
        )

    def at(self, share: float) -> float:
        return sorted(self.delays)[int(share * (len(self.delays) - 1))]

    def add(self, other: Measured) -> None:
        self.delays += other.delays
        self.again, self.memory = self.again + other.again, max(self.memory, other.memory)


def measure(folder: Path, hostile: dict[str, str], kills: int) -> Measured:
    """Run the daemon, killed so often; then measure a life that ends when all that was published is told."""
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
    memory, measured = 0.0, set[str]()
    try:
        for life in range(kills + 1):
            with running(process):
                wait_for(partial(_begun, process, life + 1), 60, "the daemon to begin")
                time.sleep(SETTLE)  # what was published before a kill comes first
                before = set(publishers.published)
                publishers.go()
                time.sleep(WINDOW if life == kills else SETTLE)
                publishers.stop()
                assert process.alive, process.log[-3000:]
                if life == kills:
                    wait_for(lambda: set(publishers.published) <= set(mail.came), 40, "the good feeds' alerts")
                    measured = set(publishers.published) - before
                memory = max(memory, process.memory())
    finally:
        publishers.close()
        mail.stop()
    with database(process.data) as store:
        check_stories(store, publishers, hostile)
    again = sum(mail.times[title] > 1 for title in publishers.published)
    assert again <= GOOD * kills, "an alert comes again only when it was on the wire at a kill: one a channel"
    return Measured([mail.came[title] - publishers.published[title] for title in measured], again, memory)


def check_stories(store: Store, publishers: Publishers, hostile: dict[str, str]) -> None:
    """No story was lost or saved twice, of the hostile feeds neither, as far as these have any to read."""
    with store.read() as session:
        saved = Counter(session.exec(select(Story.feed, Story.title)).all())
    good = Counter({title: times for (_, title), times in saved.items() if title in publishers.published})
    assert good == Counter(publishers.published.keys()), "each story of the good feeds exactly once"
    assert max(saved.values()) == 1
    stories, states = Counter(feed for feed, _ in saved), store.feeds.states()
    read = {name: url.rpartition("/")[2] for name, url in hostile.items() if states[name].succeeded_at is not None}
    wanted = {name: WANTED[what] for name, what in read.items() if what != "new-stories-each-time"}
    assert len(wanted) >= 5 or not hostile
    assert {name: stories[name] for name in wanted} == wanted


def _begun(process: DaemonProcess, times: int) -> bool:
    return process.log.count("News Monitor ") >= times


@pytest.mark.timeout(500)
def test_thirty_hostile_feeds_cost_the_good_ones_no_story_and_little_time(tmp_path: Path) -> None:
    alone, beside = Measured([]), Measured([])
    with hostile_feeds() as hostile:
        assert len(hostile) >= 30
        for turn in range(TURNS):
            alone.add(measure(tmp_path / f"alone{turn}", {}, 0))
            beside.add(measure(tmp_path / f"beside{turn}", hostile, KILLS))
    print(f"\n{GOOD} good feeds alone: {alone}\nnext to {len(hostile)} hostile ones: {beside}")
    assert beside.at(0.95) <= 2 * alone.at(0.95)
    assert beside.memory < 600
