"""`monitor events`: the events of several stories, and what an operator changes of them; and `monitor replay`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from monitor import checking, logs
from monitor.cli.common import (
    CONFIG,
    DATA,
    Config,
    Data,
    Json,
    cli,
    clock,
    hang,
    out,
    plain,
    table,
    to_json,
    told,
    using,
)
from monitor.cli.stream import read_lines
from monitor.errors import NotFoundError
from monitor.events import Coverage, Report, coverage
from monitor.replay import Replay
from monitor.store import EventStories

_MOST = 2**63 - 1  # the greatest number that a row can have


@cli.command()
def events(
    action: Annotated[
        str,
        typer.Argument(
            metavar="show | split | merge",
            help="show (or only a number): one event, or the latest; split: put stories of an event into one of "
            "their own; merge: put others into it.",
        ),
    ] = "show",
    event: Annotated[int, typer.Argument(metavar="EVENT", help="An event's number.")] = 0,
    others: Annotated[
        list[int] | None,
        typer.Argument(metavar="STORY… | EVENT…", help="The stories to split off, or the events to merge into it."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many events, the latest first.", min=1, max=10_000)] = 20,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show events of several stories and why each is in its event; split and merge them: what you change stays."""
    if action.isdecimal() and not event:
        action, event = "show", int(action)
    if action not in ("show", "split", "merge"):
        raise typer.BadParameter(f"`{action}` is neither show, split nor merge, nor an event's number")
    if action != "show" and not (event and others):
        wanted = "the stories to split off" if action == "split" else "the events to merge into it"
        raise typer.BadParameter(f"{action}: name an event, and {wanted}")
    if (most := max(event, *(others or ()), 0)) > _MOST:
        raise NotFoundError(f"there is no event or story {most}; `monitor events` lists them")
    with using(config, data) as app:
        store, now = app.store.events, app.now()
        if action == "split":
            numbers = [store.split(event, others or (), now), event]
        elif action == "merge":
            for other in others or ():
                store.merge(event, other, now)
            numbers = [event]
        else:
            numbers = [event] if event else []
        found = [one for number in numbers if (one := store.get(number)) is not None and one.stories]
        if event and not found:
            raise NotFoundError(f"there is no event {event} with stories; `monitor events` lists them")
        if not event:
            found = store.latest(limit)
        weights = app.config.weights
    if as_json:
        to_json([_row(one, _coverage(one, weights)) for one in found])
    elif event:
        for one in found:
            _show(one, _coverage(one, weights))
    else:
        made = table("id", "stories", "latest", "headline", "outlets")
        for one in found:
            covered = _coverage(one, weights)
            outlets = ", ".join(report.source for report in covered.outlets)
            row = (
                str(one.event.id),
                str(covered.stories),
                clock(covered.latest),
                told(covered.lead.title),
                told(outlets),
            )
            made.add_row(*row)
        out.print(made)


def _coverage(one: EventStories, weights: Mapping[str, float]) -> Coverage:
    reports = [Report(s.id or 0, s.source, s.title, s.url, s.effective_at) for s in one.stories]
    return coverage(reports, weights)


def _row(one: EventStories, covered: Coverage) -> dict[str, object]:
    wanted = ("id", "title", "source", "url", "effective_at", "event_why", "event_refused")
    stories = [{name: value for name, value in plain(story).items() if name in wanted} for story in one.stories]
    return {**plain(one.event), **plain(covered), "stories": stories}


def _show(one: EventStories, covered: Coverage) -> None:
    since = f"{clock(covered.first)} to {clock(covered.latest)}"
    out.print(f"event {one.event.id}: {covered.stories} stories, {since}", style="bold")
    for story in one.stories:
        lead = " (lead)" if story.id == covered.lead.story_id else ""
        hang(told(f"{story.id}  {clock(story.effective_at)}  {story.source}: {story.title}{lead}"), 2)
        hang(told(story.event_why, "dim"), 6)
        if refused := story.event_refused:
            shared = f", shares {', '.join(refused['shared'])}" if refused["shared"] else ""
            nearest = f"event {refused['event']}, likeness {refused['likeness']:.2f}{shared}"
            hang(told(f"the nearest that it did not join: {nearest}", "dim"), 6)


@cli.command()
def replay(config: Config = CONFIG, data: Data = DATA, as_json: Json = True) -> None:
    """Print the messages that stories (JSON lines on standard input) would make, in their own time. Sends nothing."""
    logs.setup("ERROR")
    loaded = checking.load(config, os.environ)
    with Replay(loaded.config, loaded.rules) as run:
        for message in run.lines(read_lines(sys.stdin.buffer)):
            to_json(message)
            sys.stdout.flush()
