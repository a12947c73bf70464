"""What is known of the servers and addresses that messages go to: who is down, who refuses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlmodel import Session, col, literal_column, select

from monitor.endpoints import SUSPEND_AFTER, Pace, probe_delay
from monitor.models import Delivery, Endpoint, Recipient

Transaction = Callable[[], AbstractContextManager[Session]]
# Written out, for SQLite uses a partial index only where the statement itself says what the index is limited to.
PENDING = col(Delivery.state) == literal_column("'pending'")
HELD = col(Delivery.state) == literal_column("'held'")
LONGEST_REST = timedelta(days=1)  # what a server is obeyed for at most
SUSPENDED = "suspended"  # the code of messages that are held because their recipient is


class Endpoints:
    """Reads and writes of endpoints (servers, webhooks, chats) and recipients (addresses)."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def failing(self, now: datetime) -> Sequence[Endpoint]:
        """Return the endpoints whose last attempt found nobody there, or that asked for rest."""
        with self._read() as session:
            return session.exec(
                select(Endpoint)
                .where((col(Endpoint.failures) > 0) | (col(Endpoint.open_until) > now))
                .order_by(col(Endpoint.key))
            ).all()

    def failed(self, key: str, now: datetime, error: str, *, down: bool, rest: float | None = None) -> Endpoint:
        """Record an attempt that an endpoint did not take, and return how it is now.

        `down`: it took nothing as a whole. `rest`: it asked to be left alone for so many seconds.
        """
        with self._write() as session:
            row = session.get(Endpoint, key, with_for_update=True) or Endpoint(key=key)
            if down:
                row.failures += 1
                row.failing_since = row.failing_since or now
                row.back_at = None
                row.error = error
            wait = max(probe_delay(row.failures), rest or 0.0)
            if wait:
                row.open_until = max(now + timedelta(seconds=wait), row.open_until or now)
            session.add(row)
            return row

    def answered(self, key: str, now: datetime) -> None:
        """Record that an endpoint is there."""
        with self._write() as session:
            answered(session, key, now)

    def told_or_failing(self) -> Sequence[Endpoint]:
        """Return the endpoints whose last attempt found nobody there, or that the operators believe to be down."""
        with self._read() as session:
            noted = (col(Endpoint.failures) > 0) | col(Endpoint.told_at).is_not(None)
            return session.exec(select(Endpoint).where(noted).order_by(col(Endpoint.key))).all()

    def tell(self, keys: Collection[str], told_at: datetime | None, notices: Collection[Delivery]) -> bool:
        """Put the `notices` to the operators into the outbox, that endpoints are down (since `told_at` they know it) or
        back (None). False: they have heard of one of them meanwhile, and nothing is done."""
        with self._write() as session:
            rows = session.exec(select(Endpoint).where(col(Endpoint.key).in_(keys)).with_for_update()).all()
            if any((row.told_at is None) == (told_at is None) for row in rows):
                return False
            for row in rows:
                row.told_at = told_at
            session.add_all(notices)
            return True

    def keep(self, keys: Collection[str]) -> None:
        """Forget the endpoints but `keys`: no channel leads to the others any more."""
        with self._write() as session:
            for row in session.exec(select(Endpoint)).all():
                if row.key not in keys:
                    session.delete(row)

    def refused(self, delivery: Delivery, now: datetime, error: str) -> bool:
        """Record that a recipient refused a message for good; True: once too often, and it is suspended now."""
        with self._write() as session:
            row = session.get(Recipient, delivery.recipient, with_for_update=True) or Recipient(
                key=delivery.recipient, subscriber=delivery.subscriber, channel=delivery.channel
            )
            row.refusals += 1
            row.error = error
            if row.refusals >= SUSPEND_AFTER and row.suspended_at is None:
                row.suspended_at = now
            session.add(row)
            return row.suspended_at == now

    def suspended(self) -> dict[str, Recipient]:
        """Return the recipients that nothing is sent to, by their key."""
        with self._read() as session:
            rows = session.exec(select(Recipient).where(col(Recipient.suspended_at).is_not(None)))
            return {row.key: row for row in rows}

    def resume(self, key: str, now: datetime) -> Recipient | None:
        """Write to a suspended recipient again, and return how it was; None where it is none."""
        with self._write() as session:
            row = session.get(Recipient, key, with_for_update=True)
            if row is None or row.suspended_at is None:
                return None
            lift(session, [key], now)
            return row


def answered(session: Session, key: str, now: datetime) -> None:
    """Record that an endpoint is there: it counts as up, and what waited for it is tried again now."""
    up = update(Endpoint).where(col(Endpoint.key) == key, col(Endpoint.failures) > 0)
    result = session.execute(up.values(failures=0, failing_since=None, open_until=None, error="", back_at=now))
    if result.rowcount:  # type: ignore[attr-defined]  # SQLAlchemy types execute() as the rowless Result
        hurry = update(Delivery).where(
            PENDING, col(Delivery.endpoint) == key, col(Delivery.attempts) > 0, col(Delivery.next_attempt_at) > now
        )
        session.execute(hurry.values(next_attempt_at=now))


def lift(session: Session, recipients: Sequence[str], now: datetime) -> None:
    """Write to suspended recipients again, with what was held for them and is not late yet."""
    session.execute(delete(Recipient).where(col(Recipient.key).in_(recipients)))
    held = update(Delivery).where(HELD, col(Delivery.code) == SUSPENDED, col(Delivery.recipient).in_(recipients))
    session.execute(held.values(state="pending", next_attempt_at=now, finished_at=None, code="", detail=""))


def admits(row: Endpoint | None, pace: Pace, in_flight: int, now: datetime) -> bool:
    """Whether an endpoint may get one more message now. One that failed last gets them one by one.

    A time that lies further ahead than its own rule allows is one of a clock that went back.
    """
    failures = row.failures if row is not None else 0
    if in_flight >= (1 if failures else pace.at_once):
        return False
    if row is None:
        return True
    early = timedelta(seconds=(pace.burst - 1) * pace.gap)
    if row.ready_at is not None and timedelta(0) < row.ready_at - early - now <= timedelta(seconds=pace.gap):
        return False
    return row.open_until is None or not timedelta(0) < row.open_until - now <= LONGEST_REST


def spend(session: Session, row: Endpoint | None, key: str, pace: Pace, now: datetime) -> Endpoint | None:
    """Take one message's room out of an endpoint's pace, if it has one (the generic cell rate algorithm)."""
    if not pace.gap:
        return row
    row = row or Endpoint(key=key)
    longest = timedelta(seconds=pace.gap * pace.burst)
    ready = row.ready_at if row.ready_at is not None and row.ready_at - now <= longest else now
    row.ready_at = max(ready, now) + timedelta(seconds=pace.gap)
    session.add(row)
    return row
