"""A story's matches → decisions and alerts, within the transaction that saves the story."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from monitor.app import App
from monitor.config import Config
from monitor.dispatch import (
    TOLD,
    Alert,
    Change,
    Decided,
    Incident,
    Opening,
    Reason,
    Report,
    Standing,
    StoryView,
    Told,
    alert_key,
    decide,
    held_until,
    longest_limit,
    topic_ref,
)
from monitor.models import Decision, Delivery, Match, Story, new_row
from monitor.pipeline.budget import Budget
from monitor.pipeline.digest import held_back_reasons, overflow_slot
from monitor.pipeline.outgoing import alert_delivery, gather, revive, value_of, view, waits_yet
from monitor.pipeline.updates import Updates
from monitor.rules import TopicMatch
from monitor.store import Ingest
from monitor.text import Evidence

SUMMARY_AFTER = 3600.0  # seconds until the summary of what was held back, for one without a limit that says


class Teller:
    """Tells of the stories of one transaction, `work`, which was begun at `now`; `alerting`: not of a first poll."""

    def __init__(self, app: App, config: Config, work: Ingest, *, alerting: bool, now: datetime) -> None:
        self.app, self.config, self.work = app, config, work
        self.alerting, self.now = alerting, now
        self.budget = Budget(app, work, now)
        self.messages: dict[str, dict[str, Told]] = {}
        # Of the story that is being told of: the messages that are there, and those that are to tell of it.
        self.outbox: dict[str, Delivery] = {}
        self.fresh: list[Delivery] = []
        self.views: dict[tuple[str, ...], StoryView] = {}  # the story as it is shown to those who follow these topics

    def tell(self, story: Story, matches: tuple[TopicMatch, ...], why: str) -> int:
        """Record the `matches` of a story that are news, and what is decided; return how many alerts it made or joined.

        `why` says how the story came to its event.
        """
        assert story.id is not None
        assert story.event_id is not None
        recorded = self.work.matches(story)
        for match in matches:
            known = recorded.get(match.topic)
            if known is not None and self.alerting and not known.alerting:
                # A first poll's match that comes as news now: the digest's windows go by when it did.
                known.matched_at, known.alerting, known.policy_id = self.now, True, self.policy_id
            elif known is None:
                self.work.add(
                    new_row(
                        Match,
                        story_id=story.id,
                        topic=match.topic,
                        rule=match.rule,
                        evidence=as_json(match.evidence),
                        matched_at=self.now,
                        alerting=self.alerting,
                        policy_id=self.policy_id,
                    )
                )
        return self._decide(story, matches, why)

    def tell_again(self, story: Story, matches: tuple[TopicMatch, ...]) -> int:
        """Tell those who were told of a story what is new in it, now that its headline has changed.

        `matches` are those of its topics that it had before. Return how many alerts that made or joined.
        """
        return self._decide(story, matches, "", again=story.edits)

    def _decide(self, story: Story, matches: tuple[TopicMatch, ...], why: str, again: int = 0) -> int:
        assert story.id is not None
        assert story.event_id is not None
        # Of a first poll's stories nobody is told, and of one that is new, in an event of its own, nobody was.
        known = self.alerting and (self.work.matches(story) or self.work.is_shared(story.event_id))
        before = self._told(story) if known else {}
        updates = Updates(self.config, self.work, story, matches)
        incident = Incident(
            story.key,
            self.work.event_key(story.event_id),
            tuple(m.topic for m in matches),
            not self.alerting,
            story.claimed_at,
            story.first_seen_at,
            self.work.outlet_times(story.event_id) if before else (),
            updates.material if before else (),
            again,
        )
        decisions = decide(self.config, incident, replace(self.standing, event=before), self.now)
        keys = [alert_key(one.subscriber, channel, one.key) for one in decisions for channel in one.channels]
        self.outbox, self.fresh, self.views = self.work.deliveries(keys), [], {}
        told = sum(self._record(story, matches, one, why) for one in decisions)
        assert story.id is not None
        self.work.put_into(self.fresh, story.id)
        if told:
            updates.told()
        return told

    def record_policy(self) -> None:
        """Have on record who follows what by which rules, also where nothing matches."""
        assert self.policy_id

    @cached_property
    def policy_id(self) -> int:
        """The policy by which this transaction decides, on record."""
        config, rules = self.config, self.app.rules

        def make() -> tuple[dict[str, str], dict[str, list[str]]]:
            return (
                {name: rules.compiled(name).version for name in config.topics if name in rules},
                {
                    one.name: sorted({topic for s in one.subscriptions for topic in s.topics})
                    for one in config.subscribers.values()
                    if one.enabled
                },
            )

        return self.work.policy_id(config.fingerprint, make, self.now)

    @cached_property
    def standing(self) -> Standing:
        """What is recorded of the subscribers, without what is known of an event; kept up as messages are made."""
        longest = timedelta(seconds=max(longest_limit(self.config), 1.0))
        for row in self.work.alerts(self.now - longest):
            at = row.due_at or row.decided_at
            self._count(row.subscriber, Told(at, tuple(row.topics), tuple(row.channels), row.key or f"#{row.id}"))
        return replace(self.work.standing(self.now), messages=_Messages(self.messages))

    def _count(self, subscriber: str, one: Told) -> None:
        """Take a message into account, or a story that goes into one."""
        own = self.messages.setdefault(subscriber, {})
        before = own.get(one.key)
        if before is not None:
            one = Told(
                min(before.at, one.at),
                tuple(dict.fromkeys((*before.topics, *one.topics))),
                tuple(dict.fromkeys((*before.channels, *one.channels))),
                one.key,
                before.stories + 1,
            )
        own[one.key] = replace(one, waits=one.at > self.now)

    def _told(self, story: Story) -> Mapping[str, Sequence[Told]]:
        """Return the messages about a story's event, by subscriber; what was cancelled told nothing."""
        assert story.event_id is not None
        found: dict[str, list[Told]] = {}
        for row, messages in self.work.messages_about(story.event_id):
            if messages:
                waits = all(waits_yet(message) for message in messages.values())
                at = min(m.next_attempt_at for m in messages.values()) if waits else row.decided_at
                told = Told(at, tuple(row.topics), tuple(messages), row.key, 1, row.story_id == story.id, waits)
                found.setdefault(row.subscriber, []).append(told)
        return found

    def _record(self, story: Story, matches: tuple[TopicMatch, ...], decided: Decided, why: str) -> bool:
        """Record a decision, with the messages that it makes; whether it makes or joins any."""
        assert story.id is not None
        assert story.event_id is not None
        reason, detail, key = decided.reason, decided.detail, decided.key
        if reason in TOLD:
            evidence = tuple(e for m in matches if m.topic in decided.topics for e in m.evidence)
            alert = Alert(
                decided.subscriber,
                "",
                tuple(topic_ref(self.config, t) for t in decided.topics),
                self._view(story, decided.topics, evidence),
                _names(self.config, evidence),
                held_since=self.now if decided.reason is Reason.HELD else None,
            )
            if decided.news:
                alert = self._update(alert, decided.news)
            reason, detail, key = self._deliver(story, alert, decided)
        if reason in TOLD:
            self._count(decided.subscriber, Told(decided.due or self.now, decided.topics, decided.channels, key))
        elif reason is Reason.ALREADY_TOLD:
            detail = why or detail
        elif reason in held_back_reasons(self.config):
            self._summarise_later(decided)
        self.work.add(
            Decision(
                story_id=story.id,
                event_id=story.event_id,
                subscriber=decided.subscriber,
                reason=str(reason),
                detail=detail,
                topics=list(decided.topics),
                channels=list(decided.channels),
                key=key if reason in TOLD else "",
                decided_at=self.now,
                due_at=decided.due if reason in TOLD else None,
            )
        )
        return reason in TOLD

    def _view(self, story: Story, topics: tuple[str, ...], evidence: Sequence[Evidence]) -> StoryView:
        """A story as an alert shows it, made once for all who are told of it for the same topics."""
        if topics not in self.views:
            self.views[topics] = self._made_view(story, evidence)
        return self.views[topics]

    def _made_view(self, story: Story, evidence: Sequence[Evidence]) -> StoryView:
        """A story as an alert shows it, with what other outlets have of its event."""
        assert story.event_id is not None
        others, key = self.work.outlets(story.event_id, story.source), self.work.event_key(story.event_id)
        shown = view(self.config, story, evidence, others, key)
        if not shown.others:
            return shown
        reports, latest = self.work.reports(story.event_id, story.source)
        told = tuple(Report(one.title, one.url, one.source, one.effective_at) for one in reports)
        return replace(shown, reports=told, latest=latest)

    def _update(self, alert: Alert, news: tuple[Change, ...]) -> Alert:
        """An alert that says what is new, and goes on from the first message that told its reader of the event.

        It takes up that one's subject and its thread: those of another event, where the two came in one message, or an
        operator moved stories since.
        """
        about = self.work.messages_about(alert.story.event_id)
        rows = [
            (row.decided_at, row.id or 0, m)
            for row, ms in about
            if row.subscriber == alert.subscriber
            for m in ms.values()
        ]
        if not rows:
            return replace(alert, news=news)
        first = value_of(min(rows, key=lambda row: row[:2])[2])
        assert isinstance(first, Alert)  # decisions make no other messages
        opening = first.opening or Opening(first.topics, first.story.title)
        story = replace(alert.story, event_key=first.story.event_key or alert.story.event_key)
        return replace(alert, news=news, opening=opening, story=story)

    def _deliver(self, story: Story, alert: Alert, decided: Decided) -> tuple[Reason, str, str]:
        """Put an alert into the outbox for each channel, or into the messages there that it is to go into.

        Returns the reason, its detail and the key as they turn out: a message that was to take the story may have been
        cancelled meanwhile, and the budget may hold one.
        """
        rows = [
            alert_delivery(self.app, replace(alert, channel=channel), decided.key, decided.due, self.now)
            for channel in decided.channels
        ]
        known = [self.outbox.get(row.key) for row in rows]
        if decided.reason is Reason.GATHERED:
            waiting = [row for row in known if row is not None and waits_yet(row)]
            if len(waiting) < len(rows):
                alone = f"{story.key}#{self.now.isoformat()}"
                return self._deliver(story, alert, replace(decided, reason=Reason.SENT, detail="", key=alone))
            for message, fresh in zip(waiting, rows, strict=True):
                gather(message, fresh)
                self.fresh.append(message)
            return decided.reason, decided.detail, decided.key
        made = []
        for row, fresh in zip(known, rows, strict=True):
            if row is None:
                self.budget.charge(fresh)
                self.fresh.append(fresh)
                made.append(fresh)
            elif revive(row, fresh):
                self.fresh.append(row)
                made.append(row)
        if not made:
            return Reason.ALREADY_TOLD, "this was told before", ""
        over = next((row.detail for row in made if row.state == "held"), "")
        return (Reason.HELD, over, decided.key) if over else (decided.reason, decided.detail, decided.key)

    def _summarise_later(self, decided: Decided) -> None:
        """What is held back goes into the next digest; a subscriber without one gets one summary."""
        subscriber = self.config.subscribers[decided.subscriber]
        limits = [s.alert.at_most.per for s in subscriber.subscriptions if s.alert and s.alert.at_most]
        if subscriber.digest is None:
            at = self.now + timedelta(seconds=max(limits, default=SUMMARY_AFTER))
            at = max(at, self.standing.paused.get(decided.subscriber, at))
            at = held_until(self.config, subscriber, (), at) or at
            self.work.add_slot(overflow_slot(subscriber, at, self.now))


class _Messages(Mapping[str, Sequence[Told]]):
    """Each subscriber's messages as `decide` takes them, as they stand when they are asked for."""

    def __init__(self, messages: Mapping[str, Mapping[str, Told]]) -> None:
        self._messages = messages

    def __getitem__(self, subscriber: str) -> Sequence[Told]:
        return tuple(self._messages[subscriber].values())

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)


def _names(config: Config, evidence: Iterable[Evidence]) -> tuple[str, ...]:
    """The entities found, by the names that people know them by, each once."""
    found = dict.fromkeys(e.entity for e in evidence if e.entity)
    return tuple(config.entities[name].title if name in config.entities else name for name in found)


def as_json(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return evidence as a match records it."""
    return [{"field": e.field, "start": e.start, "end": e.end, "term": e.term, "entity": e.entity} for e in evidence]
