"""Delivering processes that die at a chosen point, for test_crash.py: `python -m tests.acceptance.crashing …`.

The nursery loads the program once and forks two workers, each with a data folder of its own, on one database. A worker
delivers until nothing is left; one that died is begun anew, as the same worker. The points are those of the delivery's
path: after `claim`; after the commit of the `wire` mark, before DATA; in DATA after the `dot`, the answer unread; after
the `answer`, before its commit; after that `commit`. At `random` the nursery kills workers whatever they do.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor import endpoints, timing
from monitor.app import App, open_app
from monitor.config import Config, load_config
from monitor.pipeline import deliver
from monitor.rules import Rules, compile_rules
from monitor.send import connections

CRASHED = 77
POINTS = ("claim", "wire", "dot", "answer", "commit")
WORKERS = 2


@dataclass(frozen=True)
class Plan:
    """Where and how often workers die, and how many messages each may send at once."""

    config: Config
    rules: Rules
    folder: Path
    point: str
    chance: float
    most: int
    senders: int


class Crasher:
    """Kills its process at the plan's point, now and then, and notes the message that was on its way."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan, self._rng, self._lock = plan, random.Random(seed), threading.Lock()
        self.here = threading.local()  # the Message-ID that a sending thread is at

    def begun(self) -> None:
        """Say that this life is under way: its first message takes seconds, in which a death would show nothing."""
        file = self._plan.folder / f"begun-{os.getpid()}"
        if not file.exists():
            file.touch()

    def at(self, point: str, message_id: str = "") -> None:
        with self._lock:
            if point != self._plan.point or self._rng.random() >= self._plan.chance:
                return
            log = os.open(self._plan.folder / "crashes.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(log, f"{point} {message_id}\n".encode())
            os._exit(CRASHED)


class CrashingSender:
    """The sender, noting in each thread which message it is at."""

    def __init__(self, inner: Any, crasher: Crasher) -> None:
        self._inner, self._crasher = inner, crasher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send(self, url: str, message: Any, message_id: str, *rest: Any) -> Any:
        self._crasher.here.id = message_id
        return self._inner.send(url, message, message_id, *rest)


def wrap(app: App, crasher: Crasher) -> None:
    """Put the crash points around the outbox, the sender and the socket."""
    box: Any = app.store.outbox
    claim, mark, finish, sendall = box.claim, box.mark_wire, box.finish, socket.socket.sendall

    def crashing_claim(*args: Any, **kwargs: Any) -> Any:
        rows = claim(*args, **kwargs)
        if rows:
            crasher.at("claim", rows[0].message_id)
        return rows

    def crashing_mark(*args: Any, **kwargs: Any) -> Any:
        held = mark(*args, **kwargs)
        crasher.at("wire")
        return held

    def crashing_finish(*args: Any, **kwargs: Any) -> Any:
        crasher.at("answer", name(args[0]))
        done = finish(*args, **kwargs)
        crasher.begun()
        crasher.at("commit")
        return done

    def name(delivery_id: int) -> str:
        return next(row.message_id for row in app.store.outbox.latest(limit=10_000) if row.id == delivery_id)

    def crashing_sendall(self: socket.socket, data: Any, *args: Any) -> None:
        sendall(self, data, *args)
        if bytes(data[-5:]) == b"\r\n.\r\n" and getattr(crasher.here, "id", None):
            time.sleep(0.02)  # the bytes are the kernel's now; the server may even have answered
            crasher.at("dot", crasher.here.id)

    box.claim, box.mark_wire, box.finish = crashing_claim, crashing_mark, crashing_finish
    socket.socket.sendall = crashing_sendall  # type: ignore[method-assign,assignment]  # a seam of tests alone
    app.sender = CrashingSender(app.sender, crasher)  # type: ignore[assignment]  # it stands in for the sender


async def work(plan: Plan, number: int, life: int) -> None:
    """Deliver until nothing is left, as a daemon does."""
    vars(deliver).update(SENDERS=plan.senders, LEASE=4.0)
    app = open_app(plan.config, plan.folder / f"worker-{number}", rules=plan.rules, migrate=False)
    crasher = Crasher(plan, 1000 * number + life)
    if life < plan.most:
        wrap(app, crasher)
    box = app.store.outbox
    await app.db(box.sweep, app.now(), app.worker)
    tasks: set[asyncio.Task[deliver.Delivered | None]] = set()
    swept, left = time.monotonic(), True
    while left or tasks:
        tasks |= set(await deliver.deliver_due(app))
        if time.monotonic() - swept > 1.0:
            swept, busy = time.monotonic(), tuple(app.sending)
            await app.db(box.renew, app.now(), deliver.LEASE, app.worker, busy)
            await app.db(box.sweep, app.now(), None, busy)
        if not tasks:
            await asyncio.sleep(0.1)  # what is left waits, or is the other worker's
            left = await app.db(unfinished, app)
            continue
        done, tasks = await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    await app.close()


def unfinished(app: App) -> bool:
    counts = app.store.outbox.counts()
    return bool(counts.get("pending", 0) + counts.get("sending", 0))


def nursery(plan: Plan) -> int:
    """Run the workers until all have ended by themselves; return how often one died."""
    rng, died, deadline = random.Random(plan.point), 0, time.monotonic() + 500
    lives = dict.fromkeys(range(WORKERS), 0)
    alive = {fork(plan, number, 0): number for number in lives}
    next_kill, patience = time.monotonic() + 1.0, 0.2  # seconds that a worker sends before it is killed
    while alive:
        if time.monotonic() > deadline:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            raise SystemExit("the workers did not come to an end")
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            number, code = alive.pop(pid), os.waitstatus_to_exitcode(status)
            if code in (CRASHED, -signal.SIGKILL):
                died += 1
                lives[number] += 1
                alive[fork(plan, number, lives[number])] = number
            elif code:
                raise SystemExit(f"worker {number} ended with {code}")
        elif plan.point == "random" and died < WORKERS * plan.most and time.monotonic() > next_kill:
            at_work = [one for one in sorted(alive) if _age(plan.folder / f"begun-{one}") > patience]
            if at_work:
                os.kill(rng.choice(at_work), signal.SIGKILL)
                next_kill, patience = time.monotonic() + rng.uniform(0.05, 1.0), rng.uniform(0.0, 0.5)
        time.sleep(0.01)
    return died


def _age(file: Path) -> float:
    """Seconds since a file was made; less than none while there is none."""
    return time.time() - file.stat().st_mtime if file.exists() else -1.0


def fork(plan: Plan, number: int, life: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        asyncio.run(work(plan, number, life))
        code = 0
    finally:
        os._exit(code)


def hurry() -> None:
    """Shorten what takes minutes in earnest, in this process and those that it forks."""
    timing.RETRY_BASE, timing.RETRY_CAP = 0.2, 1.0
    endpoints.PROBE_FIRST, endpoints.PROBE_CAP = 0.3, 1.0
    connections.TIMEOUT = 1.5


def main(arguments: list[str]) -> None:
    folder, point, chance, most, senders = arguments
    hurry()
    config = load_config(Path(folder) / "config", os.environ)
    plan = Plan(config, compile_rules(config), Path(folder), point, float(chance), int(most), int(senders))
    print(nursery(plan))


if __name__ == "__main__":
    main(sys.argv[1:])
