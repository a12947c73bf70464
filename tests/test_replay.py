"""`monitor replay`: the messages that would have gone, in the stories' own time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.config import load_config
from monitor.errors import InputError
from monitor.replay import Message, Replay
from monitor.rules import compile_rules
from tests import make

RUTH = """
subscribers:
  ruth:
    timezone: UTC
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    quiet_hours: {from: "22:00", to: "06:00", except: high}
    digest: {at: ["07:00"], via: [mail]}
    subscriptions: [{topics: all, alert: {via: [mail], updates: material, at_most: 2/h}, digest: true}]
"""
SANCTIONS = "Embargo ship sinks off Crete, 12 dead"


def line(at: str, id: Any, title: str, **other: Any) -> bytes:
    return json.dumps({"id": id, "title": title, "published": f"2026-01-{at}:00Z", "language": "en", **other}).encode()


def replayed(folder: Path, *lines: bytes, **files: str) -> list[Message]:
    config = load_config(make.write_config(folder / "config", **{"subscribers": RUTH, **files}), {})
    with Replay(config, compile_rules(config)) as run:
        return list(run.lines(lines))


def told(messages: list[Message], kind: str = "alert") -> list[tuple[str, tuple[Any, ...], str]]:
    return [(f"{m.at:%d %H:%M}", m.stories, m.reason) for m in messages if m.kind == kind]


def test_messages_go_in_the_stories_own_time_each_event_once_and_again_with_news(tmp_path: Path) -> None:
    messages = replayed(
        tmp_path,
        line("05T08:00", "a", SANCTIONS, source="Wire", url="https://a.example/1"),
        line("05T08:10", 2, "Off Crete embargo ship sinks with 12 dead", source="Post"),
        b"\n",
        line("05T08:20", "c", "Embargo ship sinks off Crete, 40 dead", source="Post"),
        line("05T23:30", "d", "Embargo on spare parts is lifted by Oslo", source="Wire"),
        line("06T12:00", "e", "Mayor opens a bridge", source="Wire"),
    )
    assert told(messages) == [
        ("05 08:00", ("a",), "sent"),
        ("05 08:20", ("c",), "sent: again: 40 dead, 12 before"),
        ("06 06:00", ("d",), "held: quiet hours until 06:00 UTC"),
    ]
    assert [(at, set(stories)) for at, stories, _ in told(messages, "digest")] == [("06 07:00", {"a", "d"})]
    assert [m.at for m in messages] == sorted(m.at for m in messages)
    assert {(m.subscriber, m.channel) for m in messages} == {("ruth", "mail")}


def test_limits_hold_back_into_the_digest_after_the_last_story(tmp_path: Path) -> None:
    names = ("Oslo", "Quito", "Hanoi", "Accra")
    lines = [line(f"05T08:0{n}", n, f"{name} lifts its embargo on {what}") for n, (name, what) in
             enumerate(zip(names, ("timber", "copper", "vanilla", "tractors"), strict=True))]  # fmt: skip
    messages = replayed(tmp_path, *lines)
    assert [stories for _, stories, _ in told(messages)] == [(0,), (1,)]
    ((at, stories, _),) = told(messages, "digest")
    assert (at, set(stories)) == ("06 07:00", {0, 1, 2, 3})


def test_a_page_that_comes_again_is_an_edit_and_an_earlier_time_counts_as_the_one_before(tmp_path: Path) -> None:
    url = "https://a.example/1?utm_source=x"
    messages = replayed(
        tmp_path,
        line("05T08:00", "a", SANCTIONS, source="Wire", url="https://a.example/1"),
        line("05T07:00", "b", SANCTIONS.replace("12", "30"), source="Wire", url=url),
    )
    assert [(at, reason) for at, _, reason in told(messages)] == [
        ("05 08:00", "sent"),
        ("05 08:00", "sent: again: 30 dead, 12 before"),
    ]


def test_a_time_far_ahead_counts_only_where_the_next_one_agrees_and_none_at_first_as_the_next(tmp_path: Path) -> None:
    def at(when: str | None, id: int, title: str) -> bytes:
        return json.dumps({"id": id, "title": title, "published": when, "language": "en", "source": f"S{id}"}).encode()

    names = ("Oslo lifts its embargo on timber", "Quito ends the copper embargo", "Hanoi: embargo of vanilla",
             "Accra's tractors under embargo", "Embargo against Lima's guano")  # fmt: skip
    times = (None, "2026-01-05T08:00:00Z", "2031-03-01T09:00:00Z", "2026-01-05T08:10:00", "0001-01-01T00:00:00+14:00")
    lines = [at(when, n, title) for n, (when, title) in enumerate(zip(times, names, strict=True))]
    anything = RUTH.replace("at_most: 2/h", "at_most: off")
    alerts = told(replayed(tmp_path, *lines, subscribers=anything))
    assert [one[:2] for one in alerts] == [
        ("05 08:00", (0,)), ("05 08:00", (1,)), ("05 08:00", (2,)), ("05 08:10", (3,)), ("05 08:10", (4,)),
    ]  # fmt: skip
    # After a long pause the stories go on.
    later = [at("2026-03-01T09:00:00Z", 8, names[1]), at("2026-03-01T10:00:00Z", 9, names[2])]
    assert [one[1] for one in told(replayed(tmp_path / "b", lines[1], *later, subscribers=anything))] == [
        (1,),
        (8,),
        (9,),
    ]
    assert told(replayed(tmp_path / "c", lines[0], subscribers=anything))[0][:2] == ("01 06:00", (0,))
    # All that is after the last time that there is, or that no clock has, is of no time.
    odd = at("9999-12-31T23:59:59-12:00", 5, names[3])
    assert [one[:2] for one in told(replayed(tmp_path / "d", lines[1], odd, subscribers=anything))][1] == (
        "05 08:00",
        (5,),
    )


def test_declared_feeds_and_their_tags_count(tmp_path: Path) -> None:
    topics = "topics:\n  world: {any: [ship], scope: {tags: [world]}}\n"
    feeds = make.FEEDS.replace("source: Northern Wire", "source: Northern Wire, tags: [world]")
    lines = [line("05T08:00", n, f"{name} ship sinks", feed=feed) for n, (name, feed) in
             enumerate((("Greek", "wire"), ("Danish", "post"), ("Malay", "unheard")))]  # fmt: skip
    assert [m.stories for m in replayed(tmp_path, *lines, topics=topics, feeds=feeds) if m.kind == "alert"] == [(0,)]


def test_the_same_stories_give_the_same_messages_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    lines = [line(f"0{1 + n % 9}T{n % 24:02}:00", n, f"{SANCTIONS} and {n} more") for n in range(30)]
    assert replayed(tmp_path / "a", *lines) == replayed(tmp_path / "b", *lines)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_line_that_is_no_story_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: "):
        replayed(tmp_path, line("05T08:00", "a", SANCTIONS), b"no story")
    assert replayed(tmp_path) == []
