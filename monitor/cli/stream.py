"""Lines in, lines out: the stories of `monitor match`, in one process or in several that share the work, and those of
`monitor group`, in one: each depends on those before it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import BinaryIO

from monitor import checking, service
from monitor.errors import InputError, MonitorError, WorkerError
from monitor.rules import Rules

# Of one task: enough to outweigh its way to another process, few enough to stream.
_LINES = 100
_BYTES = 500_000
_WAITING = 3  # tasks for each process, done or not, that are held: what bounds the memory

_rules: Rules | None = None  # of a worker process


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of `stream`; of one that is too long to be a story, only as much as shows it."""
    while line := stream.readline(service.LINE_LIMIT + 1):
        yield line


def match_stream(rules: Rules, lines: Iterable[bytes], workers: int, folder: Path) -> Iterator[str]:
    """Yield one line of JSON for each story, in order, at once with one worker and in batches with several.

    `folder` is the configuration that `rules` are made of. Raises InputError at the first line that is no story,
    after what is before it.
    """
    if workers == 1:
        for number, line in enumerate(lines, 1):
            result = service.match_line(rules, line, number)
            if result is not None:
                yield _json(result)
        return
    yield from _shared(rules, lines, workers, folder)


def group_stream(window: float | None, lines: Iterable[bytes]) -> Iterator[str]:
    """Yield one line of JSON for each story, in order: the event it is in and why.

    `window` is in seconds; None: every story is its own event. Raises InputError at the first line that is no story.
    """
    grouper = service.Grouper(window)
    for number, line in enumerate(lines, 1):
        result = grouper.line(line, number)
        if result is not None:
            yield _json(result)


def _shared(rules: Rules, lines: Iterable[bytes], workers: int, folder: Path) -> Iterator[str]:
    global _rules  # noqa: PLW0603 - what forked workers inherit: so the rules are compiled once, and in memory once
    forks = sys.platform == "linux"  # elsewhere the system's own libraries do not bear it
    _rules = rules if forks else None
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork" if forks else "spawn"), _start, (folder, dict(os.environ))
    )
    waiting: deque[Future[tuple[list[str], str]]] = deque()
    try:
        for number, batch in _batches(lines):
            if len(waiting) == workers * _WAITING:
                yield from _done(waiting.popleft())
            waiting.append(pool.submit(_match, number, batch))
        while waiting:
            yield from _done(waiting.popleft())
    except BrokenProcessPool as error:
        raise WorkerError("a process that matched stories was ended; there may be too little memory") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _rules = None


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines in batches, each with the number of its first."""
    batch: list[bytes] = []
    size, first = 0, 1
    for number, line in enumerate(lines, 1):
        batch.append(line)
        size += len(line)
        if len(batch) == _LINES or size >= _BYTES:
            yield first, batch
            batch, size, first = [], 0, number + 1
    if batch:
        yield first, batch


def _done(future: Future[tuple[list[str], str]]) -> Iterator[str]:
    results, mistake = future.result()
    yield from results
    if mistake:
        raise InputError(mistake)


def _start(folder: Path, env: dict[str, str]) -> None:
    """Make a worker ready."""
    global _rules  # noqa: PLW0603 - as above
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the first one ends the others
    if _rules is None:
        _rules = checking.load(folder, env).rules


def _match(first: int, lines: list[bytes]) -> tuple[list[str], str]:
    """Return the results of a batch, and what is wrong with the line behind them ("": nothing)."""
    assert _rules is not None
    results: list[str] = []
    for number, line in enumerate(lines, first):
        try:
            result = service.match_line(_rules, line, number)
        except MonitorError as error:
            return results, str(error)
        if result is not None:
            results.append(_json(result))
    return results, ""


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair in an id
        return json.dumps(value)
    return text
