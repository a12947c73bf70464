"""The policy in the data's path: gathering, floods, the budget, silences and pauses. Nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.models import Decision, Delivery, DeliveryStory, DigestWindow, Policy, Story
from monitor.pipeline import digest_due, schedule_slots
from tests import make
from tests.pipe import START, Pipe, headlines, item

CHANNELS = 'channels: {mail: "mailto://127.0.0.1:2525?to=someone@corvid.example"}'
DIGEST = '    digest: {at: ["07:00"]}\n'
MONITOR = make.MONITOR + 'operators: ["mailto://127.0.0.1:2525?to=desk@corvid.example"]\n'
APART = MONITOR + "events: off\n"  # each story is an event of its own

Opener = Callable[..., Pipe]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    pipes: list[Pipe] = []

    def open_pipe(subscriber: str, **files: str) -> Pipe:
        text = subscriber if subscriber.startswith("subscribers:") else ruth(subscriber)
        pipe = Pipe(tmp_path, START, subscribers=text, **{"monitor": APART, **files})
        pipes.append(pipe)
        schedule_slots(pipe.app, pipe.app.config, pipe.time)
        return pipe

    yield open_pipe
    for pipe in pipes:
        pipe.app.store.close()
        pipe.app.workers.close()


def ruth(rest: str) -> str:
    return f"subscribers:\n  ruth:\n    {CHANNELS}\n{rest}"


def alerts(policy: str = "", topics: str = "all") -> str:
    return f"    subscriptions: [{{topics: {topics}, alert: {{via: [mail]{', ' if policy else ''}{policy}}}}}]\n"


def title(number: int) -> str:
    """A headline that shares nothing but its subject with any other, so that it is another event."""
    syllables = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su")
    name, place = (
        "".join(syllables[int(digit)] for digit in f"{number * factor % 10_000:04}") for factor in (7_919, 6_101)
    )
    return f"Sanctions on {name.title()} of {place.title()}"


def shown(pipe: Pipe) -> list[list[str]]:
    """The headlines of each alert, gathered ones included."""
    return [
        [row.payload["story"]["title"], *(story["title"] for story in row.payload["more"])]
        for row in pipe.deliveries("alert")
    ]


# --- gathering -------------------------------------------------------------------------------------------------


def test_what_comes_within_the_wait_is_one_message(opened: Opener) -> None:
    pipe = opened(alerts("wait: 60s"))
    for number in range(3):
        pipe.put("wire", item(str(number), title(number)))
        pipe.forward(seconds=25)
    assert shown(pipe) == [[title(0), title(1), title(2)]]
    assert [row.next_attempt_at for row in pipe.deliveries("alert")] == [START + timedelta(seconds=60)]
    assert [reason for _, reason in pipe.reasons()] == ["sent", "gathered", "gathered"]
    pipe.put("wire", item("3", title(3)))
    assert shown(pipe) == [[title(0), title(1), title(2)], [title(3)]]


def test_without_a_wait_each_event_is_a_message(opened: Opener) -> None:
    pipe = opened(alerts())
    pipe.put("wire", item("1", title(1)), item("2", title(2)))
    assert len(shown(pipe)) == 2


def test_what_quiet_hours_hold_of_those_who_wait_is_one_message(opened: Opener) -> None:
    pipe = opened('    quiet_hours: {from: "05:00", to: "07:00"}\n' + alerts("wait: 60s"))
    for number in range(3):
        pipe.put("wire", item(str(number), title(number)))
        pipe.forward(minutes=10)
    assert len(shown(pipe)) == 1
    assert [row.next_attempt_at for row in pipe.deliveries("alert")] == [START + timedelta(hours=1)]


def test_a_gathered_message_that_was_turned_off_takes_no_more(opened: Opener) -> None:
    pipe = opened(alerts("wait: 60s"))
    pipe.put("wire", item("1", title(1)))
    pipe.app.store.outbox.cancel_for("ruth", "sanctions", pipe.time)
    pipe.put("wire", item("2", title(2)))
    assert [(row.state, headlines(row)) for row in pipe.deliveries("alert")] == [
        ("cancelled", [title(1)]),
        ("pending", [title(2)]),
    ]
    assert [reason for _, reason in pipe.reasons()] == ["sent", "sent"]


def test_an_event_is_told_again_when_more_outlets_have_it(opened: Opener) -> None:
    feeds = "feeds:\n" + "".join(
        f'  f{n}: {{url: "http://feeds.example/{n}.xml", source: Outlet {n}, every: 1s, language: en}}\n'
        for n in range(6)
    )
    pipe = opened(alerts("updates: {sources: 3}"), feeds=feeds, monitor=MONITOR)
    for number in range(6):
        pipe.put(f"f{number}", item(str(number), title(1)))
        pipe.forward(minutes=1)
    again = ["already told", "already told", "sent"]
    assert [reason for _, reason in pipe.reasons()] == ["sent", *again[1:], *again]
    assert [row.payload["news"] and row.payload["news"][0]["now"] for row in pipe.deliveries("alert")] == [
        [],
        "3",
        "6",
    ]


# --- floods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["", "wait: 60s, "])
@pytest.mark.parametrize("digest", ["", DIGEST])
def test_a_flood_makes_few_messages_and_loses_no_story(opened: Opener, wait: str, digest: str) -> None:
    pipe = opened(digest + alerts(f"{wait}at_most: 6/h"))
    pipe.forward(seconds=1)
    for minute in range(10):
        pipe.put("wire", *(item(str(n), title(n)) for n in range(minute * 50, minute * 50 + 50)))
        pipe.forward(minutes=1)
    pipe.forward(hours=2)
    digest_due(pipe.app)
    messages = pipe.deliveries("alert") + pipe.deliveries("digest")
    assert len(messages) <= 2 + 6
    assert len(pipe.deliveries("digest")) == 1
    stories = {row.id for row in pipe.rows(Story)}
    assert len(stories) == 500
    told_at_once = {row.id for row in pipe.deliveries("alert")}
    alerted = {row.story_id for row in pipe.rows(DeliveryStory) if row.delivery_id in told_at_once}
    (window,) = pipe.rows(DigestWindow)
    held_back = {row.story_id for row in pipe.rows(Decision) if row.reason == "limited"}
    assert all(window.since < row.decided_at <= window.until for row in pipe.rows(Decision) if row.reason == "limited")
    assert alerted | held_back == stories
    assert not alerted & held_back
    assert sum(section["total"] for section in pipe.deliveries("digest")[0].payload["sections"]) == len(held_back)
    assert window.stories == len(held_back)
    assert sum(len(each) for each in shown(pipe)) == len(alerted)


# --- the budget ------------------------------------------------------------------------------------------------

MANY = "subscribers:\n" + "".join(
    f'  reader-{n}:\n    channels: {{mail: "mailto://127.0.0.1:2525?to=r{n}@corvid.example"}}\n{alerts()}'
    for n in range(6)
)


def test_what_is_beyond_the_budget_is_held_and_the_operators_are_told_once(opened: Opener) -> None:
    pipe = opened(MANY, monitor=MONITOR + "budget: 4/h\n")
    pipe.put("wire", item("1", title(1)))
    pipe.put("wire", item("2", title(2)))
    states = [row.state for row in pipe.deliveries("alert")]
    assert states == ["pending"] * 4 + ["held"] * 8
    assert [reason for _, reason in pipe.reasons()] == ["sent"] * 4 + ["held"] * 8
    (notice,) = pipe.deliveries("notice")
    assert "4 messages an hour" in notice.payload["title"]
    assert "sanctions (5)" in " ".join(notice.payload["lines"])
    pipe.forward(hours=1, seconds=1)
    pipe.put("wire", item("3", title(3)))
    assert [row.state for row in pipe.deliveries("alert")][12:] == ["pending"] * 4 + ["held"] * 2
    assert len(pipe.deliveries("notice")) == 1


def test_what_the_budget_holds_is_released_or_dropped(opened: Opener) -> None:
    pipe = opened(MANY, monitor=MONITOR + "budget: 4/h\n")
    pipe.put("wire", item("1", title(1)))
    policies = pipe.app.store.policies
    assert [row.subscriber for row in policies.held()] == ["reader-4", "reader-5"]
    pipe.forward(days=5)
    assert policies.release(pipe.time, drop=True, subscriber="reader-5") == 1
    assert policies.release(pipe.time, drop=False, topic="border-deployments") == 0
    assert policies.release(pipe.time, drop=False) == 1
    released, dropped = pipe.deliveries("alert")[4:]
    assert (released.state, released.next_attempt_at) == ("pending", pipe.time)
    assert released.expires_at > pipe.time
    assert (dropped.state, "budget" in dropped.detail) == ("cancelled", True)
    pipe.forward(seconds=1)
    pipe.put("wire", item("2", title(2)))  # the next time they hear of it again
    assert len(pipe.deliveries("notice")) == 2


def test_messages_to_the_operators_are_beyond_no_budget(opened: Opener) -> None:
    pipe = opened(MANY, monitor=MONITOR + "budget: 1/h\n")
    pipe.put("wire", item("1", title(1)))
    assert [row.state for row in pipe.deliveries("notice")] == ["pending"]


def test_without_a_budget_nothing_is_held(opened: Opener) -> None:
    pipe = opened(MANY, monitor=MONITOR + "budget: off\n")
    pipe.put("wire", item("1", title(1)))
    assert {row.state for row in pipe.deliveries("alert")} == {"pending"}


def test_digests_count_too(opened: Opener) -> None:
    digests = "".join(
        f"  reader-{n}:\n    {CHANNELS}\n{DIGEST}    subscriptions: [{{topics: all, digest: true}}]\n" for n in range(3)
    )
    pipe = opened(f"subscribers:\n{digests}", monitor=MONITOR + "budget: 2/h\n")
    pipe.forward(minutes=1)
    pipe.put("wire", item("1", title(1)))
    pipe.at(7)
    digest_due(pipe.app)
    assert sorted(row.state for row in pipe.deliveries("digest")) == ["held", "pending", "pending"]


# --- silences and pauses ---------------------------------------------------------------------------------------


def test_a_silenced_topic_alerts_nobody_until_its_time_is_over(opened: Opener) -> None:
    pipe = opened(DIGEST + "    subscriptions: [{topics: all, alert: {via: [mail]}, digest: true}]\n")
    policies = pipe.app.store.policies
    policies.silence("sanctions", pipe.time + timedelta(hours=4), "a match of words", pipe.time)
    pipe.forward(minutes=10)
    pipe.put("wire", item("1", title(1)), item("2", "Troops at the border of the north"))
    assert pipe.reasons() == [("ruth", "sent"), ("ruth", "silenced")]
    pipe.at(7)
    digest_due(pipe.app)
    assert [title(1) in told for _, told in pipe.told("digest")] == [True]
    pipe.forward(hours=3, minutes=1)
    assert policies.silences(pipe.time) == []
    pipe.put("wire", item("3", title(3)))
    assert pipe.reasons()[-1] == ("ruth", "sent")


def test_a_silence_stops_what_waits_and_is_lifted(opened: Opener) -> None:
    pipe = opened(alerts("wait: 5m"))
    pipe.put("wire", item("1", title(1)))
    policies = pipe.app.store.policies
    assert policies.silence("sanctions", pipe.time + timedelta(hours=4), "", pipe.time) == 1
    assert [row.state for row in pipe.deliveries("alert")] == ["cancelled"]
    assert policies.lift("sanctions", pipe.time)
    assert not policies.lift("sanctions", pipe.time)
    pipe.put("wire", item("2", title(2)))
    assert [row.state for row in pipe.deliveries("alert")] == ["cancelled", "pending"]


@pytest.mark.parametrize("digest", ["", DIGEST])
def test_one_who_was_away_gets_one_digest_of_all_of_it(opened: Opener, digest: str) -> None:
    pipe = opened(digest + alerts())
    pipe.put("wire", item("0", title(0)))
    back = pipe.time + timedelta(days=3, hours=3)
    assert pipe.app.store.policies.pause("ruth", back, pipe.time) == 1
    assert [row.next_attempt_at for row in pipe.deliveries("alert")] == [back]
    for number in range(1, 4):
        pipe.forward(days=1)
        pipe.put("wire", item(str(number), title(number)))
        digest_due(pipe.app)
    assert [reason for _, reason in pipe.reasons()] == ["sent", *["paused"] * 3]
    assert pipe.told("digest") == []
    pipe.forward(days=1, hours=1)
    digest_due(pipe.app)
    ((_, told),) = pipe.told("digest")
    assert set(told) == {title(1), title(2), title(3)}


def test_a_pause_can_be_ended(opened: Opener) -> None:
    pipe = opened(alerts())
    pipe.put("wire", item("0", title(0)))
    policies = pipe.app.store.policies
    policies.pause("ruth", pipe.time + timedelta(days=3), pipe.time)
    pipe.forward(hours=1)
    assert policies.resume("ruth", pipe.time)
    assert [row.next_attempt_at for row in pipe.deliveries("alert")] == [pipe.time]
    pipe.put("wire", item("1", title(1)))
    assert pipe.reasons()[-1] == ("ruth", "sent")
    assert not policies.resume("ruth", pipe.time)


def test_a_mute_with_an_end_ends(opened: Opener) -> None:
    pipe = opened(alerts())
    pipe.app.store.preferences.turn_off("ruth", "sanctions", pipe.time, pipe.time + timedelta(hours=2))
    pipe.put("wire", item("1", title(1)))
    pipe.forward(hours=2)
    pipe.put("wire", item("2", title(2)))
    assert [reason for _, reason in pipe.reasons()] == ["muted", "sent"]


# --- the policy on record --------------------------------------------------------------------------------------


def test_the_policy_is_recorded_when_it_changes_and_only_then(opened: Opener) -> None:
    pipe = opened(alerts())
    pipe.put("wire", item("1", title(1)))
    pipe.put("wire", item("2", title(2)))
    pipe.reload(subscribers=ruth(alerts()) + "# a comment\n")
    pipe.put("wire", item("3", title(3)))
    (row,) = pipe.rows(Policy)
    assert row.topics == {"ruth": ["border-deployments", "sanctions"]}
    pipe.reload(subscribers=ruth(alerts(topics="[sanctions]")))
    pipe.put("wire", item("4", title(4)))
    assert [row.topics["ruth"] for row in pipe.rows(Policy)] == [["border-deployments", "sanctions"], ["sanctions"]]


def test_a_decision_and_its_messages_share_their_key(opened: Opener) -> None:
    pipe = opened(alerts("wait: 60s"))
    pipe.put("wire", item("1", title(1)), item("2", title(2)))
    assert {row.key for row in pipe.rows(Decision)} == {"url:https://news.example/2"}
    assert len(pipe.rows(Delivery)) == 1
