"""What subscribers set, laid over the files: the layered subscriber, weekly digests, history, and who signed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from monitor.app import App, open_app
from monitor.config import Config, Subscriber
from monitor.endpoints import addressed_to
from monitor.models import DigestSlot, DigestWindow, SignUp
from monitor.pipeline import audit, digest_due, schedule_slots
from monitor.preferences import differences, frequency, offered
from monitor.store import Store
from monitor.store.preferences import PENDING, UNDO, Setting
from tests import make
from tests.pipe import START, Pipe, item

LINK = "preferences link 1f2e3d4c"
PUBLIC = make.TOPICS.replace("title: Sanctions", "title: Sanctions\n    public: true")
SIGN_UP = make.MONITOR.replace("web: off", "") + 'sign_up: {via: "mailto://127.0.0.1:2525?to=desk@corvid.example"}\n'

Opener = Callable[..., Pipe]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    pipes: list[Pipe] = []

    def open_pipe(**files: str) -> Pipe:
        pipe = Pipe(tmp_path, START, **files)
        pipes.append(pipe)
        schedule_slots(pipe.app, pipe.app.config, pipe.time)
        return pipe

    yield open_pipe
    for pipe in pipes:
        pipe.close()


def choose(pipe: Pipe, *settings: Setting, who: str = "ruth") -> Subscriber:
    pipe.app.store.preferences.set(who, settings, pipe.time, LINK)
    pipe.app.take_up()
    return pipe.app.config.subscribers[who]


def ruth(config: Config) -> Subscriber:
    return config.subscribers["ruth"]


# --- laying over ---------------------------------------------------------------------------------------------------


def test_what_a_subscriber_sets_is_what_everybody_sees_and_the_files_stay_as_they_are(opened: Opener) -> None:
    pipe = opened()
    before = ruth(pipe.app.declared)
    layered = choose(
        pipe,
        Setting("topic", "daily", "sanctions"),
        Setting("timezone", "Asia/Tokyo"),
        Setting("language", "fr"),
        Setting("quiet_hours", "22:00-06:30"),
        Setting("digest_at", "18:00"),
    )
    assert (layered.timezone, layered.language) == ("Asia/Tokyo", "fr")
    assert [frequency(layered, topic) for topic in ("sanctions", "border-deployments")] == ["daily", "alert"]
    assert layered.quiet_hours is not None
    assert (layered.quiet_hours.start, layered.quiet_hours.end) == ("22:00", "06:30")
    assert layered.digest is not None
    assert layered.digest.at == ("18:00",)
    assert ruth(pipe.app.declared) == before
    assert pipe.app.config.fingerprint != pipe.app.declared.fingerprint


def test_decisions_digests_and_quiet_hours_go_by_it(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", "Sanctions on a shipping firm"))
    choose(pipe, Setting("topic", "daily", "sanctions"), Setting("quiet_hours", "05:00-09:00"))
    pipe.put("wire", item("2", "Sanctions on a bank of the north"), item("3", "Troops at the border"))
    assert sorted(reason for _, reason in pipe.reasons()) == ["digest", "held", "sent"]
    assert pipe.deliveries("alert")[-1].next_attempt_at == START.replace(hour=9)


def test_an_edit_of_the_files_keeps_what_was_set(opened: Opener) -> None:
    pipe = opened()
    choose(pipe, Setting("topic", "daily", "sanctions"))
    pipe.reload(subscribers=make.SUBSCRIBERS.replace("Ruth Whitcombe", "Ruth W."))
    assert ruth(pipe.app.config).title == "Ruth W."
    assert frequency(ruth(pipe.app.config), "sanctions") == "daily"
    pipe.restart()
    assert frequency(ruth(pipe.app.config), "sanctions") == "daily"


def test_a_topic_that_the_operators_take_away_is_gone_whatever_was_set(opened: Opener) -> None:
    pipe = opened()
    choose(pipe, Setting("topic", "weekly", "sanctions"))
    pipe.reload(subscribers=make.SUBSCRIBERS.replace("topics: all", "topics: [border-deployments]"))
    assert [topic for one in ruth(pipe.app.config).subscriptions for topic in one.topics] == ["border-deployments"]


def test_a_topic_asked_for_at_once_goes_as_the_others_do(opened: Opener) -> None:
    first = "- {topics: [border-deployments], alert: {via: [mail], at_most: 3/h}}"
    subscriptions = f"{first}\n      - {{topics: [sanctions], digest: true}}"
    pipe = opened(
        subscribers=make.SUBSCRIBERS.replace("- {topics: all, alert: {via: [mail]}, digest: true}", subscriptions)
    )
    layered = choose(pipe, Setting("topic", "alert", "sanctions"))
    (fresh,) = (one for one in layered.subscriptions if "sanctions" in one.topics)
    assert fresh.alert is not None
    assert fresh.alert.at_most is not None
    assert (fresh.alert.at_most.count, fresh.digest) == (3, False)


def test_one_without_digest_gets_one_where_a_topic_is_asked_for_daily(opened: Opener) -> None:
    text = make.SUBSCRIBERS.replace('    digest: {at: ["07:00"], via: [mail]}\n', "").replace(", digest: true", "")
    pipe = opened(subscribers=text)
    layered = choose(pipe, Setting("topic", "daily", "sanctions"))
    assert layered.digest is not None
    assert (layered.digest.at, layered.digest.via) == (("07:00",), ("mail",))


def test_what_another_process_recorded_is_taken_up(opened: Opener, tmp_path: Path) -> None:
    pipe = opened()
    other = open_app(pipe.app.declared, tmp_path / "data", lambda: pipe.time)
    try:
        other.store.preferences.set("ruth", [Setting("language", "ar")], pipe.time, LINK)
        assert ruth(pipe.app.config).language == "en"
        assert pipe.app.take_up()
        assert ruth(pipe.app.config).language == "ar"
        assert not pipe.app.take_up()
    finally:
        _close(other)


def _close(app: App) -> None:
    app.store.close()
    for workers in (app.workers, app.suspect_workers, app.page_workers):
        workers.close()


# --- the record ----------------------------------------------------------------------------------------------------


def test_every_change_is_kept_with_when_and_by_which_link_and_an_operator_clears_them(opened: Opener) -> None:
    pipe = opened()
    preferences = pipe.app.store.preferences
    choose(pipe, Setting("language", "fr"), Setting("topic", "daily", "sanctions"))
    pipe.forward(hours=1)
    choose(pipe, Setting("language", "fr"))  # as it was: no change
    choose(pipe, Setting("language", "de"))
    declared = ruth(pipe.app.declared)
    found = differences(declared, preferences.of("ruth"), offered(pipe.app.declared, declared))
    assert [(one.key, one.topic, one.files, one.chosen) for one in found] == [
        ("topic", "sanctions", "alert", "daily"),
        ("language", "", "en", "de"),
    ]
    assert preferences.clear("ruth", pipe.time, "an operator") == 2
    pipe.app.take_up()
    assert pipe.app.config.subscribers == pipe.app.declared.subscribers
    assert [(row.key, row.setting, row.by) for row in preferences.history("ruth")][::-1] == [
        ("language", "fr", LINK),
        ("topic", "daily", LINK),
        ("language", "de", LINK),
        ("topic", "", "an operator"),
        ("language", "", "an operator"),
    ]


def test_clearing_never_subscribes_anybody_again(opened: Opener) -> None:
    pipe = opened()
    pipe.app.store.preferences.turn_off("ruth", "*", pipe.time)
    assert pipe.app.store.preferences.clear("ruth", pipe.time, "an operator") == 0
    pipe.put("wire", item("1", "Sanctions on a shipping firm"))
    assert pipe.reasons() == [("ruth", "muted")]


def test_a_database_of_before_keeps_what_was_turned_off(tmp_path: Path) -> None:
    store = Store("sqlite:///old.db", tmp_path)
    store.migrate("0009")
    row = "INSERT INTO preference (subscriber, topic, setting, set_at, until) VALUES "
    with store.write() as session:
        session.execute(text(row + "('ruth', 'sanctions', 'off', '2026-11-01 00:00:00', NULL)"))
        session.execute(text(row + "('kai', '*', 'pause', '2026-11-02 00:00:00', '2026-12-24 00:00:00')"))
    store.migrate()
    assert store.slots.muted() == {"ruth": frozenset({"sanctions"})}
    assert [*store.policies.paused(START)] == ["kai"]
    assert store.preferences.version() == 2
    store.close()


# --- once a week ---------------------------------------------------------------------------------------------------


def weekly_digests(pipe: Pipe, days: int) -> list[tuple[datetime, datetime, list[str]]]:
    """Let days go by with a story each, and return the windows of the digests that went, with their stories."""
    for _ in range(days):
        pipe.forward(seconds=1)  # past the boundary, to which its window belongs
        pipe.put("wire", item(f"{pipe.time:%d}", f"Sanctions of day {pipe.time:%d}"))
        pipe.forward(days=1)
        schedule_slots(pipe.app, pipe.app.config, pipe.time)
        digest_due(pipe.app)
    made = pipe.deliveries("digest")
    return [
        (
            datetime.fromisoformat(row.payload["since"]),
            datetime.fromisoformat(row.payload["until"]),
            [str(section["total"]) for section in row.payload["sections"]],
        )
        for row in made
    ]


def test_a_weekly_topic_comes_once_a_week_with_all_of_its_week(opened: Opener) -> None:
    pipe = opened(monitor=make.MONITOR + "events: off\n")  # START is a Wednesday, 06:00
    layered = choose(pipe, Setting("topic", "weekly", "sanctions"), Setting("topic", "off", "border-deployments"))
    assert layered.digest is not None
    found = weekly_digests(pipe, 14)
    monday = START.replace(day=30, hour=7)
    assert [(until, total) for _, until, total in found] == [
        (monday, ["6"]),
        (monday + timedelta(days=7), ["7"]),
    ]
    assert found[1][0] == found[0][1]  # neither gap nor overlap


def test_daily_and_weekly_topics_are_two_digests_of_one_morning(opened: Opener) -> None:
    pipe = opened(monitor=make.MONITOR + "events: off\n")
    choose(pipe, Setting("topic", "weekly", "sanctions"), Setting("topic", "daily", "border-deployments"))
    schedule_slots(pipe.app, pipe.app.config, pipe.time)
    pipe.forward(seconds=1)
    pipe.put("wire", item("b", "Troops at the border"))
    found = weekly_digests(pipe, 6)
    assert [total for _, _, total in found] == [["1"], ["6"]]
    windows = [row for row in pipe.rows(DigestWindow) if row.stories]
    assert [(row.until - row.since) > timedelta(days=4) for row in windows] == [False, True]
    assert audit(pipe.app, START - timedelta(days=1), pipe.time).findings == []


def test_a_topic_that_is_weekly_no_more_loses_nothing(opened: Opener) -> None:
    pipe = opened(monitor=make.MONITOR + "events: off\n")
    choose(pipe, Setting("topic", "weekly", "sanctions"), Setting("topic", "daily", "border-deployments"))
    assert weekly_digests(pipe, 3) == []
    (slot,) = pipe.rows(DigestSlot)
    assert [*slot.begun] == ["sanctions"]
    choose(pipe, Setting("topic", "daily", "sanctions"))
    found = weekly_digests(pipe, 1)
    assert [total for _, _, total in found] == [["4"]]
    (slot,) = pipe.rows(DigestSlot)
    assert slot.begun == {}


def test_the_files_may_say_weekly_too(opened: Opener) -> None:
    pipe = opened(subscribers=make.SUBSCRIBERS.replace("alert: {via: [mail]}, digest: true", "digest: weekly"))
    assert frequency(ruth(pipe.app.config), "sanctions") == "weekly"


# --- those who signed up -------------------------------------------------------------------------------------------


def signed(name: str = "reader-1", *, topics: tuple[str, ...] = ("sanctions",), often: str = "alert") -> SignUp:
    return SignUp(
        name=name, address=f"{name}@kolva.example", topics=list(topics), often=often, language="de", asked_at=START
    )


def always(_row: SignUp, _now: datetime) -> bool:
    return True


def test_one_who_signed_up_is_a_subscriber_with_the_defaults_and_gets_alerts(opened: Opener) -> None:
    pipe = opened(monitor=SIGN_UP, topics=PUBLIC)
    preferences = pipe.app.store.preferences
    assert preferences.ask(signed(topics=("sanctions", "border-deployments")), pipe.time, always)
    pipe.app.take_up()
    assert [*pipe.app.config.subscribers] == ["ruth"]  # not before it is confirmed
    assert preferences.confirm("reader-1", pipe.time, "confirmation link")
    assert preferences.confirm("reader-1", pipe.time, "confirmation link")
    pipe.app.take_up()
    fresh = pipe.app.config.subscribers["reader-1"]
    assert (fresh.language, fresh.title) == ("de", "reader-1@kolva.example")
    assert [one.topics for one in fresh.subscriptions] == [("sanctions",)]  # the other one is not public
    assert fresh.channels["mail"].get_secret_value() == "mailto://127.0.0.1:2525?to=reader-1@kolva.example"
    pipe.put("wire", item("1", "Sanctions on a shipping firm"))
    assert ("reader-1", "sent") in pipe.reasons()


def test_one_who_signed_up_chooses_like_all_others_and_is_removed_with_the_address(opened: Opener) -> None:
    pipe = opened(monitor=SIGN_UP, topics=PUBLIC)
    preferences = pipe.app.store.preferences
    preferences.ask(signed(often="daily"), pipe.time, always)
    preferences.confirm("reader-1", pipe.time, "confirmation link")
    layered = choose(pipe, Setting("topic", "alert", "sanctions"), who="reader-1")
    assert frequency(layered, "sanctions") == "alert"
    pipe.put("wire", item("1", "Sanctions on a shipping firm"))
    assert preferences.remove("reader-1", pipe.time, "an operator")
    assert not preferences.remove("reader-1", pipe.time, "an operator")
    pipe.app.take_up()
    assert [*pipe.app.config.subscribers] == ["ruth"]
    assert [row.state for row in pipe.deliveries("alert") if row.subscriber == "reader-1"] == ["cancelled"]
    assert pipe.rows(SignUp) == []


def test_those_who_never_confirmed_or_left_for_good_are_forgotten(opened: Opener) -> None:
    pipe = opened(monitor=SIGN_UP, topics=PUBLIC)
    preferences = pipe.app.store.preferences
    for name in ("reader-1", "reader-2", "reader-3"):
        preferences.ask(signed(name), pipe.time, always)
    preferences.confirm("reader-1", pipe.time, "c")
    preferences.confirm("reader-2", pipe.time, "c")
    preferences.turn_off("reader-1", "*", pipe.time)
    pipe.time += PENDING + timedelta(minutes=1)
    preferences.prune(pipe.time)
    assert {row.name for row in pipe.rows(SignUp)} == {"reader-1", "reader-2"}
    pipe.time += UNDO
    preferences.prune(pipe.time)
    assert {row.name for row in pipe.rows(SignUp)} == {"reader-2"}


@pytest.mark.parametrize(
    ("url", "address", "wanted"),
    [
        ("mailto://a:b@h.example?to=x@y.example", "n@m.example", "mailto://a:b@h.example?to=n@m.example"),
        ("mailtos://h:587/x@y.example/?smtp=s&cc=z@y&bcc=w@y", "n@m", "mailtos://h:587?smtp=s&to=n@m"),
        ("mailto://h?+X-A=1&to=q@q", "a+b&to=c@m", "mailto://h?+X-A=1&to=a%2Bb%26to%3Dc@m"),
    ],
)
def test_a_channel_is_addressed_to_one_recipient_alone(url: str, address: str, wanted: str) -> None:
    assert addressed_to(url, address) == wanted
