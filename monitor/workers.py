"""Worker processes that can be killed at a deadline, for the reading of hostile bytes.

A feed of one megabyte can keep feedparser busy for minutes (notes on security, 3.1), and no thread can be stopped: so
documents are read in processes of their own, with a deadline and a limit of memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from monitor.errors import WorkerError

T = TypeVar("T")
_Call = tuple[Any, ...]  # the seconds of a task, its function, and the arguments

MEMORY = 2 * 1024**3  # bytes of address space; feedparser takes up to 14 times the document's size
PATIENCE = 4  # times as long as its deadline that a task may take by the clock: others may need the processor too
TOGETHER = 0.05  # seconds that a task that is known to be quick waits for its like, while others run
SHARE = 8  # tasks that go to a worker together, at most
ENDED = "the processes that read documents were ended"
RECYCLE = 2_000  # tasks after which a worker is replaced, so that no leak grows for ever


def _set_up(ready: Sequence[Callable[[], Any]], nice: int) -> None:
    # A Ctrl-C reaches the whole group of processes; only the daemon acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(nice)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if sys.platform == "linux":
        with contextlib.suppress(ValueError, OSError):  # an operator's own lower limit stays
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for function in ready:
        function()


def _end_with(parent: int) -> None:
    """End this process within a second of its parent: after a `kill -9` nobody else is there to keep the deadlines."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _limited(seconds: float, function: Callable[..., T], *args: Any) -> T:
    """Return `function(*args)`; the process is ended once that has taken so many seconds of processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return function(*args)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _each(calls: Sequence[_Call]) -> list[Any]:
    """Return what each call returns, or the exception that it raises."""
    return [_outcome(*call) for call in calls]


def _outcome(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return _limited(seconds, function, *args)
    except Exception as error:  # noqa: BLE001 - each call's own: it is raised to whoever waits for that call
        return error


def timed(function: Callable[..., T], *args: Any) -> tuple[T, float]:
    """Return `function(*args)` and the seconds of processor time that it took."""
    began = time.process_time()
    result = function(*args)
    return result, time.process_time() - began


class Workers:
    """`count` processes, started at first use; each runs the `ready` functions before its first task.

    So what is imported and made at the first use of a library is on no task's deadline. They stand back by so much
    when the machine has too much to do (`nice`, up to 19).
    """

    def __init__(self, count: int, *ready: Callable[[], Any], nice: int = 0) -> None:
        self._count, self._ready, self._nice = count, ready, nice
        self._pool: Any = None
        self._waited_for: set[Any] = set()
        self._quick: list[tuple[_Call, asyncio.Future[Any]]] = []
        self._sharing: set[asyncio.Task[None]] = set()

    # `timeout` kills the worker, which no asyncio.timeout can do.
    async def run(self, function: Callable[..., T], *args: Any, timeout: float, quick: bool = False) -> T:  # noqa: ASYNC109 - it kills
        """Return `function(*args)`, run in a worker that is killed after `timeout` seconds of processor time.

        By the clock it may take `PATIENCE` times as long: a machine that is busy makes no document a hostile one.
        `function` must be importable, its arguments and result picklable. Raises WorkerError when it died or ran
        out of time, and whatever `function` raises.

        What is known to be `quick` goes to a worker together with its like, while others run: to hand over a task and
        what came of it takes as long as to read a document of which one item is new.
        """
        call = (timeout, function, *args)
        if not quick:
            result: T = await self._run(_limited, *call, timeout=timeout)
            return result
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._quick.append((call, done))
        if len(self._quick) == 1:
            task = asyncio.create_task(self._share(), name="a worker, for several documents")
            self._sharing.add(task)
            task.add_done_callback(self._sharing.discard)
        return await done

    async def _share(self) -> None:
        if self._waited_for:
            await asyncio.sleep(TOGETHER)
        waiting, self._quick = self._quick, []
        shares = [waiting[first : first + SHARE] for first in range(0, len(waiting), SHARE)]
        await asyncio.gather(*(self._run_share(share) for share in shares))

    async def _run_share(self, share: Sequence[tuple[_Call, asyncio.Future[Any]]]) -> None:
        try:
            results = await self._run(_each, [call for call, _ in share], timeout=sum(call[0] for call, _ in share))
        except Exception as error:  # noqa: BLE001 - one of them ended the worker, or its result cannot be sent
            results = [error] * len(share)
        await asyncio.gather(*(self._settle(*one, result) for one, result in zip(share, results, strict=True)))

    async def _settle(self, call: _Call, done: asyncio.Future[Any], result: Any) -> None:
        # What failed in company is run again alone: so it is known whose fault it was.
        if isinstance(result, Exception) and not done.done() and self._pool is not None:
            try:
                result = await self._run(_limited, *call, timeout=call[0])
            except Exception as error:  # noqa: BLE001 - the task's own, or that it was stopped: whoever waits for it is told
                result = error
        if done.done():  # nobody waits for it any more
            return
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)

    async def _run(self, function: Callable[..., Any], *args: Any, timeout: float) -> Any:  # noqa: ASYNC109 - it kills
        if self._pool is None or not self._pool.active:  # a pool that cannot start its workers gives up
            # Spawned, not forked: a fork would copy the locks of the daemon's threads in whatever state they are.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(
                self._count, max_tasks=RECYCLE, initializer=_set_up, initargs=[self._ready, self._nice], context=context
            )
        future = self._pool.schedule(function, args=list(args), timeout=PATIENCE * timeout)
        self._waited_for.add(future)
        try:
            return await asyncio.wrap_future(future)
        except (FutureTimeoutError, TimeoutError) as error:
            raise WorkerError(f"it took longer than {timeout:g} seconds, and was stopped") from error
        except BrokenProcessPool as error:
            raise WorkerError(ENDED) from error
        except ProcessExpired as error:
            if error.exitcode in (signal.SIGPROF, -signal.SIGPROF):
                raise WorkerError(f"it took longer than {timeout:g} seconds, and was stopped") from error
            raise WorkerError("the process that read it ended by itself") from error
        except MemoryError as error:
            raise WorkerError(f"it needed more than {MEMORY // 1024**2} MB of memory") from error
        finally:
            self._waited_for.discard(future)

    def close(self) -> None:
        """End all workers, with what they are doing and what waits for them."""
        for _, done in self._quick:
            if not done.done():
                done.set_exception(WorkerError(ENDED))
        self._quick.clear()
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None
            # Pebble tells of a task that it stopped only if its own threads still came to see that.
            for future in [one for one in self._waited_for if not one.done()]:
                with contextlib.suppress(InvalidStateError):
                    future.set_exception(BrokenProcessPool("closed"))
