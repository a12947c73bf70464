"""The reason codes: the one list of why an event was or was not sent to a subscriber at once."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an event was or was not sent to a subscriber at once: docs/reference/decisions.md says what each one is.

    The last two are worked out and not recorded (decision 17).
    """

    SENT = "sent"
    HELD = "held"
    GATHERED = "gathered"
    LIMITED = "limited"
    DIGEST = "digest"
    MUTED = "muted"
    PAUSED = "paused"
    SILENCED = "silenced"
    OLD = "old"
    BASELINE = "baseline"
    ALREADY_TOLD = "already told"
    NOT_SUBSCRIBED = "not subscribed"
    OUT_OF_SCOPE = "out of scope"


TOLD = frozenset({Reason.SENT, Reason.HELD, Reason.GATHERED})  # those that make a message, or go into one
