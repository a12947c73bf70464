"""What WebSub hubs were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, or_, select

from monitor.hubs import DENIED_AGAIN, LEASE_CAP, PINGS_APART, PUSH_LATE, ask_delay, is_live
from monitor.models import FeedState, HubLease
from monitor.store.feeds import Transaction
from monitor.urls import host

LEAVING_TRIES = 3  # to tell a hub that its pushes are no longer wanted; after that they are refused, which tells it too
OF_A_HOST = 5  # asked at once
MISSING = 50  # guids of stories that were not pushed

_CURRENT = select(HubLease).where(
    col(HubLease.feed).in_(bindparam("feeds", expanding=True)), HubLease.state != "leaving"
)


class Hubs:
    """Reads and writes of `hub_lease`."""

    def __init__(self, read: Transaction, write: Transaction) -> None:
        self._read, self._write = read, write

    def all(self) -> list[HubLease]:
        """Return all that are not leaving."""
        with self._read() as session:
            return list(session.exec(select(HubLease).where(HubLease.state != "leaving")))

    def current(self, feeds: Collection[str]) -> dict[str, HubLease]:
        """Return of those `feeds` the one that is not leaving, where they have one."""
        with self._read() as session:
            return {row.feed: row for row in session.exec(_CURRENT, params={"feeds": list(feeds)})}

    def get(self, key: str) -> HubLease | None:
        """Return one by its key."""
        with self._read() as session:
            return session.get(HubLease, key)

    def replace(self, feed: str, lease: HubLease | None, now: datetime) -> None:
        """Let `lease`, or none, stand for what was asked of a feed's hub so far, which is told that it is over."""
        with self._write() as session:
            before = _current(session, feed)
            if before is not None and before.asked_at is None:
                session.delete(before)
            elif before is not None:
                before.state, before.next_at, before.tries = "leaving", now, 0
            if lease is not None:
                session.add(lease)

    def claim(self, now: datetime, limit: int) -> list[HubLease]:
        """Return those whose hub is to be asked now, the longest due first, and put the next time off as for a failure.

        One host's are a few, so that one that hangs holds the others up for a little only. Those that are leaving and
        that no hub answered are forgotten.
        """
        with self._write() as session:
            # One that is further ahead than any may be is due: the clock went back.
            due = or_(col(HubLease.next_at) <= now, col(HubLease.next_at) > now + LEASE_CAP)
            hosts: Counter[str] = Counter()
            found = []
            for row in session.exec(select(HubLease).where(due).order_by(col(HubLease.next_at))):
                name = host(row.hub)
                if hosts[name] < OF_A_HOST and hosts.total() < limit:
                    hosts[name] += 1
                    found.append(row)
            for row in found:
                if row.state == "leaving" and row.tries >= LEAVING_TRIES:
                    session.delete(row)
                    continue
                row.asked_at, row.tries = now, row.tries + 1
                row.next_at = now + ask_delay(row.tries)
                if row.state != "leaving" and not is_live(row, now):
                    row.state = "asked"
            return [row for row in found if row not in session.deleted]

    def failed(self, key: str, reason: str, next_at: datetime) -> None:
        """Record why a hub was not reached, and not before when it is asked again."""
        with self._write() as session:
            if (row := session.get(HubLease, key)) is not None:
                row.error, row.next_at = reason, max(row.next_at, next_at)

    def confirmed(self, key: str, until: datetime, renew_at: datetime, now: datetime) -> None:
        """Record that a hub pushes until then."""
        with self._write() as session:
            row = session.get(HubLease, key)
            if row is None or row.state == "leaving":
                return
            if row.state != "verified":
                row.verified_at, row.missing, row.missing_since = now, [], None
            row.state, row.lease_until, row.next_at, row.tries, row.error = "verified", until, renew_at, 0, ""

    def denied(self, key: str, reason: str, now: datetime) -> None:
        """Record that a hub does not push, or no longer; it is asked again after a week."""
        with self._write() as session:
            row = session.get(HubLease, key)
            if row is None or row.state == "leaving":
                return
            row.state, row.error, row.lease_until, row.verified_at = "denied", reason, None, None
            row.next_at = now + DENIED_AGAIN

    def remove(self, key: str) -> None:
        """Forget one."""
        with self._write() as session:
            if (row := session.get(HubLease, key)) is not None:
                session.delete(row)

    def pushed(self, key: str, guids: Collection[str], now: datetime) -> None:
        """Record a push of the stories `guids`, which are saved."""
        with self._write() as session:
            if (row := session.get(HubLease, key)) is not None:
                _sign_of_life(row, now)
                row.missing = [guid for guid in row.missing if guid not in guids]
                row.missing_since = row.missing_since if row.missing else None

    def pinged(self, key: str, now: datetime) -> None:
        """Have the feed of a hub that says there is news polled, at once or a minute after the last time.

        One that fails is left to its back-off.
        """
        with self._write() as session:
            row = session.get(HubLease, key)
            state = None if row is None else session.get(FeedState, row.feed)
            if row is None or state is None:
                return
            _sign_of_life(row, now)
            row.missing, row.missing_since = [], None
            last = row.pinged_at
            if last is not None and now < last <= now + PINGS_APART:
                return  # the poll for this is still to come
            row.pinged_at = now if last is None or last > now else max(now, last + PINGS_APART)
            # A poll that is under way may have asked too early: what is due by now is due anew, which tells it so.
            if not state.failures and (state.next_poll_at > row.pinged_at or state.next_poll_at <= now):
                state.next_poll_at = row.pinged_at

    def forged(self, key: str) -> None:
        """Count a push with a wrong signature."""
        with self._write() as session:
            if (row := session.get(HubLease, key)) is not None:
                row.forged += 1

    def missed(self, key: str, guids: Collection[str], now: datetime) -> None:
        """Record stories that a poll found and that were not pushed yet."""
        with self._write() as session:
            if (row := session.get(HubLease, key)) is not None and is_live(row, now):
                row.missing = list(dict.fromkeys((*row.missing, *guids)))[:MISSING]
                row.missing_since = row.missing_since or now

    def mark_broken(self, ask_again: datetime, now: datetime) -> list[HubLease]:
        """Mark, and return, those that still have not pushed what polls found `PUSH_LATE` ago."""
        with self._write() as session:
            late = select(HubLease).where(HubLease.state == "verified", col(HubLease.missing_since) <= now - PUSH_LATE)
            rows = list(session.exec(late))
            for row in rows:
                row.state, row.next_at = "broken", min(row.next_at, ask_again)
            return rows


def _current(session: Session, feed: str) -> HubLease | None:
    return session.exec(select(HubLease).where(HubLease.feed == feed, HubLease.state != "leaving")).first()


def _sign_of_life(row: HubLease, now: datetime) -> None:
    row.pushed_at = now
    if row.state == "broken" and is_live(row, now):
        row.state, row.missing, row.missing_since = "verified", [], None
