"""The compiled core (`compiled/core.c`), where it was built: what every story goes through. Else Python does it."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

VERSION = 3  # of what it and the modules here say to each other: one built from an older source is left alone


def _loaded() -> ModuleType | None:
    if os.environ.get("MONITOR_PURE"):
        return None
    try:
        built = import_module("monitor.rules._core")
    except ImportError:
        return None
    return built if built.VERSION == VERSION else None


CORE = _loaded()
