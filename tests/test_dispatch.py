"""Who is told: limits and quiet hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.models import DigestSlot
from monitor.pipeline import digest_due
from monitor.pipeline.deliver import drain
from tests.fakes import free_port
from tests.pipe import START, Pipe, item

SANCTIONS = [f"Sanctions agreed by the council, part {n}" for n in ("one", "two", "three", "four")]
BORDER = [f"Troops at the border, part {n}" for n in ("one", "two")]
BOTH = "Sanctions follow as troops reach the border"

Opener = Callable[..., Pipe]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    pipes: list[Pipe] = []

    def open_pipe(subscriber: str, port: int = 2525) -> Pipe:
        channels = f'mail: "mailto://127.0.0.1:{port}?to=r@corvid.example", desk: "mailto://127.0.0.1:{port}?to=d@a.b"'
        text = f"subscribers:\n  ruth:\n    channels: {{{channels}}}\n{subscriber}"
        pipes.append(Pipe(tmp_path, START, subscribers=text))
        return pipes[-1]

    yield open_pipe
    for pipe in pipes:
        pipe.app.store.close()
        pipe.app.workers.close()


QUIET = '    quiet_hours: {from: "22:00", to: "07:00", except: high}\n'
LIMIT = "    subscriptions: [{topics: all, alert: {via: [mail], at_most: 2/h}}]\n"


def test_quiet_hours_let_out_no_more_at_their_end_than_the_limit(opened: Opener) -> None:
    pipe = opened(QUIET + LIMIT)
    pipe.at(0)
    for number, title in enumerate(SANCTIONS):
        pipe.put("wire", item(str(number), title))
        pipe.forward(hours=1, minutes=30)
    assert [reason for _, reason in pipe.reasons()] == ["held", "held", "limited", "limited"]
    pipe.at(7, 30)  # what was let out at seven counts now
    pipe.put("wire", item("5", BORDER[0]))
    assert pipe.reasons()[-1] == ("ruth", "limited")
    pipe.at(8, 1)
    pipe.put("wire", item("6", BORDER[1]))
    assert pipe.reasons()[-1] == ("ruth", "sent")


def test_what_is_held_takes_no_room_of_what_goes_at_once(opened: Opener) -> None:
    pipe = opened(QUIET + LIMIT)
    for number, title in enumerate((*SANCTIONS[:2], *BORDER)):
        pipe.put("wire", item(str(number), title))
    assert [reason for _, reason in pipe.reasons()] == ["held", "held", "sent", "sent"]


def test_the_summary_waits_for_the_end_of_the_quiet_hours(opened: Opener) -> None:
    pipe = opened(QUIET + LIMIT)
    pipe.at(1)
    for number, title in enumerate(SANCTIONS[:3]):
        pipe.put("wire", item(str(number), title))
    assert [slot.next_at.hour for slot in pipe.rows(DigestSlot)] == [7]


TWO_LIMITS = """    subscriptions:
      - {topics: [sanctions], alert: {via: [mail], at_most: 1/h}}
      - {topics: [border-deployments], alert: {via: [desk], at_most: 1/h}}
"""


def test_a_limit_counts_the_alerts_of_its_own_subscription(opened: Opener) -> None:
    pipe = opened(TWO_LIMITS)
    for number, title in enumerate((SANCTIONS[0], BORDER[0], SANCTIONS[1])):
        pipe.put("wire", item(str(number), title))
    assert [reason for _, reason in pipe.reasons()] == ["sent", "sent", "limited"]


def test_a_subscription_whose_limit_is_reached_is_left_out_and_its_topics_are_told_later(opened: Opener) -> None:
    pipe = opened(TWO_LIMITS)
    pipe.put("wire", item("1", SANCTIONS[0]))
    pipe.forward(minutes=1)
    pipe.put("wire", item("2", BOTH))
    assert [(row.channel, row.topics) for row in pipe.deliveries("alert")] == [
        ("mail", ["sanctions"]),
        ("desk", ["border-deployments"]),
    ]
    assert [reason for _, reason in pipe.reasons()] == ["sent", "sent", "limited"]
    pipe.forward(hours=2)
    digest_due(pipe.app)
    assert [shown for _, shown in pipe.told("digest")] == [[BOTH], [BOTH]]


async def test_another_attempt_waits_for_the_end_of_the_quiet_hours(opened: Opener) -> None:
    pipe = opened('    quiet_hours: {from: "06:00", to: "07:00"}\n' + LIMIT, free_port())
    pipe.time = START - timedelta(microseconds=1)
    pipe.put("wire", item("1", SANCTIONS[0]))
    await drain(pipe.app)
    (row,) = pipe.deliveries("alert")
    assert (row.state, row.attempts, row.next_attempt_at) == ("pending", 1, START + timedelta(hours=1))
    await pipe.app.close()
