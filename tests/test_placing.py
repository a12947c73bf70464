"""Events in the database: what joins, why, what operators change, and that restarts change nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.errors import NotFoundError
from monitor.models import Decision, Event, EventChange, Story, StorySketch
from monitor.parse import ParsedStory
from monitor.pipeline.prune import prune
from tests import make
from tests.pipe import START, Pipe, item

FIRE = "Embargo breach: tanker Pell Star seized off Crete"
FIRE_TOO = "Tanker Pell Star seized off Crete for embargo breach, coast guard says"
MAYOR = "Hamburg mayor resigns over sanctions land deal"
MAYOR_TOO = "Sanctions land deal: Hamburg mayor resigns"
QUIET = "A quiet day in the port of Antwerp"
LANDSLIDE = "Landslide buries mountain road in Georgia"  # which matches nothing


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path)
    yield made
    made.close()


def events(pipe: Pipe) -> list[list[str]]:
    """Return the headlines of each event, in order."""
    found: dict[int | None, list[str]] = {}
    for story in pipe.rows(Story):
        found.setdefault(story.event_id, []).append(story.title)
    return list(found.values())


def stream() -> list[tuple[str, ParsedStory]]:
    """Return (feed, story) in order: happenings told two or three times, in other words of another outlet."""
    told = []
    for number in range(60):
        drawn = random.Random(number // 3)
        words = ["".join(drawn.choices("abcdefghiklmnoprstu", k=8)) for _ in range(6)]
        titles = (" ".join(words), " ".join((words[3], words[1], "again", *words[4:])), " ".join(words[::-1]))
        told.append((("wire", "post")[number % 2], item(f"g{number}", titles[number % 3])))
    return told


def test_different_reports_of_one_happening_are_one_event_told_once(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE), item("2", MAYOR))
    pipe.forward(minutes=20)
    pipe.put("post", item("3", FIRE_TOO))
    assert sorted(events(pipe)) == [[FIRE, FIRE_TOO], [MAYOR]]
    assert [shown for _, shown in pipe.told("alert")] == [[MAYOR], [FIRE]]
    assert [row.reason for row in pipe.rows(Decision)][-1] == "already told"


def test_why_a_story_joined_and_what_it_did_not_join_are_recorded(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE))
    pipe.put("wire", item("2", MAYOR))
    pipe.put("post", item("3", "Hamburg tanker seized: coast guard boards the Pell Star near Crete"))
    first, _, third = pipe.rows(Story)
    assert first.event_why == "new: nothing shares a rare word with it"
    assert third.event_id == first.event_id
    assert third.event_why.startswith("joins: likeness 0.")
    assert "0 h after the lead" in third.event_why
    assert (first.event_refused, third.event_refused is None) == (None, False)
    assert third.event_refused is not None
    assert (third.event_refused["event"], third.event_refused["shared"]) == (2, ["Hamburg"])
    assert pipe.rows(Event)[0].why == third.event_why


def test_replaying_a_stream_with_restarts_in_between_gives_the_same_events(tmp_path: Path) -> None:
    found = []
    for restarts in (False, True):
        pipe = Pipe(tmp_path / str(restarts))
        for number, (feed, story) in enumerate(stream()):
            pipe.forward(hours=2)
            pipe.put(feed, story)
            if number % 10 == 9:
                prune(pipe.app, pipe.time)
            if restarts and number % 7 == 3:
                pipe.restart()
        rows = [(row.title, row.event_id, row.event_why, row.event_refused) for row in pipe.rows(Story)]
        found.append((rows, [row.model_dump() for row in pipe.rows(StorySketch)]))
        pipe.close()
    assert found[0] == found[1]
    rows, sketches = found[0]
    assert 20 <= len({event for _, event, _, _ in rows}) < 40
    assert len(sketches) < 60  # what left the window went, and changed nothing


def test_a_transaction_that_fails_leaves_nothing_in_memory(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.put("wire", item("1", FIRE))
    with monkeypatch.context() as patched:
        patched.setattr("monitor.store.ingest.feeds.update", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pipe.put("wire", item("2", MAYOR))
    pipe.put("post", item("3", QUIET))
    pipe.put("post", item("4", MAYOR_TOO))
    assert events(pipe) == [[FIRE], [QUIET], [MAYOR_TOO]]


def test_what_another_process_saved_is_joined(tmp_path: Path, pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE))
    other = Pipe(tmp_path)
    other.put("wire", item("2", MAYOR))
    other.close()
    pipe.put("post", item("3", MAYOR_TOO), item("4", FIRE_TOO))
    assert events(pipe) == [[FIRE, FIRE_TOO], [MAYOR, MAYOR_TOO]]


def test_a_first_poll_of_an_outlet_joins_what_is_known(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE))
    pipe.put("post", item("2", FIRE_TOO), baseline=True)
    assert events(pipe) == [[FIRE, FIRE_TOO]]


def test_events_switched_off_keep_every_story_its_own(pipe: Pipe) -> None:
    pipe.reload(monitor=make.MONITOR + "events: off\n")
    pipe.put("wire", item("1", FIRE))
    pipe.put("post", item("2", FIRE))
    assert events(pipe) == [[FIRE], [FIRE]]
    assert pipe.rows(StorySketch) == []
    assert pipe.rows(Story)[1].event_why == "events are switched off: every story is its own"


def test_the_window_of_a_changed_configuration_holds(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE))
    pipe.forward(hours=5)
    pipe.reload(monitor=make.MONITOR + "events: {window: 2h}\n")
    pipe.put("post", item("2", FIRE_TOO))
    assert events(pipe) == [[FIRE], [FIRE_TOO]]
    pipe.reload(monitor=make.MONITOR)
    pipe.put("post", item("3", FIRE + " this morning"))
    assert events(pipe) == [[FIRE, FIRE + " this morning"], [FIRE_TOO]]


def test_numbered_headlines_of_one_outlet_or_two_are_happenings_of_their_own(pipe: Pipe) -> None:
    pipe.put("wire", *(item(f"w{n}", f"Sanctions number {n} agreed by council") for n in range(20)))
    pipe.put("post", *(item(f"p{n}", f"Sanctions number {n} agreed by council") for n in range(10, 30)))
    assert len(pipe.told("alert")) == 20  # the limit
    assert sorted(map(len, events(pipe))) == [1] * 20 + [2] * 10


def test_retention_forgets_what_is_compared_and_numbers_given_anew_mislead_nobody(pipe: Pipe) -> None:
    pipe.reload(monitor=make.MONITOR + "retention: {stories: 1d}\n")
    pipe.put("wire", item("1", LANDSLIDE))
    pipe.forward(days=2)
    prune(pipe.app, pipe.time)
    assert (pipe.rows(Story), pipe.rows(StorySketch)) == ([], [])
    pipe.put("wire", item("3", QUIET))
    pipe.put("post", item("4", "Mountain road in Georgia is buried by a landslide"))
    assert events(pipe) == [[QUIET], ["Mountain road in Georgia is buried by a landslide"]]


# --- operators


def test_a_split_is_kept_through_restarts_and_later_stories_follow(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE))
    pipe.put("post", item("2", FIRE_TOO))
    split = pipe.app.store.events.split(1, [2], pipe.time)
    for restart in (False, True):
        if restart:
            pipe.restart()
        pipe.put("wire", item(f"3{restart}", FIRE_TOO + " again"))
        assert pipe.rows(Story)[-1].event_id == split
    (change,) = pipe.rows(EventChange)
    assert (change.kind, change.event_id, change.into_id, change.story_ids) == ("split", 1, split, [2])
    assert pipe.rows(Story)[1].event_why == "an operator split it from event 1"


def test_merged_events_are_one_for_later_stories_and_are_not_told_again(pipe: Pipe) -> None:
    pipe.put("wire", item("1", LANDSLIDE))
    pipe.put("wire", item("2", FIRE))
    assert pipe.app.store.events.merge(1, 2, pipe.time) == [2]
    pipe.put("post", item("3", FIRE_TOO))
    assert events(pipe) == [[LANDSLIDE, FIRE, FIRE_TOO]]
    assert len(pipe.told("alert")) == 1
    assert [(row.id, row.stories) for row in pipe.rows(Event)] == [(1, 3), (2, 0)]
    pipe.restart()
    pipe.put("wire", item("4", "Mountain road in Georgia is buried by a landslide"))
    assert pipe.rows(Story)[-1].event_id == 1


def test_after_a_split_either_event_is_told_and_updated_on_its_own(tmp_path: Path) -> None:
    material = make.SUBSCRIBERS.replace("alert: {via: [mail]}", "alert: {via: [mail], updates: material}")
    pipe = Pipe(tmp_path, subscribers=material)
    pipe.put("wire", item("1", FIRE))
    pipe.put("post", item("2", FIRE_TOO))
    split = pipe.app.store.events.split(1, [1], pipe.time)  # which is the one that was told
    pipe.restart()
    # The other half was told to nobody, though the event that it stays in has told of the first.
    pipe.put("wire", item("3", FIRE_TOO + " again"))
    assert pipe.rows(Story)[-1].event_id == 1
    assert pipe.told("alert") == [("ruth", [FIRE]), ("ruth", [FIRE_TOO + " again"])]
    pipe.app.store.events.merge(split, 1, pipe.time)
    pipe.put("post", item("4", FIRE + ", 3 dead"))
    assert pipe.rows(Story)[-1].event_id == split
    assert [(one["kind"], one["now"]) for one in pipe.deliveries("alert")[-1].payload["news"]] == [("fact", "3")]
    pipe.close()


def test_what_was_told_of_either_of_two_merged_events_is_no_news(tmp_path: Path) -> None:
    material = make.SUBSCRIBERS.replace("alert: {via: [mail]}", "alert: {via: [mail], updates: material}")
    pipe = Pipe(tmp_path, subscribers=material)
    pipe.put("wire", item("1", LANDSLIDE + " on sanctions day, 5 dead"), item("2", FIRE + ", 3 dead"))
    assert pipe.app.store.events.merge(1, 2, pipe.time) == [2]
    pipe.put("post", item("3", FIRE_TOO + ", 3 dead"))
    pipe.put("post", item("4", FIRE_TOO + ", 4 dead"))
    assert {story.event_id for story in pipe.rows(Story)} == {1}
    assert [[one["now"] for one in row.payload["news"]] for row in pipe.deliveries("alert")] == [[], [], ["4"]]
    pipe.close()


def test_what_is_not_there_is_not_split_or_merged(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE), item("2", MAYOR))
    store = pipe.app.store.events
    for change in (
        lambda: store.split(1, [9], pipe.time),
        lambda: store.split(1, [1], pipe.time),
        lambda: store.split(7, [1], pipe.time),
        lambda: store.merge(1, 7, pipe.time),
        lambda: store.merge(1, 1, pipe.time),
    ):
        with pytest.raises(NotFoundError):
            change()
    assert pipe.rows(EventChange) == []


def test_an_event_that_was_emptied_goes_with_retention(pipe: Pipe) -> None:
    pipe.put("wire", item("1", FIRE), item("2", MAYOR))
    pipe.app.store.events.merge(1, 2, pipe.time)
    pipe.app.store.archive.prune(pipe.time - timedelta(days=1), START)
    assert len(pipe.rows(Event)) == 2
    pipe.app.store.archive.prune(pipe.time + timedelta(days=1), START)
    assert 2 not in [row.id for row in pipe.rows(Event)]
