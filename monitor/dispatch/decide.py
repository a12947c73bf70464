"""One story's matches × the subscriptions → a decision for each subscriber."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from monitor.config import AlertPolicy, Config, Rate, Subscriber, Subscription
from monitor.dispatch.reasons import TOLD, Reason
from monitor.dispatch.values import SEVERITIES, Change, TopicRef, said
from monitor.timing import quiet_until

A_MESSAGE = 20  # stories that one message takes; the next begins another, which the limit counts
ANY_TOPIC = "*"  # in what a subscriber turned off: everything
_AGAIN = "again:"  # what the keys of updates begin with
# Kinds of changes, the weightiest first.
_WEIGHT = ("retraction", "correction", "severity", "topic", "fact", "entity", "headline", "words", "sources")
AT_ONCE = ("alert", "volume")  # kinds of messages that silences stop and quiet hours hold, and that go for one topic


@dataclass(frozen=True, slots=True)
class Incident:
    """A story that matched, as `decide` needs it. `topics` are those that are news to subscribers.

    `event_key` is the key of the story that the event began with. Keys are made of what publishers wrote and not of row
    numbers, so that a database begun anew does not give an old Message-ID to another message, which receivers would
    drop. `outlets` are the times at which each of the event's sources first told of it, this story's included;
    `material` is what is materially new in it for the event, whoever asks; which topics are new is told for each
    subscriber. `again` counts the changes of a story that was decided on before: it asks only for an update of what
    was told of it.
    """

    story_key: str
    event_key: str
    topics: tuple[str, ...]
    baseline: bool
    claimed_at: datetime | None
    seen_at: datetime
    outlets: tuple[datetime, ...] = ()
    material: tuple[Change, ...] = ()
    again: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """A message with an alert that went out, or waits, until `at`. `key` is a `Decided.key`.

    `stories` counts those it holds; `this_story`: the one that is being decided on is among them. `waits` is false
    once it went out.
    """

    at: datetime
    topics: tuple[str, ...]
    channels: tuple[str, ...]
    key: str = ""
    stories: int = 1
    this_story: bool = False
    waits: bool = False

    @property
    def is_update(self) -> bool:
        """Whether it says what is new of an event: it goes into that one's thread, and so tells of nothing else."""
        return self.key.startswith(_AGAIN)


def _none() -> Mapping[str, Sequence[Told]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Standing:
    """What is recorded, as `decide` needs it, by subscriber.

    `muted` are the topics turned off (`*`: all), `paused` the ends of pauses, `silenced` the topics that the operators
    silenced, with the end; `messages` each subscriber's alerts within the longest limit, waiting ones too, and `event`
    those about this incident's event.
    """

    muted: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    paused: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    silenced: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    messages: Mapping[str, Sequence[Told]] = field(default_factory=_none)
    event: Mapping[str, Sequence[Told]] = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision for a subscriber about some of an incident's topics.

    With a reason of `TOLD`, a delivery goes to each of `channels` at `due`, later than now where it is held or waits
    for others. `key` is the message's: that of the event, the story or an update, or when GATHERED that of the message
    that it goes into. `news` is what makes it come again.
    """

    subscriber: str
    reason: Reason
    detail: str
    topics: tuple[str, ...]
    channels: tuple[str, ...] = ()
    key: str = ""
    due: datetime | None = None
    news: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ask:
    """A subscription that asks for an alert about `topics`, by those of its channels that have not told the event.

    `update`: what is new since, where they all have; `into`: the waiting message about it that these topics go into.
    """

    subscription: Subscription
    policy: AlertPolicy
    topics: tuple[str, ...]
    channels: tuple[str, ...]
    update: tuple[Change, ...] = ()
    into: Told | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """One message for several asks: not `before`, and at the latest at `due`. `joins` is a waiting one to go into."""

    topics: tuple[str, ...]
    channels: tuple[str, ...]
    due: datetime
    held: bool
    joins: Told | None


def decide(config: Config, incident: Incident, standing: Standing, now: datetime) -> tuple[Decided, ...]:
    """Return the decisions for each enabled subscriber whose subscriptions cover one of the incident's topics.

    Each topic of the incident that a subscriber follows is in just one of the subscriber's decisions.
    """
    decided: list[Decided] = []
    for subscriber in config.subscribers.values():
        if subscriber.enabled:
            one = _Decider(config, subscriber, incident, standing, now)
            decided += one.decide()
    return tuple(one for one in decided if not incident.again or one.reason in TOLD)


class _Decider:
    """Decides for one subscriber: takes topics off what is `left` one reason after the other."""

    def __init__(
        self, config: Config, subscriber: Subscriber, incident: Incident, standing: Standing, now: datetime
    ) -> None:
        self.config, self.subscriber, self.incident, self.now = config, subscriber, incident, now
        self.standing = standing
        self.messages = standing.messages.get(subscriber.name, ())
        self.event = standing.event.get(subscriber.name, ())
        followed = {t for s in subscriber.subscriptions for t in s.topics}
        self.left = [t for t in incident.topics if t in followed]
        self.decided: list[Decided] = []

    def decide(self) -> list[Decided]:
        """Return the decisions."""
        if not self.left:
            return []
        self._off()
        if self.incident.baseline:
            self._no(Reason.BASELINE, "present at the feed's first poll, which raises no alert", self.left)
        old = self.config.settings.old_stories
        is_late = old.then != "alert" and is_old(self.incident.claimed_at, self.incident.seen_at, old.after)
        late = f"first seen {_days(self.incident)} after its own date: {old.then}" if is_late else ""
        if is_late and old.then == "drop":
            self._no(Reason.OLD, late, self.left)
        alerting = {t for s in self.subscriber.subscriptions if s.alert is not None for t in s.topics}
        digest_only = [t for t in self.left if t not in alerting]
        self._no(Reason.DIGEST, "the subscription asks for the digest only", digest_only)
        paused = self.standing.paused.get(self.subscriber.name)
        if paused is not None:
            self._no(Reason.PAUSED, f"paused until {paused:%Y-%m-%d %H:%M} UTC", self.left)
        for topic in [t for t in self.left if t in self.standing.silenced]:
            until = self.standing.silenced[topic]
            self._no(Reason.SILENCED, silenced_until(until), [topic])
        if is_late:
            self._no(Reason.OLD, late, self.left)
        self._alert()
        return self.decided

    def _no(self, reason: Reason, detail: str, topics: Iterable[str]) -> None:
        gone = tuple(dict.fromkeys(t for t in topics if t in self.left))
        if gone:
            self.decided.append(Decided(self.subscriber.name, reason, detail, gone))
            self.left = [t for t in self.left if t not in gone]

    def _off(self) -> None:
        off = self.standing.muted.get(self.subscriber.name, frozenset())
        if ANY_TOPIC in off:
            self._no(Reason.MUTED, "unsubscribed by the link in a mail", self.left)
        self._no(Reason.MUTED, "the topic was turned off by the link in a mail", off.intersection(self.left))

    def _alert(self) -> None:
        asks = [ask for s in self.subscriber.subscriptions if (ask := self._ask(s)) is not None]
        for ask in asks:
            if ask.into is not None:
                self._tell([ask], self._plan([ask]))
        asks = [ask for ask in asks if ask.into is None]
        if asks and (plan := self._plan(asks)).joins is not None:
            self._tell(asks, plan)
        elif asks:
            free = [ask for ask in asks if not self._is_full(ask)]
            if free:
                self._tell(free, self._plan(free))
            self._limited([ask for ask in asks if ask not in free])
        self._no(Reason.ALREADY_TOLD, "this event was told before", self.left)

    def _ask(self, subscription: Subscription) -> _Ask | None:
        """Return what a subscription asks for, if anything; what went out before is not asked for again."""
        policy = subscription.alert
        topics = tuple(t for t in self.left if t in subscription.topics)
        if policy is None or not topics:
            return None
        before = [t for t in self.event if (policy.each == "event" or t.this_story) and {*t.channels} & {*policy.via}]
        told = {channel for message in before for channel in message.channels}
        missing = tuple(c for c in policy.via if c not in told)
        again = self.incident.again > 0
        if again and not before:
            return None
        if missing and not again:
            return _Ask(subscription, policy, topics, missing)
        update = self._update(policy, topics, before)
        into = next((t for t in before if t.waits and self._goes_into(t, topics, update)), None)
        if into is not None:
            return _Ask(subscription, policy, topics, into.channels, update, into)
        return _Ask(subscription, policy, topics, policy.via, update) if update else None

    def _goes_into(self, waiting: Told, topics: Sequence[str], update: tuple[Change, ...]) -> bool:
        """Whether what is to be told of an event goes into a message about it that was not sent yet."""
        if self.incident.again:
            return waiting.this_story
        return not {*topics} <= {*waiting.topics} or bool(update and waiting.at > self.now)

    def _update(self, policy: AlertPolicy, topics: Sequence[str], before: Sequence[Told]) -> tuple[Change, ...]:
        """Return what is new of an event that was told and worth telling again."""
        again = self.incident.again > 0
        if policy.each == "story" and not again:
            return ()
        if policy.updates == "material":
            return self._material(topics, before)
        if isinstance(policy.updates, int) and (again or not any(t.this_story for t in before)):
            since, outlets = max(t.at for t in before), self.incident.outlets
            known = sum(at <= since for at in outlets)
            if len(outlets) // policy.updates > known // policy.updates:  # at so many, and at each multiple
                return (Change("sources", str(len(outlets))),)
        return ()

    def _material(self, topics: Sequence[str], before: Sequence[Told]) -> tuple[Change, ...]:
        """Return what is materially new to one who was told `before`, the weightiest first."""
        known = {topic for told in before for topic in told.topics}
        now, was = self._worst(topics), self._worst(known)
        own = [Change("severity", SEVERITIES[now], SEVERITIES[was])] if now > was else []
        own += [Change("topic", topic_ref(self.config, topic).title) for topic in topics if topic not in known]
        return tuple(sorted((*own, *self.incident.material), key=lambda one: _WEIGHT.index(one.kind)))

    def _worst(self, topics: Iterable[str]) -> int:
        return max((SEVERITIES.index(topic_ref(self.config, t).severity) for t in topics), default=0)

    def _plan(self, asks: Sequence[_Ask]) -> _Plan:
        wanted = {t for ask in asks for t in ask.topics}
        topics = tuple(t for t in self.incident.topics if t in wanted)
        channels = tuple(dict.fromkeys(c for ask in asks for c in ask.channels))
        wait = timedelta(seconds=min(ask.policy.wait for ask in asks))
        end = held_until(self.config, self.subscriber, topics, self.now)
        earliest = end or self.now
        due = earliest if end else self.now + wait
        if not end and held_until(self.config, self.subscriber, topics, due) is not None:
            due = self.now  # the quiet hours begin before the wait ends: what may still go goes now
        joins = asks[0].into
        if joins is None and wait and not any(ask.update for ask in asks):
            joins = next(
                (
                    t
                    for t in self.messages
                    if t.waits and not t.is_update and {*t.channels} == {*channels} and t.stories < A_MESSAGE
                    if earliest <= t.at <= due
                ),
                None,
            )
        return _Plan(topics, channels, due, end is not None, joins)

    def _tell(self, asks: Sequence[_Ask], plan: _Plan) -> None:
        self.left = [t for t in self.left if t not in plan.topics]
        news = tuple({(one.kind, one.now, one.about): one for ask in asks for one in ask.update}.values())
        if plan.joins is not None:
            due = min(plan.due, plan.joins.at)
            detail = f"into the message that goes at {due:%H:%M:%S} UTC"
            key, reason = plan.joins.key, Reason.GATHERED
        else:
            due = plan.due
            by_story = any(ask.policy.each == "story" for ask in asks)
            key = self.incident.story_key if by_story else self.incident.event_key
            if news:
                key = f"{_AGAIN}{key}#{self.incident.story_key}"
                key += f"#{self.incident.again}" if self.incident.again else ""
            if any(t.key == key and {*t.channels} & {*plan.channels} for t in self.event):
                key = f"{key}#{','.join(plan.topics)}"  # of a story that was told of before, for other topics
            reason, detail = Reason.SENT, f"again: {said(news)}" if news else ""
            if plan.held:
                reason, detail = Reason.HELD, f"quiet hours until {due:%H:%M} UTC"
            elif due > self.now:
                detail = f"{detail}{'; ' if detail else ''}waits until {due:%H:%M:%S} UTC for others"
        name = self.subscriber.name
        self.decided.append(Decided(name, reason, detail, plan.topics, plan.channels, key, due, news))

    def _limited(self, asks: Sequence[_Ask]) -> None:
        """Hold back the topics of subscriptions whose limit is reached, unless another one tells of them."""
        for ask in asks:
            limit = ask.policy.at_most
            assert limit is not None  # one without is never full
            self._no(Reason.LIMITED, f"the limit of {per(limit, 'alert')} was reached", ask.topics)

    def _is_full(self, ask: _Ask) -> bool:
        """Whether the limit leaves no room for a message when this one goes out. Only the subscription's own count."""
        limit = ask.policy.at_most
        if limit is None:
            return False
        at = held_until(self.config, self.subscriber, ask.topics, self.now) or self.now
        since = at - timedelta(seconds=limit.per)
        # One that waits for others goes out later than now, and is of now all the same; a held one is of its morning.
        until = at + timedelta(seconds=ask.policy.wait)
        topics, channels = {*ask.subscription.topics}, {*ask.policy.via}
        own = (t for t in self.messages if since < t.at <= until and topics & {*t.topics} and channels & {*t.channels})
        return sum(1 for _ in own) >= limit.count


def silenced_until(until: datetime) -> str:
    """Return in words that a topic is silenced."""
    return f"silenced by the operators until {until:%Y-%m-%d %H:%M} UTC"


def alert_key(subscriber: str, channel: str, key: str) -> str:
    """Return the key of the delivery that a decision with `key` makes for a channel."""
    return f"alert:{subscriber}:{channel}:{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def window_key(subscriber: str, channel: str, since: datetime, until: datetime) -> str:
    """Return the key of a digest's message: both ends of its window, as instants.

    A local time comes again when a zone changes, and a window's end when a clock does.
    """
    return f"digest:{subscriber}:{channel}:{since:%Y-%m-%dT%H:%M:%S.%fZ}/{until:%Y-%m-%dT%H:%M:%S.%fZ}"


def is_old(claimed_at: datetime | None, seen_at: datetime, after: float) -> bool:
    """Whether a story was first seen more than `after` seconds after its claimed time. No date: not old."""
    return claimed_at is not None and seen_at - claimed_at > timedelta(seconds=after)


def _days(incident: Incident) -> str:
    assert incident.claimed_at is not None
    days = (incident.seen_at - incident.claimed_at).days
    return f"{days} day{'' if days == 1 else 's'}"


def per(limit: Rate, noun: str) -> str:
    """Return a limit in words: "20 alerts an hour"."""
    unit = {60.0: "a minute", 3600.0: "an hour", 86400.0: "a day"}.get(limit.per, f"in {limit.per:g} s")
    return f"{limit.count:,} {noun}{'' if limit.count == 1 else 's'} {unit}"


def longest_limit(config: Config) -> float:
    """Return the longest time, in seconds, that an `at_most` counts over; 0 where none is declared."""
    limits = (s.alert.at_most for one in config.subscribers.values() for s in one.subscriptions if s.alert is not None)
    return max((limit.per for limit in limits if limit is not None), default=0.0)


def held_until(config: Config, subscriber: Subscriber, topics: Iterable[str], now: datetime) -> datetime | None:
    """Return when a subscriber's quiet hours let out what would go at `now` about `topics`; None: at once."""
    quiet = subscriber.quiet_hours
    if quiet is None:
        return None
    worst = max((SEVERITIES.index(topic_ref(config, t).severity) for t in topics), default=0)
    if quiet.except_severity is not None and worst >= SEVERITIES.index(quiet.except_severity):
        return None
    return quiet_until(quiet, ZoneInfo(subscriber.timezone), now)


def topic_ref(config: Config, name: str) -> TopicRef:
    """Return how messages name topic `name`, also when it is no longer declared."""
    topic = config.topics.get(name)
    return TopicRef(name, topic.title, topic.severity) if topic else TopicRef(name, name, "normal")
