"""A story's journey, from what was recorded on the way: read, matched, grouped, decided, delivered.

And in one sentence, why somebody did or did not get it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.app import App
from monitor.config import Subscriber
from monitor.config.closest import undeclared
from monitor.dispatch import TOLD, Reason, alert_key
from monitor.errors import NotFoundError
from monitor.models import Decision, Delivery, Escalation, Story
from monitor.rules import Explanation, unpack
from monitor.service.clocks import with_times
from monitor.service.untold import Untold, untold
from monitor.store.archive import Journey, story_text
from monitor.text import series


@dataclass(frozen=True, slots=True)
class TopicVerdict:
    """A topic and a story: whether it matched, and for one that did not, why.

    `decided_at` is when that was decided and kept; None: nothing was kept of it, and `explanation` is what the rule
    that runs now says. `near` tells in a sentence what a topic that came close failed by.
    """

    topic: str
    title: str
    matched: bool
    explanation: Explanation
    decided_at: datetime | None = None
    near: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A decision for a subscriber, and the messages that it made: what became of them is theirs to say."""

    decision: Decision
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """A story's journey. `told`, `untold` (those without a decision) and `deliveries` are of those asked about.

    `others` are topics that were not looked at, since nothing was kept of them: they did not come close. `event` holds
    the stories it was grouped with, and `watched` says of incidents whether they were acknowledged.
    """

    journey: Journey
    verdicts: tuple[TopicVerdict, ...]
    told: tuple[Told, ...]
    deliveries: tuple[Delivery, ...]
    others: tuple[str, ...] = ()
    event: tuple[Story, ...] = ()
    untold: tuple[Untold, ...] = ()
    watched: Mapping[str, Escalation] = field(default_factory=dict)


def subscriber_of(app: App, name: str) -> Subscriber:
    """Return a declared subscriber. Raises NotFoundError."""
    subscriber = app.config.subscribers.get(name)
    if subscriber is None:
        raise undeclared("subscriber", name, app.config.subscribers)
    return subscriber


def explain(app: App, words: str, topic: str | None = None, subscriber: str | None = None) -> Explained:
    """Return the journey of the story that `words` finds best, for all topics and subscribers or one of each.

    Raises NotFoundError when there is no such story, topic or subscriber.
    """
    if topic is not None and topic not in app.config.topics:
        raise undeclared("topic", topic, app.config.topics)
    found = app.store.archive.find(words, 1)
    if not found or found[0].id is None:
        raise NotFoundError(f"no story is found by {words!r}: give its address, its id or words of its headline")
    return journey_of(app, found[0].id, topic, subscriber, whole=True)


def journey_of(
    app: App,
    story_id: int,
    topic: str | None = None,
    subscriber: str | None = None,
    *,
    also: str = "",
    whole: bool = False,
) -> Explained:
    """Return a story's journey, of all topics or one. Those of which nothing was kept are tried with the rules of now
    only when they are asked for, one by name or as `also`, or all by `whole`: that takes time, and is not what was
    decided. Raises NotFoundError.
    """
    journey = app.store.archive.journey(story_id)
    if journey is None:
        raise NotFoundError(f"no story has the number {story_id}: it may have been removed with its age")
    # One who is no longer declared may still be asked about.
    if subscriber is not None and subscriber not in {row.subscriber for row in journey.decisions}:
        subscriber_of(app, subscriber)
    watched = app.store.escalations.of([row.incident for row in journey.deliveries if row.incident])
    # What was escalated concerns all who were to be told.
    deliveries = tuple(
        row for row in journey.deliveries if row.kind == "escalation" or subscriber in (None, row.subscriber)
    )
    made = {row.key: row for row in deliveries}
    told = tuple(
        Told(decision, tuple(made[key] for key in _keys(decision) if key in made))
        for decision in journey.decisions
        if subscriber in (None, decision.subscriber)
    )
    verdicts, others = _verdicts(app, journey, topic, also, whole)
    event = (
        app.store.reports.stories_of([journey.event.id])[journey.event.id] if journey.event and journey.event.id else []
    )
    text = story_text(journey.story)
    # What is kept of a near miss says nothing of the scope; whether the rule is another one now is said beside it.
    explanations = [
        (one.topic, app.rules.explain(text, one.topic) if one.near else one.explanation)
        for one in verdicts
        if one.topic in app.config.topics
    ]
    without = tuple(untold(app, journey, explanations, subscriber))
    return Explained(journey, verdicts, told, deliveries, others, tuple(event), without, watched)


def _verdicts(
    app: App, journey: Journey, topic: str | None, also: str, whole: bool
) -> tuple[tuple[TopicVerdict, ...], tuple[str, ...]]:
    kept = {row.topic: row for row in journey.verdicts}  # the latest of each
    matched = {match.topic for match in journey.matches}
    text = story_text(journey.story)
    verdicts, others = [], []
    for name in dict.fromkeys((*app.config.topics, *sorted(matched))):
        if topic not in (None, name):
            continue
        title = app.config.topics[name].title if name in app.config.topics else name
        row = kept.get(name)
        # A near miss that matches since (an edit, the story's page) says no more than the present rule does.
        if row is not None and row.matched >= (name in matched):
            verdicts.append(
                TopicVerdict(
                    name, title, name in matched, unpack(row.tree), row.decided_at, "" if row.matched else row.note
                )
            )
        elif name in app.config.topics and (whole or name in (topic, also) or name in matched):
            verdicts.append(TopicVerdict(name, title, name in matched, app.rules.explain(text, name)))
        elif name not in matched:
            others.append(name)
    return tuple(verdicts), tuple(others)


def _keys(decision: Decision) -> list[str]:
    """The keys of the messages that a decision made, or went into."""
    channels = dict.fromkeys(decision.channels if decision.key else ())
    return [alert_key(decision.subscriber, channel, decision.key) for channel in channels]


def why(app: App, found: Explained, name: str, now: datetime) -> tuple[str, str]:
    """Return why a subscriber did or did not get a story: the answer, and what stands behind it."""
    subscriber = app.config.subscribers.get(name)
    who = subscriber.title if subscriber is not None else name
    decisions = [told for told in found.told if told.decision.subscriber == name]
    if decisions:
        return _decided(app, who, decisions, ZoneInfo(subscriber.timezone if subscriber else "UTC"), now)
    silent = next((one for one in found.untold if one.subscriber == name), None)
    zone = ZoneInfo(subscriber.timezone if subscriber else "UTC")
    if found.journey.matches:
        return _undecided(app, who, found, silent, zone, now)
    no = f"{who} did not get it: it matched no topic."
    if silent is not None and silent.outside:
        topic, note = silent.outside[0]
        return no, f"It came close to {_title(app, topic)}: {note}."
    near = [one for one in found.verdicts if one.near]
    return no, f"It came close to {near[0].title}: {near[0].near}." if near else "None came close."


def _undecided(
    app: App, who: str, found: Explained, silent: Untold | None, zone: ZoneInfo, now: datetime
) -> tuple[str, str]:
    """Why somebody for whom nothing was decided did not get a story that matched, as it was then."""
    matched = f"It matched {series([_title(app, match.topic) for match in found.journey.matches])}"
    if silent is None:
        return f"{who} did not get it.", f"{matched}; who followed what then is not on record any more."
    if silent.outside:
        left = "; ".join(f"{_title(app, topic)} leaves it out: {note}" for topic, note in silent.outside)
        return f"{who} did not get it: it is out of scope.", f"{matched}, which they did not follow. {left}."
    if silent.known:
        return f"{who} did not get it.", f"{matched}, and no subscription of theirs covered that then."
    at = min(match.matched_at for match in found.journey.matches)
    now_off = (one := app.config.subscribers.get(silent.subscriber)) is not None and not one.enabled
    since = "They are switched off in subscribers.yaml." if now_off else "They were added, or switched on, later."
    return f"{who} did not get it: they were not a subscriber then.", f"{matched} at {_at(at, zone, now)}. {since}"


def _decided(app: App, who: str, decisions: Sequence[Told], zone: ZoneInfo, now: datetime) -> tuple[str, str]:
    told = max(decisions, key=lambda one: (_WEIGHT.get(one.decision.reason, 0), one.decision.id or 0))
    decision = told.decision
    topics = series([_title(app, topic) for topic in decision.topics])
    behind = f"It matched {topics} at {_at(decision.decided_at, zone, now)}"
    rows = told.deliveries
    dead = [row for row in rows if row.state == "dead"]
    sent = [row for row in rows if row.state == "sent" and row.finished_at is not None]
    if decision.reason in (Reason.SENT, Reason.GATHERED) and sent:
        accepted = min(row.finished_at for row in sent if row.finished_at is not None)
        by = " and ".join(dict.fromkeys(row.channel for row in sent))
        also = f" By {dead[0].channel} it failed for good: {dead[0].detail or dead[0].code}." if dead else ""
        return f"{who} got it by {by} at {_at(accepted, zone, now)}.", f"{behind}.{also}"
    if dead:
        return (
            f"{who} did not get it: {dead[0].channel} failed for good.",
            f"{behind}. {_sentence(dead[0].detail or dead[0].code)}.",
        )
    if decision.reason in TOLD:
        kept = next((row for row in rows if row.state == "held"), None)
        if kept is not None and not sent:
            return (
                f"{who} has not got it yet: its message is held.",
                f"{behind}. {_sentence(kept.detail or kept.code)}.",
            )
        due = [row.next_attempt_at for row in rows if row.state == "pending"]
        at = _at(min(due), zone, now) if due else ""
        if decision.reason == Reason.HELD and sent:
            accepted = min(row.finished_at for row in sent if row.finished_at is not None)
            by = "quiet hours held it" if decision.detail.startswith("quiet hours") else "it was held"
            return f"{who} got it at {_at(accepted, zone, now)}.", f"{behind}; {by} until then."
        if decision.reason == Reason.HELD and due:
            return f"{who} will get it at {at}.", f"{behind}, in quiet hours."
        if due:
            tried = next((row for row in rows if row.attempts and row.state == "pending"), None)
            said = f" The last try failed: {tried.detail or tried.code}." if tried is not None else ""
            return f"{who} has not got it yet; it is due at {at}.", f"{behind}.{said}"
        return f"{who} was to get it; what became of it is not kept any more.", f"{behind}."
    answer = {
        Reason.LIMITED: f"{who} did not get it at once: the limit was reached.",
        Reason.DIGEST: f"{who} gets it in the digest only.",
        Reason.MUTED: f"{who} did not get it: they turned it off.",
        Reason.PAUSED: f"{who} did not get it at once: their messages were paused.",
        Reason.SILENCED: f"{who} was not alerted: the operators had silenced the topic.",
        Reason.OLD: f"{who} was not alerted: the story was old.",
        Reason.BASELINE: f"{who} was not alerted: it was there at the feed’s first poll.",
        Reason.ALREADY_TOLD: f"{who} had been told of this event before.",
    }.get(decision.reason, f"{who} did not get it: {decision.reason}.")  # type: ignore[call-overload]  # a stored reason may be an unknown one
    detail = f" {_local(decision.detail, decision.decided_at, zone, now)}." if decision.detail else ""
    return answer, f"{behind}.{detail}"


# Which of several decisions answers the question: what reached somebody before what did not.
_WEIGHT = {
    "sent": 9,
    "gathered": 9,
    "held": 8,
    "limited": 7,
    "digest": 6,
    "paused": 6,
    "silenced": 5,
    "old": 5,
    "already told": 4,
    "muted": 3,
    "baseline": 2,
}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _title(app: App, topic: str) -> str:
    return app.config.topics[topic].title if topic in app.config.topics else topic


def _local(text: str, decided: datetime, zone: ZoneInfo, now: datetime) -> str:
    return _sentence(with_times(text, decided, lambda at: _at(at, zone, now)))


def _at(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    local = at.astimezone(zone)
    day = "" if local.date() == now.astimezone(zone).date() else f"{local:%Y-%m-%d} "
    return f"{day}{local:%H:%M} ({zone.key})"
