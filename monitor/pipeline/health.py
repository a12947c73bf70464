"""Which feeds can be relied on, and what the operators are told of the others: of each change once, never by storms."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from monitor.app import App, feeds_to_poll
from monitor.dispatch import Notice
from monitor.models import FeedState, Outage
from monitor.pipeline.deliver import notify_operators
from monitor.pipeline.outgoing import notices
from monitor.store.feeds import Brief
from monitor.timing import Rhythm
from monitor.urls import host

log = logging.getLogger(__name__)

State = Literal["new", "healthy", "slow", "silent", "broken", "paused"]
BROKEN = 3  # failures in a row
SLOW = 5.0  # seconds that its answers take
GATHER = timedelta(minutes=15)  # between two messages; what changes meanwhile goes into the second
LINES = 50  # feeds that one message names
SUMMARY_HOUR = 8  # of the day, in the time zone of monitor.yaml
SETTLED = timedelta(hours=1)  # after an outage, until its feeds have been asked again and are summed up
RECENT = timedelta(days=1)  # in which a possible gap is news to the summary
HOSTS_OF_AN_OUTAGE = 3  # that began to fail since any server answered: then it is our own network


def verdict(state: FeedState | Brief | None) -> State:
    """Return how a feed is. One that failed once or twice is as it was before."""
    if state is None or state.polled_at is None:
        return "new"
    if state.gone_since is not None:
        return "paused"
    if state.failures >= BROKEN:
        return "broken"
    if state.succeeded_at is None:
        return "new"
    if state.silent_at is not None and state.silent_at <= state.succeeded_at:
        return "silent"
    return "slow" if state.took >= SLOW else "healthy"


def describe(state: FeedState) -> str:
    """Return what is wrong with a feed, since when, and what goes on; "" for one that can be relied on."""
    match verdict(state):
        case "broken":
            return (
                f"{state.error} (failed {state.failures} times since {_clock(state.failing_since)}; "
                f"asked again at {_clock(state.next_poll_at)})"
            )
        case "paused":
            return (
                f"its server says since {_clock(state.gone_since)} that it is gone for good (410); it is asked once a "
                "week in case it comes back. If it does not, take it out of feeds.yaml"
            )
        case "silent":
            usual = _duration(86400 / Rhythm.of(state.rhythm).per_day)
            return (
                f"its polls succeed, but it has brought nothing since {_clock(state.changed_at)}; it usually has a new "
                f"story about every {usual}. Look whether its publisher moved or stopped it"
            )
        case "slow":
            return f"its answers take {state.took:.1f} s"
    if state.failures:
        return f"{state.error} (failed {state.failures} times since {_clock(state.failing_since)})"
    return ""


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "ever"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds / 60, 1):.0f} minutes"


@dataclass(slots=True)
class Watch:
    """Looks at the feeds' health time and again; between two looks it remembers when it told of what.

    When our own network was down is on record: at a start within an outage, or after one, the feeds' failures are its.
    """

    told_at: datetime | None = None
    outage: Outage | None = None
    summary_of: str = ""

    def look(self, app: App) -> None:
        """Tell the operators what changed. Uses the database."""
        now, feeds = app.now(), feeds_to_poll(app.config)
        if self.outage is None:
            self.outage = app.store.feeds.outage()
        found = app.store.feeds.remarkable(SLOW, now - RECENT)
        states = {name: state for name, state in found.items() if name in feeds}
        answered, hosts = app.store.feeds.answered(), _hosts(feeds.values())
        since = offline(states.values(), hosts, answered)
        if since is not None:
            if self.outage is None or self.outage.over_at is not None:
                log.error("no server has answered since %s: our own network seems to be down", _clock(since))
                lines = (
                    f"No server has answered since {_clock(since)}, whatever its feed: the network of this machine, or "
                    "its name server, seems to be down.",
                    "Feeds are tried again as ever. What their documents still hold then is not lost.",
                )
                notify_operators(app, f"offline:{since.isoformat()}", Notice("No feed can be reached", lines), now)
                self._record(app, Outage(since=since))
            return
        if self.outage is not None and self.outage.over_at is None:
            self._online(app, self.outage.since, now)
        self._tell(app, states, hosts, answered, now)
        self._summarise(app, states, now)

    def _record(self, app: App, outage: Outage) -> None:
        app.store.feeds.set_outage(outage)
        self.outage = outage

    def _online(self, app: App, since: datetime, now: datetime) -> None:
        line = f"The first server since {_clock(since)} has answered. All feeds are asked anew now."
        notify_operators(app, f"online:{since.isoformat()}", Notice("Feeds can be reached again", (line,)), now)
        # Some have backed off for hours by now.
        app.store.feeds.hurry(since, now)
        self._record(app, Outage(since=since, over_at=now))

    def _tell(
        self, app: App, states: Mapping[str, FeedState], hosts: int, answered: datetime | None, now: datetime
    ) -> None:
        if self.told_at is not None and timedelta(0) <= now - self.told_at < GATHER:
            return
        changed = {name: state for name, state in states.items() if self._changed(state, hosts, answered)}
        if not changed:
            return
        told = {name: _to_tell(state) for name, state in changed.items()}
        notice = _notice(changed)
        app.store.feeds.tell(told, notices(app, f"feeds:{now.isoformat()}", notice, now))
        self.told_at = now
        log.warning("%s: %s", notice.title, ", ".join(changed))

    def _changed(self, state: FeedState, hosts: int, answered: datetime | None) -> bool:
        """Whether the operators are to hear of a feed: it is not as they were told, and that not by our own fault."""
        if _to_tell(state) == state.told or (state.told and not _to_tell(state) and state.failures):
            return False
        if state.failures and state.status is None and state.failing_since is not None:
            if hosts > 1 and (answered is None or answered <= state.failing_since):
                return False  # nobody has answered since: it may be us
            over_at = self.outage.over_at if self.outage is not None else None
            if over_at is not None and state.polled_at is not None and state.polled_at < over_at:
                return False
        return True

    def _summarise(self, app: App, states: Mapping[str, FeedState], now: datetime) -> None:
        """Once a day, where anything is not as it should be, say how all feeds are; `states` are of the others."""
        local = now.astimezone(ZoneInfo(app.config.settings.timezone))
        today = f"{local:%Y-%m-%d}"
        if local.hour < SUMMARY_HOUR or self.summary_of == today:
            return
        over_at = self.outage.over_at if self.outage is not None else None
        if over_at is not None and timedelta(0) <= now - over_at < SETTLED:
            return
        self.summary_of = today
        feeds = feeds_to_poll(app.config)
        bad = {name: state for name, state in sorted(states.items()) if _to_tell(state)}
        gaps = sorted(name for name, state in states.items() if state.gap_at and now - state.gap_at < RECENT)
        moved = {name: state.address for name, state in sorted(states.items()) if state.address}
        lines = [f"{name} is {verdict(state)}: {describe(state)}." for name, state in bad.items()]
        if gaps:
            lines.append(f"May have lost stories between two polls since yesterday: {', '.join(gaps[:LINES])}.")
        lines += [f"{name} has moved: write {address} in feeds.yaml." for name, address in moved.items()]
        broken = sorted(lease.feed for lease in app.store.hubs.all() if lease.state == "broken" and lease.feed in feeds)
        if broken:
            lines.append(f"Not pushed by their hubs, and polled instead: {', '.join(broken[:LINES])}.")
        if not lines:
            return
        counts = Counter(verdict(state) for state in states.values())
        counts["healthy"] += len(feeds.keys() - states.keys())
        title = f"Feeds today: {', '.join(f'{counts[state]} {state}' for state in _ORDER if counts[state])}"
        notify_operators(app, f"feeds-today:{today}", Notice(title, _few(lines)), now)


_ORDER: tuple[State, ...] = ("broken", "silent", "paused", "slow", "new", "healthy")


def _to_tell(state: FeedState) -> str:
    found = verdict(state)
    return found if found in ("broken", "silent", "paused") else ""


def _notice(changed: Mapping[str, FeedState]) -> Notice:
    """Return the message about feeds that are otherwise than the operators were told."""
    now = {name: _to_tell(state) or "back" for name, state in changed.items()}
    lines = [
        f"{name} is back: it {'answers' if state.told != 'silent' else 'brings stories'} again."
        if now[name] == "back"
        else f"{name} is {now[name]}: {describe(state)}."
        for name, state in sorted(changed.items(), key=lambda one: (now[one[0]] == "back", one[0]))
    ]
    if len(changed) == 1:
        title = f"Feed {next(iter(changed))} is {next(iter(now.values()))}"
    else:
        counts = Counter(now.values())
        said = ", ".join(
            f"{counts[state]} {state}" for state in ("broken", "silent", "paused", "back") if counts[state]
        )
        title = f"Feeds: {said}"
    return Notice(title, (*_few(lines), "All other feeds go on. `monitor feeds` shows them."))


def _few(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - LINES
    return (*lines[:LINES], f"And {more} more: `monitor feeds` shows all.") if more > 0 else tuple(lines)


def _hosts(addresses: Iterable[str]) -> int:
    """Return on how many hosts feeds are; more than `HOSTS_OF_AN_OUTAGE` are not counted."""
    found: set[str] = set()
    for address in addresses:
        found.add(host(address))
        if len(found) > HOSTS_OF_AN_OUTAGE:
            break
    return len(found)


def offline(states: Iterable[FeedState], hosts: int, answered: datetime | None) -> datetime | None:
    """Return since when our own network seems to be down; None when it does not.

    It does when several hosts' feeds (all, where there are but two) have begun to fail without any answer, and have
    failed again, since a server `answered` last. `hosts` is on how many the feeds are.
    """
    fell = [
        (state.failing_since, host(state.url))
        for state in states
        if state.failures >= 2
        and state.status is None
        and state.failing_since is not None
        and (answered is None or state.failing_since > answered)
    ]
    if hosts < 2 or len({name for _, name in fell}) < min(HOSTS_OF_AN_OUTAGE, hosts):
        return None
    return min(fell)[0]
