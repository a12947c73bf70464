"""The outbox: messages that must go out, claimed with leases (the state machine stands in `models.Delivery`)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, bindparam, case, update
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, func, literal_column, select, text

from monitor.endpoints import Pace, knows_repeats, pace_of
from monitor.models import Delivery, DeliveryStory, Endpoint, Escalation, Recipient, UTCDateTime
from monitor.store.endpoints import HELD, PENDING, SUSPENDED, admits, answered, lift, spend

_AGE = itemgetter(1, 0)
Transaction = Callable[[], AbstractContextManager[Session]]
SENDING = col(Delivery.state) == literal_column("'sending'")
UNKNOWN = "unknown"  # the code of messages that are held because they may have arrived
_CLAIMING = 5_0006  # the name of PostgreSQL's lock; any number that nobody else uses


def _endpoints_with_work() -> Select[tuple[str, datetime, Endpoint | None]]:
    """Return the query for all endpoints that messages wait for, the earliest time of one, and what is known of them.

    They are found one after the other in the index, whatever the number of messages that wait.
    """
    first = select(func.min(Delivery.endpoint).label("endpoint")).where(PENDING).cte("found", recursive=True)
    following = select(func.min(Delivery.endpoint)).where(PENDING, col(Delivery.endpoint) > first.c.endpoint)
    found = first.union_all(select(following.scalar_subquery()).where(first.c.endpoint.is_not(None)))
    earliest = select(func.min(Delivery.next_attempt_at)).where(PENDING, col(Delivery.endpoint) == found.c.endpoint)
    return (
        sa_select(found.c.endpoint, earliest.scalar_subquery(), Endpoint)
        .select_from(found)
        .outerjoin(Endpoint, col(Endpoint.key) == found.c.endpoint)
        .where(found.c.endpoint.is_not(None))
    )


_WITH_WORK = _endpoints_with_work()


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
                select(Delivery).where(
                    PENDING | (HELD & (col(Delivery.code) == SUSPENDED)), col(Delivery.expires_at) <= now
                )
            ).all()
            for delivery in late:
                before = f" ({delivery.detail})" if delivery.detail else ""
                delivery.state, delivery.finished_at = "dead", now
                delivery.code, delivery.detail = "expired", f"not delivered in time: given up{before}"
            return list(late)

    def claim(
        self,
        now: datetime,
        lease: float,
        limit: int,
        busy: Collection[str] = (),
        doubtful: int | None = None,
        owner: str = "",
        pace: Callable[[str], Pace] = pace_of,
    ) -> list[Delivery]:
        """Claim up to `limit` due messages for `lease` seconds, in the name of `owner`: the endpoints take turns, each
        within its `pace`.

        Of a channel one is being sent at a time, so that order is kept and no backlog keeps others waiting; of `busy`
        ones ("subscriber/channel") none is claimed. Endpoints that failed last have at most `doubtful` messages on
        their way together, so that hung servers never hold all senders.
        """
        with self._write() as session:
            if session.get_bind().dialect.name == "postgresql":
                # One claim at a time: what another process claims is counted. SQLite's transactions do so anyway.
                session.execute(text(f"SELECT pg_advisory_xact_lock({_CLAIMING})"))
            on_their_way = session.exec(
                select(Delivery.endpoint, Delivery.subscriber, Delivery.channel).where(SENDING)
            ).all()
            taken = {*busy, *(f"{subscriber}/{channel}" for _, subscriber, channel in on_their_way)}
            in_flight = Counter(endpoint for endpoint, _, _ in on_their_way)
            known = _with_work(session, now)
            turns = deque(known)
            failing = {key for key, row in known.items() if row is not None and row.failures}
            room = limit if doubtful is None else doubtful - sum(in_flight[key] for key in failing)
            claimed: list[Delivery] = []
            while turns and len(claimed) < limit:
                key = turns.popleft()
                allowed = pace(key)
                if not admits(known.get(key), allowed, in_flight[key], now) or (key in failing and room <= 0):
                    continue
                delivery = _next(session, key, taken, now)
                if delivery is None:
                    continue
                if fresh := spend(session, known.get(key), key, allowed, now):
                    known[key] = fresh
                room -= key in failing
                in_flight[key] += 1
                taken.add(f"{delivery.subscriber}/{delivery.channel}")
                turns.append(key)
                delivery.state, delivery.wire_at = "sending", None
                if not (delivery.attempts or delivery.maybe_dup):  # nobody can have it under another date
                    delivery.dated_at = now
                delivery.fence += 1
                delivery.attempts += 1
                delivery.lease_until, delivery.lease_owner = now + timedelta(seconds=lease), owner
                claimed.append(delivery)
            return claimed

    def next_turn(self, now: datetime) -> datetime | None:
        """Return when the first endpoint that has due messages and must wait for its pace is ready; None: none is."""
        with self._read() as session:
            rows = [row for row in _with_work(session, now).values() if row is not None and not row.failures]
            ready = [max(filter(None, (row.ready_at, row.open_until)), default=now) for row in rows]
            return min((at for at in ready if at > now), default=None)

    def mark_wire(self, delivery_id: int, fence: int, now: datetime, lease: float = 0.0) -> bool:
        """Record that the message's bytes are about to go out, and hold it for `lease` seconds from here; False: the
        claim is void and nothing may be sent."""
        with self._write() as session:
            longer: dict[str, Any] = {"lease_until": now + timedelta(seconds=lease)} if lease else {}
            return _held(session, delivery_id, fence, wire_at=now, **longer)

    def mark_part(self, delivery_id: int, fence: int, parts: int) -> bool:
        """Record that the first `parts` of a message that is sent in parts were taken, whatever has become of the
        claim; False: it is void, and no more may be sent."""
        with self._write() as session:
            went = update(Delivery).where(col(Delivery.id) == delivery_id, col(Delivery.parts) < parts)
            session.execute(went.values(parts=parts))
            held = select(Delivery.id).where(Delivery.id == delivery_id, Delivery.fence == fence, SENDING)
            return session.exec(held).first() is not None

    def finish(self, delivery_id: int, fence: int, now: datetime, code: str, detail: str, receipt: str) -> bool:
        """Record that the message was taken. False: somebody else has sent it since, or is sending it again; that it
        was taken twice is then on record.

        It counts whatever has become of the claim: a message that was swept, given up or claimed anew meanwhile is
        sent all the same, and who has claimed it finds the claim void before anything goes out.
        """
        with self._write() as session:
            row, endpoint, recipient = session.exec(
                select(Delivery, Endpoint, Recipient)
                .outerjoin(Endpoint, col(Endpoint.key) == col(Delivery.endpoint))
                .outerjoin(Recipient, col(Recipient.key) == col(Delivery.recipient))
                .where(col(Delivery.id) == delivery_id)
                .with_for_update(of=Delivery)
            ).one()
            if endpoint is not None and endpoint.failures:
                answered(session, row.endpoint, now)
            if recipient is not None:
                session.delete(recipient)  # its refusals were no rule
            if row.fence != fence and (row.state == "sent" or row.wire_at is not None):
                row.maybe_dup += 1
                row.detail = "taken twice: an answer came after its claim had ended"
                return False
            row.state, row.finished_at, row.lease_until = "sent", now, None
            row.code, row.detail, row.receipt = code, detail, receipt
            return True

    def retry(
        self,
        delivery_id: int,
        fence: int,
        at: datetime,
        code: str,
        detail: str,
        maybe_sent: bool,
        counts: bool = True,
    ) -> bool:
        """Put the message back until `at`, or until its time is over; `maybe_sent` marks that it may have gone out.

        A further attempt that does not count (nobody was there) leaves `attempts` as it was.
        """
        due = bindparam("due", at, UTCDateTime)
        with self._write() as session:
            extra: dict[str, Any] = {"maybe_dup": Delivery.maybe_dup + 1} if maybe_sent else {}
            if not counts:
                extra["attempts"] = case((col(Delivery.attempts) > 1, Delivery.attempts - 1), else_=1)
            return _held(
                session,
                delivery_id,
                fence,
                state="pending",
                next_attempt_at=case((col(Delivery.expires_at) < due, col(Delivery.expires_at)), else_=due),
                lease_until=None,
                wire_at=None,
                code=code,
                detail=detail,
                **extra,
            )

    def put_back(self, delivery_id: int, fence: int, at: datetime, expires_at: datetime) -> bool:
        """Put the message back until `at` without having tried it, to be given up at `expires_at`."""
        with self._write() as session:
            return _held(
                session,
                delivery_id,
                fence,
                state="pending",
                next_attempt_at=min(at, expires_at),
                expires_at=expires_at,
                lease_until=None,
                attempts=Delivery.attempts - 1,
            )

    def hold(self, delivery_id: int, fence: int, now: datetime, code: str, detail: str, maybe_sent: bool) -> bool:
        """Keep the message until a person retries or cancels it (or the cause named by `code` is gone).

        One that was not `maybe_sent` was not tried.
        """
        with self._write() as session:
            extra: dict[str, Any] = (
                {"maybe_dup": Delivery.maybe_dup + 1} if maybe_sent else {"attempts": Delivery.attempts - 1}
            )
            return _held(
                session,
                delivery_id,
                fence,
                state="held",
                finished_at=now,
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
                wire_at=None,
                code=code,
                detail=detail,
            )

    def cancel(self, delivery_id: int, fence: int, now: datetime, detail: str) -> bool:
        """Record that the message is not wanted any more."""
        with self._write() as session:
            return _held(
                session, delivery_id, fence, state="cancelled", finished_at=now, lease_until=None, detail=detail
            )

    def sweep(
        self, now: datetime, gone: str | None = None, busy: Collection[str] = (), hold_unknown: bool = False
    ) -> int:
        """Free the messages whose lease has ended, or whose owner is `gone`; return how many.

        Those of `busy` channels ("subscriber/channel") are still being sent by the caller.

        One that was on the wire may have been sent: it goes again under the same Message-ID, and is marked. With
        `hold_unknown` it is held instead where nobody could tell a repeat.
        """
        with self._write() as session:
            over = (
                select(Delivery)
                .where(SENDING, (col(Delivery.lease_until) <= now) | (col(Delivery.lease_owner) == gone))
                .with_for_update(skip_locked=True)
            )
            rows = [row for row in session.exec(over) if f"{row.subscriber}/{row.channel}" not in busy]
            for delivery in rows:
                delivery.state, delivery.lease_until, delivery.next_attempt_at = "pending", None, now
                if delivery.wire_at is not None:
                    delivery.maybe_dup += 1
                    delivery.wire_at = None
                    delivery.detail = "the program stopped while this was on the wire: it may arrive twice"
                    if hold_unknown and not knows_repeats(delivery.endpoint):
                        delivery.state, delivery.finished_at, delivery.code = "held", now, UNKNOWN
                        delivery.detail = "the program stopped while this was on the wire: it may have arrived"
            return len(rows)

    def renew(self, now: datetime, lease: float, owner: str, busy: Collection[str]) -> int:
        """Hold for `lease` seconds from here what `owner` is still sending, by its `busy` channels; return how many."""
        lane = col(Delivery.subscriber) + "/" + col(Delivery.channel)
        with self._write() as session:
            mine = update(Delivery).where(SENDING, col(Delivery.lease_owner) == owner, lane.in_(busy))
            return _count(session.execute(mine.values(lease_until=now + timedelta(seconds=lease))))

    def readdress(self, address: Callable[[str, str, str], tuple[str, str]], now: datetime) -> int:
        """Give the messages that are still to go the (endpoint, recipient) of their channel as it is declared now, and
        release those held for a recipient that is not theirs any more; return how many were changed.

        `address` is asked with kind, subscriber and channel.
        """
        unfinished = PENDING | HELD | SENDING
        lane = (col(Delivery.kind), col(Delivery.subscriber), col(Delivery.channel))
        changed = 0
        with self._write() as session:
            found = sa_select(*lane, col(Delivery.endpoint), col(Delivery.recipient)).where(unfinished).distinct()
            for kind, subscriber, channel, *before in session.execute(found).all():
                endpoint, recipient = address(kind, subscriber, channel)
                if [endpoint, recipient] == before:
                    continue
                same = [column == value for column, value in zip(lane, (kind, subscriber, channel), strict=True)]
                free = update(Delivery).where(HELD, col(Delivery.code) == SUSPENDED, *same)
                session.execute(free.values(state="pending", next_attempt_at=now, finished_at=None, code="", detail=""))
                moved = update(Delivery).where(unfinished, *same)
                changed += _count(session.execute(moved.values(endpoint=endpoint, recipient=recipient)))
        return changed

    def set_clock_back(self, now: datetime) -> int:
        """Make those messages due that were made later than `now`: the clock went back. Return how many."""
        with self._write() as session:
            ahead = update(Delivery).where(PENDING, col(Delivery.created_at) > now, col(Delivery.next_attempt_at) > now)
            return _count(session.execute(ahead.values(next_attempt_at=now)))

    def requeue(self, delivery_ids: Collection[int], now: datetime, expires_at: datetime) -> list[int]:
        """Make dead, held, cancelled or waiting messages due now, with fresh attempts; return the ids that were.

        Whoever asks for that knows better than the record: their recipients are no longer suspended, and their
        endpoints are tried at once.
        """
        with self._write() as session:
            rows = session.exec(
                select(Delivery)
                .where(
                    col(Delivery.id).in_(delivery_ids),
                    col(Delivery.state).in_(("dead", "held", "cancelled", "pending")),
                )
                .with_for_update()
            ).all()
            for delivery in rows:
                delivery.state, delivery.attempts, delivery.next_attempt_at = "pending", 0, now
                delivery.expires_at, delivery.finished_at = expires_at, None
            lift(session, [row.recipient for row in rows], now)
            ready = update(Endpoint).where(col(Endpoint.key).in_([row.endpoint for row in rows]))
            session.execute(ready.values(open_until=None))
            return [delivery.id for delivery in rows if delivery.id is not None]

    def cancel_by_hand(self, delivery_ids: Collection[int], now: datetime) -> list[int]:
        """Cancel waiting, held or dead messages; return the ids of those that were."""
        with self._write() as session:
            rows = session.exec(
                select(Delivery)
                .where(col(Delivery.id).in_(delivery_ids), col(Delivery.state).in_(("pending", "held", "dead")))
                .with_for_update()
            ).all()
            for row in rows:
                row.state, row.finished_at, row.detail = "cancelled", now, "cancelled by hand"
            return [row.id for row in rows if row.id is not None]

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

    def first_receipt(self, row: Delivery, event_key: str) -> str:
        """Return the receipt of the first alert about an event that went by a delivery's channel, "" when none did."""
        with self._read() as session:
            found = session.exec(
                select(Delivery.receipt)
                .where(
                    col(Delivery.subscriber) == row.subscriber,
                    col(Delivery.channel) == row.channel,
                    col(Delivery.kind) == "alert",
                    col(Delivery.state) == "sent",
                    col(Delivery.receipt) != "",
                    col(Delivery.payload)["story"]["event_key"].as_string() == event_key,
                )
                .order_by(col(Delivery.id))
                .limit(1)
            )
            return found.first() or ""


def _held(
    session: Session, delivery_id: int, fence: int, states: Collection[str] = ("sending",), **values: Any
) -> bool:
    result = session.execute(
        update(Delivery)
        .where(col(Delivery.id) == delivery_id, col(Delivery.fence) == fence, col(Delivery.state).in_(states))
        .values(**values)
    )
    return bool(_count(result))


def _count(result: Any) -> int:
    return int(result.rowcount)  # SQLAlchemy types execute() as the rowless Result


def _with_work(session: Session, now: datetime) -> dict[str, Endpoint | None]:
    """Return the endpoints that have messages due, with what is known of them, those that have waited longest first."""
    rows = session.execute(_WITH_WORK).all()
    return {key: known for key, at, known in sorted(rows, key=_AGE) if at <= now}


def _next(session: Session, endpoint: str, taken: Collection[str], now: datetime) -> Delivery | None:
    """Return the message of an endpoint that has been due longest, of those whose channel is not `taken`."""
    lane = col(Delivery.subscriber) + "/" + col(Delivery.channel)
    return session.exec(
        select(Delivery)
        .where(
            PENDING,
            col(Delivery.endpoint) == endpoint,
            col(Delivery.next_attempt_at) <= now,
            col(Delivery.expires_at) > now,
            lane.not_in(taken),
        )
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def add(session: Session, delivery: Delivery, story_ids: Collection[int]) -> bool:
    """Put a message into the outbox within a transaction; False when its key is there already."""
    if session.exec(select(Delivery.id).where(Delivery.key == delivery.key)).first() is not None:
        return False
    session.add(delivery)
    session.flush()
    assert delivery.id is not None
    session.add_all(DeliveryStory(delivery_id=delivery.id, story_id=s) for s in dict.fromkeys(story_ids))
    watch(session, delivery)
    session.flush()
    return True


def watch(session: Session, delivery: Delivery) -> None:
    """Have an alert acknowledged, or go on to others, if it is to be; of an incident the earliest alert counts."""
    if delivery.escalate_at is None:
        return
    known = session.get(Escalation, delivery.incident)
    if known is not None and known.step == 0 and known.due_at is not None:
        known.due_at = min(known.due_at, delivery.escalate_at)
    elif known is None:
        assert delivery.id is not None
        session.add(Escalation(incident=delivery.incident, delivery_id=delivery.id, due_at=delivery.escalate_at))
        session.flush()
