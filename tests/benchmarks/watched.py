"""The daemon, in a process that watches itself: `python -m tests.benchmarks.watched CONFIG DATA SEEN`.

Says `polling` when its ticks begin. On a line of the standard input it writes to SEEN, as JSON, what it saw until then.
Beside it, in a file of `.stacks`, is what each thread did whenever the loop stood still for long.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.app import App

STEP = 0.01  # seconds between two looks at the loop
BLOCKED = 0.08  # seconds that the loop stands still, after which the stacks of all threads are written down
SETTLE = 20.0  # seconds in which what came due during the start is polled, before anything is measured


class Watched:
    """What is seen of a daemon: how late polls are, how long its loop stands still, what its processes take."""

    def __init__(self, app: App) -> None:
        self.late: dict[str, list[float]] = {}
        self.blocks: list[tuple[float, float]] = [(0.0, 0.0)]
        self.began = self.cpu = 0.0
        self.memory: list[tuple[float, float]] = []
        self.collected: list[tuple[float, int]] = [(0.0, 0)]
        self._wrap(app)
        gc.callbacks.append(self._collector)

    def _wrap(self, app: App) -> None:
        due: Any = app.store.feeds.due
        start = asyncio.create_task
        overdue: dict[str, Any] = {}

        def looked(*args: Any) -> Any:
            found = due(*args)
            for state in found:
                overdue[state.feed] = state.next_poll_at
            return found

        def begun(work: Any, *, name: str | None = None) -> Any:
            at = overdue.pop((name or "").removeprefix("poll "), None)
            if at is not None:
                self.late.setdefault(name or "", []).append((app.now() - at).total_seconds())
            return start(work, name=name)

        app.store.feeds.due = looked  # type: ignore[assignment,method-assign]
        asyncio.create_task = begun  # type: ignore[assignment]

    def _collector(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        elif self.began:
            self.collected.append((time.thread_time() - self._collecting, info["generation"]))

    async def loop(self, stacks: IO[str]) -> None:
        """Look at the loop all the time: how long it was not run, and the process's own processor time meanwhile.

        Where it stands still, what each thread does is written to `stacks`, by a thread that needs no interpreter.
        """
        before = time.monotonic(), time.process_time()
        while True:
            faulthandler.dump_traceback_later(BLOCKED, file=stacks)
            await asyncio.sleep(STEP)
            now = time.monotonic(), time.process_time()
            gap = now[0] - before[0] - STEP
            if gap > 0.02:
                self.blocks.append((gap, min(gap, now[1] - before[1])))
            before = now

    async def processes(self) -> None:
        """Look at the memory every five seconds."""
        while True:
            await asyncio.sleep(5)
            self.memory.append(await asyncio.to_thread(memory))

    def seen(self) -> dict[str, Any]:
        """Return what was seen."""
        late = sorted(one for found in self.late.values() for one in found)
        seconds = time.monotonic() - self.began
        resident, private = max(self.memory) if self.memory else memory()
        return {
            "polls": len(late),
            "rate": round(len(late) / seconds, 1),
            "cores": round((cpu() - self.cpu) / seconds, 3),
            "memory": round(resident),
            "private": round(private),
            "late_median": round(statistics.median(late), 2),
            "late_99": round(late[int(len(late) * 0.99)], 2),
            "late_most": round(late[-1], 2),
            "block": round(max(gap for gap, _ in self.blocks), 3),
            "collector": round(max(self.collected)[0], 3),
            "own_block": round(max(own for _, own in self.blocks), 3),
        }


def family(but: int | None = None) -> list[int]:
    """Return this process and all below it, `but` one."""
    found = [os.getpid()]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                found += [child for child in map(int, (task / "children").read_text().split()) if child != but]
            except OSError:  # it has ended
                continue
    return found


def cpu() -> float:
    """Return the processor time that all processes have taken, ended ones too."""
    total = 0
    for pid in family():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))  # its own and those of ended children, in user and system mode
    return total / os.sysconf("SC_CLK_TCK")


def running_time(but: int | None = None) -> float:
    """Return the processor time that the threads of all living processes `but` one have taken, to the nanosecond."""
    total = 0
    for pid in family(but):
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def memory() -> tuple[float, float]:
    """Return the resident memory of all processes in MB: the sum of each, and with what they share counted once."""
    resident = shared = 0
    for pid in family():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        sizes = {line.split()[0]: int(line.split()[1]) for line in lines}
        resident, shared = resident + sizes["Rss:"], shared + sizes["Pss:"]
    return resident / 1024, shared / 1024


def _start_now(app: App) -> None:
    """Put the schedule off to the present: the database was made a while ago."""
    from sqlmodel import text

    shifted = "strftime('%Y-%m-%d %H:%M:%f', next_poll_at, :late || ' seconds') || '000'"
    with app.store.write() as session:
        late = session.execute(text("SELECT (julianday('now') - julianday(min(next_poll_at))) * 86400 FROM feed_state"))
        session.execute(text(f"UPDATE feed_state SET next_poll_at = {shifted}"), {"late": late.scalar_one()})


async def _run(config: Path, data: Path, seen: Path) -> None:
    # Worker processes import this module: it must not be dearer to them than the program itself.
    from monitor import logs
    from monitor.app import open_app, utc_now
    from monitor.daemon import Daemon, load_or_last_good, only_one

    logs.setup("INFO")
    with only_one(data):
        loaded = load_or_last_good(config, data, os.environ, utc_now())
        app = open_app(loaded.config, data, rules=loaded.rules)
        _start_now(app)
        watched = Watched(app)
        daemon = Daemon(app, config, os.environ, {"poll"})
        running = asyncio.create_task(daemon.run())
        while app.ticked is None:  # noqa: ASYNC110 - no one tells
            await asyncio.sleep(0.05)
        await asyncio.sleep(SETTLE)
        watched.late.clear()
        watched.began, watched.cpu = time.monotonic(), cpu()
        stacks = seen.with_suffix(".stacks").open("w", encoding="utf-8")
        looking = [asyncio.create_task(watched.loop(stacks)), asyncio.create_task(watched.processes())]
        print("polling", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        seen.write_text(json.dumps(watched.seen()))
        print("measured", flush=True)
        await running
        for task in looking:
            task.cancel()
        faulthandler.cancel_dump_traceback_later()
        stacks.close()
        await app.close()


if __name__ == "__main__":
    asyncio.run(_run(*map(Path, sys.argv[1:4])))
