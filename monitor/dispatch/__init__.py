"""Decides who is told what, when and why: matches × subscriptions → decisions, alerts and digests. Pure.

Every subscriber whose subscription covers a matched topic gets a decision with a reason, also when nothing is sent:
that is what `monitor explain` shows, and why nothing goes missing silently. Who is not subscribed, or follows a topic
whose scope leaves the story out, is worked out from the policy recorded with each match (decision 17).
"""

from monitor.dispatch.decide import (
    A_MESSAGE,
    ANY_TOPIC,
    AT_ONCE,
    Decided,
    Incident,
    Standing,
    Told,
    alert_key,
    decide,
    held_until,
    is_old,
    longest_limit,
    per,
    silenced_until,
    topic_ref,
    window_key,
)
from monitor.dispatch.digest import build_digest, digest_topics, one_each_event
from monitor.dispatch.reasons import TOLD, Reason
from monitor.dispatch.values import (
    SEVERITIES,
    Alert,
    Change,
    Confirmation,
    Digest,
    DigestSection,
    Notice,
    Opening,
    Report,
    StoryView,
    TopicRef,
    Unacknowledged,
    VolumeAlert,
    said,
)

__all__ = [
    "ANY_TOPIC",
    "AT_ONCE",
    "A_MESSAGE",
    "SEVERITIES",
    "TOLD",
    "Alert",
    "Change",
    "Confirmation",
    "Decided",
    "Digest",
    "DigestSection",
    "Incident",
    "Notice",
    "Opening",
    "Reason",
    "Report",
    "Standing",
    "StoryView",
    "Told",
    "TopicRef",
    "Unacknowledged",
    "VolumeAlert",
    "alert_key",
    "build_digest",
    "decide",
    "digest_topics",
    "held_until",
    "is_old",
    "longest_limit",
    "one_each_event",
    "per",
    "said",
    "silenced_until",
    "topic_ref",
    "window_key",
]
