"""Commands that show something: status, feeds, query, match, group, parse, extract, digest, deliveries, explain."""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.text import Text

from monitor import checking, service
from monitor.article import PAGE_LIMIT, PAGE_TYPES, extract
from monitor.cli.common import (
    CONFIG,
    DATA,
    Config,
    Data,
    Json,
    cli,
    clock,
    hang,
    mistake,
    out,
    plain,
    table,
    to_json,
    told,
    using,
)
from monitor.cli.stream import group_stream, match_stream, read_lines
from monitor.config import FetchSettings, Settings, load_config
from monitor.dispatch import Reason
from monitor.endpoints import standing
from monitor.errors import InputError, MonitorError, QueryError, WorkerError
from monitor.fetch import Failed, Fetched, Fetcher
from monitor.models import Delivery, Endpoint, Escalation
from monitor.parse import as_json as feed_as_json
from monitor.parse import parse_feed
from monitor.pipeline.lanes import PARSE_DEADLINE
from monitor.query import as_json as tree_as_json
from monitor.render import MailMessage, SlackMessage
from monitor.rules import Explanation
from monitor.service.journey import why
from monitor.service.record import read_state
from monitor.text import clean, series
from monitor.workers import Workers

_LISTED = 5  # terms side by side that still have a line each
_NAMED = 12  # terms named of those that do not occur, where nobody asked for this topic alone
READ_LIMIT = 50_000_000  # bytes of a file given to `monitor parse`


@cli.command()
def status(config: Config = CONFIG, data: Data = DATA, as_json: Json = False) -> None:
    """Show the configuration's state, feeds, queue, last poll and next digest."""
    state = read_state(data)
    with using(config, data) as app:
        found = service.status(app, app.now())
    if as_json:
        to_json({"config": state, **plain(found)})
        return
    if state and not state.get("ok", True):
        out.print(
            f"Configuration: BAD since {state['since']}; the last good one is running.", style="red", markup=False
        )
        for problem in state["problems"]:
            out.print(f"  {problem}", markup=False)
    else:
        out.print(f"Configuration: good{'' if state else ' (`monitor run` has not used it yet)'}")
    failing = f", {len(found.failing)} cannot be read: {', '.join(found.failing)}" if found.failing else ""
    unpolled = f", {found.unpolled} not polled yet" if found.unpolled else ""
    others = "".join(
        f", {len(names)} {state}: {', '.join(names)}"
        for state in ("silent", "slow", "paused")
        if (names := found.states[state])
    )
    out.print(f"Feeds: {found.feeds}{unpolled}{failing}{others}. Last poll: {clock(found.last_poll)}", markup=False)
    out.print(f"Stories: {found.stories}, {found.edits} edits, {found.matches} matches")
    queue = ", ".join(f"{count} {name}" for name, count in sorted(found.queue.items())) or "empty"
    oldest = f"; the oldest waiting since {clock(found.oldest_pending)}" if found.oldest_pending else ""
    out.print(f"Messages: {queue}{oldest}", markup=False)
    for endpoint in found.endpoints:
        out.print(_endpoint(endpoint, found.affected[endpoint.key]), style="red", markup=False)
    for suspended in found.suspended:
        said = f"{suspended.subscriber} by {suspended.channel} since {clock(suspended.suspended_at)}: {suspended.error}"
        out.print(f"Suspended: {said}", style="red", markup=False)
    for subscriber, local, _ in found.digests:
        out.print(f"Next digest: {subscriber}, {local} in their zone", markup=False)
    for silence in found.silences:
        out.print(f"Silenced: {silence.topic} until {clock(silence.until)}", style="yellow", markup=False)
    if found.audit is not None:
        wrong = f"{found.audit.wrong} things wrong (`monitor audit` shows them)" if found.audit.wrong else "in order"
        out.print(f"Audit: {wrong}, {clock(found.audit.at)}", style="red" if found.audit.wrong else "", markup=False)


def _endpoint(row: Endpoint, channels: Sequence[str]) -> str:
    whose = f" ({series(channels)})" if channels else ""
    if not row.failures:
        return f"Resting: {row.key}{whose} asked to be left alone until {clock(row.open_until)}"
    state = standing(row.failures).capitalize()
    again = f"; tried again at {clock(row.open_until)}" if row.open_until else ""
    return f"{state}: {row.key}{whose}, {row.failures} failures since {clock(row.failing_since)}: {row.error}{again}"


@cli.command()
def feeds(config: Config = CONFIG, data: Data = DATA, as_json: Json = False) -> None:
    """Show the health of every feed, those that cannot be relied on first."""
    with using(config, data) as app:
        health = service.feed_health(app)
    if as_json:
        to_json([plain(feed) for feed in health])
        return
    made = table("feed", "state", "last poll", "next poll", "stories", "a day", "what is to be known")
    for feed in health:
        style = {"broken": "red", "silent": "yellow", "slow": "yellow", "new": "dim", "paused": "dim"}.get(
            feed.state, ""
        )
        made.add_row(
            feed.name,
            told(feed.state, style),
            clock(feed.polled_at),
            clock(feed.next_poll_at),
            str(feed.stories),
            f"{feed.per_day:.1f}" if feed.polled_at else "",
            told("\n".join(feed.remarks)),
        )
    out.print(made)


@cli.command()
def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help="A query, in quotes.")],
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show how a query is read, with the configuration's macros and names, or its mistake with a caret."""
    try:
        found = service.read_query(text, config, os.environ)
    except QueryError as error:
        if as_json:
            to_json({"ok": False, "message": error.message, "start": error.start, "end": error.end, "fix": error.fix})
        else:
            mistake(error)
        raise typer.Exit(1) from None
    if as_json:
        to_json({"ok": True, "query": str(found.written), "tree": tree_as_json(found.tree)})
        return
    for depth, line in _joined(found.lines):
        hang(Text(line), 2 * depth)
    if found.note:
        Console(stderr=True, soft_wrap=True).print(found.note, style="yellow", markup=False)


def _joined(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield a tree's lines with their depth; many terms side by side, without names of their own, share one."""
    depths = [*(depth for depth, _ in lines), 0]
    alone = [deeper > depth or ": " in line for (depth, line), deeper in zip(lines, depths[1:], strict=True)]
    for (depth, shared), run in groupby(enumerate(lines), lambda at: (at[1][0], not alone[at[0]])):
        terms = [line for _, (_, line) in run]
        yield from [(depth, ", ".join(terms))] if shared and len(terms) > _LISTED else [(depth, term) for term in terms]


@cli.command()
def match(
    workers: Annotated[
        int, typer.Option("--workers", help="Processes that share the work; the order is kept.", min=1, max=256)
    ] = 1,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = True,
) -> None:
    """Match stories (JSON lines on standard input) and print one JSON line each, in order. No database."""
    loaded = checking.load(config, os.environ)
    for line in match_stream(loaded.rules, read_lines(sys.stdin.buffer), workers, config):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


@cli.command()
def group(config: Config = CONFIG, data: Data = DATA, as_json: Json = True) -> None:
    """Group stories into events (JSON lines on standard input) and print one JSON line each, in order. No database."""
    # Without a configuration the stories are grouped as by an empty one.
    settings = checking.load(config, os.environ).config.settings if config.exists() else Settings()
    for line in group_stream(settings.events.window if settings.events else None, read_lines(sys.stdin.buffer)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


@cli.command("parse")
def parse_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A feed document; - for standard input.")],
    url: Annotated[str, typer.Option("--url", help="Its address, for relative links.")] = "",
    content_type: Annotated[str, typer.Option("--content-type", help="As the server sent it.")] = "",
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = True,
) -> None:
    """Print what the program reads in a feed document, as JSON."""
    try:
        body = sys.stdin.buffer.read(READ_LIMIT) if str(file) == "-" else file.read_bytes()[:READ_LIMIT]
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    workers = Workers(1)
    try:
        parsed = asyncio.run(workers.run(parse_feed, body, url, content_type, timeout=PARSE_DEADLINE))
    except WorkerError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    finally:
        workers.close()
    to_json(feed_as_json(parsed))
    if not parsed.readable:
        raise typer.Exit(1)


@cli.command("extract")
def extract_page(
    page: Annotated[str, typer.Argument(metavar="FILE|URL", help="A saved page, gzipped or not; or its address.")],
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = True,
) -> None:
    """Print the article that the program reads in a page, as JSON: exit status 1 where there is none."""
    html, url = asyncio.run(_fetched(page, _fetch_settings(config))) if "://" in page else (_unpacked(Path(page)), "")
    workers = Workers(1)
    try:
        article = asyncio.run(workers.run(extract, html, url, timeout=PARSE_DEADLINE))
    except WorkerError as error:
        raise InputError(f"{page} cannot be read: {error}") from error
    finally:
        workers.close()
    to_json({**plain(article), "published": article.published or None})
    if not article.text:
        raise typer.Exit(1)


def _fetch_settings(folder: Path) -> FetchSettings:
    """Return those of the configuration in `folder`, or the usual ones where there is none. Raises ConfigError."""
    return load_config(folder, os.environ).settings.fetch if folder.is_dir() else FetchSettings()


async def _fetched(url: str, settings: FetchSettings) -> tuple[bytes, str]:
    """Return a page and its final address. Raises MonitorError when it cannot be had."""
    fetcher = Fetcher(settings)
    try:
        answer = await fetcher.fetch(url, max_bytes=PAGE_LIMIT, accept=PAGE_TYPES)
    finally:
        await fetcher.close()
    if not isinstance(answer, Fetched):
        raise MonitorError(answer.reason if isinstance(answer, Failed) else "nothing came")
    return answer.body, answer.url


def _unpacked(file: Path) -> bytes:
    """Return a file's bytes, unpacked where it is gzipped, as far as a page may be long. Raises InputError."""
    try:
        with file.open("rb") as opened:
            packed = opened.read(2) == b"\x1f\x8b"
        with gzip.open(file) if packed else file.open("rb") as opened:
            return opened.read(PAGE_LIMIT)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


@cli.command()
def digest(
    subscriber: Annotated[str, typer.Argument(metavar="SUBSCRIBER")],
    at: Annotated[str, typer.Option("--at", help="End of the window, ISO 8601; without zone, the subscriber's.")] = "",
    form: Annotated[str, typer.Option("--format", help="text, html, eml or slack.")] = "text",
    send: Annotated[bool, typer.Option("--send", help="Put it into the outbox.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show a subscriber's digest as it would go."""
    if form not in ("text", "html", "eml", "slack"):
        raise typer.BadParameter(f"{form}: a format is one of text, html, eml, slack")
    with using(config, data) as app:
        now = app.now()
        declared = app.config.subscribers.get(subscriber)
        zone = ZoneInfo(declared.timezone if declared else "UTC")
        value = service.preview_digest(app, subscriber, _instant(at, zone), now)
        if send:
            rows = service.send_digest(app, value, now)
            if as_json:
                to_json([_row(row) for row in rows])
                return
            for row in rows:
                out.print(f"In the outbox: message {row.id} by {row.channel}", markup=False)
            return
        if as_json:
            to_json(value)
            return
        message = service.render_as(app, value, "slack" if form == "slack" else "mail")
        mail = service.digest_mail(app, value, message) if isinstance(message, MailMessage) else None
    if isinstance(message, SlackMessage):
        to_json({"text": message.text, "blocks": message.blocks})
    elif isinstance(message, MailMessage):
        if form == "eml":
            assert mail is not None
            sys.stdout.buffer.write(mail.as_bytes())
        else:
            sys.stdout.write(message.html if form == "html" else message.text)


def _instant(at: str, zone: ZoneInfo) -> datetime | None:
    if not at:
        return None
    try:
        moment = datetime.fromisoformat(at)
        if not 1970 < moment.year < 9000:  # to have room for the windows on both sides
            raise ValueError
    except ValueError:
        raise typer.BadParameter(f"{at!r} is not a time such as 2026-11-25T07:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


@cli.command()
def deliveries(
    state: Annotated[
        str, typer.Option("--state", help="pending, sending, held, sent, dead or cancelled.", metavar="S")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", help="How many, the latest first.", min=1, max=100_000)] = 50,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show the outbox: what went out, what waits and why, what was given up."""
    states = ("pending", "sending", "held", "sent", "dead", "cancelled")
    if state and state not in states:
        raise typer.BadParameter(f"{state}: a state is one of {', '.join(states)}")
    with using(config, data) as app:
        rows = app.store.outbox.latest((state,) if state else (), limit)
        watched = app.store.escalations.of([row.incident for row in rows if row.incident])
    if as_json:
        to_json([_row(row) | _acknowledged(watched.get(row.incident)) for row in rows])
        return
    made = table("id", "state", "kind", "to", "by", "made", "tries", "about", "what happened")
    for row in rows:
        style = {"dead": "red", "pending": "yellow", "held": "yellow", "sent": "green"}.get(row.state, "")
        due = f"next try {clock(row.next_attempt_at)}. " if row.state == "pending" else ""
        twice = " (it may have arrived twice)" if row.maybe_dup and row.state == "sent" else ""
        what = f"{due}{row.detail or row.receipt or row.code}{twice}{_watched(watched.get(row.incident), row)}"
        made.add_row(
            str(row.id),
            told(row.state, style),
            row.kind,
            "whom it concerns" if row.kind == "escalation" else row.subscriber or "operators",
            row.channel,
            clock(row.created_at),
            str(row.attempts),
            told(row.subject),
            told(what),
        )
    out.print(made)


def _acknowledged(row: Escalation | None) -> dict[str, Any]:
    """What is added to the record of a message that must be acknowledged, or was escalated."""
    if row is None:
        return {}
    return {"acknowledged_by": row.acknowledged_by, "acknowledged_at": row.acknowledged_at, "escalates_at": row.due_at}


def _watched(row: Escalation | None, message: Delivery) -> str:
    if row is None:
        return ""
    if row.acknowledged_at is not None:
        return f"; acknowledged by {row.acknowledged_by} at {clock(row.acknowledged_at)}"
    if message.kind == "alert" and row.due_at is not None:
        return f"; not acknowledged yet, goes on at {clock(row.due_at)}"
    return "; not acknowledged"


def _row(row: Delivery) -> dict[str, Any]:
    """A message's record, without what it says."""
    return {name: value for name, value in plain(row).items() if name != "payload"}


@cli.command()
def explain(
    story: Annotated[str, typer.Argument(metavar="STORY", help="An address, an id, or words of the headline.")],
    topic: Annotated[str, typer.Option("--topic", help="Only this topic.", metavar="T")] = "",
    subscriber: Annotated[str, typer.Option("--subscriber", help="Only this subscriber.", metavar="S")] = "",
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show a story's journey: where it was seen, what matched and what did not, who was told, and why."""
    with using(config, data) as app:
        found = service.explain(app, story, topic or None, subscriber or None)
        answer = why(app, found, subscriber, app.now())
    if as_json:
        to_json(
            {
                "story": found.journey.story,
                "event": found.journey.event,
                "outlets": found.journey.outlets,
                "sightings": found.journey.sightings,
                "page": found.journey.page,
                "topics": found.verdicts,
                "matches": found.journey.matches,
                "decisions": [
                    {
                        **plain(told.decision),
                        "deliveries": [{"id": r.id, "channel": r.channel, "state": r.state} for r in told.deliveries],
                    }
                    for told in found.told
                ],
                "untold": found.untold,
                "deliveries": [_row(row) for row in found.deliveries],
            }
        )
        return
    _show_story(found)
    for verdict in sorted(found.verdicts, key=lambda one: (not one.matched, not one.near)):
        mark = "matched" if verdict.matched else "came close" if verdict.near else "did not match"
        mark += f" ({clock(verdict.decided_at)})" if verdict.decided_at else " (by the rule of now)"
        out.print(f"\n{verdict.title} ({verdict.topic}): {mark}", style="bold" if verdict.matched else "", markup=False)
        _show_tree(verdict.explanation, 1, whole=bool(topic), deep=bool(topic or verdict.matched or verdict.near))
    if not topic and any(not verdict.matched for verdict in found.verdicts):
        out.print("\n--topic NAME shows the whole tree of a topic.", style="dim")
    out.print()
    _show_told(found, subscriber)
    if subscriber:
        out.print(told(" ".join(answer), "bold"))


def _show_told(found: service.Explained, subscriber: str) -> None:
    for one in found.told:
        decision = one.decision
        detail = f": {decision.detail}" if decision.detail else ""
        became = "".join(f"; by {row.channel}: {row.state}" for row in one.deliveries)
        said = f"{decision.subscriber}: {decision.reason}{detail} ({clock(decision.decided_at)}){became}"
        out.print(said, markup=False)
    shown = [one for one in found.untold if subscriber or one.reason is Reason.OUT_OF_SCOPE]
    for untold in shown:
        out.print(f"{untold.subscriber}: {untold.reason}: {untold.detail}", markup=False)
    others = len(found.untold) - len(shown) if found.journey.matches else 0
    if others:
        out.print(f"{others:,} subscriber{'' if others == 1 else 's'}: not subscribed to a topic that matched")
    elif found.journey.matches and not found.told and not shown:
        out.print("Nobody was to be told: no subscription covers a topic that matched.")
    for row in found.deliveries:
        said = f"{row.detail or row.receipt or row.code}{_watched(found.watched.get(row.incident), row)}"
        what = "escalated" if row.kind == "escalation" else f"to {row.subscriber}"
        out.print(f"message {row.id} {what} by {row.channel}: {row.state} {said}", markup=False)


def _show_story(found: service.Explained) -> None:
    journey = found.journey
    out.print(told(journey.story.title or "Untitled story", "bold"))
    out.print(told(f"{journey.story.source}, {journey.story.url}"))
    claimed = journey.story.published_raw or "no date"
    out.print(told(f"first seen {clock(journey.story.first_seen_at)}; its publisher says {claimed}"))
    for sighting in journey.sightings:
        baseline = " (the feed's first poll: no alert)" if sighting.baseline else ""
        out.print(told(f"seen in {sighting.feed} at {clock(sighting.seen_at)}{baseline}"))
    if journey.story.edits:
        out.print(f"edited {journey.story.edits} times, last at {clock(journey.story.edited_at)}")
    if journey.story.page_at is not None:
        size = len(journey.story.text)
        out.print(f"its page was read at {clock(journey.story.page_at)}: the text is from there, {size:,} characters")
    elif journey.page is not None:
        again = f" (to be read at {clock(journey.page.due_at)})" if journey.page.due_at else ""
        out.print(told(f"its page was not read{': ' if journey.page.error else ''}{journey.page.error}{again}"))
    if journey.story.event_why:
        out.print(told(f"event {journey.story.event_id}: {journey.story.event_why}"))
    if refused := journey.story.event_refused:
        shared = f", shares {', '.join(refused['shared'])}" if refused["shared"] else ""
        nearest = f"event {refused['event']}, likeness {refused['likeness']:.2f}{shared}"
        out.print(told(f"the nearest that it did not join: {nearest}"))
    if journey.event is not None and journey.event.stories > 1:
        out.print(told(f"one event with {journey.event.stories} stories: {', '.join(journey.outlets)}"))


def _show_tree(node: Explanation, depth: int, style: str = "", *, whole: bool, deep: bool) -> None:
    """Print a node and what is below it; dim what does not make it true or false.

    Without `whole` the terms that do not occur are named up to a dozen, and without `deep` only the first node that
    says why is shown: a topic may have hundreds of terms, and a story misses most topics.
    """
    mark = "✓" if node.true else "✗"
    words = ", ".join(dict.fromkeys(f"{e.term} in {e.field}" for e in node.evidence))[:200]
    note = f"  ({node.note})" if node.note else f"  [{words}]" if words and not node.children else ""
    note = f"  {clean(note)}" if note else ""
    colour = style or ("green" if node.true else "red")
    hang(Text.assemble((mark, colour), (f" {clean(node.text)}{note}", style)), 2 * depth)
    # A note with a colon says more than that: of a weak alias, say.
    missing = [child for child in node.children if child.note.startswith("does not occur") and ":" not in child.note]
    shared = len(missing) > _LISTED
    for child in node.children:
        matters = node.text == "not" or child.true == node.true
        if not (shared and child in missing) and (deep or (matters and not node.note)):
            _show_tree(child, depth + 1, style if matters else "dim", whole=whole, deep=deep)
    if shared and (deep or not node.note):
        named = missing if whole else missing[:_NAMED]
        words = ", ".join(child.text for child in named)
        words += f" and {len(missing) - len(named)} more" if len(missing) > len(named) else ""
        hang(Text(clean(f"✗ does not occur: {words}"), style="dim" if node.true else style), 2 * depth + 2)
