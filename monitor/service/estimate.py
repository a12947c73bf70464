"""How many alerts a rule would have made: its stories decided by `dispatch.decide`, in their own time, each by the
settings of those who take the topic right away.

As for real: what is gathered, held in quiet hours, or kept back by a limit; old stories and first polls; an event told
once and again only as `updates` says. As if they followed nothing else, and were never away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.app import App
from monitor.config import AlertPolicy, Config, Subscriber, Subscription
from monitor.dispatch import (
    ANY_TOPIC,
    TOLD,
    Decided,
    Incident,
    Reason,
    Standing,
    Told,
    decide,
    longest_limit,
)
from monitor.events import Account, account, news_since
from monitor.pipeline.updates import changes

MOST = 2_000  # decisions that an estimate may take, one for each story and group: of more stories the newest


@dataclass(frozen=True, slots=True)
class Caught:
    """A story that a rule matched, as the policy needs it; `entities` are the titles of those that it names."""

    story: int
    event: int
    at: datetime
    claimed_at: datetime | None
    title: str
    source: str
    entities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alerts:
    """What those `who` share their settings would have got in `days`: messages, and stories kept back by a limit.

    Nobody takes the topic right away where `who` is empty: then it is what the settings make that stand without any.
    """

    who: tuple[str, ...]
    messages: int
    limited: int
    days: float

    @property
    def a_day(self) -> float:
        """Messages a day."""
        return self.messages / self.days


def estimate(app: App, topic: str, caught: Sequence[Caught], since: datetime, now: datetime) -> tuple[Alerts, ...]:
    """Return what `caught`, the stories since a time in any order, would have made of alerts about a topic.

    One for each group of subscribers whose settings are the same; always the same groups for one topic.
    """
    groups = _groups(app, topic, now)
    config = replace(app.config, subscribers={one.name: one for one, _ in groups})
    ordered = sorted(caught, key=lambda one: (one.at, one.story))
    if len(ordered) * len(groups) > MOST:
        ordered = ordered[-(MOST // len(groups)) :]
        since = ordered[0].at
    simulated = _Simulated(app, config, topic, ordered)
    days = max((now - since) / timedelta(days=1), 1.0)
    return tuple(
        Alerts(who, simulated.messages.get(one.name, 0), simulated.limited.get(one.name, 0), days)
        for one, who in groups
    )


def _groups(app: App, topic: str, now: datetime) -> list[tuple[Subscriber, tuple[str, ...]]]:
    """Return those who take a topic right away, one of each group of the same settings, and the names of the group."""
    off = app.store.slots.muted(now)
    groups: dict[str, tuple[Subscriber, tuple[str, ...]]] = {}
    for one in app.config.subscribers.values():
        mine = [s.alert for s in one.subscriptions if s.alert is not None and topic in s.topics]
        if not one.enabled or not mine or off.get(one.name, frozenset()) & {topic, ANY_TOPIC}:
            continue
        zone = one.timezone if one.quiet_hours is not None else ""
        # Which channels they are is no matter; whether two subscriptions share one is.
        key = repr(
            ([(p.wait, p.each, p.updates, p.at_most, len(mine) > 1 and p.via) for p in mine], one.quiet_hours, zone)
        )
        first, who = groups.get(key, (one, ()))
        groups[key] = (first, (*who, one.title))
    return list(groups.values()) or [(_anybody(topic), ())]


def _anybody(topic: str) -> Subscriber:
    """Return one with the settings that hold where none are written."""
    policy = AlertPolicy(via=("mail",))
    return Subscriber.model_construct(
        name="*", title="", enabled=True, timezone="UTC", quiet_hours=None, digest=None, channels={},
        subscriptions=(Subscription.model_construct(topics=(topic,), alert=policy, digest=False),),
    )  # fmt: skip


class _Simulated:
    """The stories decided one by one; what `pipeline.tell` has in tables is here in memory."""

    def __init__(self, app: App, config: Config, topic: str, caught: Sequence[Caught]) -> None:
        self.messages: dict[str, int] = {}
        self.limited: dict[str, int] = {}
        self._config, self._topic = config, topic
        self._longest = timedelta(seconds=max(longest_limit(config), 1.0))
        self._waiting: dict[str, dict[str, Told]] = {}  # by subscriber: messages within the longest limit
        # By event and subscriber: when each was decided, and the message.
        self._about: dict[int, dict[str, list[tuple[datetime, Told]]]] = {}
        self._accounts: dict[int, Account] = {}
        reports = app.store.reports
        first_polls = reports.only_first_polls([one.story for one in caught])
        self._outlets = reports.outlet_times(_shared(caught))
        for one in caught:
            self._decide(one, baseline=one.story in first_polls)

    def _decide(self, one: Caught, *, baseline: bool) -> None:
        about = self._about.get(one.event, {})
        outlets: tuple[datetime, ...] = (one.at,)
        told = now = None
        if one.event in self._outlets:  # only what has several stories is ever told again
            outlets = tuple(sorted(at for at in self._outlets[one.event].values() if at <= one.at)) or outlets
            told, now = self._accounts.get(one.event), self._account(one, len(outlets))
        material = changes(news_since(told, now)) if told is not None and now is not None else ()
        incident = Incident(
            str(one.story), str(one.event), (self._topic,), baseline, one.claimed_at, one.at, outlets, material
        )
        standing = Standing(messages=self._recent(one.at), event=_as_of(about, one.at))
        decisions = decide(self._config, incident, standing, one.at)
        for decided in decisions:
            self._count(decided, one)
        if now is not None and any(decided.reason in TOLD for decided in decisions):
            self._accounts[one.event] = now if told is None else now.after(told)

    def _account(self, one: Caught, sources: int) -> Account:
        return account(one.title, sources=sources, story=one.story, source=one.source, entities=one.entities)

    def _recent(self, now: datetime) -> Mapping[str, Sequence[Told]]:
        over = now - self._longest
        for own in self._waiting.values():
            for key, told in list(own.items()):
                if told.at <= over:
                    del own[key]
                elif told.waits and told.at <= now:
                    own[key] = replace(told, waits=False)
        return {name: tuple(own.values()) for name, own in self._waiting.items()}

    def _count(self, decided: Decided, one: Caught) -> None:
        name = decided.subscriber
        if decided.reason is Reason.LIMITED:
            self.limited[name] = self.limited.get(name, 0) + 1
        if decided.reason not in TOLD:
            return
        if decided.reason is not Reason.GATHERED:
            self.messages[name] = self.messages.get(name, 0) + 1
        told = Told(due := decided.due or one.at, decided.topics, decided.channels, decided.key, waits=due > one.at)
        self._about.setdefault(one.event, {}).setdefault(name, []).append((one.at, told))
        before = self._waiting.setdefault(name, {}).get(decided.key)
        if before is not None:
            told = replace(told, at=min(before.at, told.at), stories=before.stories + 1)
        self._waiting[name][decided.key] = told


def _as_of(about: Mapping[str, Iterable[tuple[datetime, Told]]], now: datetime) -> Mapping[str, Sequence[Told]]:
    """Return the messages about an event as `now` finds them: one that went out counts from when it was decided."""
    return {
        name: [replace(one, waits=True) if one.at > now else replace(one, at=decided) for decided, one in told]
        for name, told in about.items()
    }


def _shared(caught: Iterable[Caught]) -> list[int]:
    """Return the events that several of the stories are of."""
    seen: dict[int, int] = {}
    for one in caught:
        seen[one.event] = seen.get(one.event, 0) + 1
    return [event for event, stories in seen.items() if stories > 1]
