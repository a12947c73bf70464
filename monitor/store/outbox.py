"""The outbox: messages that must go out, claimed with leases (the state machine stands in `models.Delivery`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

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

    def expire(self, now: datetime) -> list[Delivery]:
        """Give up the messages whose time is over, with their reason; return them."""
        with self._write() as session:
            late = session.exec(
                select(Delivery).where(col(Delivery.state) == "pending", col(Delivery.expires_at) <= now)
            ).all()
            for delivery in late:
                delivery.state, delivery.finished_at = "dead", now
                delivery.code, delivery.detail = "expired", "not delivered in time: given up"
            return list(late)

    def claim(self, now: datetime, lease: float, limit: int, busy: Collection[str] = ()) -> list[Delivery]:
        """Claim up to `limit` due messages for `lease` seconds, one of a channel; of `busy` ones ("subscriber/channel")
        none. A hung server then holds one thread, order is kept, and no backlog keeps others waiting.

        A message made later than `now` is due: the clock went back.
        """
        lane = col(Delivery.subscriber) + "/" + col(Delivery.channel)
        place = func.row_number().over(partition_by=lane, order_by=(col(Delivery.next_attempt_at), col(Delivery.id)))
        due = (
            select(col(Delivery.id).label("id"), place.label("place"), col(Delivery.next_attempt_at).label("at"))
            .where(
                col(Delivery.state) == "pending",
                col(Delivery.expires_at) > now,
                (col(Delivery.next_attempt_at) <= now) | (col(Delivery.created_at) > now),
                lane.not_in(busy),
            )
            .subquery()
        )
        with self._write() as session:
            ids = session.exec(select(due.c.id).where(due.c.place == 1).order_by(due.c.at, due.c.id).limit(limit)).all()
            # PostgreSQL locks no rows of a window function, so they are chosen first and locked by name.
            claimed = session.exec(
                select(Delivery)
                .where(col(Delivery.id).in_(ids), col(Delivery.state) == "pending")
                .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
                .with_for_update(skip_locked=True)
            ).all()
            for delivery in claimed:
                delivery.state = "sending"
                delivery.fence += 1
                delivery.attempts += 1
                delivery.lease_until = now + timedelta(seconds=lease)
                delivery.wire_at = None
            return list(claimed)

    def mark_wire(self, delivery_id: int, fence: int, now: datetime) -> bool:
        """Record that the message's bytes are about to go out; False: the claim is void and nothing may be sent."""
        with self._write() as session:
            return _held(session, delivery_id, fence, wire_at=now)

    def finish(self, delivery_id: int, fence: int, now: datetime, code: str, detail: str, receipt: str) -> bool:
        """Record that the message was taken; also after its lease ended, as long as nobody has claimed it anew."""
        with self._write() as session:
            return _held(
                session,
                delivery_id,
                fence,
                ("sending", "pending"),
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
            extra: dict[str, Any] = {"maybe_dup": Delivery.maybe_dup + 1} if maybe_sent else {}
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

    def cancel(self, delivery_id: int, fence: int, now: datetime, detail: str) -> bool:
        """Record that the message is not wanted any more."""
        with self._write() as session:
            return _held(
                session, delivery_id, fence, state="cancelled", finished_at=now, lease_until=None, detail=detail
            )

    def sweep(self, now: datetime, everything: bool = False, busy: Collection[str] = ()) -> int:
        """Free the messages whose lease has ended (or all, when their holders are known to be gone); return how many.

        Those of `busy` channels ("subscriber/channel") are still being sent by the caller.

        One that was on the wire may have been sent: it goes again under the same Message-ID, and is marked.
        """
        with self._write() as session:
            held = select(Delivery).where(col(Delivery.state) == "sending")
            if not everything:
                held = held.where(col(Delivery.lease_until) <= now)
            rows = [row for row in session.exec(held) if f"{row.subscriber}/{row.channel}" not in busy]
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

    def next_due(self) -> datetime | None:
        """Return when the next message is to go; None: none waits."""
        with self._read() as session:
            return session.exec(select(func.min(Delivery.next_attempt_at)).where(Delivery.state == "pending")).one()

    def stories_of(self, delivery_id: int) -> list[int]:
        """Return the numbers of the stories that a message tells of."""
        with self._read() as session:
            told = select(DeliveryStory.story_id).where(DeliveryStory.delivery_id == delivery_id)
            return list(session.exec(told.order_by(col(DeliveryStory.story_id))))

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


def _held(
    session: Session, delivery_id: int, fence: int, states: Collection[str] = ("sending",), **values: Any
) -> bool:
    result = session.execute(
        update(Delivery)
        .where(col(Delivery.id) == delivery_id, col(Delivery.fence) == fence, col(Delivery.state).in_(states))
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
