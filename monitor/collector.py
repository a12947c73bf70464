"""Python's collector of garbage in cycles, kept away from what stays: compiled rules and configurations.

Ten thousand rules are a quarter of a million objects. A collection that looks through all of them stops every thread
for 0.4 s (3 s with a hundred thousand rules), and finds nothing: without cycles, replaced rules go the moment nothing
uses them. So nothing is collected while rules are made, and a daemon then freezes what lives: later collections leave
it out, and what is frozen is freed as ever. Only a cycle that was frozen stays; `set_aside` finds these. So it is, each
minute, with all that has lived on since (`settle`).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing within the block."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def lasting() -> Iterator[None]:
    """Make within the block what stays for long. For the whole process: all that lives at its end is frozen.

    What was not frozen before is collected first, so that little garbage is; after a mistake nothing is frozen.
    """
    gc.collect()
    with uncollected():
        yield
        gc.freeze()


def settle() -> None:
    """Freeze what lives, after a look through what is young: a few milliseconds.

    Done each minute, it keeps the collections of all that is old short: after ten minutes of 50,000 feeds one stopped
    every thread for a tenth of a second. A cycle that was in use at that moment stays until `set_aside`.
    """
    gc.collect(1)
    gc.freeze()


def set_aside() -> None:
    """Collect everything, what is frozen too, and freeze what lives. Stops all threads meanwhile."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
