"""What a poll brings: which story is new, which is known, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.models import Event, Story
from tests.pipe import START, Pipe, item

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
    assert [event.key for event in pipe.rows(Event)] == ["url:https://news.example/1"]
