"""The compiled core (`compiled/core.c`), where it was built: what every story goes through. Else Python does it."""

from __future__ import annotations

from monitor.compiled import built

VERSION = 3  # of what it and the modules here say to each other: one built from an older source is left alone
CORE = built("monitor.rules._core", VERSION)
