"""What must be acknowledged, who did, and where it goes when nobody does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from sqlmodel import Session, col, select

from monitor.models import Delivery, DeliveryStory, Escalation
from monitor.store import outbox

Transaction = Callable[[], AbstractContextManager[Session]]


class Escalations:
    """Reads and writes of what must be acknowledged. It begins with the alert, in the outbox's `add`."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def get(self, incident: str) -> tuple[Escalation, Delivery] | None:
        """Return what is recorded of an incident, with the alert that it began with."""
        with self._read() as session:
            return session.exec(
                select(Escalation, Delivery)
                .join(Delivery, col(Delivery.id) == col(Escalation.delivery_id))
                .where(Escalation.incident == incident)
            ).first()

    def of(self, incidents: Sequence[str]) -> dict[str, Escalation]:
        """Return what is recorded of several incidents, by their names."""
        with self._read() as session:
            rows = session.exec(select(Escalation).where(col(Escalation.incident).in_(incidents)))
            return {row.incident: row for row in rows}

    def due(self, now: datetime) -> list[tuple[Escalation, Delivery, tuple[str, ...]]]:
        """Return what is due to go on, with its alert and the subscribers who were alerted; none whom it was turned
        off for. Nobody left: none."""
        found = []
        with self._read() as session:
            for row in session.exec(select(Escalation).where(col(Escalation.due_at) <= now)).all():
                alerts = session.exec(
                    select(Delivery)
                    .where(Delivery.incident == row.incident, Delivery.kind == "alert", Delivery.state != "cancelled")
                    .order_by(col(Delivery.id))
                ).all()
                alert = alerts[0] if alerts else session.get_one(Delivery, row.delivery_id)
                found.append((row, alert, tuple(dict.fromkeys(one.subscriber for one in alerts))))
        return found

    def go_on(self, incident: str, step: int, following: datetime | None, message: Delivery | None) -> bool:
        """Put the `message` of a step into the outbox and plan the next one; False when that was done or the incident
        acknowledged meanwhile. Without a message there is nobody to tell."""
        with self._write() as session:
            row = session.get(Escalation, incident, with_for_update=True)
            if row is None or row.step != step or row.due_at is None or row.acknowledged_at is not None:
                return False
            row.step, row.due_at = step + 1, following
            if message is not None:
                stories = select(DeliveryStory.story_id).where(DeliveryStory.delivery_id == row.delivery_id)
                outbox.add(session, message, session.exec(stories).all())
            return True

    def acknowledge(self, incident: str, by: str, now: datetime) -> Escalation | None:
        """Record that somebody has taken note; the first one counts. Messages that have not gone on yet are cancelled.
        None: there is nothing of that name."""
        with self._write() as session:
            row = session.get(Escalation, incident, with_for_update=True)
            if row is None or row.acknowledged_at is not None:
                return row
            row.acknowledged_at, row.acknowledged_by, row.due_at = now, by, None
            waiting = select(Delivery).where(
                Delivery.incident == incident, Delivery.kind == "escalation", Delivery.state == "pending"
            )
            for message in session.exec(waiting).all():
                message.state, message.finished_at = "cancelled", now
                message.detail = f"acknowledged by {by}"
            return row
