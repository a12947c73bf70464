"""Signing up: one who asks by the page gets a mail, and is a subscriber once the link in it was confirmed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from monitor.app import App
from monitor.dispatch import Confirmation
from monitor.endpoints import addressed_to, addressees, recipient_of
from monitor.links import ALL_TOPICS
from monitor.models import SignUp
from monitor.pipeline.outgoing import delivery
from monitor.preferences import Frequency

AGAIN, A_DAY = timedelta(minutes=10), 3  # between two mails to an address that asks, and how many a day
# Stricter than RFC 5321 where nobody is: no quoted or commented parts, no address without a domain's dot.
_ADDRESS = re.compile(r"[\w.!#$'*/=?^`{|}~+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_][\w-]{0,61}[^\W_]")


def address_of(text: str) -> str:
    """Return a mail address as it is kept, or "" for what is none: the domain in small letters."""
    text = text.strip()
    if len(text) > 254 or not _ADDRESS.fullmatch(text) or ".." in text:
        return ""
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"


def ask(app: App, address: str, topics: Sequence[str], often: Frequency, language: str, now: datetime) -> bool:
    """Have a mail go to an address: with a link to confirm, or for one who is a subscriber with one to its settings.

    None goes to an address that refuses mail, or that got one a moment ago. Uses the database; whether one goes is not
    for whoever asked.
    """
    settings = app.config.settings.sign_up
    if settings is None or not settings.open:
        return False
    recipient = recipient_of(addressed_to(settings.via.get_secret_value(), address))
    known = _known(app, address, now)
    wanted = SignUp(
        name=f"reader-{secrets.token_hex(4)}",
        address=address.casefold(),
        topics=[topic for topic in app.config.public if topic in topics],
        often=often,
        language=language,
        asked_at=now,
    )
    row = app.store.preferences.ask(wanted, now, _may)
    if row is None or recipient in app.store.endpoints.suspended():
        return False
    value = Confirmation(known or row.name, address, language, is_known=bool(known))
    key = f"confirmation:{row.name}:{now.isoformat()}"
    return app.store.outbox.add(
        delivery(app, key, "confirmation", known or row.name, address, value, now, subject="Sign-up")
    )


def _may(row: SignUp, now: datetime) -> bool:
    if row.mailed_at is None:
        return True
    return now - row.mailed_at >= AGAIN and (row.mails < A_DAY or row.mailed_at.date() != now.date())


def _known(app: App, address: str, now: datetime) -> str:
    """Return the subscriber who gets mail at an address now, or ""."""
    off, wanted = app.store.slots.muted(now), address.casefold()
    for one in app.config.subscribers.values():
        if one.enabled and ALL_TOPICS not in off.get(one.name, frozenset()):
            urls = (channel.get_secret_value() for channel in one.channels.values())
            if any(wanted in addressees(url) for url in urls):
                return one.name
    return ""


def asked(app: App, name: str) -> SignUp | None:
    """Return who asked under a name, while people sign up and one of the topics is still public."""
    row = app.store.preferences.asked(name) if app.config.settings.sign_up is not None else None
    return row if row is not None and set(row.topics) & set(app.config.public) else None


def confirm(app: App, name: str, now: datetime, by: str) -> SignUp | None:
    """Make one who asked a subscriber from now on; None where there is none of that name. Harmless twice."""
    if asked(app, name) is None:
        return None
    row = app.db_wait(app.store.preferences.confirm, name, now, by)
    app.db_wait(app.take_up)
    return row
