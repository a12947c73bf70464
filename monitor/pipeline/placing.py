"""New stories → their events. What they are compared with lies in the database, and is held in memory beside it."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from monitor.app import App
from monitor.config import Config
from monitor.events import Decision, Grouping, Sketch
from monitor.models import Story
from monitor.store import Ingest

OFF = "events are switched off: every story is its own"
GONE = "new: the stories of the event that it is like are no longer kept"


class Placing:
    """Which event each new story goes into, within the transaction that saves them.

    The rows of `story_sketch` are the truth. `App.grouping` was made of them, and takes in first what other processes
    wrote and operators changed since. From its first use until `committed` the app has none, so that after a
    transaction that was rolled back it is made anew.
    """

    def __init__(self, app: App, config: Config, work: Ingest) -> None:
        self._app, self._work = app, work
        self._window = config.settings.events.window if config.settings.events is not None else None
        self._held: tuple[Grouping, int] | None = None

    def save(self, story: Story, new: Sketch, now: datetime) -> Story:
        """Save a new story in its event; `new` is its sketch but for the time."""
        if self._window is None:
            story.event_why = OFF
            return self._work.add_story(story, None, now)
        grouping = self._grouping(self._window)
        new = replace(new, at=story.effective_at.timestamp())
        decision = grouping.decide(new)
        if decision.event is not None and not self._work.has_event(decision.event):
            decision = replace(decision, event=None, why=GONE)
        story.event_why, story.event_refused = decision.why, _refused(decision)
        self._work.add_story(story, decision.event, now)
        assert story.id is not None
        assert story.event_id is not None
        self._work.add_sketch(grouping.add(story.id, new, story.event_id, decision.weights))
        return story

    def committed(self) -> None:
        """Hand the grouping back to the app: what it took in is saved."""
        if self._held is not None:
            self._app.grouping = self._held

    def _grouping(self, window: float) -> Grouping:
        if self._held is None:
            held, self._app.grouping = self._app.grouping, None
            if held is None or held[0].window != window:
                held = Grouping(window), 0
            grouping, change = held
            grouping.take_in(self._work.sketches(grouping.latest))
            change, moves = self._work.moved(change)
            for story_id, event_id in moves:
                grouping.move(story_id, event_id)
            self._held = grouping, change
        return self._held[0]


def _refused(decision: Decision) -> dict[str, Any] | None:
    return None if decision.refused is None else asdict(decision.refused)
