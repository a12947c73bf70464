"""The outbox: messages that must go out, claimed with leases (the state machine stands in `models.Delivery`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import Session, col, func, select

from monitor.models import Delivery, DeliveryStory

Transaction = Callable[[], AbstractContextManager[Session]]


class Outbox:
    """Claims, finishes and lists deliveries. A claim is held by its fence number: a later claim makes it void."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def add(self, delivery: Delivery, story_ids: Collection[int] = ()) -> bool:
        """Put a message into the outbox; False when its key is there already."""
        with self._write() as session:
            return add(session, delivery, story_ids)

    def claim(self, now: datetime, lease: float, limit: int, busy: Collection[str] = ()) -> list[Delivery]:
        """Claim up to `limit` due messages for `lease` seconds; not for `busy` channels ("subscriber/channel").

        What has expired is given up instead, with its reason.
        """
        with self._write() as session:
            session.exec(
                update(Delivery)
                .where(col(Delivery.state) == "pending", col(Delivery.expires_at) <= now)
                .values(state="dead", finished_at=now, code="expired", detail="not delivered in time: given up")
            )
            due = session.exec(
                select(Delivery)
                .where(col(Delivery.state) == "pending", col(Delivery.next_attempt_at) <= now)
                .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
                .limit(limit * 10)
                .with_for_update(skip_locked=True)
            ).all()
            claimed: list[Delivery] = []
            lanes = set(busy)
            for delivery in due:
                # One message of a channel at a time: a hung server then holds one thread, and order is kept.
                lane = f"{delivery.subscriber}/{delivery.channel}"
                if lane in lanes or len(claimed) == limit:
                    continue
                lanes.add(lane)
                delivery.state = "sending"
                delivery.fence += 1
                delivery.attempts += 1
                delivery.lease_until = now + timedelta(seconds=lease)
                delivery.wire_at = None
                claimed.append(delivery)
            return claimed

    def mark_wire(self, delivery_id: int, fence: int, now: datetime) -> bool:
        """Record that the message's bytes are about to go out; False: the claim is void and nothing may be sent."""
        with self._write() as session:
            return _held(session, delivery_id, fence, wire_at=now)

    def finish(self, delivery_id: int, fence: int, now: datetime, code: str, detail: str, receipt: str) -> bool:
        """Record that the message was taken."""
        with self._write() as session:
            return _held(
                session,
                delivery_id,
                fence,
                state="sent",
                finished_at=now,
                lease_until=None,
                code=code,
                detail=detail,
                receipt=receipt,
            )

    def retry(self, delivery_id: int, fence: int, at: datetime, code: str, detail: str, maybe_sent: bool) -> bool:
        """Put the message back until `at`; `maybe_sent` marks that it may have gone out."""
        with self._write() as session:
            extra = {"maybe_dup": Delivery.maybe_dup + 1} if maybe_sent else {}
            return _held(
                session,
                delivery_id,
                fence,
                state="pending",
                next_attempt_at=at,
                lease_until=None,
                wire_at=None,
                code=code,
                detail=detail,
                **extra,
            )

    def give_up(self, delivery_id: int, fence: int, now: datetime, code: str, detail: str) -> bool:
        """Record that the message will never be delivered: a dead letter, to be seen and retried by a person."""
        with self._write() as session:
            return _held(
                session,
                delivery_id,
                fence,
                state="dead",
                finished_at=now,
                lease_until=None,
                code=code,
                detail=detail,
            )

    def sweep(self, now: datetime, everything: bool = False) -> int:
        """Free the messages whose lease has ended (or all, when their holders are known to be gone); return how many.

        One that was on the wire may have been sent: it goes again under the same Message-ID, and is marked.
        """
        with self._write() as session:
            held = select(Delivery).where(col(Delivery.state) == "sending")
            if not everything:
                held = held.where(col(Delivery.lease_until) <= now)
            rows = session.exec(held).all()
            for delivery in rows:
                delivery.state, delivery.lease_until, delivery.next_attempt_at = "pending", None, now
                if delivery.wire_at is not None:
                    delivery.maybe_dup += 1
                    delivery.wire_at = None
                    delivery.detail = "the program stopped while this was on the wire: it may arrive twice"
            return len(rows)

    def requeue(self, delivery_ids: Collection[int], now: datetime, expires_at: datetime) -> list[int]:
        """Make dead, cancelled or waiting messages due now, with fresh attempts; return the ids that were."""
        with self._write() as session:
            rows = session.exec(
                select(Delivery).where(
                    col(Delivery.id).in_(delivery_ids),
                    col(Delivery.state).in_(("dead", "cancelled", "pending")),
                )
            ).all()
            for delivery in rows:
                delivery.state, delivery.attempts, delivery.next_attempt_at = "pending", 0, now
                delivery.expires_at, delivery.finished_at = expires_at, None
            return [delivery.id for delivery in rows if delivery.id is not None]

    def cancel_for(self, subscriber: str, topic: str | None, now: datetime) -> int:
        """Cancel a subscriber's waiting messages: those about `topic` and nothing else, or all; return how many."""
        with self._write() as session:
            rows = session.exec(
                select(Delivery).where(Delivery.subscriber == subscriber, Delivery.state == "pending")
            ).all()
            wanted = [row for row in rows if topic is None or row.topics == [topic]]
            for row in wanted:
                row.state, row.finished_at = "cancelled", now
                row.detail = "turned off by the link in a mail"
            return len(wanted)

    def latest(self, states: Collection[str] = (), limit: int = 100) -> Sequence[Delivery]:
        """Return the latest messages, those of `states` if any are given."""
        with self._read() as session:
            query = select(Delivery).order_by(col(Delivery.id).desc()).limit(limit)
            if states:
                query = query.where(col(Delivery.state).in_(states))
            return session.exec(query).all()

    def get(self, key: str) -> Delivery | None:
        """Return a message by its key."""
        with self._read() as session:
            return session.exec(select(Delivery).where(Delivery.key == key)).first()

    def counts(self) -> dict[str, int]:
        """Return how many messages there are in each state."""
        with self._read() as session:
            rows = session.exec(select(Delivery.state, func.count()).group_by(col(Delivery.state)))
            return {state: count for state, count in rows}  # noqa: C416 - dict() of SQLAlchemy rows loses their types

    def unfinished(self, now: datetime) -> int:
        """Return how many messages are due or being sent."""
        with self._read() as session:
            return session.exec(
                select(func.count())
                .select_from(Delivery)
                .where(
                    (col(Delivery.state) == "sending")
                    | ((col(Delivery.state) == "pending") & (col(Delivery.next_attempt_at) <= now))
                )
            ).one()


def _held(session: Session, delivery_id: int, fence: int, **values: object) -> bool:
    result = session.execute(
        update(Delivery)
        .where(col(Delivery.id) == delivery_id, col(Delivery.fence) == fence, col(Delivery.state) == "sending")
        .values(**values)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]  # SQLAlchemy types execute() as the rowless Result


def add(session: Session, delivery: Delivery, story_ids: Collection[int]) -> bool:
    """Put a message into the outbox within a transaction; False when its key is there already."""
    if session.exec(select(Delivery.id).where(Delivery.key == delivery.key)).first() is not None:
        return False
    session.add(delivery)
    session.flush()
    assert delivery.id is not None
    session.add_all(DeliveryStory(delivery_id=delivery.id, story_id=s) for s in dict.fromkeys(story_ids))
    session.flush()
    return True
