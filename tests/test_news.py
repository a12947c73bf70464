"""What is new of an event since it was told, and what is no news."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.events import Account, News, Report, account, coverage, from_json, news_since
from monitor.models import Decision, Event
from monitor.pipeline import digest_due, schedule_slots
from monitor.pipeline.deliver import render
from monitor.pipeline.outgoing import value_of
from monitor.render import MailMessage
from tests import make
from tests.pipe import START, Pipe, headlines, item

SINKS = "Ferry sinks off Crete, 12 dead, coast guard says"


def of(headline: str, **other: Any) -> Account:
    values: dict[str, Any] = {"sources": 1, "story": 1, "source": "Wire"}
    return account(headline, **{**values, "entities": (), **other})


def kinds(before: str, after: str, **other: Any) -> list[tuple[str, str, str, str]]:
    now = of(after, **{"story": 2, "source": "Post", **other})
    return [(one.kind, one.now, one.was, one.about) for one in news_since(of(before), now)]


@pytest.mark.parametrize(
    ("headline", "wanted"),
    [
        ("Ferry sinks off Crete, 40 dead", [("fact", "40", "12", "dead")]),
        ("Forty rescued from ferry off Crete", []),
        ("Crete ferry: at least 40 people are killed", [("fact", "40", "12", "dead")]),
        ("Hundidos frente a Creta: 40 muertos", [("fact", "40", "12", "dead")]),
        ("Ferry sinks off Crete with 12 dead and 30 injured", [("fact", "30", "", "injured")]),
        ("Twelve killed as ferry goes down off Crete", []),
        ("Crete: what we know in 5 points", []),
        ("Ferry disaster near Crete: Greece mourns", []),
        ("Greek ferry operator's shares fall 19% after sinking", []),
    ],
)
def test_other_numbers_are_news_and_other_words_are_not(headline: str, wanted: list[Any]) -> None:
    assert kinds(SINKS, headline) == wanted


def test_a_number_that_was_told_once_is_no_news_when_it_comes_back() -> None:
    told = of("Ferry sinks, 14 dead").after(of(SINKS))
    assert news_since(told, of("Ferry sinks off Crete: 12 dead", story=3)) == ()
    assert [one.was for one in news_since(told, of("Ferry sinks off Crete: 15 dead", story=3))] == ["14"]


def test_an_edited_headline_is_news_by_its_numbers_amounts_and_names() -> None:
    assert kinds("Bitcoin falls below $70,000", "Bitcoin falls below $65,000", story=1) == [
        ("fact", "$65,000", "$70,000", "amount")
    ]
    assert kinds("Minister resigns over land deal", "Minister Ana Ruiz resigns over land deal", story=1) == [
        ("fact", "Ana Ruiz", "", "")
    ]
    assert kinds("Minister Ana Ruiz resigns", "Ana Ruiz, minister, resigns", story=1) == []
    assert kinds("Minister resigns over land deal", "Minister Resigns Over Land Deal In Ruiz Affair", story=1) == []


def test_a_declared_entity_that_nobody_named_before_is_news() -> None:
    told = of(SINKS, entities=["Crete"])
    assert news_since(told, of(SINKS, story=2, entities=["Crete"])) == ()
    assert news_since(told, of(SINKS, story=2, entities=["Crete", "Pell Star"])) == (News("entity", "Pell Star"),)


@pytest.mark.parametrize(
    ("told", "now", "news"), [(1, 4, False), (1, 5, True), (3, 5, False), (3, 6, True), (5, 9, False), (5, 10, True)]
)
def test_outlets_are_news_when_they_are_five_and_twice_as_many(told: int, now: int, news: bool) -> None:
    found = news_since(of(SINKS, sources=told), of(SINKS, sources=now, story=2))
    assert found == ((News("sources", str(now), str(told)),) if news else ())


@pytest.mark.parametrize(
    ("headline", "kind"),
    [
        ("CORRECTION: 2 dead, not 12, in Crete ferry sinking", "correction"),
        ("Corrected: ferry sinks off Crete", "correction"),
        ("Fe de erratas: el ferry no se hundió", "correction"),
        ("RETRACTED: Ferry sinks off Crete", "retraction"),
        ("Paper retracts story of Crete ferry", "retraction"),
    ],
)
def test_corrections_and_retractions_are_news(headline: str, kind: str) -> None:
    first = kinds(SINKS, headline)[0]
    assert first[:2] == (kind, "Post")
    assert (kind, "Post", "", "") not in kinds(headline, headline)


def test_an_account_goes_through_json() -> None:
    told = of(SINKS, entities=["Crete"]).after(of("Minister Ana Ruiz says 2 injured"))
    assert from_json(asdict(told)) == told
    assert from_json({**asdict(told), "topics": ["ships"], "severity": 1}) == told  # as earlier versions kept it
    assert news_since(told, replace(told)) == ()


# --- through ingest

MATERIAL = """
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail], updates: material}}]
  ben:
    channels: {mail: "mailto://127.0.0.1:2525?to=ben@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail]}}]
  eve:
    channels: {mail: "mailto://127.0.0.1:2525?to=eve@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail], updates: {sources: 2}}}]
"""
FIRST = "Embargo ship sinks off Crete, 12 dead"
SAME = "Off Crete embargo ship sinks with 12 dead"
MORE = "Embargo ship sinks off Crete, 40 dead"


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path, subscribers=MATERIAL)
    yield made
    made.close()


def news(pipe: Pipe, subscriber: str) -> list[list[tuple[str, str, str]]]:
    """What each alert of a subscriber says is new: kind, what it is now, what it was."""
    return [
        [(one["kind"], one["now"], one["was"]) for one in row.payload["news"]]
        for row in pipe.deliveries("alert")
        if row.subscriber == subscriber
    ]


def test_material_news_is_told_again_to_those_who_ask_for_it_and_says_what_is_new(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRST))
    pipe.forward(minutes=1)
    pipe.put("post", item("2", SAME))
    pipe.put("post", item("3", MORE))
    assert len(pipe.rows(Event)) == 1
    assert news(pipe, "ruth") == [[], [("fact", "40", "12")]]
    assert news(pipe, "ben") == [[]]
    assert news(pipe, "eve") == [[], [("sources", "2", "")]]
    last = [row for row in pipe.rows(Decision) if row.story_id == 3]
    assert sorted((row.subscriber, row.reason) for row in last) == [
        ("ben", "already told"),
        ("eve", "already told"),
        ("ruth", "sent"),
    ]
    assert len({row.message_id for row in pipe.deliveries("alert")}) == 5
    # Told, it is no news any more, also after a restart.
    pipe.restart()
    pipe.put("wire", item("4", "Embargo ship off Crete: 40 dead as it sinks"))
    assert len(pipe.rows(Event)) == 1
    assert len(news(pipe, "ruth")) == 2


def send(pipe: Pipe) -> None:
    """Have all that waits sent."""
    while claimed := pipe.app.store.outbox.claim(pipe.time, 60, 10):
        for row in claimed:
            pipe.app.store.outbox.finish(row.id or 0, row.fence, pipe.time, "250", "", "")


def test_an_edit_of_what_was_told_is_told_by_its_new_facts_once(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRST))
    send(pipe)
    pipe.put("wire", item("1", MORE))
    assert news(pipe, "ruth") == [[], [("fact", "40", "12")]]
    send(pipe)
    pipe.put("wire", item("1", "Embargo ship: 40 dead as it sinks off Crete"))
    pipe.put("wire", item("1", "Embargo ship: 41 dead as it sinks off Crete"))
    assert news(pipe, "ruth")[2:] == [[("fact", "41", "40")]]
    assert [headlines(row)[0][-13:] for row in pipe.deliveries("alert") if row.subscriber == "ben"] == [FIRST[-13:]]


def test_an_edit_of_a_first_polls_story_tells_nobody(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRST), baseline=True)
    pipe.put("wire", item("1", MORE))
    assert pipe.deliveries("alert") == []


def test_another_topic_of_an_event_that_was_told_is_an_update(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRST))
    send(pipe)
    pipe.put("post", item("2", FIRST + " as troops close the border"))
    assert news(pipe, "ruth")[1:] == [[("severity", "high", "normal"), ("topic", "Border deployments", "")]]


def test_an_edit_that_brings_a_topic_is_an_update_to_those_who_follow_it_and_were_told(tmp_path: Path) -> None:
    subscribers = """
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail], updates: material}}]
  ben:
    channels: {mail: "mailto://127.0.0.1:2525?to=ben@corvid.example"}
    subscriptions: [{topics: [sanctions], alert: {via: [mail], updates: material}}]
  eve:
    channels: {mail: "mailto://127.0.0.1:2525?to=eve@corvid.example"}
    subscriptions: [{topics: [border-deployments], alert: {via: [mail], updates: material}}]
"""
    pipe = Pipe(tmp_path, subscribers=subscribers)
    pipe.put("wire", item("1", FIRST))
    send(pipe)
    pipe.put("wire", item("1", MORE + " as troops close the border"))
    raised = [("severity", "high", "normal"), ("topic", "Border deployments", "")]
    assert news(pipe, "ben") == [[], [("fact", "40", "12")]]
    assert news(pipe, "eve") == [[]]
    assert news(pipe, "ruth") == [[], [("fact", "40", "12"), *raised]]
    pipe.close()


def test_what_is_new_of_a_held_event_goes_into_its_message_and_an_update_leads_with_the_latest(tmp_path: Path) -> None:
    quiet = MATERIAL.replace("    channels:", '    quiet_hours: {from: "22:00", to: "06:00"}\n    channels:', 1)
    pipe = Pipe(tmp_path, START.replace(hour=12), subscribers=quiet)
    pipe.put("wire", item("1", FIRST))
    send(pipe)
    pipe.at(23)
    for n, dead in enumerate((20, 30, 40), 2):
        pipe.put("post", item(str(n), FIRST.replace("12", str(dead))))
    mine = [row for row in pipe.deliveries("alert") if row.subscriber == "ruth"]
    assert news(pipe, "ruth") == [[], [("fact", "20", "12"), ("fact", "30", "20"), ("fact", "40", "30")]]
    assert mine[1].payload["story"]["title"] == MORE
    assert mine[1].payload["opening"]["title"] == FIRST
    pipe.close()


def test_an_update_of_what_came_in_a_message_with_other_news_goes_into_its_thread(tmp_path: Path) -> None:
    gathered = MATERIAL.replace("updates: material", "updates: material, wait: 60s")
    pipe = Pipe(tmp_path, subscribers=gathered)
    pipe.put("wire", item("1", "Hamburg mayor resigns over sanctions land deal"))
    pipe.put("post", item("2", FIRST))
    pipe.forward(minutes=2)
    send(pipe)
    pipe.put("wire", item("3", MORE))
    first, update = (row.payload for row in pipe.deliveries("alert") if row.subscriber == "ruth")
    assert [one["title"] for one in first["more"]] == [FIRST]
    assert update["story"]["event_key"] == first["story"]["event_key"]
    assert update["opening"]["title"] == first["story"]["title"]
    pipe.close()


# --- who leads


def test_the_earliest_story_of_the_best_regarded_source_leads() -> None:
    reports = [
        Report(n, source, f"Headline {n}", "", START + timedelta(hours=hour))
        for n, (source, hour) in enumerate([("Blog", 0), ("Wire", 3), ("Wire", 2), ("Post", 1), ("Blog", 5)])
    ]
    covered = coverage(reports, {"Wire": 3.0, "Post": 3.0})
    assert (covered.lead.story_id, covered.stories) == (3, 5)
    assert [(one.source, one.story_id) for one in covered.outlets] == [("Blog", 0), ("Post", 3), ("Wire", 2)]
    assert (covered.first, covered.latest) == (START, START + timedelta(hours=5))
    assert coverage(reports, {}).lead.story_id == 0
    assert coverage(reports, {"Post": 0.5, "Blog": 0.5}).lead.story_id == 2


def test_a_digest_shows_an_event_by_its_lead(tmp_path: Path) -> None:
    feeds = make.FEEDS.replace("source: Harbour Post", "source: Harbour Post, weight: 2")
    pipe = Pipe(tmp_path, feeds=feeds)
    schedule_slots(pipe.app, pipe.app.config, pipe.time)
    pipe.forward(minutes=10)
    pipe.put("wire", item("1", FIRST))
    pipe.forward(minutes=5)
    pipe.put("post", item("2", SAME))
    pipe.at(7)
    digest_due(pipe.app)
    (row,) = pipe.deliveries("digest")
    assert headlines(row) == [SAME]
    # And says who had it first, though that is another.
    told = render(pipe.app, pipe.app.config, value_of(row), "mailto://127.0.0.1:2525?to=a@b.example")
    assert isinstance(told, MailMessage)
    assert "2 sources, first Northern Wire 06:10, also Harbour Post." in told.text
    pipe.close()


@pytest.mark.usefixtures("on_postgres")
def test_a_digest_shows_an_event_by_its_lead_on_postgresql_too(tmp_path: Path) -> None:
    test_a_digest_shows_an_event_by_its_lead(tmp_path)


def test_an_update_knows_the_message_that_opened_the_thread_and_what_other_outlets_have(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRST))
    pipe.forward(minutes=1)
    pipe.put("post", item("2", MORE))
    first, update = (row.payload for row in pipe.deliveries("alert") if row.subscriber == "ruth")
    assert (first["opening"], first["story"]["reports"]) == (None, [])
    assert update["opening"]["title"] == first["story"]["title"] == FIRST
    assert [topic["name"] for topic in update["opening"]["topics"]] == [topic["name"] for topic in first["topics"]]
    assert [(one["title"], one["source"]) for one in update["story"]["reports"]] == [(FIRST, "Northern Wire")]
    assert update["story"]["latest"] > first["story"]["at"]
