"""Who is told, by the files and by signing up, and where what they set differs from the files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitor.app import App
from monitor.config import Subscriber
from monitor.errors import NotFoundError
from monitor.links import ALL_TOPICS
from monitor.models import Preference
from monitor.preferences import Difference, differences, offered, signed_up

OPERATOR = "an operator"


@dataclass(frozen=True, slots=True)
class Person:
    """A subscriber at a glance. `signed_up_at` is empty for one of the files; `left`: unsubscribed from everything."""

    name: str
    title: str
    enabled: bool
    signed_up_at: datetime | None
    left: bool
    paused_until: datetime | None
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class PersonView:
    """One subscriber, with the latest changes, the newest first."""

    person: Person
    subscriber: Subscriber
    history: tuple[Preference, ...]


def people(app: App, now: datetime) -> tuple[Person, ...]:
    """Return everybody: those of the files in their order, then those who signed up."""
    chosen, off, away = app.store.preferences.all(), app.store.slots.muted(now), app.store.policies.paused(now)
    rows = {row.name: row for row in app.store.preferences.members() if row.name not in app.declared.subscribers}
    others = signed_up(app.declared, rows.values())
    declared = {**app.declared.subscribers, **others}
    return tuple(
        Person(
            name,
            one.title,
            one.enabled,
            rows[name].confirmed_at if name in rows else None,
            ALL_TOPICS in off.get(name, frozenset()),
            away.get(name),
            differences(one, chosen.get(name, ()), offered(app.declared, one)),
        )
        for name, one in declared.items()
    )


def person_of(app: App, name: str, now: datetime) -> PersonView:
    """Return a subscriber. Raises NotFoundError."""
    found = next((one for one in people(app, now) if one.name == name), None)
    if found is None or name not in app.config.subscribers:
        raise NotFoundError(f"no subscriber `{name}` is declared, and nobody of that name signed up")
    return PersonView(found, app.config.subscribers[name], tuple(app.store.preferences.history(name)))


def clear(app: App, name: str, now: datetime) -> int:
    """Take back all that a subscriber set, so that it follows the files; return how many things.

    One who unsubscribed from everything stays so. Raises NotFoundError for one that there is not, or who set nothing.
    """
    person_of(app, name, now)
    if name in app.store.policies.paused(now):
        app.store.policies.resume(name, now)
    count = app.store.preferences.clear(name, now, OPERATOR)
    if not count:
        raise NotFoundError(f"`{name}` has set nothing that could be taken back")
    app.take_up()
    return count


def remove(app: App, name: str, now: datetime) -> None:
    """Remove one who signed up, with the address. Raises NotFoundError for one of the files, or that there is not."""
    if not app.store.preferences.remove(name, now, OPERATOR):
        told = "is declared in subscribers.yaml: remove it there" if name in app.declared.subscribers else "is nobody"
        raise NotFoundError(f"`{name}` {told}; `monitor subscribers` shows who signed up")
    app.take_up()
