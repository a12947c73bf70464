"""The proof, from the tables alone: every match has its decisions, and every decision what it promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from monitor.dispatch import TOLD, Reason, alert_key, window_key
from monitor.models import Audit, Decision, Delivery, DeliveryStory, DigestSlot, DigestWindow, Match, Policy

Row = TypeVar("Row", Match, Delivery, DigestWindow)
Transaction = Callable[[], AbstractContextManager[Session]]
CHUNK = 500  # rows that are looked at in one transaction
KEPT = 100  # findings that are recorded
QUEUED = ("pending", "sending", "held")
ENDED = ("sent", "dead", "expired", "cancelled")


@dataclass(slots=True)
class Checked:
    """How much was checked, and what is wrong: a sentence each."""

    matches: int = 0
    decisions: int = 0
    deliveries: int = 0
    findings: list[str] = field(default_factory=list)


class Audits:
    """Checks what happened since a time, and keeps the results."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def check(self, since: datetime, digests: Mapping[str, Collection[str]]) -> Checked:
        """Return what is wrong with what was matched, decided and made since then.

        `digests` are the subscribers declared now, with the topics of their digests: one who is gone is owed none, nor
        one of a topic that is asked for no more. It is read chunk by chunk, each in a transaction of its own, so that
        nothing waits for it.
        """
        found, run = Checked(), _Run(digests)
        for matches in self._chunks(Match, col(Match.matched_at) >= since):
            with self._read() as session:
                run.matches(session, matches, found)
        for deliveries in self._chunks(Delivery, col(Delivery.created_at) >= since):
            found.deliveries += len(deliveries)
            for row in deliveries:
                found.findings += _of_delivery(row)
        for windows in self._chunks(DigestWindow, col(DigestWindow.until) >= since):
            with self._read() as session:
                found.findings += _of_windows(session, windows)
        return found

    def _chunks(self, table: type[Row], wanted: ColumnElement[bool]) -> Iterator[Sequence[Row]]:
        last = 0
        while True:
            with self._read() as session:
                rows = session.exec(
                    select(table).where(col(table.id) > last, wanted).order_by(col(table.id)).limit(CHUNK)
                ).all()
            if rows:
                yield rows
            if len(rows) < CHUNK:
                return
            last = rows[-1].id or 0

    def record(self, row: Audit) -> None:
        """Keep a result."""
        with self._write() as session:
            session.add(row)

    def latest(self) -> Audit | None:
        """Return the latest result."""
        with self._read() as session:
            return session.exec(select(Audit).order_by(col(Audit.id).desc()).limit(1)).first()


class _Run:
    """Checks matches and their decisions; remembers policies and windows between chunks."""

    def __init__(self, digests: Mapping[str, Collection[str]]) -> None:
        self._digests = digests
        self._followers: dict[int, Mapping[str, Sequence[str]]] = {}

    def matches(self, session: Session, matches: Sequence[Match], found: Checked) -> None:
        """Check the decisions of each of `matches`."""
        stories = {match.story_id for match in matches}
        decisions = session.exec(
            select(Decision).where(col(Decision.story_id).in_(stories)).order_by(col(Decision.id))
        ).all()
        decided: dict[tuple[int, str], set[str]] = defaultdict(set)
        for row in decisions:
            decided[row.story_id, row.subscriber].update(row.topics)
        found.matches += len(matches)
        for match in matches:
            followers = self._of_policy(session, match.policy_id).get(match.topic, ())
            found.findings += [
                f"story {match.story_id} matched `{match.topic}` at {_clock(match.matched_at)}, and for {one}, who "
                "followed it, nothing was decided"
                for one in followers
                if match.topic not in decided[match.story_id, one]
            ]
        found.decisions += len(decisions)
        found.findings += self._of_messages(session, [row for row in decisions if row.reason in TOLD])
        found.findings += self._of_digests(session, [row for row in decisions if _is_for_later(row)])

    def _of_policy(self, session: Session, policy_id: int | None) -> Mapping[str, Sequence[str]]:
        """Return the subscribers of each topic by a policy; of one from before policies were recorded, none."""
        if policy_id is None:
            return {}
        if policy_id not in self._followers:
            followers: dict[str, list[str]] = defaultdict(list)
            policy = session.get(Policy, policy_id)
            for subscriber, topics in (policy.topics if policy is not None else {}).items():
                for topic in topics:
                    followers[topic].append(subscriber)
            self._followers[policy_id] = followers
        return self._followers[policy_id]

    def _of_messages(self, session: Session, decisions: Sequence[Decision]) -> Iterator[str]:
        """Check that each alert decision has its messages, and that these tell of its story."""
        keys = [alert_key(row.subscriber, channel, row.key) for row in decisions for channel in row.channels]
        messages: dict[str, int] = {}
        for start in range(0, len(keys), CHUNK):
            some = select(Delivery.key, Delivery.id).where(col(Delivery.key).in_(keys[start : start + CHUNK]))
            messages.update((key, number) for key, number in session.exec(some) if number is not None)
        told = {
            (one.delivery_id, one.story_id)
            for one in session.exec(
                select(DeliveryStory).where(col(DeliveryStory.story_id).in_({row.story_id for row in decisions}))
            )
        }
        for row in decisions:
            if not row.key:
                continue  # of before keys were recorded
            for channel in row.channels:
                number = messages.get(alert_key(row.subscriber, channel, row.key))
                if number is None:
                    yield f"{_name(row)}: no message by {channel} is in the outbox"
                elif (number, row.story_id) not in told:
                    yield f"{_name(row)}: message {number} by {channel} does not tell of the story"
            if not row.channels:
                yield f"{_name(row)}: it names no channel"

    def _of_digests(self, session: Session, decisions: Sequence[Decision]) -> Iterator[str]:
        """Check that what is for a digest or summary is in a closed window, or in one that is open."""
        names = {row.subscriber for row in decisions} & self._digests.keys()
        if not names:
            return
        earliest = min(row.decided_at for row in decisions)
        windows: dict[str, list[DigestWindow]] = defaultdict(list)
        for window in session.exec(
            select(DigestWindow).where(col(DigestWindow.subscriber).in_(names), col(DigestWindow.until) >= earliest)
        ):
            windows[window.subscriber].append(window)
        slots = {s.subscriber: s for s in session.exec(select(DigestSlot).where(col(DigestSlot.subscriber).in_(names)))}
        for row in decisions:
            if row.subscriber not in names:
                continue
            slot = slots.get(row.subscriber)
            covering = [one for one in windows[row.subscriber] if one.since < row.decided_at <= one.until]
            missing = [
                topic
                for topic in row.topics
                if not _waits(slot, topic, row.decided_at)
                and not any(self._is_of(window, row, topic) for window in covering)
            ]
            if missing:
                yield (
                    f"{_name(row)}: no digest or summary covers {_clock(row.decided_at)} for {', '.join(missing)}, and "
                    "none is to come"
                )

    def _is_of(self, window: DigestWindow, row: Decision, topic: str) -> bool:
        """Whether a window that covers a decision's time is one of its topic, a weekly one or not.

        What was held back goes into the next, whatever it is of; a topic that is asked for no more needs none.
        """
        asked = row.reason == Reason.DIGEST and topic in self._digests[row.subscriber]
        return not asked or window.topics is None or topic in window.topics


def _waits(slot: DigestSlot | None, topic: str, decided_at: datetime) -> bool:
    """Whether the window that a topic's digest is to close begins before a decision."""
    if slot is None:
        return False
    begun = slot.begun.get(topic)
    return (datetime.fromisoformat(begun) if begun else slot.last_at) < decided_at


def _is_for_later(row: Decision) -> bool:
    dropped = row.reason == Reason.OLD and row.detail.endswith("drop")
    return row.reason in (Reason.LIMITED, Reason.PAUSED, Reason.DIGEST, Reason.OLD) and not dropped


def _of_delivery(row: Delivery) -> Iterator[str]:
    """Check that a message has a receipt, a reason, or its place in the queue."""
    name = f"message {row.id} ({row.kind} for {row.subscriber or 'operators'} by {row.channel})"
    if row.state not in (*QUEUED, *ENDED):
        yield f"{name} is in the state `{row.state}`, which there is not"
    elif row.state in ENDED and row.finished_at is None:
        yield f"{name} is {row.state}, and not since when"
    elif row.state == "sent" and not (row.receipt or row.code or row.detail) and _answers(row.endpoint):
        yield f"{name} was sent without a receipt or an answer"
    elif row.state in ("dead", "expired", "cancelled", "held") and not (row.code or row.detail):
        yield f"{name} is {row.state} without a reason"
    elif row.state == "sending" and row.lease_until is None:
        yield f"{name} is being sent by nobody"
    elif row.state == "pending" and row.next_attempt_at > row.expires_at:
        yield f"{name} is due at {_clock(row.next_attempt_at)}, when it is given up already"


def _answers(endpoint: str) -> bool:
    """Whether what an endpoint says was always recorded: of what Apprise alone sends, nothing was at first."""
    return endpoint.startswith(("mail ", "slack "))


def _of_windows(session: Session, windows: Sequence[DigestWindow]) -> Iterator[str]:
    """Check that each closed window has its messages."""
    keys = {
        window_key(window.subscriber, channel, window.since, window.until): (window, channel)
        for window in windows
        for channel in window.channels
    }
    known = set(session.exec(select(Delivery.key).where(col(Delivery.key).in_(keys))))
    for key, (window, channel) in keys.items():
        if key not in known:
            yield (
                f"the digest of {window.local} for {window.subscriber}, with {window.stories} stories: no message by "
                f"{channel} is in the outbox"
            )


def _name(row: Decision) -> str:
    return f"decision {row.id} ({row.reason}) for {row.subscriber} about story {row.story_id}"


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
