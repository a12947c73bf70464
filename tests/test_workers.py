from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from monitor.errors import WorkerError
from monitor.parse import parse_feed
from monitor.workers import PATIENCE, SHARE, TOGETHER, Workers, timed

IMPORTED = "'monitor.parse' in __import__('sys').modules"


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2)
    yield made
    made.close()


async def test_a_result_comes_back_from_another_process(workers: Workers) -> None:
    assert await workers.run(os.getpid, timeout=30) != os.getpid()


@pytest.mark.parametrize("hang", ["sleep(60)", "while True: pass"])
async def test_what_hangs_is_killed_at_its_deadline_while_another_goes_on(workers: Workers, hang: str) -> None:
    await asyncio.gather(workers.run(os.getpid, timeout=30), workers.run(os.getpid, timeout=30))  # both are up
    began = time.monotonic()
    hanging, other = await asyncio.gather(
        workers.run(exec, hang, {"sleep": time.sleep}, timeout=1),
        workers.run(pow, 2, 10, timeout=30),
        return_exceptions=True,
    )
    assert isinstance(hanging, WorkerError)
    assert "longer than 1 seconds" in str(hanging)
    assert other == 1024
    assert time.monotonic() - began < PATIENCE + 2


async def test_a_task_that_waits_for_the_processor_is_given_time(workers: Workers) -> None:
    await workers.run(time.sleep, 1.5, timeout=1)
    assert await workers.run(pow, 2, 10, timeout=1) == 1024  # and what it took is not the next one's


async def test_a_worker_that_dies_is_an_error_and_the_next_task_gets_another(workers: Workers) -> None:
    with pytest.raises(WorkerError, match="ended by itself"):
        await workers.run(os._exit, 3, timeout=30)
    assert await workers.run(pow, 2, 10, timeout=30) == 1024


async def test_what_needs_more_memory_than_a_worker_has_is_an_error(workers: Workers) -> None:
    with pytest.raises(WorkerError, match="memory"):
        await workers.run(bytes, 5 * 1024**3, timeout=60)


async def test_an_error_of_the_task_itself_is_raised_as_it_is(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 1, 0, timeout=30)


async def test_a_result_of_60_megabytes_comes_through(workers: Workers) -> None:
    assert len(await workers.run(bytes, 60_000_000, timeout=60)) == 60_000_000


async def test_workers_leave_ctrl_c_to_the_daemon(workers: Workers) -> None:
    assert await workers.run(signal.getsignal, signal.SIGINT, timeout=30) == signal.SIG_IGN


async def test_closing_ends_what_is_running_and_leaves_no_process() -> None:
    workers = Workers(1)
    process = await workers.run(os.getpid, timeout=30)
    running = asyncio.ensure_future(workers.run(time.sleep, 60, timeout=90))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await asyncio.to_thread(workers.close)
    assert time.monotonic() - began < 10
    with pytest.raises((WorkerError, asyncio.CancelledError)):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_the_processor_time_of_a_task_is_told_and_not_its_waiting(workers: Workers) -> None:
    _, waited = await workers.run(timed, time.sleep, 0.5, timeout=30)
    length, worked = await workers.run(timed, len, range(10), timeout=30)
    assert (length, waited < 0.4, worked >= 0) == (10, True, True)
    _, busy = await workers.run(timed, sum, range(20_000_000), timeout=30)
    assert busy > 0.05


async def test_workers_stand_back_as_they_are_told() -> None:
    workers = Workers(1, nice=7)
    try:
        assert await workers.run(os.nice, 0, timeout=30) == os.nice(0) + 7
    finally:
        workers.close()


async def test_a_worker_runs_what_makes_it_ready_before_its_first_task() -> None:
    workers = Workers(1, partial(parse_feed, b"", ""))
    try:
        assert await workers.run(eval, IMPORTED, timeout=30)
    finally:
        workers.close()
    plain = Workers(1)
    try:
        assert not await plain.run(eval, IMPORTED, timeout=30)
    finally:
        plain.close()


@pytest.mark.timeout(60)
def test_workers_end_with_a_parent_that_is_killed() -> None:
    code = (
        "import asyncio, os, time; from monitor.workers import Workers\n"
        "async def main():\n"
        "    workers = Workers(1)\n"
        "    print(await workers.run(os.getpid, timeout=30), flush=True)\n"
        "    await workers.run(time.sleep, 3600, timeout=3600)\n"
        "if __name__ == '__main__': asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        parent.stdout.read()  # ends when the worker, which holds the other end too, has ended


def test_workers_that_were_never_used_close_too() -> None:
    Workers(2).close()


async def _behind(workers: Workers, *calls: tuple[Any, ...], seconds: float = 30) -> list[Any]:
    """Return what quick calls return that wait behind another task."""
    other = asyncio.create_task(workers.run(time.sleep, 0.2, timeout=30))
    await asyncio.sleep(0.05)
    found = await asyncio.gather(
        *(workers.run(*call, timeout=seconds, quick=True) for call in calls), return_exceptions=True
    )
    await other
    return found


async def test_what_is_quick_goes_to_a_worker_together_with_its_like(workers: Workers) -> None:
    await asyncio.gather(*(workers.run(time.sleep, 0.5, timeout=30) for _ in range(2)))  # both are up
    pids = await _behind(workers, *[(os.getpid,)] * 2 * SHARE)
    assert pids == [pids[0]] * SHARE + [pids[-1]] * SHARE
    assert await _behind(workers, *((pow, 2, n) for n in range(3 * SHARE))) == [2**n for n in range(3 * SHARE)]


async def test_what_fails_in_company_fails_alone(workers: Workers) -> None:
    hang: tuple[Any, ...] = (exec, "while True: pass")
    calls = [
        (pow, 2, 3),
        (divmod, 1, 0),
        hang,
        (os._exit, 3),
        (bytes, 5 * 1024**3),
        (pow, 2, 4),
        (compile, "(", "", "eval"),
    ]
    eight, zero, stopped, ended, memory, sixteen, syntax = await _behind(workers, *calls, seconds=1)
    assert (eight, sixteen) == (8, 16)
    assert isinstance(zero, ZeroDivisionError)
    assert isinstance(syntax, SyntaxError)
    for failed, said in ((stopped, "longer than 1 seconds"), (ended, "ended by itself"), (memory, "memory")):
        assert isinstance(failed, WorkerError)
        assert said in str(failed)


@pytest.mark.parametrize("after", [0.01, 1])  # while they wait for their like, and while they wait for the worker
async def test_closing_tells_those_that_wait_in_company_and_starts_nothing_again(after: float) -> None:
    workers = Workers(1)
    other = asyncio.create_task(workers.run(time.sleep, 30, timeout=30))
    calls = [asyncio.create_task(workers.run(time.sleep, 30, timeout=30, quick=True)) for _ in range(3)]
    await asyncio.sleep(after)
    workers.close()
    await asyncio.sleep(2 * TOGETHER)
    for found in await asyncio.wait_for(asyncio.gather(other, *calls, return_exceptions=True), 5):
        assert isinstance(found, WorkerError)
    assert workers._pool is None
