"""Stories one after the other, without a database that knows them by their addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.events.grouping import WINDOW, Decision, Grouping
from monitor.events.sketch import is_live_address, sketch
from monitor.text import StoryText
from monitor.urls import canonical_url


@dataclass(frozen=True, slots=True)
class Placed:
    """A story's event, by the number of the story that it began with, and how it came there."""

    event: int
    decision: Decision


class Stream:
    """Groups stories in the order they come. An event is named by the number of its first story, from 0 on."""

    def __init__(self, window: float = WINDOW) -> None:
        self._grouping = Grouping(window)
        self._count = 0
        self._pages: dict[str, int] = {}

    def place(self, story: StoryText, at: float, entities: Iterable[str] = ()) -> Placed:
        """Return the event of the next story, published `at` (seconds); `entities` are the keys of those in it."""
        new = sketch(story, at, entities)
        # What a live page told before is another happening.
        page = "" if new.live or not story.url or is_live_address(story.url) else canonical_url(story.url)
        decision = self._grouping.decide(new, self._pages.get(page) if page else None)
        number, self._count = self._count, self._count + 1
        event = number if decision.event is None else decision.event
        self._grouping.add(number, new, event, decision.weights)
        if page:
            self._pages[page] = event
        if len(self._pages) > 2 * len(self._grouping) + 1000:
            open_events = self._grouping.events()
            self._pages = {page: event for page, event in self._pages.items() if event in open_events}
        return Placed(event, decision)

    def events(self) -> frozenset[int]:
        """Return the events that a story may still join."""
        return self._grouping.events()

    def __len__(self) -> int:
        """Return how many stories are held."""
        return len(self._grouping)
