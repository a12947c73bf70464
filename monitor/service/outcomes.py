"""What became of decisions: a message that was decided upon is on its way, and only its delivery says that it came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from monitor.dispatch import TOLD, Reason

# Of a decision that makes a message; that of another one is its reason.
Became = Literal["sent", "partly", "failed", "waiting", "held", "cancelled", "gone"]
# The order in which they are told, and of several things about one event what tells best.
FIRST = ("sent", "partly", "failed", "waiting", "held", "limited", "paused", "digest", "cancelled", "gone")


class Stand(NamedTuple):
    """How a message stands."""

    state: str
    attempts: int


def became(reasons: Iterable[str], messages: Iterable[Stand]) -> str:
    """Return what a subscriber got, of whom these are the reasons of decisions and the alerts that they made.

    `partly`: one channel took it, and another failed for good. `gone`: no record is left of a message.
    """
    reasons = set(reasons)
    if not reasons & TOLD:
        return min(reasons, key=place)
    rows = list(messages)
    states = {row.state for row in rows}
    if "sent" in states:
        return "partly" if "dead" in states else "sent"
    if "held" in states:
        return "held"
    if states & {"pending", "sending"}:
        tried = any(row.attempts for row in rows if row.state != "dead")
        return "held" if Reason.HELD in reasons and not tried else "waiting"
    return "failed" if "dead" in states else "cancelled" if states else "gone"


def place(outcome: str) -> tuple[int, str]:
    """Return where an outcome stands among others."""
    return FIRST.index(outcome) if outcome in FIRST else len(FIRST), outcome


def outcomes(reasons: Mapping[str, Iterable[str]], messages: Mapping[str, Sequence[Stand]]) -> dict[str, int]:
    """Return how many subscribers got an event how, by their reasons and their alerts; what tells best comes first."""
    counts = Counter(became(told, messages.get(name, ())) for name, told in reasons.items())
    return {one: counts[one] for one in sorted(counts, key=place)}
