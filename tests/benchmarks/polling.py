"""What polling costs: a poll against the naive way, and the daemon under the load of many feeds.

    python -m tests.benchmarks.polling cost [--documents 55] [--rounds 9]
    python -m tests.benchmarks.polling load [--feeds 2000] [--rate 55] [--minutes 1] [--json FILE]

`cost`: processor time of our polls, with their worker processes, the database and our part of the fetching, against
httpx, feedparser as it comes, and an ORM row for each story; the server is another process. Rounds take turns; medians.
Needs httpx (the extra `bench`), and takes real documents of ../shared/data where there are any.

`load`: `monitor run --only poll` in a process of its own, on the feeds of `tests.benchmarks.publishers`, all of which
it has polled before. Its processor time and memory are those of all its processes; the publishers' do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import cost, publishers
from tests.benchmarks.before import config_text, polled_before

PROJECT = Path(__file__).resolve().parents[2]
START = 600.0  # seconds at most until the daemon polls
DRAIN = 120.0  # seconds at most for the polls in flight when publishing stops


@dataclass(frozen=True)
class Load:
    """What came of a load. Times are in seconds, memory in MB; `block` is the longest that the loop stood still."""

    feeds: int
    polls: int
    rate: float
    start: float
    cores: float
    memory: float
    private: float
    late_median: float
    late_99: float
    late_most: float
    block: float
    collector: float
    own_block: float
    published: int
    lost: int
    doubled: int
    answers: dict[str, int]

    def bounds(self) -> dict[str, bool]:
        """Return whether each bound holds."""
        return {
            "under one core": self.cores < 1,
            "under 400 MB": self.memory < 400,
            "no poll later than 5 s": self.late_most <= 5,
            "the loop never blocked over 100 ms": self.block <= 0.1,
            "no story lost": self.lost == 0,
            "no story doubled": self.doubled == 0,
        }


class Publishing:
    """The publishers' process; `with Publishing(folder) as server:`."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "published.json"
        command = [sys.executable, "-m", "tests.benchmarks.publishers", str(self._record)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        self.port = int(self._said())

    def __enter__(self) -> Publishing:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)

    def freeze(self) -> dict[str, Any]:
        """Publish nothing more; return what was sent."""
        assert self._process.stdin is not None
        self._process.stdin.write("freeze\n")
        self._process.stdin.flush()
        self._said()
        found: dict[str, Any] = json.loads(self._record.read_text())
        return found

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait(10)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def load(feeds: int, every: float, seconds: float, folder: Path, say: Any = print) -> Load:
    """Run a daemon on so many feeds for so long, each polled `every` so many seconds."""
    with Publishing(folder) as server:
        config, data = folder / "config", folder / "data"
        config_text(config, feeds, server.port, every)
        began = time.monotonic()
        polled_before(data, feeds, server.port, every)
        say(f"{feeds} feeds were made in {time.monotonic() - began:.0f} s")
        log = (folder / "log.txt").open("wb")
        command = [sys.executable, "-m", "tests.benchmarks.watched", str(config), str(data), str(folder / "seen.json")]
        began = time.monotonic()
        daemon = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            assert daemon.stdout is not None
            assert daemon.stdin is not None
            line = daemon.stdout.readline()
            assert line.strip() == b"polling", f"the daemon did not start: {(folder / 'log.txt').read_text()[-3000:]}"
            start = time.monotonic() - began
            say(f"the daemon polls after {start:.1f} s")
            time.sleep(seconds)
            daemon.stdin.write(b"measured\n")
            daemon.stdin.flush()
            daemon.stdout.readline()
            sent = server.freeze()
            published = {
                publishers.title(int(feed), item)
                for feed, last in sent["sent"].items()
                for item in range(publishers.BEFORE + 1, last + 1)
            }
            until = time.monotonic() + DRAIN
            while not published <= set(_titles(data)) and time.monotonic() < until:
                time.sleep(2)
            daemon.terminate()
            daemon.wait(20)
        finally:
            _end(daemon)
            log.close()
    seen = json.loads((folder / "seen.json").read_text())
    saved = _titles(data)
    return Load(
        feeds=feeds,
        published=len(published),
        lost=len(published - set(saved)),
        doubled=len(saved) - len(set(saved)),
        start=round(start, 1),
        answers=sent["asked"],
        **seen,
    )


def _titles(data: Path) -> list[str]:
    import sqlite3

    with sqlite3.connect(data / "monitor.db") as database:
        return [title for (title,) in database.execute("SELECT title FROM story")]


def show(found: Load) -> bool:
    """Print what came of a load; return whether all bounds hold."""
    for name, value in asdict(found).items():
        print(f"{name:12} {value}")
    bounds = found.bounds()
    for name, holds in bounds.items():
        print(f"{'PASS' if holds else 'FAIL'} {name}")
    return all(bounds.values())


def _costs(documents: int, rounds: int) -> int:
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        found = asyncio.run(cost.measure(Path(folder), documents, rounds))
    print(f"{'':14}{'naive':>10}{'ours':>10}{'times as cheap':>16}   ms a poll")
    for one in found:
        holds = one.ratio >= cost.ANSWERS[one.answer]
        print(f"{one.answer:14}{one.naive:10.2f}{one.ours:10.2f}{one.ratio:15.1f}x   ", end="")
        print(f"{'PASS' if holds else 'FAIL'} at least {cost.ANSWERS[one.answer]:g}x")
    return 0 if all(one.ratio >= cost.ANSWERS[one.answer] for one in found) else 1


def main() -> int:
    """Measure and print; return 1 where a bound does not hold."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = arguments.add_subparsers(dest="part", required=True)
    loaded = parts.add_parser("load")
    loaded.add_argument("--feeds", type=int, default=2000)
    loaded.add_argument("--rate", type=float, default=55.0, help="polls a second")
    loaded.add_argument("--minutes", type=float, default=1.0)
    loaded.add_argument("--json", type=Path, help="write the figures here too")
    loaded.add_argument("--keep", type=Path, help="work in this folder, and leave it")
    costs = parts.add_parser("cost")
    costs.add_argument("--documents", type=int, default=55)
    costs.add_argument("--rounds", type=int, default=9)
    said = arguments.parse_args()
    if said.part == "cost":
        return _costs(said.documents, said.rounds)
    folder = said.keep or Path(tempfile.mkdtemp(prefix="load-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = load(said.feeds, said.feeds / said.rate, said.minutes * 60, folder)
    finally:
        if not said.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if said.json:
        said.json.write_text(json.dumps(asdict(found), indent=1))
    return 0 if show(found) else 1


if __name__ == "__main__":
    sys.exit(main())
