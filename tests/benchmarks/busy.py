"""Whether a busy desk delays the polling: how late feeds are asked, with nobody at the desk and with many.

`python -m tests.benchmarks.busy [--feeds N] [--seconds S] [--visitors N] [--data DIR]`

A daemon in a process of its own polls `feeds` feeds, each of a host of its own, every two seconds, while `visitors` ask
for its pages one after the other, as fast as they come. `--data` is a folder with a database to begin with, such as the
one of `tests.benchmarks.desk --keep`. What counts is the time between two requests for a feed, in both.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests import make
from tests.acceptance.daemon import DaemonProcess, running, wait_for
from tests.fakes import Answer, FeedServer, free_port

EVERY = 2.0
PAGES = ("/", "/topics", "/feeds", "/deliveries", "/stories?story=border", "/lab?q=FORMS(troop)", "/metrics")
START = 120.0  # seconds at most until the daemon polls


@dataclass(frozen=True)
class Spell:
    """A time of polling: how often feeds were polled, with how many seconds between, and how many pages were made."""

    polls: int
    between_median: float
    between_most: float
    pages: int


def measure(folder: Path, feeds: int, seconds: float, visitors: int) -> tuple[Spell, Spell]:
    """Return how polling went with nobody at the desk, and then with `visitors`."""
    port = free_port()
    with ExitStack() as stack:
        # Of one host so many are asked in a second; here it is to be the daemon that sets the pace.
        servers = [stack.enter_context(FeedServer(f"127.0.0.{number + 1}")) for number in range(feeds)]
        for number, server in enumerate(servers):
            server.route("/feed.xml", Answer(make.rss((f"{number}", f"Troops at border {number}")), etag='"1"'))
        declared = "".join(f"  f{n}: {{url: '{one.url()}', every: {EVERY:g}s}}\n" for n, one in enumerate(servers))
        settings = make.MONITOR.replace("web: off", f"web: {{host: 127.0.0.1, port: {port}}}")
        config = make.write_config(
            folder / "config",
            monitor=settings.replace("[127.0.0.1]", '["127.0.0.0/8"]'),
            feeds=f"feeds:\n{declared}",
        )
        with running(DaemonProcess(config, folder / "data")):
            wait_for(lambda: all(server.asked for server in servers), START, "every feed to be polled")
            time.sleep(EVERY)
            quiet = _spell(servers, seconds, ())
            crowd = [_Visitor(f"http://127.0.0.1:{port}", number) for number in range(visitors)]
            busy = _spell(servers, seconds, crowd)
    return quiet, busy


class _Visitor(threading.Thread):
    """Asks for one page after the other until told to leave."""

    def __init__(self, site: str, first: int) -> None:
        super().__init__(name=f"visitor {first}")
        self.pages, self.leave = 0, threading.Event()
        self._site, self._first = site, first

    def run(self) -> None:
        while not self.leave.is_set():
            try:
                with urlopen(self._site + PAGES[(self._first + self.pages) % len(PAGES)], timeout=60) as answer:
                    answer.read()
            except URLError:
                return
            self.pages += 1


def _spell(servers: Sequence[FeedServer], seconds: float, crowd: Sequence[_Visitor]) -> Spell:
    for visitor in crowd:
        visitor.start()
    since = [len(server.asked) for server in servers]
    time.sleep(seconds)
    times = [[one.at for one in server.asked[start:]] for server, start in zip(servers, since, strict=True)]
    for visitor in crowd:
        visitor.leave.set()
    for visitor in crowd:
        visitor.join()
    between = [later - sooner for at in times for sooner, later in pairwise(at)]
    pages = sum(visitor.pages for visitor in crowd)
    return Spell(sum(map(len, times)), round(statistics.median(between), 2), round(max(between), 2), pages)


def main() -> None:
    """Measure, and print it."""
    options = argparse.ArgumentParser()
    options.add_argument("--feeds", type=int, default=20)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--visitors", type=int, default=4)
    options.add_argument("--data", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if chosen.data is not None:
            shutil.copytree(chosen.data, folder / "data")
        quiet, busy = measure(folder, chosen.feeds, chosen.seconds, chosen.visitors)
        print(f"nobody at the desk: {quiet}\n{chosen.visitors} visitors:         {busy}")


if __name__ == "__main__":
    main()
