"""What became of a decision is what its deliveries say, and never the decision alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from monitor.models import Delivery
from monitor.service.desk import desk
from monitor.service.outcomes import Stand, became, outcomes
from tests.desk import web_of
from tests.pipe import Pipe, item
from tests.test_desk import text_of
from tests.test_web import serving

SENT, DEAD, NEW, TRIED = Stand("sent", 1), Stand("dead", 1), Stand("pending", 0), Stand("pending", 2)


@pytest.mark.parametrize(
    ("reasons", "messages", "outcome"),
    [
        ({"sent"}, [SENT], "sent"),
        ({"sent"}, [DEAD], "failed"),
        ({"sent"}, [SENT, DEAD], "partly"),
        ({"sent"}, [TRIED], "waiting"),
        ({"gathered"}, [NEW], "waiting"),
        ({"held"}, [NEW], "held"),
        ({"held"}, [TRIED], "waiting"),
        ({"sent"}, [Stand("sending", 1)], "waiting"),
        ({"sent"}, [Stand("held", 0)], "held"),
        ({"sent"}, [Stand("cancelled", 0)], "cancelled"),
        ({"sent"}, [], "gone"),
        ({"already told", "sent"}, [DEAD], "failed"),
        ({"digest", "limited"}, [SENT], "limited"),
        ({"muted"}, [], "muted"),
    ],
)
def test_only_a_delivery_says_that_something_was_sent(reasons: set[str], messages: list[Stand], outcome: str) -> None:
    assert became(reasons, messages) == outcome


def test_what_tells_best_comes_first() -> None:
    reasons = {"a": {"old"}, "b": {"digest"}, "c": {"sent"}, "d": {"sent"}, "e": {"sent"}}
    messages = {"c": [DEAD], "d": [SENT], "e": [SENT]}
    assert list(outcomes(reasons, messages).items()) == [("sent", 2), ("failed", 1), ("digest", 1), ("old", 1)]


TWO = """
subscribers:
  ruth:
    name: Ruth
    channels: {mail: "mailto://127.0.0.1:2525?to=r@x.example", chat: "slack://aaaaaaaaa/bbbbbbbbb/cccccccccccccccccccccccc"}
    subscriptions: [{topics: all, alert: {via: [mail, chat]}}]
  ines: {name: Ines, channels: {mail: "mailto://127.0.0.1:2525?to=i@x.example"}, subscriptions: [{topics: all, alert: {via: [mail]}}]}
"""  # noqa: E501  # addresses


def _state(pipe: Pipe, subscriber: str, channel: str, state: str, attempts: int = 1) -> None:
    with pipe.app.store.write() as session:
        wanted = select(Delivery).where(Delivery.subscriber == subscriber, Delivery.channel == channel)
        row = session.exec(wanted).one()
        row.state, row.attempts, row.finished_at = state, attempts, pipe.time if state in ("sent", "dead") else None


def test_the_desk_and_the_story_say_failed_and_waiting_where_nothing_arrived(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, topics="topics: {border: {any: [border]}}", subscribers=TWO)
    pipe.put("wire", item("1", "A border closes"))
    _state(pipe, "ruth", "mail", "dead")
    _state(pipe, "ruth", "chat", "dead")
    _state(pipe, "ines", "mail", "pending", 2)
    (event,) = desk(pipe.app, pipe.time).events
    assert event.became == {"failed": 1, "waiting": 1}
    with serving(web_of(pipe.app)) as ask:
        said = text_of(ask("GET", "/").text)
        assert "Failed for 1 Waiting for 1" in said
        assert "Sent to" not in said
        said = text_of(ask("GET", "/stories/1").text)
        assert "Failed for 1, waiting for 1." in said
        assert "ent to" not in said
        _state(pipe, "ruth", "mail", "sent")
        assert "Failed in part for 1, waiting for 1." in text_of(ask("GET", "/stories/1").text)
        assert "Failed in part for 1 Waiting for 1" in text_of(ask("GET", "/").text)
    pipe.close()


def test_a_later_story_is_not_said_to_be_delivered_before_it_was_read(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, topics="topics: {border: {any: [border]}}", subscribers=TWO)
    same = "Troops of Ruritania cross the Danube border at Vidin"
    pipe.put("wire", item("1", same))
    for who, channel in (("ruth", "mail"), ("ruth", "chat"), ("ines", "mail")):
        _state(pipe, who, channel, "sent")
    pipe.time += timedelta(minutes=30)
    pipe.put("post", item("2", same))
    with serving(web_of(pipe.app)) as ask:
        assert "Last one 0 s after reading" in text_of(ask("GET", "/stories/1").text)
        later = text_of(ask("GET", "/stories/2").text)
    assert "Joined an event of 2 stories" in later
    assert "Delivered 3 of 3" in later
    assert "after reading" not in later
    pipe.close()


def test_each_story_says_its_own_reason_for_its_event_and_what_it_was_kept_apart_from(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, topics="topics: {border: {any: [border]}}", subscribers=TWO)
    same = "Troops of Ruritania cross the Danube border at Vidin"
    pipe.put("wire", item("1", same))
    pipe.put("post", item("2", same))
    pipe.put("wire", item("3", "Danube ferries carry wine merchants past the border to the autumn fair in Ruse"))
    with serving(web_of(pipe.app)) as ask:
        first, second, third = (ask("GET", f"/stories/{number}").text for number in (1, 2, 3))
    step = text_of(first[first.index("Started an event") : first.index('id="j4"')])
    assert step.startswith("Started an event of 2 stories New: nothing shares a rare word with it")
    assert "(this one)" in step
    assert "Joins as a copy or light rewrite: likeness 1.00 (needs" in step  # beside the other story
    assert text_of(second[second.index("Joined an event") :]).startswith(
        "Joined an event of 2 stories Joins as a copy or light rewrite"
    )
    apart = text_of(third[third.index("An event of its own") : third.index('id="j4"')])
    assert "New: the nearest is too far, likeness 0." in apart
    assert f"Kept apart from the event of {same} : likeness 0.27, shares Danube, border, the." in apart
    assert '<a href="../stories/1">' in third
    pipe.close()
