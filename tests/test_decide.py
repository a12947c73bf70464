"""The policy as a table: what stands in the files and on record, and what is decided of one story."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from monitor.config import Config
from monitor.dispatch import A_MESSAGE, TOLD, Change, Decided, Incident, Reason, Standing, Told, decide
from tests import make
from tests.conftest import PROJECT
from tests.make import NOW

TOPICS = """
topics:
  ships: {title: Ships, severity: low, any: [ship]}
  sanctions: {title: Sanctions, any: [sanction]}
  war: {title: War, severity: critical, any: [war]}
"""
HEAD = """
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1:2525?to=r@a.b", desk: "mailto://127.0.0.1:2525?to=d@a.b"}
"""
DIGEST = '    digest: {at: ["07:00"]}\n'
QUIET = '    quiet_hours: {from: "08:00", to: "12:00", except: critical}\n'  # NOW is nine o'clock


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


class Table:
    """Decides with one subscriber's text, the same incident and the same record but for what a test changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def config(self, subscriber: str, monitor: str = "") -> Config:
        self.number += 1
        files = {"topics": TOPICS, "monitor": make.MONITOR + monitor, "subscribers": HEAD + subscriber}
        return make.config(self.folder / str(self.number), **files)

    def __call__(
        self,
        subscriber: str,
        *,
        monitor: str = "",
        messages: Sequence[Told] = (),
        event: Sequence[Told] = (),
        standing: Mapping[str, Any] = MappingProxyType({}),
        now: datetime = NOW,
        **incident: Any,
    ) -> list[Decided]:
        seen = {"topics": ("sanctions",), "baseline": False, "claimed_at": None, "seen_at": now, **incident}
        record = Standing(messages={"ruth": messages}, event={"ruth": event}, **standing)
        config = self.config(subscriber, monitor)
        return list(decide(config, Incident("story", "event", **seen), record, now))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def one(alert: str, topics: str = "all", rest: str = "") -> str:
    return f"{rest}    subscriptions: [{{topics: {topics}, alert: {{{alert}}}}}]\n"


def reasons(decided: Sequence[Decided]) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(each.reason), each.topics) for each in decided]


ALERT = "via: [mail]"
DIGEST_ONLY = DIGEST + "    subscriptions: [{topics: all, digest: true}]\n"
LONG_AGO = NOW - timedelta(days=30)
DEAD = (Change("fact", "12", "3", "dead"),)
EVENT = Told(minutes(-30), ("sanctions",), ("mail",), "event")

ALONE = [
    # (the subscriber, what is otherwise, the reason)
    (one(ALERT), {}, "sent"),
    (one(ALERT, rest=QUIET), {}, "held"),
    (one(ALERT, rest=QUIET), {"topics": ("war",)}, "sent"),
    (one(ALERT, rest=QUIET), {"now": minutes(-61)}, "sent"),
    (one(ALERT + ", at_most: 2/h"), {"messages": [EVENT, replace(EVENT, key="b")]}, "limited"),
    (one(ALERT + ", at_most: 2/h"), {"messages": [EVENT, replace(EVENT, key="b", channels=("desk",))]}, "sent"),
    (one(ALERT + ", at_most: 2/h"), {"messages": [EVENT, replace(EVENT, key="b", at=minutes(-61))]}, "sent"),
    (one(ALERT + ", at_most: off"), {"messages": [replace(EVENT, key=str(n)) for n in range(99)]}, "sent"),
    (one(ALERT), {"messages": [replace(EVENT, key=str(n)) for n in range(20)]}, "limited"),
    (DIGEST_ONLY, {}, "digest"),
    (one(ALERT), {"baseline": True}, "baseline"),
    (one(ALERT), {"standing": {"muted": {"ruth": frozenset({"sanctions"})}}}, "muted"),
    (one(ALERT), {"standing": {"muted": {"ruth": frozenset({"*"})}}}, "muted"),
    (one(ALERT), {"standing": {"muted": {"omar": frozenset({"*"})}}}, "sent"),
    (one(ALERT), {"standing": {"paused": {"ruth": minutes(60)}}}, "paused"),
    (DIGEST_ONLY, {"standing": {"paused": {"ruth": minutes(60)}}}, "digest"),
    (one(ALERT), {"standing": {"silenced": {"sanctions": minutes(60)}}}, "silenced"),
    (one(ALERT), {"standing": {"silenced": {"war": minutes(60)}}}, "sent"),
    (one(ALERT), {"claimed_at": LONG_AGO}, "old"),
    (DIGEST_ONLY, {"claimed_at": LONG_AGO}, "digest"),
    (DIGEST_ONLY, {"claimed_at": LONG_AGO, "monitor": "old_stories: {then: drop}\n"}, "old"),
    (one(ALERT), {"claimed_at": LONG_AGO, "monitor": "old_stories: {then: alert}\n"}, "sent"),
    (one(ALERT), {"claimed_at": LONG_AGO, "monitor": "old_stories: {after: 60d}\n"}, "sent"),
    (one(ALERT), {"event": [EVENT]}, "already told"),
    (one(ALERT), {"event": [EVENT], "topics": ("war",)}, "already told"),
    (one(ALERT + ", each: story"), {"event": [EVENT]}, "sent"),
    (one(ALERT + ", each: story"), {"event": [replace(EVENT, this_story=True)]}, "already told"),
    (one("via: [mail, desk]"), {"event": [EVENT]}, "sent"),
    (one(ALERT + ", updates: material"), {"event": [EVENT]}, "already told"),
    (one(ALERT + ", updates: material"), {"event": [EVENT], "material": DEAD}, "sent"),
    (one(ALERT + ", updates: material"), {"event": [EVENT], "topics": ("war",)}, "sent"),
    (one(ALERT), {"event": [EVENT], "material": DEAD}, "already told"),
    (
        one(ALERT + ", updates: {sources: 3}"),
        {"event": [EVENT], "outlets": (minutes(-40), minutes(-9))},
        "already told",
    ),
    (one(ALERT + ", updates: {sources: 2}"), {"event": [EVENT], "outlets": (minutes(-9), NOW)}, "sent"),
    (one(ALERT), {"event": [replace(EVENT, waits=True, at=minutes(5))]}, "already told"),
    (one(ALERT), {"event": [replace(EVENT, waits=True, at=minutes(5))], "topics": ("war",)}, "gathered"),
    (one(ALERT + ", wait: 60s"), {}, "sent"),
    (one(ALERT + ", wait: 60s"), {"messages": [replace(EVENT, key="a", at=minutes(0.5), waits=True)]}, "gathered"),
    (one(ALERT), {"messages": [replace(EVENT, key="a", at=minutes(0.5), waits=True)]}, "sent"),
    (one(ALERT + ", wait: 60s"), {"messages": [replace(EVENT, key="a", at=minutes(2), waits=True)]}, "sent"),
    (one(ALERT + ", wait: 60s"), {"messages": [replace(EVENT, key="a", at=minutes(0.5))]}, "sent"),
]


@pytest.mark.parametrize(("subscriber", "otherwise", "reason"), ALONE)
def test_one_topic_has_one_reason(table: Table, subscriber: str, otherwise: dict[str, Any], reason: str) -> None:
    decided = table(subscriber, **otherwise)
    assert [str(each.reason) for each in decided] == [reason]
    assert bool(decided[0].key) == bool(decided[0].channels) == (decided[0].reason in TOLD)
    assert decided[0].detail or reason == "sent"


def test_who_follows_none_of_the_topics_has_no_decision(table: Table) -> None:
    assert table(one(ALERT, "[war]")) == []
    assert table("    enabled: false\n" + one(ALERT)) == []


def test_each_topic_has_its_own_reason(table: Table) -> None:
    text = DIGEST + (
        "    subscriptions:\n"
        "      - {topics: [sanctions], alert: {via: [mail]}}\n"
        "      - {topics: [ships], digest: true}\n"
        "      - {topics: [war], alert: {via: [mail]}}\n"
    )
    off = {"muted": {"ruth": frozenset({"sanctions"})}}
    decided = table(text, topics=("ships", "sanctions", "war"), standing=off)
    assert sorted(reasons(decided)) == [("digest", ("ships",)), ("muted", ("sanctions",)), ("sent", ("war",))]


def test_a_topic_of_two_subscriptions_is_told_by_the_one_that_has_room(table: Table) -> None:
    text = (
        "    subscriptions:\n"
        "      - {topics: [sanctions, war], alert: {via: [mail], at_most: 1/h}}\n"
        "      - {topics: [sanctions], alert: {via: [desk]}}\n"
    )
    decided = table(text, topics=("sanctions", "war"), messages=[replace(EVENT, key="another")])
    assert reasons(decided) == [("sent", ("sanctions",)), ("limited", ("war",))]
    assert decided[0].channels == ("desk",)


def test_several_subscriptions_make_one_message_that_waits_as_long_as_the_most_impatient(table: Table) -> None:
    text = (
        "    subscriptions:\n"
        "      - {topics: [sanctions], alert: {via: [mail], wait: 5m}}\n"
        "      - {topics: [war], alert: {via: [desk], wait: 60s}}\n"
    )
    (decided,) = table(text, topics=("sanctions", "war"))
    assert (decided.topics, decided.channels, decided.due) == (("sanctions", "war"), ("mail", "desk"), minutes(1))


def test_what_goes_into_a_waiting_message_takes_no_room_of_the_limit(table: Table) -> None:
    text = one(ALERT + ", wait: 60s, at_most: 1/h")
    waiting = Told(minutes(0.5), ("sanctions",), ("mail",), "first", waits=True)
    (decided,) = table(text, messages=[waiting])
    assert (decided.reason, decided.key, decided.due) == (Reason.GATHERED, "first", minutes(0.5))
    (decided,) = table(text, messages=[replace(waiting, stories=A_MESSAGE)])
    assert decided.reason is Reason.LIMITED


def test_what_waits_joins_no_message_that_would_go_in_the_quiet_hours(table: Table) -> None:
    text = one(ALERT + ", wait: 60s", rest=QUIET)
    urgent = Told(minutes(0.5), ("war",), ("mail",), "first", waits=True)
    held = replace(urgent, at=minutes(180), key="morning")
    (decided,) = table(text, messages=[urgent])
    assert (decided.reason, decided.due) == (Reason.HELD, minutes(180))
    (decided,) = table(text, messages=[urgent, held])
    assert (decided.reason, decided.key) == (Reason.GATHERED, "morning")
    (decided,) = table(text, messages=[held], topics=("war",))
    assert (decided.reason, decided.due) == (Reason.SENT, minutes(1))


def test_a_wait_that_would_end_in_the_quiet_hours_is_not_waited(table: Table) -> None:
    text = one(ALERT + ", wait: 5m", rest=QUIET)
    (decided,) = table(text, now=minutes(-62))  # two minutes before they begin
    assert (decided.reason, decided.due) == (Reason.SENT, minutes(-62))


def test_an_update_is_a_message_of_its_own_and_says_what_is_new(table: Table) -> None:
    (first,) = table(one(ALERT + ", updates: material"))
    (again,) = table(one(ALERT + ", updates: material"), event=[EVENT], material=DEAD)
    assert first.key == "event"
    assert again.key not in ("event", "story")
    assert (again.news, again.detail) == (DEAD, "again: 12 dead, 3 before")


def test_an_update_tells_of_the_topics_and_the_severity_that_are_new_to_its_reader_alone(table: Table) -> None:
    text = one(ALERT + ", updates: material", "[ships, sanctions]")
    # What the event has of a topic that its reader does not follow is no news.
    assert reasons(table(text, topics=("sanctions", "war"), event=[EVENT])) == [("already told", ("sanctions",))]
    told = [replace(EVENT, topics=("ships",))]
    (again,) = table(text, topics=("ships", "sanctions"), event=told, material=DEAD)
    assert again.news == (Change("severity", "normal", "low"), Change("topic", "Sanctions"), *DEAD)
    # Also where the story is the one that was told: an edit or its page may bring a topic.
    (again,) = table(text, topics=("sanctions",), event=[replace(told[0], this_story=True)])
    assert [one.kind for one in again.news] == ["severity", "topic"]
    (again,) = table(text, topics=("sanctions",), event=[replace(told[0], this_story=True, key=again.key)])
    assert again.key.endswith("#sanctions")


def test_an_update_goes_into_no_message_about_something_else_and_takes_none_in(table: Table) -> None:
    text = one(ALERT + ", wait: 60s, updates: material")
    other = Told(minutes(0.5), ("sanctions",), ("mail",), "other", waits=True)
    (again,) = table(text, event=[EVENT], messages=[other], material=DEAD)
    assert (again.reason, again.due) == (Reason.SENT, minutes(1))
    (fresh,) = table(text, messages=[replace(other, key=again.key)])
    assert (fresh.reason, fresh.key) == (Reason.SENT, "event")


def test_what_is_new_while_a_message_about_the_event_waits_goes_into_it(table: Table) -> None:
    held = replace(EVENT, at=minutes(180), waits=True)
    (again,) = table(one(ALERT + ", updates: material", rest=QUIET), event=[held], material=DEAD)
    assert (again.reason, again.key, again.news) == (Reason.GATHERED, "event", DEAD)


def test_an_event_told_by_one_channel_goes_to_the_other_alone(table: Table) -> None:
    (decided,) = table(one("via: [mail, desk]"), event=[EVENT])
    assert decided.channels == ("desk",)


def test_the_page_of_the_decisions_names_every_reason_with_an_example() -> None:
    page = (PROJECT / "docs" / "reference" / "decisions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z ]+)` \| (\w+: .+?) \| (.+) \|$", page, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(Reason)
    assert all(f": {name}" in example for name, example, _ in rows)
