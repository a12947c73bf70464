"""Commands of who is told: silence, pause, release, audit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from monitor import service
from monitor.cli.common import CONFIG, DATA, Config, Data, Json, cli, clock, moment, out, table, to_json, told, using
from monitor.config.values import duration

_FOR = "For how long: 30m, 4h, 2d."


@cli.command()
def silence(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic; without one, the silences are shown.")] = "",
    time: Annotated[str, typer.Option("--for", help=_FOR, metavar="4h")] = "",
    why: Annotated[str, typer.Option("--why", help="Why; for those who look later.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End the topic's silence.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Keep a topic from alerting anybody for a time, show such silences, or end one. Digests go on."""
    if bool(topic) != (bool(time) != lift):
        raise typer.BadParameter("write `monitor silence TOPIC --for 4h`, `monitor silence TOPIC --lift`, or no topic")
    with using(config, data) as app:
        now = app.now()
        if topic and lift:
            service.lift_silence(app, topic, now)
            out.print(f"The silence of {topic} has ended.", markup=False)
            return
        if topic:
            until = _end(time, now)
            cancelled = service.silence(app, topic, until, why, now)
            if not as_json:
                stopped = f" {cancelled} alerts that were waiting are cancelled." if cancelled else ""
                out.print(f"{topic} alerts nobody until {clock(until)}.{stopped}", markup=False)
                return
        rows = app.store.policies.silences(now)
    if as_json:
        to_json([{"topic": r.topic, "since": r.since, "until": r.until, "why": r.why} for r in rows])
        return
    made = table("topic", "since", "until", "why")
    for row in rows:
        made.add_row(row.topic, clock(row.since), clock(row.until), told(row.why))
    out.print(made if rows else "No topic is silenced.")


@cli.command()
def pause(
    subscriber: Annotated[
        str, typer.Argument(metavar="SUBSCRIBER", help="Who is away; without one, those who are are shown.")
    ] = "",
    time: Annotated[str, typer.Option("--for", help=_FOR, metavar="7d")] = "",
    end: Annotated[bool, typer.Option("--end", help="End the pause.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send a subscriber nothing for a time, show who is paused, or end a pause. One digest then tells of all of it."""
    if bool(subscriber) != (bool(time) != end):
        raise typer.BadParameter("write `monitor pause SUBSCRIBER --for 7d`, `monitor pause SUBSCRIBER --end`, or none")
    with using(config, data) as app:
        now = app.now()
        if subscriber and end:
            service.resume(app, subscriber, now)
            out.print(f"The pause of {subscriber} has ended.", markup=False)
            return
        if subscriber:
            until = _end(time, now)
            service.pause(app, subscriber, until, now)
            if not as_json:
                out.print(f"{subscriber} gets nothing until {clock(until)}, and then one digest.", markup=False)
                return
        paused = app.store.policies.paused(now)
    if as_json:
        to_json([{"subscriber": name, "until": until} for name, until in sorted(paused.items())])
        return
    for name, until in sorted(paused.items()):
        out.print(f"{name} gets nothing until {clock(until)}.", markup=False)
    if not paused:
        out.print("Nobody is paused.")


def _end(time: str, now: datetime) -> datetime:
    try:
        return now + timedelta(seconds=duration(time))
    except PydanticCustomError:
        raise typer.BadParameter(f"{time!r} is not a duration such as 4h") from None


@cli.command()
def release(
    drop: Annotated[bool, typer.Option("--drop", help="Drop them: they are cancelled, and stay on record.")] = False,
    topic: Annotated[str, typer.Option("--topic", help="Only those about this topic.", metavar="T")] = "",
    subscriber: Annotated[str, typer.Option("--subscriber", help="Only those for one.", metavar="S")] = "",
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Let the messages go that the budget holds, or drop them. Exit status 1 where there are none."""
    with using(config, data) as app:
        count = service.release(app, app.now(), drop=drop, topic=topic, subscriber=subscriber)
    if as_json:
        to_json({"dropped" if drop else "released": count})
    else:
        done = "dropped" if drop else "released: `monitor run` sends them"
        out.print(f"{count} message{'' if count == 1 else 's'} {done}.", markup=False)


@cli.command()
def audit(
    since: Annotated[
        str, typer.Option("--since", help="How far it looks back: 7d, or a time in ISO 8601 (UTC without zone).")
    ] = "7d",
    config: Config = CONFIG,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check that every match has its decisions, and every decision what it promises: exit status 1 where not."""
    with using(config, data) as app:
        now = app.now()
        found = service.run_audit(app, moment(since, now) or now - timedelta(days=7), now)
    if as_json:
        to_json({"ok": not found.wrong, **found.model_dump(exclude={"id"})})
    else:
        for finding in found.findings:
            out.print(told(finding))
        counts = f"{found.matches:,} matches, {found.decisions:,} decisions and {found.deliveries:,} messages"
        verdict = "in order" if not found.wrong else f"{found.wrong:,} things are wrong"
        out.print(f"{counts} since {clock(found.since)}: {verdict}.", markup=False)
    if found.wrong:
        raise typer.Exit(1)
