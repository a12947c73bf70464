"""The reason codes: the one list of why an event was or was not sent to a subscriber at once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """Why an event was or was not sent to a subscriber at once. `MEANINGS` says what each one is."""

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

MEANINGS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.SENT: "a message of its own went into the outbox, due at once or when the subscription's `wait` is over",
        Reason.HELD: "a message went into the outbox that waits: for the end of the quiet hours, or for the operators, "
        "since the budget was used up",
        Reason.GATHERED: "it went into a message that was waiting already",
        Reason.LIMITED: "the subscription's `at_most` was reached: it is in the next digest, or in one summary",
        Reason.DIGEST: "the subscription asks for the digest only",
        Reason.MUTED: "the subscriber turned the topic, or everything, off",
        Reason.PAUSED: "the subscriber is away: it is in the digest, or the summary, after the pause",
        Reason.SILENCED: "the operators silenced the topic for a time",
        Reason.OLD: "first seen long after its own date: `old_stories` says what is done with it",
        Reason.BASELINE: "present at its feed's first poll, which raises no alert",
        Reason.ALREADY_TOLD: "the event was told before, and `updates` asks for no more",
        Reason.NOT_SUBSCRIBED: "none of the subscriptions covers a topic that matched; worked out, not recorded",
        Reason.OUT_OF_SCOPE: "a topic that the subscriber follows leaves the story out by its `scope`; worked out, "
        "not recorded",
    }
)
