"""What subscribers set by their signed links, with its history, and who signed up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import Session, col, func, select

from monitor.models import Delivery, Preference, SignUp

Transaction = Callable[[], AbstractContextManager[Session]]
EVERYTHING = "*"  # the `topic` of what is about all of a subscriber's
TOPIC, PAUSE, JOINED = "topic", "pause", "joined"  # keys that are no setting of the subscriber itself
PENDING = timedelta(days=2)  # how long one who asked has to confirm it
UNDO = timedelta(days=7)  # how long an unsubscribing can be undone


@dataclass(frozen=True, slots=True)
class Setting:
    """What is set about a thing: see models.Preference."""

    key: str
    setting: str
    topic: str = ""
    until: datetime | None = None


class Preferences:
    """Reads and writes of preferences and sign-ups."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def set(self, subscriber: str, wanted: Iterable[Setting], now: datetime, by: str) -> int:
        """Record what a subscriber set, each in place of what was set about the same thing; return how many changed."""
        with self._write() as session:
            return sum(put(session, subscriber, one, now, by) for one in wanted)

    def turn_off(self, subscriber: str, topic: str, now: datetime, until: datetime | None = None, by: str = "") -> bool:
        """Turn a topic off, or all (`*`), `until` a time if there is one. False: it was."""
        return bool(self.set(subscriber, [_topic(topic, "off", until)], now, by))

    def turn_on(self, subscriber: str, topic: str, now: datetime, by: str = "") -> bool:
        """Take that back, so that all is as it was before. False: there was nothing to take back."""
        with self._write() as session:
            row = current(session, subscriber, TOPIC, topic)
            if row is None or row.setting != "off":
                return False
            earlier = select(Preference).where(
                Preference.subscriber == subscriber,
                Preference.key == TOPIC,
                Preference.topic == topic,
                Preference.setting != "off",
            )
            before = session.exec(earlier.order_by(col(Preference.id).desc()).limit(1)).first()
            return put(session, subscriber, _topic(topic, before.setting if before is not None else ""), now, by)

    def clear(self, subscriber: str, now: datetime, by: str) -> int:
        """Take back all that a subscriber set, but not that it unsubscribed from everything; return how many things."""
        with self._write() as session:
            rows = [row for row in _current(session, subscriber) if not _unsubscribed(row) and row.key != JOINED]
            for row in rows:
                put(session, subscriber, Setting(row.key, "", row.topic), now, by)
            return len(rows)

    def of(self, subscriber: str) -> Sequence[Preference]:
        """Return what a subscriber has set now."""
        with self._read() as session:
            return _current(session, subscriber)

    def all(self) -> Mapping[str, Sequence[Preference]]:
        """Return what each subscriber has set now."""
        with self._read() as session:
            return every(session)

    def history(self, subscriber: str, limit: int = 50) -> Sequence[Preference]:
        """Return the latest changes of a subscriber, the newest first."""
        with self._read() as session:
            query = select(Preference).where(Preference.subscriber == subscriber)
            return session.exec(query.order_by(col(Preference.id).desc()).limit(limit)).all()

    def version(self) -> int:
        """Return a number that grows with every change."""
        with self._read() as session:
            return session.exec(select(func.max(Preference.id))).one() or 0

    def members(self) -> Sequence[SignUp]:
        """Return those who signed up and confirmed it, the earliest first."""
        with self._read() as session:
            confirmed = select(SignUp).where(col(SignUp.confirmed_at).is_not(None))
            return session.exec(confirmed.order_by(col(SignUp.confirmed_at), col(SignUp.name))).all()

    def ask(self, wanted: SignUp, now: datetime, may: Callable[[SignUp, datetime], bool]) -> SignUp | None:
        """Record that somebody asked for `wanted` by the page; return the row if a mail is to be sent to its address.

        What one who is confirmed has stays as it is. `may` says by the row before whether its address may get another
        mail now.
        """
        with self._write() as session:
            row = session.exec(select(SignUp).where(SignUp.address == wanted.address)).first() or wanted
            if not may(row, now):
                return None
            if row.confirmed_at is None:
                row.topics, row.often, row.language = wanted.topics, wanted.often, wanted.language
            row.mails = row.mails + 1 if row.mailed_at and row.mailed_at.date() == now.date() else 1
            row.asked_at = row.mailed_at = now
            session.add(row)
            return row

    def asked(self, name: str) -> SignUp | None:
        """Return who asked under a name, confirmed or not."""
        with self._read() as session:
            return session.get(SignUp, name)

    def confirm(self, name: str, now: datetime, by: str) -> SignUp | None:
        """Make one who asked a subscriber, or one again; None: nobody asked under that name. Harmless twice."""
        with self._write() as session:
            row = session.get(SignUp, name)
            if row is None:
                return None
            if row.confirmed_at is None:
                row.confirmed_at = now
                put(session, name, Setting(JOINED, "confirmed"), now, by)
            off = current(session, name, TOPIC, EVERYTHING)
            if off is not None and off.setting == "off":
                put(session, name, _topic(EVERYTHING, ""), now, by)
            return row

    def remove(self, name: str, now: datetime, by: str) -> bool:
        """Remove one who signed up, with the address, and cancel what waits. False: there is none of that name."""
        with self._write() as session:
            return _remove(session, name, now, by)

    def prune(self, now: datetime) -> int:
        """Remove those who asked and never confirmed, and those who left longer ago than it can be undone."""
        with self._write() as session:
            never = select(SignUp).where(col(SignUp.confirmed_at).is_(None), col(SignUp.asked_at) < now - PENDING)
            for row in session.exec(never).all():
                _forget_address(session, row.name)
                session.delete(row)
            left = select(Preference.subscriber).where(
                col(Preference.current).is_(True),
                Preference.key == TOPIC,
                Preference.topic == EVERYTHING,
                Preference.setting == "off",
                col(Preference.set_at) < now - UNDO,
            )
            gone = session.exec(select(SignUp.name).where(col(SignUp.name).in_(left))).all()
            return sum(_remove(session, name, now, "left, and it can be undone no more") for name in gone)


def put(session: Session, subscriber: str, wanted: Setting, now: datetime, by: str) -> bool:
    """Record one setting in place of the one before it; False where it is as it was."""
    before = current(session, subscriber, wanted.key, wanted.topic)
    was = ("", None) if before is None else (before.setting, before.until)
    if was == (wanted.setting, wanted.until):
        return False
    if before is not None:
        before.current = False
        session.flush()  # of two rows about a thing one is current, and new ones are written first
    session.add(
        Preference(
            subscriber=subscriber,
            key=wanted.key,
            topic=wanted.topic,
            setting=wanted.setting,
            until=wanted.until,
            set_at=now,
            by=by,
        )
    )
    session.flush()
    return True


def current(session: Session, subscriber: str, key: str, topic: str = "") -> Preference | None:
    """Return the latest that a subscriber set about a thing."""
    found = select(Preference).where(
        col(Preference.current).is_(True),
        Preference.subscriber == subscriber,
        Preference.key == key,
        Preference.topic == topic,
    )
    return session.exec(found).first()


def every(session: Session) -> dict[str, list[Preference]]:
    """Return what each subscriber has set now."""
    found: dict[str, list[Preference]] = {}
    for row in session.exec(select(Preference).where(col(Preference.current).is_(True)).order_by(col(Preference.id))):
        if row.setting:
            found.setdefault(row.subscriber, []).append(row)
    return found


def _current(session: Session, subscriber: str) -> list[Preference]:
    query = select(Preference).where(col(Preference.current).is_(True), Preference.subscriber == subscriber)
    return [row for row in session.exec(query.order_by(col(Preference.id))) if row.setting]


def _topic(topic: str, setting: str, until: datetime | None = None) -> Setting:
    return Setting(TOPIC, setting, topic, until)


def _unsubscribed(row: Preference) -> bool:
    return (row.key, row.topic, row.setting) == (TOPIC, EVERYTHING, "off")


def _forget_address(session: Session, name: str) -> None:
    """Take one's address, which is the channel of mails to confirm it, out of the record of messages."""
    session.execute(
        update(Delivery)
        .where(col(Delivery.subscriber) == name, col(Delivery.kind) == "confirmation")
        .values(channel="", payload={})
    )


def _remove(session: Session, name: str, now: datetime, by: str) -> bool:
    row = session.get(SignUp, name)
    if row is None:
        return False
    session.delete(row)
    _forget_address(session, name)
    session.execute(
        update(Preference).where(col(Preference.subscriber) == name, col(Preference.current).is_(True))
        .values(current=False)
    )  # fmt: skip
    session.add(Preference(subscriber=name, key=JOINED, setting="removed", set_at=now, by=by, current=False))
    session.execute(
        update(Delivery)
        .where(col(Delivery.subscriber) == name, col(Delivery.state).in_(("pending", "held")))
        .values(state="cancelled", finished_at=now, detail="the subscriber was removed")
    )
    return True
