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

MEMORY = 2 * 1024**3  # bytes of address space; feedparser takes up to 14 times the document's size
PATIENCE = 4  # times as long as its deadline that a task may take by the clock: others may need the processor too
RECYCLE = 2_000  # tasks after which a worker is replaced, so that no leak grows for ever


def _set_up(_ready: Sequence[Callable[..., Any]], nice: int) -> None:
    # What is to be run came with the call, so its modules are imported by now: no task's deadline pays for that.
    # A Ctrl-C reaches the whole group of processes; only the daemon acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(nice)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if sys.platform == "linux":
        with contextlib.suppress(ValueError, OSError):  # an operator's own lower limit stays
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


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


def timed(function: Callable[..., T], *args: Any) -> tuple[T, float]:
    """Return `function(*args)` and the seconds of processor time that it took."""
    began = time.process_time()
    result = function(*args)
    return result, time.process_time() - began


class Workers:
    """`count` processes, started at first use, each `ready` to run these functions: their modules are imported.

    They stand back by so much when the machine has too much to do (`nice`, up to 19).
    """

    def __init__(self, count: int, *ready: Callable[..., Any], nice: int = 0) -> None:
        self._count, self._ready, self._nice = count, ready, nice
        self._pool: Any = None
        self._waited_for: set[Any] = set()

    # `timeout` kills the worker, which no asyncio.timeout can do.
    async def run(self, function: Callable[..., T], *args: Any, timeout: float) -> T:  # noqa: ASYNC109 - it kills
        """Return `function(*args)`, run in a worker that is killed after `timeout` seconds of processor time.

        By the clock it may take `PATIENCE` times as long: a machine that is busy makes no document a hostile one.
        `function` must be importable, its arguments and result picklable. Raises WorkerError when it died or ran
        out of time, and whatever `function` raises.
        """
        if self._pool is None or not self._pool.active:  # a pool that cannot start its workers gives up
            # Spawned, not forked: a fork would copy the locks of the daemon's threads in whatever state they are.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(
                self._count, max_tasks=RECYCLE, initializer=_set_up, initargs=[self._ready, self._nice], context=context
            )
        future = self._pool.schedule(_limited, args=[timeout, function, *args], timeout=PATIENCE * timeout)
        self._waited_for.add(future)
        try:
            result: T = await asyncio.wrap_future(future)
        except (FutureTimeoutError, TimeoutError) as error:
            raise WorkerError(f"it took longer than {timeout:g} seconds, and was stopped") from error
        except BrokenProcessPool as error:
            raise WorkerError("the processes that read documents were ended") from error
        except ProcessExpired as error:
            if error.exitcode in (signal.SIGPROF, -signal.SIGPROF):
                raise WorkerError(f"it took longer than {timeout:g} seconds, and was stopped") from error
            raise WorkerError("the process that read it ended by itself") from error
        except MemoryError as error:
            raise WorkerError(f"it needed more than {MEMORY // 1024**2} MB of memory") from error
        finally:
            self._waited_for.discard(future)
        return result

    def close(self) -> None:
        """End all workers, with what they are doing."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None
            # Pebble tells of a task that it stopped only if its own threads still came to see that.
            for future in [one for one in self._waited_for if not one.done()]:
                with contextlib.suppress(InvalidStateError):
                    future.set_exception(BrokenProcessPool("closed"))
