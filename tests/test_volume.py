"""A topic's day against what is usual: what is too new to say, and what is told once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.pipeline import digest_due, schedule_slots, volume_due
from monitor.pipeline.deliver import render
from monitor.pipeline.outgoing import value_of
from monitor.pipeline.volume import usual_of
from monitor.service import preview_digest
from monitor.volume import day, earlier, is_spike, usual
from tests import make
from tests.pipe import START, Pipe, item

LONDON = ZoneInfo("Europe/London")
SPAN = (datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC))


def test_a_day_and_the_same_day_of_weeks_before_go_by_the_clock_on_the_wall() -> None:
    until_winter = day(datetime(2026, 10, 25, 12, tzinfo=UTC), LONDON)
    assert until_winter == (datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC))
    first, *_, last = earlier(day(datetime(2026, 10, 28, 12, tzinfo=UTC), LONDON), LONDON)
    assert first == (datetime(2026, 10, 20, 23, tzinfo=UTC), datetime(2026, 10, 21, 23, tzinfo=UTC))
    assert last[0] == datetime(2026, 9, 1, 23, tzinfo=UTC)
    assert len(earlier(SPAN, LONDON)) == 8


@pytest.mark.parametrize(
    ("weeks", "counts", "wanted"),
    [(9, [4, 9, 4, 4, 0, 4, 4, 4], 4.0), (3, [2, 4, 6, 0, 0, 0, 0, 0], 4.0), (2, [2, 4, 0, 0, 0, 0, 0, 0], None)],
)
def test_usual_is_the_median_of_the_weeks_that_are_known(weeks: int, counts: list[int], wanted: float | None) -> None:
    assert usual(counts, earlier(SPAN, LONDON), SPAN[0] - timedelta(weeks=weeks)) == wanted


def test_a_spike_is_so_many_times_the_usual_and_so_many_at_least() -> None:
    assert [is_spike(n, 4.0, 3, 10) for n in (9, 11, 12)] == [False, False, True]
    assert [is_spike(n, 0.0, 3, 10) for n in (9, 10)] == [False, True]
    assert not is_spike(1000, None, 3, 10)


TOPICS = make.TOPICS.replace(
    "    title: Sanctions\n", "    title: Sanctions\n    spike: {times: 3, at_least: 10}\n    quiet: 2d\n"
)
NAMES = [
    f"{a}{b}{c}"
    for a in ("Bor", "Kel", "Mun", "Tar")
    for b in ("ad", "io", "es", "un")
    for c in ("sk", "ville", "berg")
]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path, START, topics=TOPICS, monitor=make.MONITOR + "events: off\n")  # headlines are alike here
    yield made
    made.close()


def bring(pipe: Pipe, count: int, title: str = "Embargo on {} is agreed") -> None:
    stories = (item(f"{pipe.time:%m%d%H%M}-{n}", title.format(NAMES[n])) for n in range(count))
    pipe.put("wire", *stories)


def volumes(pipe: Pipe) -> list[tuple[str, str, int, float | None]]:
    found = [row.payload for row in pipe.deliveries("volume")]
    return [(one["kind"], one["topic"]["name"], one["count"], one["usual"]) for one in found]


def test_a_spike_is_told_once_a_day_and_not_while_it_is_too_new_to_say(pipe: Pipe) -> None:
    for week in range(5):
        bring(pipe, 12 if week in (1, 4) else 3)
        volume_due(pipe.app)
        if week < 4:
            assert volumes(pipe) == []
            pipe.forward(days=1)
            bring(pipe, 1)
            pipe.forward(days=6)
    assert volumes(pipe) == [("spike", "sanctions", 12, 3.0)]
    (row,) = pipe.deliveries("volume")
    assert (row.subscriber, row.channel, row.topics) == ("ruth", "mail", ["sanctions"])
    assert (row.payload["days"][-1], row.payload["days"][-8], sum(row.payload["days"])) == (12, 3, 17)
    assert len(row.payload["stories"]) == 5
    pipe.forward(hours=1)
    assert volume_due(pipe.app) == []
    assert usual_of(pipe.app, "border-deployments", SPAN) is None
    url = pipe.app.config.subscribers["ruth"].channels["mail"].get_secret_value()
    assert "Sanctions" in str(render(pipe.app, pipe.app.config, value_of(row), url))


def test_a_digest_says_what_is_usual_of_each_topic_in_a_window_like_its_own(pipe: Pipe) -> None:
    for week in range(6):
        bring(pipe, 9 if week == 5 else 3)
        pipe.put("wire", item(f"b{week}", f"Troops at the border, {NAMES[week]}")) if week > 3 else None
        schedule_slots(pipe.app, pipe.app.config, pipe.time)
        pipe.forward(days=1)
        digest_due(pipe.app)
        pipe.forward(days=6)
    last = pipe.deliveries("digest")[-1].payload
    assert [(one["topic"]["name"], one["total"], one["usual"]) for one in last["sections"]] == [
        ("sanctions", 9, 3.0),
        ("border-deployments", 1, None),
    ]
    digest = preview_digest(pipe.app, "ruth", pipe.time - timedelta(days=6, hours=1), pipe.time)
    assert [section.usual for section in digest.sections] == [3.0, None]


def test_quiet_is_told_once_for_each_time_and_only_while_other_news_comes_in(pipe: Pipe) -> None:
    bring(pipe, 1)
    pipe.forward(days=3)
    assert volume_due(pipe.app) == []  # nothing at all came in: that is another trouble
    pipe.put("wire", item("a", "Mayor opens a bridge"))
    pipe.forward(hours=1)
    pipe.put("wire", item("b", "Bishop closes a school"))
    pipe.forward(days=2)
    assert [row.payload["kind"] for row in volume_due(pipe.app)] == ["quiet"]
    assert datetime.fromisoformat(pipe.deliveries("volume")[0].payload["since"]) == START
    pipe.forward(days=1)
    assert volume_due(pipe.app) == []
    bring(pipe, 1)
    for hours in (20, 20):
        pipe.forward(hours=hours)
        pipe.put("wire", item(f"c{hours}{pipe.time}", "Glacier crosses a road"))
        volume_due(pipe.app)
    assert [one[0] for one in volumes(pipe)] == ["quiet"]
    pipe.forward(hours=9)
    assert len(volume_due(pipe.app)) == 1


def test_a_first_poll_is_no_spike_and_a_topic_that_never_matched_is_quiet_too(pipe: Pipe) -> None:
    pipe.put("wire", *(item(str(n), f"Embargo on {NAMES[n]} is agreed") for n in range(20)), baseline=True)
    for number in range(3):
        assert volume_due(pipe.app) == [], number
        pipe.forward(hours=23)
        pipe.put("wire", item(f"a{number}", "Mayor opens a bridge"))
    pipe.forward(hours=1)
    assert [row.payload["kind"] for row in volume_due(pipe.app)] == ["quiet"]
    assert datetime.fromisoformat(pipe.deliveries("volume")[0].payload["since"]) == START
    assert volume_due(pipe.app) == []


@pytest.mark.usefixtures("on_postgres")
def test_a_topic_that_never_matched_is_quiet_on_postgresql_too(tmp_path: Path) -> None:
    made = Pipe(tmp_path, START, topics=TOPICS)
    test_a_first_poll_is_no_spike_and_a_topic_that_never_matched_is_quiet_too(made)
    made.close()


def spike(tmp_path: Path, before: Callable[[Pipe], object], budget: str = "") -> Pipe:
    """A topic with one story a week, which after `before` has twelve in an hour."""
    made = Pipe(tmp_path, START, topics=TOPICS, monitor=f"{make.MONITOR}events: off\n{budget}")
    for _ in range(5):
        bring(made, 1)
        made.forward(days=7)
    before(made)
    bring(made, 12)
    return made


def left_alone(tmp_path: Path, how: str) -> None:
    until = timedelta(hours=2)
    choices: dict[str, Callable[[Pipe], object]] = {
        "paused": lambda p: p.app.store.policies.pause("ruth", p.time + until, p.time),
        "silenced": lambda p: p.app.store.policies.silence("sanctions", p.time + until, "", p.time),
        "muted": lambda p: p.app.store.preferences.turn_off("ruth", "sanctions", p.time, p.time + until),
    }
    pipe = spike(tmp_path, choices[how])
    try:
        assert volume_due(pipe.app) == []
        pipe.forward(hours=3)
        assert [row.state for row in volume_due(pipe.app)] == ["pending"]  # it is over, and the day is not
        assert volume_due(pipe.app) == []
    finally:
        pipe.close()


@pytest.mark.parametrize("how", ["paused", "silenced", "muted"])
def test_who_is_left_alone_hears_of_a_spike_when_that_is_over(tmp_path: Path, how: str) -> None:
    left_alone(tmp_path, how)


@pytest.mark.usefixtures("on_postgres")
def test_the_same_on_postgresql(tmp_path: Path) -> None:
    left_alone(tmp_path, "paused")


def test_a_spike_beyond_the_budget_is_held(tmp_path: Path) -> None:
    pipe = spike(tmp_path, lambda _: None, "budget: 12/h\n")
    try:
        assert [(row.state, row.code) for row in volume_due(pipe.app)] == [("held", "budget")]
        assert volume_due(pipe.app) == []
        assert pipe.app.store.policies.release(pipe.time, drop=False) == 1
    finally:
        pipe.close()


def test_a_waiting_message_of_a_spike_is_cancelled_when_its_topic_is_silenced(tmp_path: Path) -> None:
    pipe = spike(tmp_path, lambda _: None)
    try:
        volume_due(pipe.app)
        pipe.app.store.policies.silence("sanctions", pipe.time + timedelta(hours=2), "", pipe.time)
        assert [row.state for row in pipe.deliveries("volume")] == ["cancelled"]
    finally:
        pipe.close()


def test_who_turned_the_topic_off_or_sleeps_is_not_disturbed(tmp_path: Path) -> None:
    quiet = make.SUBSCRIBERS.replace("    digest:", '    quiet_hours: {from: "22:00", to: "07:00"}\n    digest:')
    other = quiet.replace("subscribers:\n", "").replace("ruth:", "omar:")
    pipe = Pipe(tmp_path, START, topics=TOPICS, subscribers=quiet + other)
    pipe.app.store.preferences.turn_off("omar", "sanctions", START)
    bring(pipe, 1)
    for hours in (20, 20, 20):
        pipe.forward(hours=hours)
        pipe.put("wire", item(f"c{pipe.time}", "Glacier crosses a road"))
    pipe.at(23, day=pipe.time.day)
    (row,) = volume_due(pipe.app)
    assert row.subscriber == "ruth"
    assert row.next_attempt_at == (pipe.time + timedelta(hours=8)).replace(minute=0)
    pipe.close()
