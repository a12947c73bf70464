"""What stands beside the configuration: silences, pauses, mutes; the policies in force; what the budget holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from monitor.dispatch import AT_ONCE, Standing, silenced_until
from monitor.models import Delivery, Policy, Preference, Silence, Story
from monitor.store import outbox
from monitor.store.preferences import EVERYTHING, PAUSE, TOPIC, Setting, current, put

Transaction = Callable[[], AbstractContextManager[Session]]
OVER_BUDGET = "budget"  # the `code` of a delivery that is held since the budget was used up
_WAITING = ("pending", "held")


class Policies:
    """Reads and writes of silences and pauses, and of the messages that the budget holds."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def silence(self, topic: str, until: datetime, why: str, now: datetime) -> int:
        """Silence a topic, in place of an earlier silence of it; cancel its alerts that would go before `until`.

        One that is about another topic too goes. Returns how many were cancelled.
        """
        with self._write() as session:
            _lift(session, topic, now)
            session.add(Silence(topic=topic, since=now, until=until, why=why))
            session.flush()
            quiet = set(silenced(session, now))
            waiting = session.exec(
                select(Delivery).where(
                    col(Delivery.kind).in_(AT_ONCE),
                    col(Delivery.state).in_(_WAITING),
                    col(Delivery.next_attempt_at) < until,
                )
            )
            rows = [row for row in waiting if topic in row.topics and quiet.issuperset(row.topics)]
            for row in rows:
                row.state, row.finished_at = "cancelled", now
                row.detail = silenced_until(until)
            return len(rows)

    def lift(self, topic: str, now: datetime) -> bool:
        """End the silence of a topic; False where there is none."""
        with self._write() as session:
            return _lift(session, topic, now)

    def silences(self, now: datetime) -> Sequence[Silence]:
        """Return the silences that hold at `now`, those that end first in front."""
        with self._read() as session:
            return session.exec(_silences(now)).all()

    def pause(self, subscriber: str, until: datetime, now: datetime, by: str = "an operator") -> int:
        """Tell a subscriber nothing until then; what waits for it waits for that. Returns how many messages do.

        One who unsubscribed from everything stays so.
        """
        with self._write() as session:
            off = current(session, subscriber, TOPIC, EVERYTHING)
            if off is None or off.setting != "off":
                put(session, subscriber, Setting(PAUSE, "pause", until=until), now, by)
            rows = session.exec(
                select(Delivery).where(
                    Delivery.subscriber == subscriber,
                    col(Delivery.state).in_(_WAITING),
                    col(Delivery.next_attempt_at) < until,
                )
            ).all()
            for row in rows:
                row.expires_at = until + (row.expires_at - row.next_attempt_at)
                row.next_attempt_at = until
            return len(rows)

    def resume(self, subscriber: str, now: datetime, by: str = "an operator") -> bool:
        """End a pause, and make due what waited for its end; False where there is none."""
        with self._write() as session:
            row = current(session, subscriber, PAUSE)
            if row is None or row.setting != "pause" or row.until is None:
                return False
            waiting = session.exec(
                select(Delivery).where(
                    Delivery.subscriber == subscriber,
                    col(Delivery.state).in_(_WAITING),
                    col(Delivery.next_attempt_at) == row.until,
                )
            )
            for delivery in waiting:
                delivery.next_attempt_at = now
            put(session, subscriber, Setting(PAUSE, ""), now, by)
            return True

    def paused(self, now: datetime) -> Mapping[str, datetime]:
        """Return the subscribers who are away at `now`, and until when."""
        with self._read() as session:
            return paused(session, now)

    def standing(self, now: datetime) -> Standing:
        """Return what keeps messages back at `now`: topics turned off, pauses and silences."""
        with self._read() as session:
            return Spending(session).standing(now)

    def held(self, topic: str = "", subscriber: str = "") -> Sequence[Delivery]:
        """Return the messages that the budget holds, oldest first: of a topic or subscriber, or all."""
        with self._read() as session:
            return _held(session, topic, subscriber)

    def release(self, now: datetime, *, drop: bool, topic: str = "", subscriber: str = "") -> int:
        """Let go, or cancel, the messages that the budget holds: of a topic or subscriber, or all; return how many.

        Those whose quiet hours have not ended, or that wait for others, go when they would have gone.
        """
        with self._write() as session:
            rows = _held(session, topic, subscriber)
            for row in rows:
                if drop:
                    row.state, row.finished_at = "cancelled", now
                    row.detail = "dropped by the operators: it was beyond the budget"
                else:
                    row.state, row.code, row.detail = "pending", "", "released by the operators"
                    late = max(now - row.next_attempt_at, timedelta(0))
                    row.next_attempt_at, row.expires_at = row.next_attempt_at + late, row.expires_at + late
            return len(rows)

    def policy(self, policy_id: int, story: Story) -> Policy | None:
        """Return the policy that a story's matches name; without one (0), that which was in force when it came."""
        with self._read() as session:
            if policy_id:
                return session.get(Policy, policy_id)
            before = select(Policy).where(col(Policy.since) <= story.first_seen_at)
            return session.exec(before.order_by(col(Policy.id).desc()).limit(1)).first()


def _held(session: Session, topic: str, subscriber: str) -> list[Delivery]:
    query = select(Delivery).where(Delivery.state == "held", Delivery.code == OVER_BUDGET).order_by(col(Delivery.id))
    if subscriber:
        query = query.where(Delivery.subscriber == subscriber)
    return [row for row in session.exec(query) if not topic or topic in row.topics]


def _silences(now: datetime) -> SelectOfScalar[Silence]:
    return (
        select(Silence)
        .where(col(Silence.until) > now, col(Silence.lifted_at).is_(None))
        .order_by(col(Silence.until), col(Silence.id))
    )


def _lift(session: Session, topic: str, now: datetime) -> bool:
    rows = session.exec(_silences(now).where(Silence.topic == topic)).all()
    for row in rows:
        row.lifted_at = now
    return bool(rows)


def silenced(session: Session, now: datetime) -> dict[str, datetime]:
    """Return the topics that the operators silenced, and until when."""
    return {row.topic: row.until for row in session.exec(_silences(now))}


def paused(session: Session, now: datetime) -> dict[str, datetime]:
    """Return the subscribers who are away at `now`, and until when."""
    pauses = select(Preference).where(col(Preference.current).is_(True), Preference.setting == "pause")
    rows = session.exec(pauses.where(col(Preference.until) > now))
    return {row.subscriber: row.until for row in rows if row.until is not None}


def muted(session: Session, now: datetime | None = None) -> dict[str, frozenset[str]]:
    """Return the topics that each subscriber turned off; `*` stands for all. At `now`, where that is given."""
    off: dict[str, set[str]] = {}
    current_off = select(Preference).where(
        col(Preference.current).is_(True), Preference.key == TOPIC, Preference.setting == "off"
    )
    for row in session.exec(current_off):
        if now is None or row.until is None or row.until > now:
            off.setdefault(row.subscriber, set()).add(row.topic)
    return {subscriber: frozenset(topics) for subscriber, topics in off.items()}


def policy_id(
    session: Session, version: str, make: Callable[[], tuple[dict[str, str], dict[str, list[str]]]], now: datetime
) -> int:
    """Return the id of the policy in force, recording it where the latest has another `version`.

    `make` gives the topics' rules and the subscribers' topics. Where these are as they were (a comment of the files was
    changed), the latest takes the new version over.
    """
    # Without what it holds: of many subscribers that is long, and this is asked at each poll.
    known = session.exec(select(Policy.id, Policy.version).order_by(col(Policy.id).desc()).limit(1)).first()
    if known is not None and known[0] is not None and known[1] == version:
        return known[0]
    latest = session.get(Policy, known[0]) if known is not None else None
    rules, topics = make()
    if latest is not None and (latest.rules, latest.topics) == (rules, topics):
        latest.version = version
    else:
        latest = Policy(version=version, since=now, rules=rules, topics=topics)
        session.add(latest)
    session.flush()
    assert latest.id is not None
    return latest.id


class Spending:
    """What stands, and what the budget asks, within an open transaction that puts messages into the outbox."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def standing(self, now: datetime) -> Standing:
        """Return what keeps messages back at `now`: topics turned off, pauses and silences."""
        return Standing(muted(self._session, now), paused(self._session, now), silenced(self._session, now))

    def messages_since(self, since: datetime) -> int:
        """Return how many messages to subscribers were made after `since`, those that the budget holds aside."""
        rows = select(func.count()).select_from(Delivery).where(col(Delivery.created_at) > since)
        return self._session.exec(rows.where(Delivery.subscriber != "", Delivery.state != "held")).one()

    def is_holding(self) -> bool:
        """Whether the budget holds any message."""
        query = select(Delivery.id).where(Delivery.state == "held", Delivery.code == OVER_BUDGET).limit(1)
        return self._session.exec(query).first() is not None

    def topics_between(self, since: datetime, until: datetime) -> Counter[str]:
        """Return how many messages made between the two times are about each topic."""
        made = select(Delivery.topics).where(
            col(Delivery.created_at) > since, col(Delivery.created_at) < until, Delivery.subscriber != ""
        )
        return Counter(topic for topics in self._session.exec(made) for topic in topics)

    def is_known(self, key: str) -> bool:
        """Whether a message of that key is in the outbox."""
        return self._session.exec(select(Delivery.id).where(Delivery.key == key)).first() is not None

    def add_message(self, message: Delivery, story_ids: Collection[int] = ()) -> bool:
        """Put a message into the outbox; False when its key is there already."""
        return outbox.add(self._session, message, story_ids)
