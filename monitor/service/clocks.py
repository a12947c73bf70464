"""The times within stored sentences, which say them in UTC: read in another zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

# What the program itself writes: 2026-11-24 08:32 UTC, 15:00 UTC, 09:01:00 UTC.
_TIME = re.compile(r"(?:(?<!\d)(\d{4}-\d\d-\d\d) )?(?<![\d:])(\d\d:\d\d(?::\d\d)?) UTC\b")


def with_times(text: str, after: datetime, say: Callable[[datetime], str]) -> str:
    """Return a sentence with `say` of each time in it; one without a date is the first such time from `after` on."""

    def said(found: re.Match[str]) -> str:
        try:
            clock = time.fromisoformat(found[2])
            if found[1]:
                return say(datetime.fromisoformat(f"{found[1]} {found[2]}").replace(tzinfo=UTC))
        except ValueError:  # a publisher's or a server's words
            return found[0]
        at = datetime.combine(after.astimezone(UTC).date(), clock, UTC)
        return say(at if at >= after.replace(microsecond=0) else at + timedelta(days=1))

    return _TIME.sub(said, text)
