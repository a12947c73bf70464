"""Slots and windows: nothing that matched falls between two digests, or is held back by somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from monitor.models import DigestSlot, Match
from monitor.pipeline import digest_due, schedule_slots
from monitor.service import preview_digest
from tests import make
from tests.pipe import START, Pipe, headlines, item

CHANNELS = 'channels: {mail: "mailto://127.0.0.1:2525?to=someone@corvid.example"}'
RUTH = f"""
  ruth:
    {CHANNELS}
    digest: {{at: ["07:00"]}}
    subscriptions: [{{topics: [sanctions], digest: true}}]
"""
OMAR = RUTH.replace("ruth:", "omar:")
ALERTS_ALONE = f"""
  ruth:
    {CHANNELS}
    subscriptions: [{{topics: [sanctions], alert: {{via: [mail], at_most: 1/h}}}}]
"""
BOTH = f"subscribers:{RUTH}{OMAR}"
ONE, TWO, THREE = (f"Sanctions agreed by the council, part {n}" for n in ("one", "two", "three"))

Opener = Callable[..., Pipe]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    pipes: list[Pipe] = []

    def open_pipe(subscribers: str = BOTH, **files: str) -> Pipe:
        pipe = Pipe(tmp_path, START, subscribers=subscribers, **files)
        pipes.append(pipe)
        schedule_slots(pipe.app, pipe.app.config, pipe.time)
        return pipe

    yield open_pipe
    for pipe in pipes:
        pipe.app.store.close()
        pipe.app.workers.close()


def test_a_summary_names_the_limit_that_held_back_all_of_it(opened: Opener) -> None:
    pipe = opened(f"subscribers:{ALERTS_ALONE}")
    pipe.put("wire", item("1", ONE), item("2", TWO), item("3", THREE))
    pipe.forward(hours=1)
    (row,) = digest_due(pipe.app)
    assert (row.payload["summary"], row.payload["limit"]) == (True, {"count": 1, "per": 3600.0})


def test_a_summary_of_what_several_reasons_held_back_names_none(opened: Opener) -> None:
    pipe = opened(f"subscribers:{ALERTS_ALONE}")
    pipe.put("wire", item("1", ONE), item("2", TWO))
    pipe.app.store.policies.pause("ruth", pipe.time + timedelta(minutes=5), pipe.time)
    pipe.put("wire", item("3", THREE))
    pipe.forward(hours=1)
    (row,) = digest_due(pipe.app)
    assert (headlines(row), row.payload["limit"]) == ([ONE, THREE], None)


def test_events_of_weightier_outlets_come_first(opened: Opener) -> None:
    feeds = "feeds:\n" + "".join(
        f"  {name}: {{url: 'https://feeds.example/{name}.xml', source: {name}, weight: {weight}}}\n"
        for name, weight in (("wire", 1), ("harbour", 1), ("agency", 5))
    )
    pipe = opened(f"subscribers:{RUTH}", feeds=feeds)
    pipe.forward(minutes=10)
    told = "Sanctions against two dozen grain traders agreed in Ostrel after a night of talks"
    pipe.put("wire", item("1", told))
    pipe.put("harbour", item("2", told))
    pipe.put("agency", item("3", "Sanctions lifted for the Pell ferry company, court rules"))
    pipe.at(7)
    (row,) = digest_due(pipe.app)
    assert [view["weight"] for view in row.payload["sections"][0]["stories"]] == [5.0, 2.0]


def test_taking_one_digest_away_ends_it_in_a_summary_and_leaves_the_others(opened: Opener) -> None:
    omar = ALERTS_ALONE.replace("ruth:", "omar:")
    with_digest = omar.replace("subscriptions:", 'digest: {at: ["07:00"]}\n    subscriptions:')
    pipe = opened(f"subscribers:{RUTH}{with_digest}")
    pipe.forward(minutes=10)
    pipe.put("wire", item("2", TWO), item("1", ONE))  # the second is beyond omar's limit
    pipe.reload(subscribers=f"subscribers:{RUTH}{omar}")
    digest_due(pipe.app)
    assert pipe.told("digest") == [("omar", [TWO])]
    pipe.at(7)
    digest_due(pipe.app)
    assert sorted(pipe.told("digest")[1][1]) == [ONE, TWO]
    assert [slot.subscriber for slot in pipe.rows(DigestSlot)] == ["ruth"]


def test_a_digest_that_cannot_be_made_keeps_no_other_back(opened: Opener) -> None:
    poisoned = OMAR.replace("topics: [sanctions]", "topics: [border-deployments]")
    pipe = opened(f"subscribers:{poisoned}{RUTH}")
    pipe.forward(minutes=10)
    pipe.put("wire", item("1", ONE), item("2", "Troops are sent to the border today"))
    with pipe.app.store.write() as session:
        for match in session.exec(select(Match).where(Match.topic == "border-deployments")):
            match.evidence = [{"what": "another version wrote this"}]
    pipe.at(7)
    digest_due(pipe.app)
    assert pipe.told("digest") == [("ruth", [ONE])]
    assert {slot.subscriber for slot in pipe.rows(DigestSlot) if slot.next_at <= pipe.time} == {"omar"}


def test_a_story_saved_after_the_boundary_is_in_the_next_digest(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = opened(f"subscribers:{RUTH}")
    pipe.at(6, 59)
    begin = pipe.app.store.ingest

    def late() -> object:  # the poll waits for the database, and the boundary's digest is made meanwhile
        monkeypatch.undo()
        pipe.at(7)
        digest_due(pipe.app)
        pipe.forward(seconds=1)
        return begin()

    monkeypatch.setattr(pipe.app.store, "ingest", late)
    pipe.put("wire", item("1", ONE))
    assert pipe.told("digest") == []
    pipe.at(7, day=26)
    digest_due(pipe.app)
    assert pipe.told("digest") == [("ruth", [ONE])]


def test_a_zone_changed_westward_gets_its_digest_of_the_same_date_too(opened: Opener) -> None:
    pipe = opened(f"subscribers:{RUTH}")
    pipe.put("wire", item("1", ONE))
    pipe.forward(minutes=1)
    pipe.put("wire", item("2", TWO))
    pipe.at(7)
    assert len(digest_due(pipe.app)) == 1
    pipe.reload(subscribers=f"subscribers:{RUTH}".replace("digest:", "timezone: America/New_York\n    digest:", 1))
    digest_due(pipe.app)
    pipe.forward(minutes=30)
    pipe.put("wire", item("3", THREE))
    pipe.at(12)
    assert len(digest_due(pipe.app)) == 1
    assert [shown for _, shown in pipe.told("digest")][1:] == [[THREE]]


def test_a_subscriber_gone_from_the_files_for_a_moment_loses_nothing(opened: Opener) -> None:
    pipe = opened()
    pipe.forward(minutes=10)
    pipe.put("wire", item("1", ONE))
    pipe.reload(subscribers=f"subscribers:{OMAR}")
    digest_due(pipe.app)
    pipe.reload(subscribers=BOTH)
    pipe.at(7)
    digest_due(pipe.app)
    assert sorted(pipe.told("digest")) == [("omar", [ONE]), ("ruth", [ONE])]


def test_a_subscriber_long_gone_is_forgotten(opened: Opener) -> None:
    pipe = opened()
    pipe.reload(subscribers=f"subscribers:{OMAR}")
    pipe.forward(days=32)
    digest_due(pipe.app)
    assert [slot.subscriber for slot in pipe.rows(DigestSlot)] == ["omar"]


def test_a_preview_writes_nothing(opened: Opener) -> None:
    pipe = opened(f"subscribers:{RUTH}")
    before = pipe.rows(DigestSlot)
    pipe.reload(subscribers=f"subscribers:{RUTH}".replace("07:00", "08:00"))
    preview_digest(pipe.app, "ruth", None, pipe.time)
    assert pipe.rows(DigestSlot) == before


OLD = "old_stories: {after: 2d, then: %s}\n"


@pytest.mark.parametrize(("then", "shown"), [("drop", []), ("digest", [("ruth", [ONE])]), ("alert", [("ruth", [ONE])])])
def test_an_old_story_is_in_a_digest_unless_it_is_dropped(
    opened: Opener, then: str, shown: list[tuple[str, list[str]]]
) -> None:
    pipe = opened(f"subscribers:{RUTH}", monitor=make.MONITOR + OLD % then)
    pipe.forward(minutes=1)
    pipe.put("wire", item("1", ONE, published=pipe.time - timedelta(days=5)))
    pipe.at(7)
    digest_due(pipe.app)
    assert pipe.told("digest") == shown


@pytest.mark.parametrize(("then", "shown"), [("drop", []), ("digest", [("ruth", [ONE])])])
def test_an_old_story_goes_to_one_without_digest_in_a_summary(
    opened: Opener, then: str, shown: list[tuple[str, list[str]]]
) -> None:
    pipe = opened(f"subscribers:{ALERTS_ALONE}", monitor=make.MONITOR + OLD % then)
    pipe.put("wire", item("1", ONE, published=pipe.time - timedelta(days=5)))
    assert pipe.reasons() == [("ruth", "old")]
    pipe.forward(hours=1)
    digest_due(pipe.app)
    assert (pipe.told("alert"), pipe.told("digest")) == ([], shown)


def test_a_first_polls_story_that_comes_as_news_and_is_limited_is_in_the_next_digest(opened: Opener) -> None:
    limited = f"""
  ruth:
    {CHANNELS}
    digest: {{at: ["07:00"]}}
    subscriptions: [{{topics: [sanctions], alert: {{via: [mail], at_most: 1/h}}}}]
"""
    pipe = opened(f"subscribers:{limited}")
    pipe.put("wire", item("1", ONE), baseline=True)
    pipe.at(7)
    digest_due(pipe.app)
    before = len(pipe.told("digest"))
    pipe.forward(hours=1)
    pipe.put("post", item("2", TWO))
    pipe.put("post", item("1", ONE))  # beyond the limit
    assert pipe.told("alert") == [("ruth", [TWO])]
    pipe.at(7, day=pipe.time.day + 1)
    digest_due(pipe.app)
    assert [shown for _, shown in pipe.told("digest")[before:]] == [[ONE]]
