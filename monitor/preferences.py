"""What subscribers set by their signed links, laid over what the files say. Pure.

Here alone the two are put together: everything else takes the layered subscriber for the declared one. What stops
messages (topics turned off, a pause) is not laid over: it is asked for within the transactions that decide and send,
so that it holds at once for every process, and its decisions have reasons of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from pydantic import SecretStr

from monitor.config import AlertPolicy, Config, DigestSchedule, QuietHours, Subscriber, Subscription
from monitor.endpoints import addressed_to
from monitor.models import Preference, SignUp

Frequency = Literal["alert", "daily", "weekly", "off"]
FREQUENCIES: tuple[Frequency, ...] = ("alert", "daily", "weekly", "off")
KEYS = ("topic", "digest_at", "timezone", "quiet_hours", "language", "pause")  # in the order in which they are shown
DIGEST_AT = "07:00"  # of one for whom the files declare no digest
MAIL = "mail"  # the channel of those who signed up
ANY_TOPIC = "*"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a subscriber's own setting differs from the files: `files` and `chosen` as words of YAML."""

    key: str
    topic: str
    files: str
    chosen: str
    set_at: datetime
    by: str


def laid_over(
    declared: Config, chosen: Mapping[str, Sequence[Preference]], members: Iterable[SignUp], version: int
) -> Config:
    """Return `declared` with those who signed up among its subscribers, and with what each of them set.

    `version` is that of what is recorded; the fingerprint tells configurations of other versions apart.
    """
    everybody = {**signed_up(declared, members), **declared.subscribers}
    if everybody.keys() == declared.subscribers.keys() and not chosen.keys() & everybody.keys():
        return declared
    layered = {
        name: of_subscriber(one, chosen[name], offered(declared, one)) if name in chosen else one
        for name, one in everybody.items()
    }
    return replace(declared, subscribers=MappingProxyType(layered), fingerprint=f"{declared.fingerprint}+{version}")


def signed_up(declared: Config, members: Iterable[SignUp]) -> dict[str, Subscriber]:
    """Return those who signed up as subscribers with the defaults; none while `sign_up` is off.

    A topic that is public no more goes, and comes back with the word.
    """
    settings = declared.settings.sign_up
    if settings is None:
        return {}
    public = declared.public
    found = {}
    for row in members:
        topics = tuple(topic for topic in public if topic in row.topics)
        channels = {MAIL: SecretStr(addressed_to(settings.via.get_secret_value(), row.address))}
        made = Subscriber(
            name=row.name,
            title=row.address,
            timezone=declared.settings.timezone,
            language=row.language,
            channels=channels,
            digest=DigestSchedule(at=(settings.at,), via=(MAIL,)),
        )
        subscriptions = _subscriptions({row.often: topics} if topics else {}, AlertPolicy(via=(MAIL,)))
        found[row.name] = made.model_copy(update={"subscriptions": subscriptions})
    return found


def offered(config: Config, declared: Subscriber) -> tuple[str, ...]:
    """Return the topics that a subscriber may choose: those of the files, and where people sign up the public ones.

    A topic that the operators take away is gone, whatever was chosen for it.
    """
    own = [topic for one in declared.subscriptions for topic in one.topics]
    public = config.public if config.settings.sign_up is not None else ()
    return tuple(dict.fromkeys((*own, *public)))


def frequency(subscriber: Subscriber, topic: str) -> Frequency:
    """Return how often a subscriber is told of a topic; at once and in the digest besides is `alert`."""
    covering = [one for one in subscriber.subscriptions if topic in one.topics]
    if any(one.alert is not None for one in covering):
        return "alert"
    digests = [one.digest for one in covering if one.digest]
    return "off" if not digests else "weekly" if all(one == "weekly" for one in digests) else "daily"


def of_subscriber(declared: Subscriber, chosen: Sequence[Preference], topics: Collection[str]) -> Subscriber:
    """Return a subscriber with what it set; `topics` are those it may choose."""
    if not chosen:
        return declared
    update: dict[str, Any] = {row.key: row.setting for row in chosen if row.key in ("timezone", "language")}
    given = {row.key: row.setting for row in chosen if not row.topic}
    if "quiet_hours" in given:
        update["quiet_hours"] = _quiet(declared.quiet_hours, given["quiet_hours"])
    moved: dict[str, tuple[str, ...]] = {}
    for row in chosen:
        wanted = row.key == "topic" and row.topic in topics and row.setting in ("alert", "daily", "weekly")
        if wanted and row.setting != frequency(declared, row.topic):
            moved[row.setting] = (*moved.get(row.setting, ()), row.topic)
    if moved:
        gone = {topic for some in moved.values() for topic in some}
        kept = (_without(one, gone) for one in declared.subscriptions)
        update["subscriptions"] = (
            *(one for one in kept if one.topics),
            *_subscriptions(moved, _policy(declared)),
        )
    subscriptions: Sequence[Subscription] = update.get("subscriptions", declared.subscriptions)
    if moved or "digest_at" in given:
        update["digest"] = _schedule(declared, subscriptions, given.get("digest_at", ""))
    return declared.model_copy(update=update)


def differences(declared: Subscriber, chosen: Sequence[Preference], topics: Collection[str]) -> tuple[Difference, ...]:
    """Return where what a subscriber set differs from what the files say."""
    found = []
    for row in sorted(chosen, key=lambda row: KEYS.index(row.key) if row.key in KEYS else len(KEYS)):
        if row.key not in KEYS or (row.key == "topic" and row.topic not in (*topics, ANY_TOPIC)):
            continue
        files = _in_files(declared, row)
        until = f" until {row.until:%Y-%m-%d %H:%M} UTC" if row.until else ""
        if files != row.setting:
            found.append(Difference(row.key, row.topic, files, row.setting + until, row.set_at, row.by))
    return tuple(found)


def _in_files(declared: Subscriber, row: Preference) -> str:
    if row.key == "topic":
        return "as subscribed" if row.topic == ANY_TOPIC else frequency(declared, row.topic)
    if row.key == "quiet_hours":
        return written(declared.quiet_hours)
    if row.key == "digest_at":
        return ", ".join(declared.digest.at) if declared.digest is not None else "none"
    return "none" if row.key == "pause" else str(getattr(declared, row.key))


def written(quiet: QuietHours | None) -> str:
    """Return quiet hours as they are recorded: 22:00-07:00, or off."""
    return "off" if quiet is None else f"{quiet.start}-{quiet.end}"


def _quiet(declared: QuietHours | None, setting: str) -> QuietHours | None:
    """Return the quiet hours that were set: every day, and let through is what the operators let through."""
    start, _, end = setting.partition("-")
    if not end:
        return None
    let_through = declared.except_severity if declared is not None else None
    return QuietHours(start=start, end=end, except_severity=let_through)


def _without(subscription: Subscription, gone: Collection[str]) -> Subscription:
    topics = tuple(topic for topic in subscription.topics if topic not in gone)
    return subscription.model_copy(update={"topics": topics})


def _subscriptions(moved: Mapping[str, Sequence[str]], policy: AlertPolicy) -> tuple[Subscription, ...]:
    """Return a subscription for the topics of each frequency; `policy` is that of those at once."""
    return tuple(
        Subscription(topics=tuple(topics), alert=policy)
        if often == "alert"
        else Subscription(topics=tuple(topics), digest="weekly" if often == "weekly" else True)
        for often, topics in moved.items()
    )


def _policy(declared: Subscriber) -> AlertPolicy:
    """Return how alerts go out for which the files say nothing: as others of the subscriber's do."""
    policies = [one.alert for one in declared.subscriptions if one.alert is not None]
    return policies[0] if policies else AlertPolicy(via=tuple(declared.channels))


def _schedule(declared: Subscriber, subscriptions: Sequence[Subscription], at: str) -> DigestSchedule | None:
    """Return when digests go out: with topics once a week alone, on the week's first day of the schedule."""
    digests = {one.digest for one in subscriptions if one.digest}
    schedule = declared.digest
    if schedule is None:
        if not digests:
            return None
        schedule = DigestSchedule(at=(DIGEST_AT,), via=tuple(declared.channels))
    update: dict[str, Any] = {"at": (at,)} if at else {}
    if digests == {"weekly"}:
        update["days"] = frozenset({min(schedule.days)})
    return schedule.model_copy(update=update)
