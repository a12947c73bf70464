"""Which parts of the program run compiled: those that were built and belong to this source. Else Python does them."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType


def built(name: str, wanted: int) -> ModuleType | None:
    """Return the compiled module `name` if it was built from a source of the version wanted.

    MONITOR_PURE leaves it out.
    """
    if os.environ.get("MONITOR_PURE"):
        return None
    try:
        part = import_module(name)
    except ImportError:
        return None
    return part if wanted == part.VERSION else None
