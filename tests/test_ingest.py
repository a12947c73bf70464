"""What a poll brings: which story is new, which is known, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from monitor.app import App
from monitor.errors import StoreError
from monitor.models import Decision, Event, Match, Sighting, Story
from monitor.parse import ParsedStory
from monitor.pipeline import Incoming, ingest, match_stories
from tests.pipe import START, Pipe, headlines, item

ONE, TWO, THREE = (f"Sanctions agreed by the council, part {n}" for n in ("one", "two", "three"))

Opener = Callable[..., Pipe]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    pipes: list[Pipe] = []

    def open_pipe(**files: str) -> Pipe:
        pipes.append(Pipe(tmp_path, START, **files))
        return pipes[-1]

    yield open_pipe
    for pipe in pipes:
        pipe.app.store.close()
        pipe.app.workers.close()


def test_an_event_whose_first_story_is_gone_goes_on(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", "Ships are turned back at the strait"))
    pipe.forward(hours=1)
    pipe.put("post", item("2", "Ships are turned back at the strait"))
    assert len(pipe.rows(Event)) == 1
    pipe.app.store.archive.prune(pipe.time - timedelta(minutes=30), START)
    assert len(pipe.rows(Story)) == 1
    pipe.put("post", item("2", "Ships are turned back at the strait under the embargo"))
    assert pipe.told("alert") == [("ruth", ["Ships are turned back at the strait under the embargo"])]


def test_an_event_goes_with_its_last_story(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", "Ships are turned back at the strait"), item("2", "The harbour is open again today"))
    pipe.forward(hours=1)
    pipe.put("post", item("3", "Ships are turned back at the strait"))
    pipe.app.store.archive.prune(pipe.time - timedelta(minutes=30), START)
    assert [row.key for row in pipe.rows(Event)] == ["url:https://news.example/1"]


def test_a_story_that_the_feed_still_lists_is_not_forgotten(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE), item("2", TWO), baseline=True)
    for _ in range(8):
        pipe.forward(days=1)
        pipe.put("wire", item("1", ONE))
    pipe.app.store.archive.prune(pipe.time - timedelta(days=2), pipe.time - timedelta(days=4))
    assert [row.guid for row in pipe.rows(Sighting)] == ["1"]
    pipe.put("wire", item("1", ONE))
    assert pipe.told("alert") == []


def test_a_document_that_never_changes_is_not_forgotten(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE), item("2", TWO), baseline=True)
    pipe.forward(days=10)
    pipe.app.store.archive.prune(pipe.time - timedelta(days=2), pipe.time - timedelta(days=4))
    assert pipe.rows(Story) == []
    pipe.put("wire", item("3", THREE), item("1", ONE), item("2", TWO))
    assert [shown for _, shown in pipe.told("alert")] == [[THREE]]


PAGE = "https://news.example/latest"
OTHER = "New embargo on machine parts announced"


def test_another_story_at_an_address_that_stays_is_new(opened: Opener) -> None:
    pipe = opened()
    for number, title in enumerate((ONE, OTHER, "Ministers meet over sanctions in the north")):
        pipe.forward(hours=1)
        pipe.put("wire", item(f"guid-{number}", title, url=PAGE))
    assert [shown[0] for _, shown in pipe.told("alert")] == [row.title for row in pipe.rows(Story)]
    assert len(pipe.rows(Story)) == 3


@pytest.mark.parametrize("title", [ONE, ONE + ", after long talks"])
def test_a_publisher_that_changes_its_guids_brings_no_story_again(opened: Opener, title: str) -> None:
    pipe = opened()
    pipe.put("wire", item("old:1", ONE, url=PAGE))
    pipe.forward(hours=1)
    pipe.put("wire", item("new:1", title, url=PAGE))
    assert ([row.title for row in pipe.rows(Story)], len(pipe.told("alert"))) == ([title], 1)


def test_other_guids_of_stories_that_were_there_at_first_are_no_news(opened: Opener) -> None:
    pipe = opened()
    stories = [item(f"old:{n}", title, url=f"https://news.example/{n}") for n, title in enumerate((ONE, OTHER))]
    pipe.put("wire", *stories, baseline=True)
    pipe.forward(hours=1)
    pipe.put("wire", *(replace(story, guid=story.guid.replace("old", "new")) for story in stories))
    assert (pipe.told("alert"), len(pipe.rows(Story))) == ([], 2)
    pipe.forward(hours=1)
    pipe.put("post", stories[0])  # for another feed it is news, as it was before
    assert pipe.told("alert") == [("ruth", [ONE])]


def test_a_headline_that_flips_all_day_is_edited_24_times_and_told_of_once(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE, published=START))
    pipe.put("wire", item("1", ONE, published=START - timedelta(hours=1)))
    assert [story.edits for story in pipe.rows(Story)] == [0]
    for number in range(60):
        pipe.put("wire", item("1", (ONE, OTHER)[number % 2]))
        pipe.forward(minutes=10)
    (story,) = pipe.rows(Story)
    assert (story.edits, story.title, len(pipe.told("alert"))) == (24, ONE, 1)
    pipe.put("wire", item("1", f"{ONE}: troops at the border"))  # what brings another topic is news all the same
    (story,) = pipe.rows(Story)
    assert (story.edits, pipe.told("alert")) == (25, [("ruth", [f"{ONE}: troops at the border"])])


def test_two_guids_of_one_address_in_one_document_are_one_story(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE, url=PAGE))
    pipe.put("wire", item("2", OTHER, url=PAGE), item("1", ONE, url=PAGE))
    assert len(pipe.rows(Story)) == 1


BY_TOPIC = """
subscribers:
  ruth:
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    quiet_hours: {from: "22:00", to: "07:00", except: high}
    subscriptions: [{topics: all, alert: {via: [mail]}}]
"""
URGENT = ONE + ": troops at the border"


def test_what_quiet_hours_hold_goes_at_once_when_it_becomes_urgent(opened: Opener) -> None:
    pipe = opened(subscribers=BY_TOPIC)
    pipe.put("wire", item("1", ONE))
    assert [row.next_attempt_at for row in pipe.deliveries("alert")] == [START + timedelta(hours=1)]
    pipe.forward(minutes=5)
    pipe.put("wire", item("1", URGENT))
    (row,) = pipe.deliveries("alert")
    assert (row.next_attempt_at, row.topics) == (pipe.time, ["sanctions", "border-deployments"])
    assert [topic["name"] for topic in row.payload["topics"]] == row.topics
    assert (headlines(row), row.payload["reason"]) == ([URGENT], "")
    # Of the topic that it had, whose headline is another now, and of the one that came.
    assert pipe.reasons() == [("ruth", "held"), ("ruth", "gathered"), ("ruth", "gathered")]


def test_another_topic_is_told_in_the_alert_that_waits(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE))
    pipe.put("wire", item("1", URGENT))
    assert [row.topics for row in pipe.deliveries("alert")] == [["sanctions", "border-deployments"]]


def test_an_alert_cancelled_for_one_topic_goes_out_for_another(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE))
    pipe.app.store.preferences.turn_off("ruth", "sanctions", pipe.time)
    pipe.app.store.outbox.cancel_for("ruth", "sanctions", pipe.time)
    pipe.forward(minutes=5)
    pipe.put("wire", item("1", URGENT))
    (row,) = pipe.deliveries("alert")
    assert (row.state, row.topics, row.finished_at, row.detail) == ("pending", ["border-deployments"], None, "")
    assert pipe.reasons()[-1] == ("ruth", "sent")


def test_an_alert_that_went_out_is_told_once(opened: Opener) -> None:
    pipe = opened()
    pipe.put("wire", item("1", ONE))
    (row,) = pipe.app.store.outbox.claim(pipe.time, 60, 10)
    pipe.app.store.outbox.finish(row.id or 0, row.fence, pipe.time, "250", "", "")
    pipe.put("wire", item("1", URGENT))
    assert [row.state for row in pipe.deliveries("alert")] == ["sent"]
    assert pipe.reasons()[-1] == ("ruth", "already told")


def test_a_first_poll_of_many_stories_takes_few_statements(opened: Opener) -> None:
    pipe = opened()
    pipe.put("post", item("other", "Headline number 3 about an embargo"))
    statements: list[str] = []
    writer = pipe.app.store._writer
    event.listen(writer, "before_cursor_execute", lambda _1, _2, sql, *_: statements.append(sql))
    stories = [item(str(n), f"Headline number {n} about an embargo") for n in range(900)]
    pipe.put("wire", *stories, baseline=True)
    assert len(statements) < 2 * len(stories) + 50  # one for each story and one for its event
    assert (len(pipe.rows(Story)), len(pipe.rows(Event)), len(pipe.rows(Match))) == (901, 900, 901)
    assert {len(rows) for rows in (pipe.rows(Sighting), pipe.rows(Decision))} == {901}


def test_stories_of_one_document_know_of_each_other(opened: Opener) -> None:
    pipe = opened()
    standing = "Sanctions briefing of this morning"
    newest_first = [item("c", standing), item("b", URGENT, url=PAGE), item("a", ONE, url=PAGE), item("d", standing)]
    pipe.put("wire", *newest_first)
    assert [(row.title, row.edits) for row in pipe.rows(Story)] == [(standing, 0), (URGENT, 1), (standing, 0)]
    assert [row.stories for row in pipe.rows(Event)] == [2, 1]
    matches = [(row.topic, bool(row.evidence)) for row in pipe.rows(Match) if row.story_id == 2]
    assert sorted(matches) == [("border-deployments", True), ("sanctions", True)]
    pipe.put("wire", item("b", "Talks go on over the border, and troops wait", url=PAGE))
    matches = [(row.topic, bool(row.evidence)) for row in pipe.rows(Match) if row.story_id == 2]
    assert sorted(matches) == [("border-deployments", True), ("sanctions", False)]


def test_each_headline_of_another_outlet_is_found(opened: Opener) -> None:
    pipe = opened()
    pipe.put("post", *(item(f"p{n}", f"Sanctions package number {n} is agreed") for n in range(5)))
    pipe.put("wire", *(item(f"w{n}", f"Sanctions package number {n} is agreed") for n in range(5)))
    assert [row.stories for row in pipe.rows(Event)] == [2] * 5
    assert len(pipe.told("alert")) == 5


def incoming(pipe: Pipe, feed: str, *stories: ParsedStory) -> Incoming:
    config, declared = pipe.app.config, pipe.app.config.feeds[feed]
    ready = match_stories(pipe.app.rules, declared, stories, "en", {})
    state = {"url": declared.address, "etag": f'"{feed}"'}
    return Incoming(config, declared, ready, state, False, [one.guid for one in stories], seen=f"what {feed} had")


def test_polls_are_saved_in_one_transaction_and_know_of_each_other(opened: Opener) -> None:
    pipe = opened()
    pipe.app.store.feeds.ensure(
        {"wire": pipe.app.config.feeds["wire"].address, "post": "http://elsewhere.example/"}, pipe.time
    )
    shared = item("1", URGENT, url=PAGE)
    began: list[str] = []
    event.listen(pipe.app.store._writer, "begin", lambda _: began.append("begin"))
    both = [incoming(pipe, "wire", shared, item("2", ONE)), incoming(pipe, "post", shared)]
    done = ingest(pipe.app, both)
    assert (len(began), [one.new for one in done]) == (1, [2, 0])
    assert sorted(row.title for row in pipe.rows(Story)) == sorted([ONE, URGENT])
    assert sorted((row.feed, row.guid) for row in pipe.rows(Sighting)) == [("post", "1"), ("wire", "1"), ("wire", "2")]
    told = [title for _, titles in pipe.told("alert") for title in titles]
    assert sorted(set(told)) == sorted(told)
    # With its own stories each feed's validators; not of the one that is declared elsewhere by now.
    states = pipe.app.store.feeds.states()
    assert {name: states[name].etag for name in ("wire", "post")} == {"wire": '"wire"', "post": None}
    assert pipe.app.store.feeds.documents(("wire", "post")) == {"wire": "what wire had"}


def test_what_does_not_go_together_is_left_for_the_next_transaction(opened: Opener) -> None:
    pipe = opened()
    wire, post = incoming(pipe, "wire", item("1", ONE)), incoming(pipe, "post", item("2", URGENT))
    other = replace(post, config=replace(pipe.app.config))
    huge = incoming(pipe, "post", *(item(f"n{n}", f"Headline number {n}") for n in range(60)))
    for polls, together in [
        ([wire, wire], 1),
        ([wire, other], 1),
        ([wire, huge], 1),
        ([huge, wire], 1),
        ([wire, post], 2),
    ]:
        assert len(ingest(pipe.app, polls)) == together
    assert len(pipe.rows(Story)) == 62


async def test_what_goes_wrong_with_one_poll_is_its_own(opened: Opener) -> None:
    pipe = opened()
    calls: list[list[int]] = []

    def save(_app: App, ones: Sequence[int]) -> Sequence[int]:
        calls.append(list(ones))
        if 3 in ones:
            raise ValueError("three is no good")
        return [10 * one for one in ones[:2]]  # as many as it likes

    found = await asyncio.gather(*(pipe.app.together(save, n) for n in range(5)), return_exceptions=True)
    assert [one for one in found if isinstance(one, int)] == [0, 10, 20, 40]
    assert str(found[3]) == "three is no good"
    assert calls[0] == [0, 1, 2, 3, 4]

    def gone(_app: App, ones: Sequence[int]) -> Sequence[int]:
        calls.append(list(ones))
        error = StoreError("the database is locked")
        error.unavailable = True
        raise error

    calls.clear()
    found = await asyncio.gather(*(pipe.app.together(gone, n) for n in range(5)), return_exceptions=True)
    assert [type(one) for one in found] == [StoreError] * 5
    assert calls == [[0, 1, 2, 3, 4]]  # each alone would only have waited as long
